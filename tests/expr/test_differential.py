"""Against Jinja2 itself: random expressions and texts over JSON data mean the same, or both are errors.

The grammar is typed, so that what is drawn mostly works, and leaves out what is listed as different (`test_differences`).
"""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator

import jinja2.filters
import jinja2.tests
import pytest
from jinja2 import StrictUndefined, Undefined, nodes
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.environment import Environment
from jinja2.exceptions import UndefinedError
from jinja2.nativetypes import NativeEnvironment

from treadle.authoring import expression_reference as reference
from treadle.authoring.expression_apply import FILTER_NAMES, TEST_NAMES
from treadle.authoring.expression_scan import ENVIRONMENT
from treadle.authoring.expressions import compile_text
from treadle.core.expr import Env, ExprError, drawing, evaluate
from treadle.core.expr.table import FUNCTIONS
from treadle.core.values import ValueProblem, encode, normalise

NAMES = {
    "a": 7,
    "b": -3,
    "z": 0,
    "f": 2.75,
    "g": -0.5,
    "s": "Hello World",
    "t": "lorem-ipsum dolor",
    "e": "",
    "xs": [3, 1, 2, 3],
    "ys": [],
    "ss": ["pear", "Apple", "fig", "apple"],
    "flag": True,
    "off": False,
    "o": {"b": 2, "a": 1, "C": 3},
    "rows": [
        {"id": 1, "name": "pear", "ok": True, "tag": {"k": "x"}},
        {"id": 2, "name": "Apple", "ok": False, "tag": {"k": "y"}},
        {"id": 3, "name": "fig", "ok": True, "tag": {"k": "x"}},
    ],
}

