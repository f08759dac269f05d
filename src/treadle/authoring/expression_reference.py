"""What the language of expressions has, described for authors: each filter, test, function, operator, block and field of `loop`, with an example.

Names, parameters and defaults come from the tables of the core, so nothing can be described that is not there; `docs/reference/expressions.md`
is generated from here, and a test evaluates every example. Where the language differs from Jinja: `expression_differences`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from treadle.core.expr.evaluation import Missing
from treadle.core.expr.table import FILTER_ALIASES, FILTERS, FUNCTIONS, TEST_ALIASES, TESTS, Entry, Required
from treadle.core.values import Json, encode

# What the examples read.
CONTEXT: Final[dict[str, Json]] = {
    "state": {
        "rows": [{"id": 1, "name": "pear", "ok": True, "price": "1.10"}, {"id": 2, "name": "Apple", "ok": False, "price": "2.20"}],
        "user": {"name": "Ada", "city": None},
    },
    "inputs": {"n": 2},
}
NOW_MS: Final = 1_795_168_800_000
SEED: Final = "docs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """An entry of the reference: how it is written, what it does, and an example with what it gives, as stored JSON."""

    name: str
    signature: str
    sentence: str
    example: str
    result: str


# An expression and what it gives; what the filter does is said where it is defined.
_FILTER_EXAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    "abs": ("-3 | abs", "3"),
    "add_days": ("'2026-11-28' | add_days(5)", '"2026-12-03"'),
    "base64_decode": ("'aGk=' | base64_decode", '"hi"'),
    "base64_encode": ("'hi' | base64_encode", '"aGk="'),
    "batch": ("[1, 2, 3] | batch(2, 0)", "[[1,2],[3,0]]"),
    "bool": ("'yes' | bool", "true"),
    "capitalize": ("'hello WORLD' | capitalize", '"Hello world"'),
    "center": ("'ab' | center(6)", '"  ab  "'),
    "chunk": ("[1, 2, 3] | chunk(2)", "[[1,2],[3]]"),
    "date": ("'2026-11-20T23:30:00-02:00' | date", '"2026-11-21"'),
    "days_between": ("'2026-01-01' | days_between('2026-11-20')", "323"),
    "decimal": ("'1.10' | decimal + '2.20' | decimal", '"3.30"'),
    "default": ("state.nope | default('none')", '"none"'),
    "dictsort": ("{'b': 1, 'A': 2} | dictsort", '[["A",2],["b",1]]'),
    "filesizeformat": ("1500000 | filesizeformat", '"1.5 MB"'),
    "first": ("[3, 1, 2] | first", "3"),
    "float": ("'1.5' | float", "1.5"),
    "fromjson": ("'{\"a\": [1]}' | fromjson", '{"a":[1]}'),
    "groupby": ("['b', 'A', 'a'] | pick({'k': it}) | groupby('k')", '[["A",[{"k":"A"},{"k":"a"}]],["b",[{"k":"b"}]]]'),
    "hash": ("'abc' | hash('sha1')", '"a9993e364706816aba3e25717850c26c9cd0d89d"'),
    "indent": ("'a\\nb' | indent(2)", '"a\\n  b"'),
    "instant": ("'2026-11-20T10:00+01:00' | instant", '"2026-11-20T09:00:00.000Z"'),
    "int": ("['42', 3.9, true] | map('int')", "[42,3,1]"),
    "items": ("{'b': 2, 'a': 1} | items", '[["b",2],["a",1]]'),
    "join": ("[1, none, 'x'] | join('-')", '"1-null-x"'),
    "last": ("[3, 1, 2] | last", "2"),
    "length": ("['abc', [1], {}] | map('length')", "[3,1,0]"),
    "list": ("'ab' | list", '["a","b"]'),
    "lower": ("'ÀB' | lower", '"àb"'),
    "map": ("state.rows | map(attribute='name') | map('upper')", '["PEAR","APPLE"]'),
    "matching": ("['a1', 'b'] | matching('[0-9]')", '["a1"]'),
    "max": ("['b', 'A'] | max", '"b"'),
    "merge": ("{'a': 1, 'b': 1} | merge({'b': 2})", '{"a":1,"b":2}'),
    "min": ("state.rows | min(attribute='id') | items | first", '["id",1]'),
    "pick": ("state.rows | pick(it.id * 10)", "[10,20]"),
    "random": ("['only'] | random", '"only"'),
    "regex_findall": ("'a1b22' | regex_findall('[0-9]+')", '["1","22"]'),
    "regex_replace": ("'2026-11' | regex_replace('([0-9]+)-([0-9]+)', '\\\\2/\\\\1')", '"11/2026"'),
    "regex_search": ("'v1.22' | regex_search('([0-9]+)[.]([0-9]+)', 2)", '"22"'),
    "reject": ("[1, 2, 3, 4] | reject('even')", "[1,3]"),
    "rejectattr": ("state.rows | rejectattr('ok') | map(attribute='id')", "[2]"),
    "replace": ("'a.b.c' | replace('.', '-')", '"a-b-c"'),
    "reverse": ("[1, 2] | reverse", "[2,1]"),
    "round": ("2.345 | decimal | round(2, 'half_up')", '"2.35"'),
    "round_money": ("3 | round_money", '"3.00"'),
    "select": ("[0, 1, 2, 3] | select('gt', 1)", "[2,3]"),
    "selectattr": ("state.rows | selectattr('id', 'ge', inputs.n) | map(attribute='name')", '["Apple"]'),
    "shell_quote": ("['echo', \"it's\"] | shell_quote", "\"echo 'it'\\\"'\\\"'s'\""),
    "slice": ("[1, 2, 3, 4] | slice(3)", "[[1,2],[3],[4]]"),
    "sort": ("['b', 'A', 'c'] | sort(reverse=true)", '["c","b","A"]'),
    "split": ("'a, b' | split(', ')", '["a","b"]'),
    "strftime": ("'2026-11-05' | strftime('%-d %B %Y')", '"5 November 2026"'),
    "string": ("[true, none] | string", '"[true, null]"'),
    "sum": ("state.rows | map(attribute='price') | map('decimal') | sum", '"3.30"'),
    "title": ("'the quick-brown fox' | title", '"The Quick-Brown Fox"'),
    "to_object": ("state.rows | to_object(it.name, it.id)", '{"pear":1,"Apple":2}'),
    "tojson": ("{'a': '<b>'} | tojson", '"{\\"a\\": \\"<b>\\"}"'),
    "toyaml": ("{'a': [1, 'yes']} | toyaml", '"a:\\n  - 1\\n  - \\"yes\\"\\n"'),
    "trim": ("'--a--' | trim('-')", '"a"'),
    "truncate": ("'one two three four' | truncate(12, leeway=0)", '"one two..."'),
    "truncate_tokens": ("'abcdefghij' | truncate_tokens(2)", '"abcdefg…"'),
    "unique": ("['a', 'A', 1, 1.0] | unique", '["a",1]'),
    "upper": ("'aß' | upper", '"ASS"'),
    "urlencode": ("{'q': 'a b', 'n': 1} | urlencode", '"q=a+b&n=1"'),
    "where": ("state.rows | where(it.ok and it.id > 0) | map(attribute='id')", "[1]"),
    "wordcount": ("'one, two three' | wordcount", "3"),
    "wordwrap": ("'aaa bbb ccc' | wordwrap(7)", '"aaa bbb\\nccc"'),
    "zip": ("[1, 2] | zip(['a', 'b'])", '[[1,"a"],[2,"b"]]'),
}

# Filters that run an expression, a filter or a test per item: they have operations of their own and stand in no table of the core.
_LOOPS: Final[Mapping[str, tuple[str, str]]] = {
    "default": ("default(default_value='', boolean=false)", "Give another value where there is none; with `boolean` also where it is empty, 0, false or null."),
    "map": ("map(filter, …) · map(attribute=…, default?)", "Apply a filter to each item, or give an attribute (`'a.b.0'`) of each."),
    "pick": ("pick(expression)", "Give the value of an expression over `it` for each item."),
    "reject": ("reject(test?, …)", "Keep the items that a test fails on; without a test, those that count as false."),
    "rejectattr": ("rejectattr(attribute, test?, …)", "Keep the items whose attribute a test fails on."),
    "select": ("select(test?, …)", "Keep the items that pass a test; without a test, those that count as true."),
    "selectattr": ("selectattr(attribute, test?, …)", "Keep the items whose attribute passes a test."),
    "to_object": ("to_object(key, value)", "Make an object of two expressions over `it`; a key that comes twice is an error."),
    "where": ("where(expression)", "Keep the items for which an expression over `it` counts as true."),
}  # fmt: skip

# What it tells, an expression and what it gives.
_TESTS: Final[Mapping[str, tuple[str, str, str]]] = {
    "boolean": ("It is true or false.", "1 is boolean", "false"),
    "decimal": ("It is a decimal, which `| decimal` makes.", "('1.10' | decimal) is decimal", "true"),
    "defined": ("It is there.", "state.nope is defined", "false"),
    "divisibleby": ("It is a whole number without remainder.", "9 is divisibleby(3)", "true"),
    "eq": ("It equals another value.", "[1, 2, 1] | select('eq', 1)", "[1,1]"),
    "even": ("It is an even number.", "2 is even", "true"),
    "false": ("It is false itself.", "0 is false", "false"),
    "float": ("It is a number with a fraction.", "1.5 is float", "true"),
    "ge": ("It is greater or equal.", "2 is ge(2)", "true"),
    "gt": ("It is greater.", "[1, 2, 3] | select('gt', 1)", "[2,3]"),
    "in": ("It is in a list, a key of an object, or part of a text.", "'a' is in ['a', 'b']", "true"),
    "integer": ("It is a whole number.", "1.5 is integer", "false"),
    "iterable": ("It can be gone through: a text, a list, an object.", "{} is iterable", "true"),
    "le": ("It is less or equal.", "3 is le(2)", "false"),
    "lower": ("It is text in small letters.", "'ab' is lower", "true"),
    "lt": ("It is less.", "'a' is lt('b')", "true"),
    "mapping": ("It is an object.", "state.user is mapping", "true"),
    "matching": ("It is text that holds a match of a pattern.", "'v1.2' is matching('^v[0-9]')", "true"),
    "ne": ("It does not equal another value.", "1 is ne(true)", "true"),
    "none": ("It is null.", "state.user.city is none", "true"),
    "number": ("It is a number; booleans are none.", "true is number", "false"),
    "odd": ("It is an odd number.", "2 is odd", "false"),
    "sequence": ("It has items in an order: a text, a list, an object.", "[] is sequence", "true"),
    "string": ("It is text.", "'5' is string", "true"),
    "true": ("It is true itself.", "1 is true", "false"),
    "undefined": ("It is not there.", "state.nope is undefined", "true"),
    "upper": ("It is text in capitals.", "'Ab' is upper", "false"),
}

_FUNCTION_EXAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    "dict": ("dict([['a', 1]], b=2)", '{"a":1,"b":2}'),
    "env": ("env('HOME', 'not set')", '"not set"'),
    "now": ("now()", '"2026-11-20T10:00:00.000Z"'),
    "random": ("random(1, 6) in range(1, 7)", "true"),
    "range": ("range(2, 10, 3)", "[2,5,8]"),
    "uuid": ("uuid() | length", "36"),
}

# From the one that binds weakest to the one that binds strongest.
OPERATORS: Final = (
    Described(name="if else", signature="a if c else b", sentence="One of two values; without `else` there must be a `default`.",
              example="'many' if inputs.n > 1 else 'few'", result='"many"'),
    Described(name="or", signature="a or b", sentence="The first that counts as true, else the last.", example="'' or 'x'", result='"x"'),
    Described(name="and", signature="a and b", sentence="The first that counts as false, else the last.", example="1 and 2", result="2"),
    Described(name="not", signature="not a", sentence="Whether it counts as false: null, false, 0 and what is empty do.", example="not []", result="true"),
    Described(name="in", signature="a in b · a not in b", sentence="Whether a list holds it, an object has the key, a text holds the text.",
              example="2 in [1, 2] and 'x' not in 'abc'", result="true"),
    Described(name="==", signature="a == b", sentence="Equal as JSON: 1 and 1.0 are, 1 and true are not.", example="{'a': [1]} == {'a': [1.0]}", result="true"),
    Described(name="!=", signature="a != b", sentence="Not equal.", example="1 != true", result="true"),
    Described(name="<", signature="a < b", sentence="Less: two numbers, texts, booleans or lists; comparisons can be chained.", example="1 < inputs.n < 3", result="true"),
    Described(name="<=", signature="a <= b", sentence="Less or equal.", example="[1, 2] <= [1, 3]", result="true"),
    Described(name=">", signature="a > b", sentence="Greater.", example="'b' > 'a'", result="true"),
    Described(name=">=", signature="a >= b", sentence="Greater or equal.", example="2 >= 2.0", result="true"),
    Described(name="+", signature="a + b · +a", sentence="The sum of two numbers; two texts or two lists joined.", example="[1] + [2]", result="[1,2]"),
    Described(name="-", signature="a - b · -a", sentence="The difference of two numbers.", example="-inputs.n - 1", result="-3"),
    Described(name="~", signature="a ~ b", sentence="Both as text, joined.", example="'n is ' ~ inputs.n", result='"n is 2"'),
    Described(name="*", signature="a * b", sentence="The product of two numbers; a text or list repeated.", example="'ab' * 2", result='"abab"'),
    Described(name="/", signature="a / b", sentence="The quotient, as a fraction.", example="7 / 2", result="3.5"),
    Described(name="//", signature="a // b", sentence="The quotient, rounded down.", example="-7 // 2", result="-4"),
    Described(name="%", signature="a % b", sentence="What `//` leaves over.", example="7 % 4", result="3"),
    Described(name="**", signature="a ** b", sentence="A power; binds from the left, as in Jinja.", example="2 ** 10", result="1024"),
    Described(name="|", signature="a | filter", sentence="What a filter makes of it.", example="'a' | upper", result='"A"'),
    Described(name="is", signature="a is test · a is not test", sentence="Whether a test passes.", example="none is not none", result="false"),
    Described(name=".", signature="a.key", sentence="The value of a key; names are keys, always.", example="state.user.name", result='"Ada"'),
    Described(name="[", signature="a['key'] · a[0] · a[-1]", sentence="The value of a key, or an item by its index from 0, or from the end.",
              example="state.rows[-1]['name']", result='"Apple"'),
    Described(name=":", signature="a[from:to:step]", sentence="Some of the items of a list, or characters of a text.", example="[1, 2, 3, 4][1:3]", result="[2,3]"),
    Described(name="(", signature="(a) · f(a, name=b)", sentence="What is meant first, and the call of a function; a list with commas is a list.",
              example="(1 + 2) * 3", result="9"),
    Described(name="{", signature="{'key': a} · [a, b]", sentence="An object with text keys; a list.", example="{'a': [1, inputs.n]}", result='{"a":[1,2]}'),
    Described(name="'", signature="'text' · \"text\" · 1_000 · 0x1F · 1.5e3 · true · false · none",
              sentence="A text, with `\\n`, `\\t`, `\\u00e9` and the like; numbers; the words, also with a capital.", example="['it\\'s', 0x1F, 1_000, True, none]",
              result='["it\'s",31,1000,true,null]'),
)  # fmt: skip

STATEMENTS: Final = (
    Described(name="if", signature="{% if a %}…{% elif b %}…{% else %}…{% endif %}", sentence="One of several texts.",
              example="{% if inputs.n > 5 %}many{% elif inputs.n > 1 %}some{% else %}few{% endif %}", result='"some"'),
    Described(name="for", signature="{% for x in a if b %}…{% else %}…{% endfor %}", sentence="A text per item; `else` where there is none. Names in it end with each turn.",
              example="{% for row in state.rows if row.ok %}{{ row.name }};{% else %}none{% endfor %}", result='"pear;"'),
    Described(name="for a, b", signature="{% for key, value in a | items %}…{% endfor %}", sentence="Items that are lists, taken apart.",
              example="{% for key, value in {'a': 1} | items %}{{ key }}={{ value }}{% endfor %}", result='"a=1"'),
    Described(name="set", signature="{% set x = a %}", sentence="A name for a value, until the block ends.", example="{% set x = inputs.n + 1 %}{{ x }}{{ x }}", result='"33"'),
    Described(name="set block", signature="{% set x %}…{% endset %}", sentence="A name for a text.", example="{% set x %}n={{ inputs.n }}{% endset %}{{ x | upper }}", result='"N=2"'),
    Described(name="raw", signature="{% raw %}…{% endraw %}", sentence="Text in which braces mean nothing.", example="{% raw %}{{ x }}{% endraw %}", result='"{{ x }}"'),
    Described(name="#", signature="{# … #}", sentence="A remark.", example="a{# not shown #}b", result='"ab"'),
    Described(name="-", signature="{{- a -}} · {%- … -%}", sentence="White space on that side is taken away; a block alone on a line leaves no line, in any case.",
              example="a {{- 1 -}} b", result='"a1b"'),
)  # fmt: skip

# Fields of `loop` in a text's `{% for %}`.
LOOP: Final = tuple(
    Described(
        name=name, signature=signature, sentence=sentence, example=f"{{% for x in ['a', 'b', 'c'] %}}{example}{{% endfor %}}", result=result
    )
    for name, signature, sentence, example, result in (
        ("index", "loop.index", "The number of the turn, from 1.", "{{ loop.index }}", '"123"'),
        ("index0", "loop.index0", "The number of the turn, from 0.", "{{ loop.index0 }}", '"012"'),
        ("revindex", "loop.revindex", "How many turns are left, this one included.", "{{ loop.revindex }}", '"321"'),
        ("revindex0", "loop.revindex0", "How many turns are left after this one.", "{{ loop.revindex0 }}", '"210"'),
        ("first", "loop.first", "Whether it is the first turn.", "{% if loop.first %}[{% endif %}{{ x }}", '"[abc"'),
        ("last", "loop.last", "Whether it is the last turn.", "{{ x }}{% if not loop.last %}, {% endif %}", '"a, b, c"'),
        ("length", "loop.length", "How many turns there are.", "{{ loop.length }}", '"333"'),
        ("previtem", "loop.previtem", "The item before, where there is one.", "{{ loop.previtem | default('-') }}", '"-ab"'),
        ("nextitem", "loop.nextitem", "The item after, where there is one.", "{{ loop.nextitem | default('-') }}", '"bc-"'),
        ("cycle", "loop.cycle(a, b, …)", "One value after another.", "{{ loop.cycle('x', 'y') }}", '"xyx"'),
        ("depth", "loop.depth", "Always 1: there are no recursive loops.", "{{ loop.depth }}", '"111"'),
        ("depth0", "loop.depth0", "Always 0.", "{{ loop.depth0 }}", '"000"'),
    )
)


def filters() -> Iterator[Described]:
    """Give every filter, in order of name."""
    for name in sorted({*FILTERS, *_LOOPS, *FILTER_ALIASES}):
        meant = FILTER_ALIASES.get(name, name)
        example, result = _FILTER_EXAMPLES.get(meant, ("", ""))
        signature, sentence = _LOOPS[meant] if meant in _LOOPS else (_signature(meant, FILTERS[meant]), _sentence(FILTERS[meant]))
        if name != meant:
            signature, sentence = name + signature.removeprefix(meant), f"The same as `{meant}`."
            example = example.replace(f"| {meant}", f"| {name}").replace(f"'{meant}'", f"'{name}'")
        yield Described(name=name, signature=signature, sentence=sentence, example=example, result=result)


def tests() -> Iterator[Described]:
    """Give every test, in order of name; those that are written as another sign stand with it."""
    for name in sorted({*TESTS, "defined", "undefined"}):
        sentence, example, result = _TESTS.get(name, ("", "", ""))
        others = [f"`{other}`" for other, meant in TEST_ALIASES.items() if meant == name]
        also = f" Also written {', '.join(others)}." if others else ""
        signature = _signature(name, TESTS[name]) if name in TESTS else name
        yield Described(name=name, signature=signature, sentence=sentence + also, example=example, result=result)


def functions() -> Iterator[Described]:
    """Give every built-in function, in order of name."""
    for name, entry in sorted(FUNCTIONS.items()):
        example, result = _FUNCTION_EXAMPLES.get(name, ("", ""))
        signature = _signature(name, entry) if entry.parameters else f"{name}()"
        yield Described(name=name, signature=signature, sentence=_sentence(entry), example=example, result=result)


def source_of(example: str) -> str:
    """Give an example as it stands in a file: with braces, if it has none."""
    return example if "{{ " in example or "{%" in example or "{#" in example or "{{-" in example else f"{{{{ {example} }}}}"


def _sentence(entry: Entry) -> str:
    return (entry.work.__doc__ or "").split("\n")[0]


def _signature(name: str, entry: Entry) -> str:
    written = [_parameter(parameter, default) for parameter, default in entry.parameters]
    return f"{name}({', '.join(written)})" if written else name


def _parameter(name: str, default: object) -> str:
    if isinstance(default, Required):
        return name
    return f"{name}?" if isinstance(default, Missing) or default is None else f"{name}={_default(default)}"


def _default(value: object) -> str:
    if isinstance(value, str):
        return f"'{encode(value)[1:-1]}'"
    return encode(value) if isinstance(value, bool | int | float) else ""
