"""Every filter, by a table of expression and value; a filter without a row fails a test."""

import pytest
from jinja2 import nodes

from tests.expr.support import failure, problem, value, written
from treadle.authoring.expression_apply import FILTER_NAMES
from treadle.authoring.expression_scan import ENVIRONMENT

# Expression, and its value as stored JSON.
TABLE = [
    ("-3 | abs", "3"),
    ("-2.5 | abs", "2.5"),
    ("'-1.10' | decimal | abs", '"1.10"'),
    ("'2026-11-28' | add_days(5)", '"2026-12-03"'),
    ("'2024-02-28T23:00:00+01:00' | add_days(1)", '"2024-02-29T22:00:00.000Z"'),
    ("'2024-03-01' | add_days(-1)", '"2024-02-29"'),
    ("'aGk=' | base64_decode", '"hi"'),
    ("'é' | base64_encode", '"w6k="'),
    ("[1, 2, 3] | batch(2)", "[[1,2],[3]]"),
    ("[1, 2, 3] | batch(2, 0)", "[[1,2],[3,0]]"),
    ("[] | batch(2, 0)", "[]"),
    ("['Yes', 'off', '', 'TRUE', 1, 0, none, false] | map('bool')", "[true,false,false,true,true,false,false,false]"),
    ("'hELLO wORLD' | capitalize", '"Hello world"'),
    ("'ab' | center(5)", '"  ab "'),
    ("[1, 2, 3] | chunk(2)", "[[1,2],[3]]"),
    ("[1, 2, 3] | count", "3"),
    ("state.nope | d('x')", '"x"'),
    ("state.nope | default", '""'),
    ("state.none | default(1)", "null"),
    ("state.user.address.city | default('x')", '"x"'),
    ("state.none | default(1, true)", "1"),
    ("state.zero | default(default_value=1, boolean=true)", "1"),
    ("(state.nope if true else 1) | default(2)", "2"),
    ("([] | first) | default('none')", '"none"'),
    ("'2026-11-20T23:30:00-02:00' | date", '"2026-11-21"'),
    ("'2026-11-20' | date", '"2026-11-20"'),
    ("'2026-01-01' | days_between('2026-11-20')", "323"),
    ("'2026-01-02T23:00:00Z' | days_between('2026-01-01T01:00:00Z')", "-1"),
    ("'1.10' | decimal + '2.20' | decimal", '"3.30"'),
    ("19.99 | decimal * 3", '"59.97"'),
    ("('10' | decimal / 4)", '"2.5"'),
    ("'1e3' | decimal + 0", '"1000"'),
    ("{'b': 1, 'A': 2} | dictsort", '[["A",2],["b",1]]'),
    ("{'b': 1, 'A': 2} | dictsort(case_sensitive=true)", '[["A",2],["b",1]]'),
    ("{'b': 1, 'a': 2} | dictsort(by='value', reverse=true)", '[["a",2],["b",1]]'),
    ("[1, 999, 1000, 1500000] | map('filesizeformat')", '["1 Byte","999 Bytes","1.0 kB","1.5 MB"]'),
    ("1536 | filesizeformat(true)", '"1.5 KiB"'),
    ("state.nums | first", "3"),
    ("'abc' | first", '"a"'),
    ("{'k': 1} | first", '"k"'),
    ("'1.5' | float", "1.5"),
    ("'x' | float(0.5)", "0.5"),
    ('\'{"a": [1.0, null]}\' | fromjson', '{"a":[1,null]}'),
    ("'[1]' | parse_json", "[1]"),
    ("state.rows | groupby('team') | map('first')", '["A","b"]'),
    ("state.rows | groupby('team', case_sensitive=true) | map('first')", '["A","a","b"]'),
    ("[{'k': 1, 'v': 2}, {'v': 3}] | groupby('k', default=1)", '[[1,[{"k":1,"v":2},{"v":3}]]]'),
    ("'abc' | hash", '"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"'),
    ("{'b': 1, 'a': 2} | hash == {'a': 2, 'b': 1} | hash", "true"),
    ("'abc' | hash('md5')", '"900150983cd24fb0d6963f7d28e17f72"'),
    ("'a\\n\\nb' | indent(2)", '"a\\n\\n  b"'),
    ("'a\\n\\nb' | indent('> ', first=true, blank=true)", '"> a\\n> \\n> b"'),
    ("'2026-11-20T10:00+01:00' | instant", '"2026-11-20T09:00:00.000Z"'),
    ("'2026-11-20' | instant", '"2026-11-20T00:00:00.000Z"'),
    ("['42', ' 7 ', '3.9', 3.9, true, '1e3'] | map('int')", "[42,7,3,3,1,1000]"),
    ("'ff' | int(base=16)", "255"),
    ("'0x1F' | int(0, 16)", "31"),
    ("'abc' | int(0)", "0"),
    ("'abc' | int(none)", "null"),
    ("'1.99' | decimal | int", "1"),
    ("state.o | items", '[["b",2],["a",1]]'),
    ("[1, none, true, 'x', [2.5]] | join('-')", '"1-null-true-x-[2.5]"'),
    ("state.rows | join(', ', attribute='name')", '"pear, Apple, fig"'),
    ("state.nums | last", "2"),
    ("state.o | last", '"a"'),
    ("['abc', [1], {}, ''] | map('length')", "[3,1,0,0]"),
    ("'ab' | list", '["a","b"]'),
    ("state.o | list", '["b","a"]'),
    ("'ÀB' | lower", '"àb"'),
    ("state.rows | map('length')", "[5,5,5]"),
    ("state.rows | map(attribute='name')", '["pear","Apple","fig"]'),
    ("state.rows | map(attribute='nope', default=0)", "[0,0,0]"),
    ("[{'a': {'b': [5, 6]}}] | map(attribute='a.b.1')", "[6]"),
    ("[[1, 2], [3, 4]] | map(attribute=1)", "[2,4]"),
    ("['a-b'] | map('replace', '-', '_')", '["a_b"]'),
    ("['a'] | map('default', 'x') | list", '["a"]'),
    ("'abc123' | matching('[0-9]+')", "true"),
    ("['a1', 'b'] | matching('[0-9]')", '["a1"]'),
    ("'ABC' | matching('b', ignorecase=true)", "true"),
    ("state.nums | max", "3"),
    ("['b', 'A'] | max", '"b"'),
    ("['b', 'A'] | min", '"A"'),
    ("['b', 'C'] | min(case_sensitive=true)", '"C"'),
    ("state.rows | min(attribute='id')", '{"id":1,"name":"pear","ok":true,"price":"1.10","team":"b"}'),
    ("{'a': 1, 'b': 1} | merge({'b': 2, 'c': 3})", '{"a":1,"b":2,"c":3}'),
    ("state.rows | pick(it.id * 10)", "[10,20,30]"),
    ("state.rows | pick({'n': it.name | upper}) | first", '{"n":"PEAR"}'),
    ("[5] | random", "5"),
    ("'a1b22' | regex_findall('[0-9]+')", '["1","22"]'),
    ("'k=v;l=w' | regex_findall('(?P<key>[a-z])=([a-z])', group='key')", '["k","l"]'),
    ("'2026-11' | regex_replace('([0-9]+)-([0-9]+)', '\\\\2/\\\\1')", '"11/2026"'),
    ("'aaa' | regex_replace('a', 'b', count=2)", '"bba"'),
    ("'abc' | regex_replace('(?P<x>b)', '[\\\\g<x>\\\\0]')", '"a[bb]c"'),
    ("'v1.22' | regex_search('([0-9]+)[.]([0-9]+)')", '"1.22"'),
    ("'v1.22' | regex_search('([0-9]+)[.]([0-9]+)', 2)", '"22"'),
    ("'abc' | regex_search('[0-9]')", "null"),
    ("state.rows | reject('equalto', 1) | length", "3"),
    ("[1, 2, 3, 4] | reject('even')", "[1,3]"),
    ("[0, '', 'a', none] | reject", '[0,"",null]'),
    ("state.rows | rejectattr('ok') | map(attribute='id')", "[2]"),
    ("state.rows | rejectattr('id', 'gt', 1) | map(attribute='id')", "[1]"),
    ("'a.b.c' | replace('.', '-')", '"a-b-c"'),
    ("'aaa' | replace('a', 'b', 2)", '"bba"'),
    ("'ab' | replace('', '-')", '"-a-b-"'),
    ("[1, 2] | reverse", "[2,1]"),
    ("'abc' | reverse", '"cba"'),
    ("2.5 | round", "2"),
    ("2.346 | round(2)", "2.35"),
    ("2.5 | round(0, 'half_up')", "3"),
    ("2.1 | round(0, 'ceil')", "3"),
    ("2.19 | round(1, 'floor')", "2.1"),
    ("'2.345' | decimal | round(2, 'half_up')", '"2.35"'),
    ("'2.345' | decimal | round(2)", '"2.34"'),
    ("-1.5 | round(0, 'down')", "-1"),
    ("1234 | round(-2)", "1200"),
    ("'1234' | decimal | round(-2, 'half_up')", '"1200"'),
    ("'2.345' | round_money", '"2.35"'),
    ("3 | round_money", '"3.00"'),
    ("state.rows | select('defined') | length", "3"),
    ("[1, 2, 3] | select('greaterthan', inputs.n)", "[3]"),
    ("['a', '', 'b'] | select", '["a","b"]'),
    ("state.rows | selectattr('ok') | map(attribute='id')", "[1,3]"),
    ("state.rows | selectattr('team', 'in', ['a', 'A']) | map(attribute='id')", "[2,3]"),
    ("[{'a': {'b': 1}}, {'a': {}}] | selectattr('a.b', 'defined') | length", "1"),
    ("[\"it's\", 'plain/x.y', '', 'a b'] | map('shell_quote')", "[\"'it'\\\"'\\\"'s'\",\"plain/x.y\",\"''\",\"'a b'\"]"),
    ("['git', 'commit', '-m', 'a b'] | shell_quote", "\"git commit -m 'a b'\""),
    ("[1, 2, 3, 4] | slice(3)", "[[1,2],[3],[4]]"),
    ("[1, 2, 3, 4] | slice(3, 0)", "[[1,2],[3,0],[4,0]]"),
    ("['b', 'A', 'c'] | sort", '["A","b","c"]'),
    ("['b', 'A', 'c'] | sort(case_sensitive=true)", '["A","b","c"]'),
    ("['b', 'C', 'a'] | sort(case_sensitive=true)", '["C","a","b"]'),
    ("[3, 1.5, 2] | sort(reverse=true)", "[3,2,1.5]"),
    ("state.rows | sort(attribute='team,id') | map(attribute='id')", "[2,3,1]"),
    ("[{'k': 'A', 'n': 1}, {'k': 'a', 'n': 2}] | sort(attribute='k') | map(attribute='n')", "[1,2]"),
    ("[true, false] | sort", "[false,true]"),
    ("[[2, 1], [1, 9], [1]] | sort", "[[1],[1,9],[2,1]]"),
    ("'a, b' | split(', ')", '["a","b"]'),
    ("'  a  b ' | split", '["a","b"]'),
    ("'a,b,c' | split(',', 1)", '["a","b,c"]'),
    ("'2026-11-05T07:08:09.120Z' | strftime('%Y-%m-%d %H:%M:%S.%f %% %-d %b %B %a %A %j %p %I')",
     '"2026-11-05 07:08:09.120000 % 5 Nov November Thu Thursday 309 AM 07"'),
    ("1.0 | string", '"1.0"'),
    ("[true, none] | string", '"[true, null]"'),
    ("' a ' | strip", '"a"'),
    ("[1, 2.5] | sum", "3.5"),
    ("state.rows | sum(attribute='id')", "6"),
    ("[1] | sum(start=10)", "11"),
    ("state.rows | map(attribute='price') | map('decimal') | sum", '"4.00"'),
    ("'the quick-brown (fox)' | title", '"The Quick-Brown (Fox)"'),
    ("{'a': '<b>', 'é': [1, 2.0, none]} | tojson", '"{\\"a\\": \\"<b>\\", \\"é\\": [1, 2.0, null]}"'),
    ("{'a': [1]} | tojson(indent=2)", '"{\\n  \\"a\\": [\\n    1\\n  ]\\n}"'),
    ("'a' | tojson", '"\\"a\\""'),
    ("{'b': 1, 'a': 2} | tojson", '"{\\"b\\": 1, \\"a\\": 2}"'),
    ("{'a': {'x': 'yes', 'w': [1, {'z': 'it: is'}]}, 'e': []} | toyaml",
     '"a:\\n  x: \\"yes\\"\\n  w:\\n    - 1\\n    - z: \\"it: is\\"\\ne: []\\n"'),
    ("state.rows | to_object(it.name, it.id)", '{"pear":1,"Apple":2,"fig":3}'),
    ("'  a ' | trim", '"a"'),
    ("'--a--' | trim('-')", '"a"'),
    ("'one two three four' | truncate(12, leeway=0)", '"one two..."'),
    ("'one two three four' | truncate(12, true, '…', 0)", '"one two thr…"'),
    ("'short' | truncate(3)", '"short"'),
    ("'abcdefghij' | truncate_tokens(2)", '"abcdefg…"'),
    ("'abc' | truncate_tokens(1)", '"abc"'),
    ("['a', 'A', 1, 1.0, true, none, none] | unique", '["a",1,true,null]'),
    ("['a', 'A'] | unique(case_sensitive=true)", '["a","A"]'),
    ("state.rows | unique(attribute='team') | map(attribute='id')", "[1,2]"),
    ("[{'a': 1}, {'a': 1}] | unique", '[{"a":1}]'),
    ("'aß' | upper", '"ASS"'),
    ("'a b/ü&' | urlencode", '"a%20b/%C3%BC%26"'),
    ("{'q': 'a b', 'n': 1} | urlencode", '"q=a+b&n=1"'),
    ("state.rows | where(it.ok and it.id > 1) | map(attribute='id')", "[3]"),
    ("state.rows | where(it.id in state.nums and it.team == 'b') | length", "1"),
    ("'one, two three' | wordcount", "3"),
    ("'aaa bbb ccc' | wordwrap(7)", '"aaa bbb\\nccc"'),
    ("'abcdefgh ij' | wordwrap(3)", '"abc\\ndef\\ngh\\nij"'),
    ("'abcdefgh ij' | wordwrap(3, break_long_words=false)", '"abcdefgh\\nij"'),
    ("[1, 2] | zip(['a', 'b', 'c'])", '[[1,"a"],[2,"b"]]'),
]  # fmt: skip