# `<kind>` stands for something of that kind, one level less deep; `[[a¦b]]` for one of a few pieces. The lists under "leaves" end a branch.
LEAVES = {
    "number": ["a", "b", "z", "1", "2", "5", "-4", "10", "rows[0].id", "xs[0]", "o.a", "o['C']"],
    "fraction": ["f", "g", "1.5", "0.25", "100.0"],
    "text": ["s", "t", "e", "'abc'", '"it\'s"', "ss[1]", "rows[2].name", "rows[0].tag.k", "'Ünï <&>'"],
    "truth": ["flag", "off", "true", "false", "rows[1].ok", "(missing is defined)", "(a is defined)"],
    "numbers": ["xs", "ys", "[1, 2]", "[5]", "(4, 5)", "range(4)", "range(5, 0, -2)"],
    "texts": ["ss", "['x', 'Y', 'x']", "(o | list)", "('abc' | list)", "rows | map(attribute='tag.k') | list"],
    "chosen": ["selectattr('ok')", "rejectattr('ok')", "selectattr('tag.k', 'eq', 'x')", "unique(attribute='tag.k')"],
    "anything": ["<number>", "<fraction>", "<text>", "<truth>", "<numbers>", "<texts>", "{}", "rows[0]"],
    "template": ["text ", "  in\n", "{{ s }}", "{{ xs }}", "\n"],
}
BRANCHES = {
    "number": [
        "(<number> [[+¦-¦*¦//¦%]] <number>)", "<number> + <number> - <number>", "(<number>) | abs", "-(<number>)", "(<text>) | [[length¦wordcount]]",
        "(<numbers>) | [[length¦sum¦first¦last¦min¦max¦count]]", "(<number> if <truth> else <number>)", "(<numbers>)[ [[0¦1¦-1¦z¦9]] ]", "('[[-7¦12¦0]]' | int)",
        "(rows | <chosen> | list | length)", "(rows | sum(attribute='id') + <number>)", "(<number> [[and¦or]] <number>)", "(missing | default(<number>))",
        "(([[a¦b¦z¦3]]) ** [[0¦1¦2¦3]])", "(<fraction>) | int",
        "dict(k=<number>, m=2).k", "{'k': <number>}['k']", "+(<number>)", "[[0x1F¦1_000¦0b101¦0o17]]", "([<number> + 0] | random)", "(<numbers>) | sum(start=<number> + 0)",
        "(<number> | default(3, true))", "([<number> + 0, <number> + 0] | [[max¦min]])", "((<numbers>) | batch(2) | list | length)", "(o | [[items¦dictsort]] | list | count)", "(none | d(<number>, true))",
        "(rows | [[max¦min]](attribute='[[id¦name¦tag.k]]')).id", "('[[ff¦0x1a¦zz]]' | int(5, 16))", "('[[nope¦3.7¦ 8 ]]' | int([[9¦-1]]))", "(<numbers>) | join | length",
    ],
    "fraction": [
        "(<fraction> [[+¦-¦*]] <fraction>)", "(<number> / <number>)", "(<fraction>) | round", "(<fraction>) | round([[1¦2¦1, 'floor'¦0, 'ceil']])", "(<number>) | float",
        "('[[-1.25¦0.5¦3¦1e2]]' | float)",
        "('[[x¦-1.5¦1e3]]' | float(0.5))", "(<fraction>) | abs", "(<fraction> if <truth> else <fraction>)", "-(<fraction>)", "(<number> / 2)", "(<fraction> ** 2)", "(<fraction> [[//¦%]] [[0.5¦2]])",
    ],
    "text": [
        "(<text> ~ <text> ~ <number>)", "(<text> + <text>)", "(<text>) | [[upper¦lower¦capitalize¦title¦trim¦reverse¦string¦urlencode]]", "(<text>) | replace('[[o¦l¦pear]]', <text>)",
        "(<text>)[ [[¦1¦-3¦z]]:[[¦4¦-1]] ]", "(<text>) | truncate([[5¦12]], [[true¦false]], '..', 0)", "(<text>) | center([[3¦20]])", "(<text> ~ '\\n' ~ <text>) | indent([[2¦2, true]])",
        "(<texts>) | join('[[, ¦¦-]]')", "(<numbers>) | join('[[+¦ ]]')", "(<text> if <truth> else <text>)", "(<texts>) | [[first¦last¦min¦max]]", "(<text> * [[0¦1¦3]])",
        "((<number>) | string)", "(rows[0].nope | default(<text>))",
        "((<text>) | replace('-', '_') | wordwrap([[4¦8¦20]][[¦, false¦, true, '/']]))", "(((<number>) | abs) | filesizeformat[[¦(true)]])", "(([[{'q': s, 'n': 1}¦o¦o | items]]) | urlencode)",
        "(<text>) | replace(<text>, '+', [[1¦2]])", "(<texts>) | map('[[upper¦title¦length¦string]]') | join(' ')", "(rows | join('[[, ¦]]', attribute='[[name¦tag.k]]'))", "(<text>) | trim('[[e¦ld¦'' ]]')",
        "(<text> ~ '\\n\\n' ~ <text>) | indent([[3¦'> '¦1, true, true¦2, blank=true¦width=4, first=true]])", "(<text>) | center", "(<text>) | truncate(length=[[8¦20]], leeway=[[0¦3]])", "(<text>) | string | title",
        "'[[\\x41\\u00e9\\t¦a\\\\b¦\\'q\\'¦\\U0001F600]]'", "(<text>)[ [[::-1¦1::2¦-2:¦:0]] ]", "(<texts>)[ [[0¦-1¦5]] ]", "(<text> or <text>)", "(<text> and <text>)",
    ],
    "truth": [
        "(<number> [[==¦!=¦<¦<=¦>¦>=]] <number>)", "(<text> [[==¦!=¦<¦>=]] <text>)", "(<number> < <number> <= <number>)", "((<numbers>) | list == (<numbers>) | list)", "(not <truth>)",
        "(<truth> [[and¦or]] <truth>)", "(<number> + 0 [[in¦not in]] <numbers>)", "(<text> in <text>)", "(<text> ~ '' in <texts>)", "(<text> in o)",
        "((<number>) is [[even¦odd¦divisibleby 3¦eq 2¦ge(1)]])", "([[a¦s¦f]] is [[number¦integer¦string¦none¦not none]])", "((<text>) is [[upper¦lower¦in ss]])",
        "([[o¦xs¦ys¦flag¦f¦t]] is [[mapping¦sequence¦boolean¦true¦float¦iterable]])",
        "(missing is undefined)", "(rows[0].nope is [[defined¦undefined]])", "((<number>) is [[ne 2¦lt 3¦le(5)¦gt 1¦greaterthan 2¦lessthan 3¦equalto 7¦eq(7)]])", "([[flag¦off¦a¦s]] is [[false¦true¦boolean¦not boolean]])",
        "([[xs¦o¦s¦a]] is [[iterable¦sequence¦mapping¦string¦not string]])", "([[a¦f¦s]] is [[float¦integer¦not number]])", "((<number>) is not [[even¦odd¦divisibleby(2)]])", "((<text>) is [[in s¦in ss¦not in o¦lt 'm'¦eq 'pear']])",
        "([[xs¦ss]] [[==¦!=¦<¦>=]] [[ys¦ss¦xs]])", "(o == {'a': 1, 'b': 2, 'C': [[3¦4]]})", "(<number> [[!=¦>]] <number> [[<¦==]] <number>)", "(none is none)", "([[none¦a¦'']] is not none)", "(<fraction> [[<¦>=¦==]] <number>)",
    ],
    "numbers": [
        "(<numbers>) | [[sort¦sort(reverse=true)¦reverse¦unique¦list]] | list", "(<numbers>) | map('[[abs¦int]]') | list",
        "(<numbers>) | [[select¦reject]]([[¦'even'¦'gt', 2¦'divisibleby', 3¦'in', xs]]) | list", "((<numbers>) | list)[ [[¦1¦-2]]:[[¦2¦9]][[¦:2¦:-1]] ]",
        "((<numbers>) | list + [<number> + 0])", "[<number> + 0, 1 + <number>]", "rows | map(attribute='id') | list", "((<numbers>) if <truth> else [])",
        "(<numbers>) | map('[[default¦float¦round¦string]]') | map('int') | list", "(<numbers>) | [[select¦reject]]('[[odd¦number¦none¦integer]]') | list",
        "(<numbers>) | [[select¦reject]]('[[lt¦ge¦ne¦le¦le¦==¦!=¦>¦<=¦>=¦<¦equalto¦lessthan¦greaterthan]]', [[2¦3]]) | list",
        "(<numbers>) | [[select¦reject]]('[[lt¦ge¦ne¦le¦le¦==¦!=¦>¦<=¦>=¦<¦equalto¦lessthan¦greaterthan]]', <number> + 0) | list", "(rows | sum(attribute='id') ~ '') | list | map('int') | list",
        "(range([[a¦3¦z]]) | list)", "(<numbers>) | sort(true) | list", "(<numbers> if <truth> else <numbers>) | list", "((<numbers>) | list * [[0¦2]])", "rows | map(attribute='tag') | map(attribute='k') | map('length') | list",
    ],
    "texts": [
        "(<texts>) | [[sort¦sort(case_sensitive=true)¦reverse¦unique¦unique(true)]] | list", "(<texts>) | map('[[upper¦trim¦capitalize]]') | list", "(<texts>) | map('replace', 'p', <text> ~ '') | list",
        "(<texts>) | [[select¦reject]]('[[upper¦lower¦string]]') | list", "[<text> ~ '', '' ~ <text>]", "rows | map(attribute='name') | list", "rows | map(attribute='nope', default=<text> ~ '') | list",
        "(<texts>) | map('[[lower¦lower¦title¦wordcount¦reverse¦center¦urlencode¦indent]]') | map('string') | list", "(<texts>) | map('truncate', 3, true, '.', 0) | list", "o | list", "(<text>) | list", "(<texts>) | select | map('first') | list",
        "(<texts>) | [[select¦reject]]('[[mapping¦iterable¦boolean¦true¦false¦sequence¦float¦none]]') | list",
        "(<texts>) | [[select¦reject]]('[[lt¦ge¦ne¦le¦==¦!=¦>¦<=¦>=¦<¦equalto¦lessthan¦greaterthan¦gt¦eq]]', <text> ~ '') | list",
        "(<texts>) | [[select¦reject]]('in', [[ss¦s]]) | list", "(<texts>) | sort(reverse=true, case_sensitive=[[true¦false]]) | list", "rows | sort(attribute='name') | map(attribute='name') | list", "dict(x=<text>, y='z') | items | map('last') | list",
    ],
    "chosen": [
        "selectattr('id', '[[gt¦eq¦le¦divisibleby]]', [[1¦2]])", "rejectattr('name', 'in', <texts>)", "sort(attribute='[[name¦id¦tag.k¦tag.k,name]]'[[¦, reverse=true]])",
        "selectattr('nope', 'undefined')", "rejectattr('tag.k', 'ne', 'x')", "selectattr('name', '[[upper¦lower¦string]]')", "select('mapping')", "unique(true, 'name')", "rejectattr('ok', 'false')", "sort(true, attribute='id')",
    ],
    "anything": [
        "<number>", "<fraction>", "<text>", "<truth>", "<numbers>", "<texts>", "rows | <chosen> | list", "rows | <chosen> | map(attribute='name') | list",
        "rows | groupby('[[tag.k¦name¦ok]]') | list", "(<numbers>) | batch([[2¦3¦2, 0]]) | list", "(<numbers>) | slice([[2¦3¦3, 9]]) | list",
        "o | [[items | list¦dictsort¦dictsort(true)¦dictsort(false, 'value')¦list¦length]]", "{'k': <anything>, 'l': [<anything>]}",
        "[[xs¦a¦s¦flag¦none¦ys]] | tojson[[¦(indent=2)]]", "dict(k=<anything>)", "dict({'a': 1}, b=<number>)", "dict([ ['a', <number>] ])", "rows | groupby('nope', default=<number> + 0) | list", "rows | groupby(attribute='name', case_sensitive=true) | list",
        "(<numbers>) | [[batch¦slice]](2) | list", "o | dictsort(by='[[key¦value]]', reverse=[[true¦false]])", "{'a': <anything>}.a", "[<anything>][ [[0¦-1]] ]", "rows | map('items') | map('list') | list", "(<anything> if <truth> else <anything>)",
        "rows | map('dictsort') | list", "rows | [[min¦max]](attribute='[[id¦tag.k]]')", "(o | items | list | sort | reverse | list)", "rows | map(attribute='nope', default=<number> + 0) | list", "[[rows¦xs¦ss]] | [[first¦last]]", "missing | default(<anything>)",
        "rows | [[slice¦batch]](2, none) | list", "(<truth> [[and¦or]] <anything>)", "rows[ [[:2¦-1:¦::-1]] ] | map(attribute='id') | list", "[<texts>, <numbers>] | map('list') | list",
    ],
    "template": [
        "[[x ¦¦ ¦line\n]]{{[[¦-]] <anything> [[¦-]]}}[[ y¦\n¦]]", "{{ <text> }} and {{ <number> }}", "{% if <truth> %}<template>{% endif %}", "{% if <truth> %}<template>{% else %}<template>{% endif %}",
        "{% if <truth> %}\n  <template>\n  {%- elif <truth> %}\n<template>{% endif -%}\n", "{% for x in <numbers> %}{{ x[[¦ + 1¦ ~ loop.index]] }}[[¦, ¦\n]][[¦{% if not loop.last %};{% endif %}]]{% else %}-{% endfor %}",
        "{% for k, v in o | dictsort %}{{ k }}{{ v }}<template>{% endfor %}", "{% for r in rows if r.[[ok¦id > 1]] %}\n  {{ r.name }}\n{% endfor %}\n",
        "{% set v = <number> + 0 %}{{ v }}{% for x in xs %}{% set v = x %}{{ v }}{% endfor %}{{ v }}", "{% set c %}<template>{% endset %}{{ c | length }}{{ c }}",
        "<template>{# a remark #}[[¦ ]]{% raw %}{{ x }}{% endraw %}<template>",
        "{% for x in <texts> %}{{ loop.index0 }}{{ loop.length }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.depth }}{{ loop.depth0 }}{{ loop.cycle('a', x) }}{% endfor %}", "{% for x in xs %}{{ loop.previtem | default('<') }}{{ loop.nextitem | default('>') }}{% endfor %}",
        "{% for x in [[xs¦ss]] %}{% for y in <numbers> %}{{ x }}{{ y }}{{ loop.index }}{% endfor %}{{ loop.last }}{% else %}none{% endfor %}", "{% for c in <text> %}[{{ c }}]{% endfor %}", "{% for k in o %}{{ k ~ o[k] }}{% endfor %}",
        "{% for k, v in o | items %}{{ k }}={{ v }}{% if loop.first %},{% endif %}{% endfor %}", "{% for n, (k, v) in [ [1, [2, 3] ] ] %}{{ n }}{{ k }}{{ v }}{% endfor %}", "{% set p, q = [<number>, <text>] %}{{ p }}{{ q }}", "{% if <truth> %}{% set w = 1 %}{% else %}{% set w = 2 %}{% endif %}{{ w }}",
        "{% if <truth> %}{% set w = <number> + 0 %}{% endif %}{{ w | default('unset') }}", "{% set v = 1 %}{% for x in xs %}{% if x > 1 %}{% set v = x %}{% endif %}{{ v }}{% endfor %}{{ v }}", "{% for x in xs if x is odd %}{{ loop.index }}{{ x }}{% else %}<template>{% endfor %}",
        "{%- if <truth> -%}  <template>  {%- else -%} {{- <text> -}} {%- endif %}\n", "  {% if <truth> %}\n  a\n  {% endif %}\nb", "{% for x in <numbers> -%}\n  {{ x }}\n{%- endfor %}", "{# c #}\n<template>\n{#- d -#}\n", "{{ [<anything>] }}", "{{ {'k': <anything>} }}",
        "{% set c %}{% for x in xs %}{{ x }}{% endfor %}{% endset %}{{ c }}{{ c | length }}", "{% for x in ss %}{% set c %}{{ x }}{{ loop.index }}{% endset %}{{ c }}{% endfor %}", "{% raw %}{% if %}{{{% endraw %}{{ a }}", "{{ '{{' }}{{ '}}' }}<template>",
    ],
}  # fmt: skip
PLACE = re.compile(r"<([a-z]+)>|\[\[(.*?)\]\]", re.DOTALL)


