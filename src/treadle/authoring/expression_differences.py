"""Where the language differs from stock Jinja (language.md §4), one row each, with the reason; a test runs every row through both.

`jinja` is what Jinja's native environment with StrictUndefined gives, as Python writes it; `ours` is stored JSON. An error is `error` and its
kind. What Jinja has and the language has not at all stands in `expression_names`, shown where an author uses it, and in `SYNTAX_NOT_THERE`.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Difference:
    """One expression that does not mean what it means in Jinja. Without braces it is an expression, with them a text."""

    example: str
    jinja: str
    ours: str
    why: str


_BOOLEANS = "booleans are no numbers"
_LISTS = "there are lists, and no tuples or iterators"
_JSON_TEXT = "values in text are JSON text"
_NOT_GUESSED = "what cannot be read as a number is told, not guessed; give a default to have one"
_RANGE = "JSON numbers are 64-bit integers and finite"
_ABSENT = "what is not there is an error wherever it is used, except by `default` and `is defined`"
_KEYS = "names are keys, always"
_LITERAL = "filters, tests and attributes are written out, so that what is read is known when the file is loaded"

DIFFERENCES: Final = (
    # Booleans and equality
    Difference("true + 1", "2", "error types", _BOOLEANS),
    Difference("-true", "-1", "error types", _BOOLEANS),
    Difference("true < 2", "True", "error types", _BOOLEANS),
    Difference("[true, true] | sum", "2", "error types", _BOOLEANS),
    Difference("1 == true", "True", "false", _BOOLEANS),
    Difference("true in [1]", "True", "false", _BOOLEANS),
    Difference("[1] == [true]", "True", "false", _BOOLEANS),
    Difference("true is number", "True", "false", _BOOLEANS),
    Difference("[1, true] | unique", "[1]", "[1,true]", _BOOLEANS),
    # Lists
    Difference("(1, 2)", "(1, 2)", "[1,2]", _LISTS),
    Difference("(1, 2) == [1, 2]", "False", "true", _LISTS),
    Difference("range(2) == [0, 1]", "False", "true", _LISTS),
    Difference("([1] | map('abs')) == [1]", "False", "true", _LISTS),
    Difference("[[1, 2]] | map('first') | length", "error TypeError", "1", _LISTS),
    Difference("{'a': 1} | dictsort | first == ['a', 1]", "False", "true", _LISTS),
    # Text
    Difference("{{ '5' }}", "5", '"5"', "text that looks like data stays text"),
    Difference("{{ '[1]' }}", "[1]", '"[1]"', "text that looks like data stays text"),
    Difference("{{ 1 }}{{ 2 }}", "12", '"12"', "text that looks like data stays text"),
    Difference("'x' ~ true ~ none", "'xTrueNone'", '"xtruenull"', _JSON_TEXT),
    Difference("[true, none] | join(' ')", "'True None'", '"true null"', _JSON_TEXT),
    Difference("[1.0, 'a'] ~ ''", "\"[1.0, 'a']\"", '"[1.0, \\"a\\"]"', _JSON_TEXT),
    Difference("none | string", "'None'", '"null"', _JSON_TEXT),
    Difference("true ~ ''", "'True'", '"true"', _JSON_TEXT),
    Difference("'<b>' | tojson", "Markup('\"\\\\u003cb\\\\u003e\"')", '"\\"<b>\\""', "nothing is ever escaped for HTML"),
    Difference("{'b': 1, 'a': 2} | tojson", "Markup('{\"a\": 2, \"b\": 1}')", '"{\\"b\\": 1, \\"a\\": 2}"', "keys keep their order"),
    Difference("none | upper", "'NONE'", "error types", "a filter on text does not take null, lists or objects for text"),
    Difference("[1] | upper", "'[1]'", "error types", "a filter on text does not take null, lists or objects for text"),
    Difference("'%s' % 'x'", "'x'", "error types", "`%` is for numbers; join texts with `~`"),
    Difference("'aaaa bbbb-cccc' | wordwrap(10)", "'aaaa bbbb-\\ncccc'", '"aaaa\\nbbbb-cccc"', "lines break at white space, not at hyphens"),
    # Numbers
    Difference("'abc' | int", "0", "error types", _NOT_GUESSED),
    Difference("'abc' | float", "0.0", "error types", _NOT_GUESSED),
    Difference("none | int", "0", "error types", _NOT_GUESSED),
    Difference("'nan' | float", "nan", "error types", _NOT_GUESSED),
    Difference("'1_0' | int", "10", "error types", "in text, a number has digits alone"),
    Difference("9223372036854775807 + 1", "9223372036854775808", "error number_range", _RANGE),
    Difference("1e308 * 10", "inf", "error number_range", _RANGE),
    Difference("'1e999' | float", "inf", "error number_range", _RANGE),
    Difference("(-8) ** 0.5", "(1.7319121124709868e-16+2.8284271247461903j)", "error number_range", _RANGE),
    Difference("2.0 * 3", "6.0", "6", "as a result, a fraction of nothing is a whole number; in text it stays 6.0"),
    Difference("1500 | filesizeformat(1)", "'1.5 KiB'", '"1.5 kB"', _BOOLEANS),
    # What is not there
    Difference("state.nope is none", "False", "error undefined", _ABSENT),
    Difference("state.nope is string", "False", "error undefined", _ABSENT),
    Difference("[state.nope] | length", "1", "error undefined", _ABSENT),
    Difference("state.rows | map(attribute='nope') | list | length", "2", "error undefined", _ABSENT),
    Difference("('a' if false) ~ '!'", "'!'", "error undefined", "an `if` without `else` gives nothing, and using that is an error"),
    # Keys
    Difference("state.user.items", "<built-in method items of dict object>", "error undefined", _KEYS),
    Difference("{'items': 3}.items", "<built-in method items of dict object>", "3", _KEYS),
    Difference("state.user.name.upper()", "'ADA'", "error method_call", "values have no methods; the error names the filter"),
    Difference("state.user | attr('items')", "<built-in method items of dict object>", "error not_in_language", _KEYS),
    Difference("{1: 'a'}", "{1: 'a'}", "error key_type", "keys are text, as in JSON"),
    Difference("{'a': 1, 'a': 2}", "{'a': 2}", "error duplicate_key", "a key that stands twice is a mistake"),
    Difference("state.user[1] is defined", "False", "error types", "an object is looked up by text"),
    # Order
    Difference("([{'k': 1}] | groupby('k') | first).list", "[{'k': 1}]", "error undefined", "a group is `[key, rows]`, and has no fields"),
    # Written out
    Difference("state.rows | sort(attribute='na' ~ 'me') | length", "2", "error not_literal", _LITERAL),
    Difference("dict(**state.user)", "{'name': 'Ada', 'city': None}", "error bad_arguments", "arguments are written out"),
    Difference("'%s' | format(1)", "'1'", "error not_in_language", "join texts with `~`; for numbers use `round`"),
    Difference("1 is sameas 1", "True", "error not_in_language", "values have no identity"),
    Difference("1 is callable", "False", "error not_in_language", "no value can be called"),
    # Text templates
    Difference(" {{ [1] }}", "' [1]'", "[1]", "white space around an expression alone is no text"),
    Difference("{% if true %}\nx\n{% endif %}\n", "'\\nx\\n'", '"x\\n"', "trim_blocks, lstrip_blocks and keep_trailing_newline are on"),
)  # fmt: skip

# What Jinja's syntax has beside filters, tests, functions and blocks, and the language has not; an example of each is a load error.
SYNTAX_NOT_THERE: Final = {
    ";": ("{{ 1; 2 }}", "it means nothing in Jinja either"),
    "=": ("{{ a = 1 }}", "it stands in `{% set x = … %}` and before arguments by name; compare with `==`"),
    "*args": ("{{ range(*[1, 2]) }}", "arguments are written out"),
    "**kwargs": ("{{ dict(**state) }}", "arguments are written out"),
    "a.b = c": ("{% set state.n = 1 %}", "values cannot be changed; use `set_state`"),
    "recursive": ("{% for x in [[1]] recursive %}{{ loop(x) }}{% endfor %}", "there are no recursive loops; use `foreach`"),
    "x.method()": ("{{ state.n.upper() }}", "values have no methods; there are filters"),
    "loop.changed": ("{% for x in [1] %}{{ loop.changed(x) }}{% endfor %}", "compare with `loop.previtem`"),
    "{% set x | filter %}": ("{% set x | upper %}a{% endset %}", "write the filter behind the name: `{{ x | upper }}`"),
}
# Arguments of Jinja's filters that are not there, or have another default.
ARGUMENTS_DIFFERENT: Final = {
    ("int", "default"): "without one, text that is no number is an error",
    ("float", "default"): "without one, text that is no number is an error",
    ("groupby", "default"): "without one, a missing attribute is an error",
    ("truncate", "leeway"): "5: what Jinja's policy says, which cannot be changed here",
    ("wordwrap", "wrapstring"): "a line feed: what Jinja's environment says, which cannot be changed here",
    ("wordwrap", "break_on_hyphens"): "lines break at white space alone",
}