@pytest.mark.parametrize("expression, wanted", TABLE)
def test_a_filter_gives_its_value(expression, wanted):
    assert written("{{ " + expression + " }}") == wanted


def test_every_filter_stands_in_the_table():
    used = set()
    for expression, _ in TABLE:
        tree = ENVIRONMENT.parse("{{ " + expression + " }}")
        used |= {node.name for node in tree.find_all(nodes.Filter)}
        used |= {node.args[0].value for node in tree.find_all(nodes.Filter) if node.name == "map" and node.args}
    assert set(FILTER_NAMES) <= used


# Expression, code of the error, and what its message must say.
FAILING = [
    ("'abc' | int", "types", "cannot make a whole number"),
    ("none | int", "types", "null"),
    ("'abc' | float", "types", "cannot make a number"),
    ("'inf' | float", "types", "cannot make a number"),
    ("'1e999' | float", "number_range", "infinite"),
    ("'maybe' | bool", "types", "cannot make a boolean"),
    ("true | decimal", "types", "not on a boolean"),
    ("'1,5' | decimal", "types", "cannot make a number"),
    ("'1e9999' | decimal", "number_range", "50 digits"),
    ("'1.1' | decimal + 1.1", "types", "mix"),
    ("'1.1' | decimal == 1.1", "types", "compared"),
    ("none | upper", "types", "works on text"),
    ("[1] | upper", "types", "works on text"),
    ("[1, 'a'] | sort", "types", "no order"),
    ("[none, 1] | sort", "types", "no order"),
    ("[{}, {}] | sort", "types", "no order"),
    ("[1, 'a'] | max", "types", "no order"),
    ("['a'] | sum", "types", "`+` cannot work"),
    ("state.rows | map(attribute='nope')", "undefined", "nope"),
    ("state.rows | sort(attribute='nope')", "undefined", "without `nope`"),
    ("state.rows | selectattr('nope')", "undefined", "nope"),
    ("[] | first", "undefined", "empty"),
    ("[] | max", "undefined", "empty"),
    ("3 | length", "types", "a number"),
    ("3 | list", "types", "a list"),
    ("'{' | fromjson", "bad_json", "not JSON"),
    ("'{\"a\":1,\"a\":2}' | fromjson", "bad_json", "twice"),
    ("[1] | fromjson", "types", "data already"),
    ("'%%%' | base64_decode", "bad_base64", "cannot read"),
    ("'/w==' | base64_decode", "bad_base64", "cannot read"),
    ("'x' | hash('crc')", "types", "one of"),
    ("'2026-13-01' | date", "bad_date", "no date"),
    ("'2026-11-20T10:00:00' | instant", "bad_date", "zone"),
    ("'9999-12-31' | add_days(1)", "bad_date", "9999"),
    ("'2026-11-20' | strftime('%Q')", "types", "%Q"),
    ("'a' | batch(0) | length", "types", "at least 1"),
    ("'a' | split('')", "types", "not empty"),
    ("state.rows | to_object(it.team | lower, it)", "duplicate_key", "twice"),
    ("state.rows | to_object(it.id, it)", "types", "keys are text"),
    ("'a' | regex_search('a', 3)", "types", "no group 3"),
    ("'a' | regex_search(state.text ~ '(')", "bad_regex", "not closed"),
    ("'a' | regex_replace('a', '\\\\7')", "types", "group"),
    ("['a\\0b'] | shell_quote", "types", "NUL"),
    ("'abc' | truncate(2)", "types", "at least 3"),
    ("1.5 | round('x')", "types", "whole number"),
]  # fmt: skip