def drawn(rng, kind, depth):
    """Draw a source of a kind."""

    def fill(place):
        return drawn(rng, place[1], depth - 1) if place[1] else rng.choice(place[2].split("¦"))

    return PLACE.sub(fill, rng.choice(BRANCHES[kind] if depth > 0 else LEAVES[kind]))


EXPECTED_ERRORS = {f"error {code}" for code in ("undefined", "division_by_zero", "number_range", "types")}


def plain(value):
    """Jinja's value as JSON data; what is undefined is an error, as it is for us."""
    if isinstance(value, Undefined):
        raise UndefinedError
    if isinstance(value, str):
        return str.__str__(value)  # `tojson` gives Markup
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range | Iterator):
        return [plain(item) for item in value]
    return value


def as_text(value):
    """How a value stands in text: the language's way, which is JSON."""
    if isinstance(value, Undefined):
        return value
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)


# Not optimized: folding constants, Jinja raises for branches that are never taken.
NATIVE = NativeEnvironment(undefined=StrictUndefined, optimized=False)
TEXT = Environment(
    undefined=StrictUndefined,
    optimized=False,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    finalize=as_text,
)


def theirs(run):
    try:
        return encode(normalise(plain(run())))
    except (UndefinedError, ZeroDivisionError, TypeError, ValueProblem) as error:
        return f"error {type(error).__name__}"