@pytest.mark.parametrize("expression, code, says", FAILING)
def test_a_filter_refuses_and_says_why(expression, code, says):
    error = failure("{{ " + expression + " }}")
    assert (error.code, says in error.message) == (code, True), error.message
    assert error.column is not None


@pytest.mark.parametrize(
    "expression, code",
    [
        ("x | upperr", "unknown_filter"),
        ("x | escape", "not_in_language"),
        ("x | safe", "not_in_language"),
        ("x | truncate(lengtx=3)", "bad_arguments"),
        ("x | upper(1)", "bad_arguments"),
        ("x | replace('a')", "bad_arguments"),
        ("x | replace('a', 'b', old='c')", "bad_arguments"),
        ("x | map(f)", "not_literal"),
        ("x | map", "not_literal"),
        ("x | map('nope')", "unknown_filter"),
        ("x | select(t)", "not_literal"),
        ("x | selectattr", "bad_arguments"),
        ("x | selectattr(t)", "not_literal"),
        ("x | selectattr('a', 'nope')", "unknown_test"),
        ("x | sort(attribute=y)", "not_literal"),
        ("x | where", "bad_arguments"),
        ("x | where(it, it)", "bad_arguments"),
        ("x | to_object(it.a)", "bad_arguments"),
        ("x | default(*y)", "bad_arguments"),
        ("x | regex_search('(')", "bad_regex"),
        ("x | regex_search('(?=a)')", "bad_regex"),
        ("x | regex_search('(a)\\\\1')", "bad_regex"),
    ],
)
def test_a_filter_used_wrongly_is_found_at_load(expression, code):
    found = problem("{{ " + expression + " }}")
    assert found.code == code
    assert found.suggestion or code == "bad_arguments"


def test_random_filter_draws_from_the_run_and_repeats():
    drawn = value("{{ range(1000) | random }}")
    assert drawn == value("{{ range(1000) | random }}")
    assert drawn != value("{{ [range(1000) | random, range(1000) | random] }}")[1]


def test_where_sees_names_around_it_and_nests():
    assert value("{{ state.rows | where(it.id == inputs.n) | pick(it.name) }}") == ["Apple"]
    assert value("{{ [[1, 5], [2]] | pick(it | where(it > 1)) }}") == [[5], [2]]


def test_arguments_of_a_loop_are_computed_once():
    # A draw per item would give five different numbers.
    assert len(set(value("{{ [1, 1, 1, 1, 1] | map('float') | map('round', random(0, 2)) }}"))) == 1