def ours(source):
    try:
        return encode(evaluate(compile_text(source), Env(names=NAMES, draw=drawing("", "", ""))))
    except ExprError as error:
        return f"error {error.code}"


def same(found, wanted):
    return found == wanted or (found in EXPECTED_ERRORS and wanted.startswith("error"))


def names_in(source):
    """What of the language a source uses: `| filter`, `is test`, functions, kinds of nodes, fields of `loop`."""
    for node in ENVIRONMENT.parse(source).find_all(nodes.Node):
        yield type(node).__name__
        if isinstance(node, nodes.Filter | nodes.Test):
            yield f"{'|' if isinstance(node, nodes.Filter) else 'is'} {node.name}"
            if node.name in BY_NAME and node.args and isinstance(node.args[BY_NAME[node.name][1]], nodes.Const):
                yield f"{BY_NAME[node.name][0]} {node.args[BY_NAME[node.name][1]].value}"
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
            yield f"{node.node.name}()"
        elif isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == "loop":
            yield f"loop.{node.attr}"
        elif isinstance(node, nodes.Operand):
            yield node.op


# Filters that apply a filter or test by name: which argument it is.
BY_NAME = {"map": ("|", 0), "select": ("is", 0), "reject": ("is", 0), "selectattr": ("is", -1), "rejectattr": ("is", -1)}
# What of Jinja is the same here, and so must be drawn. `tojson` differs in what it escapes and in the order of keys, `random` in chance.
SAME = {
    *(f"| {name}" for name in set(jinja2.filters.FILTERS) & FILTER_NAMES),
    *(f"is {name}" for name in set(jinja2.tests.TESTS) & TEST_NAMES),
    *(f"{name}()" for name in set(DEFAULT_NAMESPACE) & set(FUNCTIONS)),
    *(f"loop.{entry.name}" for entry in reference.LOOP),
    "Add", "And", "Assign", "AssignBlock", "Compare", "Concat", "CondExpr", "Dict", "Div", "FloorDiv", "For", "Getattr", "Getitem", "If", "List",
    "Mod", "Mul", "Neg", "Not", "Or", "Pos", "Pow", "Slice", "Sub", "Tuple", "eq", "ne", "lt", "lteq", "gt", "gteq", "in", "notin",  # codespell:ignore notin
}  # fmt: skip


def compare(seed, count):
    rng = random.Random(seed)
    errors = 0
    drawn_names = Counter()
    for number in range(count):
        if number % 3:
            source = "{{ " + drawn(rng, "anything", 4) + " }}"
            wanted = theirs(lambda source=source: NATIVE.compile_expression(source[2:-2], undefined_to_none=False)(**NAMES))
        else:
            source = "." + drawn(rng, "template", 4)
            wanted = theirs(lambda source=source: TEXT.from_string(source).render(**NAMES))
        drawn_names.update(names_in(source))
        found = ours(source)
        assert same(found, wanted), f"\n{source}\nours:  {found}\nJinja: {wanted}"
        errors += found.startswith("error")
    return errors, drawn_names


def lacking(drawn_names, at_least):
    return {name: drawn_names[name] for name in sorted(SAME) if drawn_names[name] < at_least}


def test_2000_random_sources_mean_what_they_mean_in_jinja():
    errors, drawn_names = compare(2_026, 2_000)
    # Enough errors to see that both sides agree on them, and not so many that nothing else is seen.
    assert 20 < errors < 700
    assert lacking(drawn_names, 3) == {}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_10000_more_random_sources_mean_what_they_mean_in_jinja(seed):
    _, drawn_names = compare(seed, 2_000)
    assert lacking(drawn_names, 3) == {}
