"""Faults found at load: code, line, column and what to write instead; and near misses that must give nothing."""

import pytest

from tests.expr.support import NAMES, problems, value

TABLE = [
    ("{{ state.a", "syntax", 1, 1),
    ("a\n {{ state.a", "syntax", 2, 2),
    ("{% if a", "syntax", 1, 1),
    ("{# a", "syntax", 1, 1),
    ("{{ 'abc }}", "syntax", 1, 4),
    ("{{ }}", "syntax", 1, 4),
    ("{{ 1 + }}", "syntax", 1, 8),
    ("{{ a = 1 }}", "syntax", 1, 6),
    ("{{ a == }}", "syntax", 1, 9),
    ("{{ a || b }}", "syntax", 1, 7),
    ("{{ a && b }}", "syntax", 1, 6),
    ("{{ !a }}", "syntax", 1, 4),
    ("{{ a ? b : c }}", "syntax", 1, 6),
    ("{{ a b }}", "syntax", 1, 6),
    ("{{ (a }}", "syntax", 1, 7),
    ("{{ a) }}", "syntax", 1, 5),
    ("{{ [1, 2) }}", "syntax", 1, 9),
    ("{{ a[1, 2] }}", "syntax", 1, 5),
    ("{{ a. }}", "syntax", 1, 7),
    ("{{ a.'b' }}", "syntax", 1, 6),
    ("{{ a | }}", "syntax", 1, 8),
    ("{{ a is }}", "syntax", 1, 9),
    ("{{ naïve }}", "syntax", 1, 4),
    ("{{ '\\ud800' }}", "syntax", 1, 4),
    ("{% if a %}x", "syntax", 1, 4),
    ("{% endfor %}", "syntax", 1, 4),
    ("{% else %}", "syntax", 1, 4),
    ("{% set x %}a", "syntax", 1, 4),
    ("{% iff a %}", "syntax", 1, 4),
    ("{% for x of a %}{% endfor %}", "syntax", 1, 10),
    ("{% for loop in a %}{% endfor %}", "syntax", 1, 8),
    ("{% for 'x' in a %}{% endfor %}", "syntax", 1, 8),
    ("{% raw %}a", "syntax", 1, None),
    ("{{ 99999999999999999999 }}", "number_range", 1, 4),
    ("{{ -9223372036854775809 }}", "number_range", 1, 4),
    ("{{ 1e999 }}", "number_range", 1, 4),
    ("{{ {1: 2} }}", "key_type", 1, 5),
    ("{{ {'a': 1, 'a': 2} }}", "duplicate_key", 1, 13),
    ("{{ {'$treadle.blob': 2} }}", "reserved_key", 1, 5),
    ("{{ a[none] }}", "key_type", 1, 6),
    ("{{ a[1.5] }}", "key_type", 1, 6),
    ("{{ steps.a-b }}", "step_id_dash", 1, 9),
    ("{{ steps.a-b.result.x | length }}", "step_id_dash", 1, 9),
    ("{{ a.upper() }}", "method_call", 1, 5),
    ("{{ 'a'.join(b) }}", "method_call", 1, 7),
    ("{{ a | upperr }}", "unknown_filter", 1, 8),
    ("line\n{{ a |\n  upperr }}", "unknown_filter", 3, 3),
    ("{{ a is evn }}", "unknown_test", 1, 6),
    ("{{ a is sameas b }}", "not_in_language", 1, 6),
    ("{{ a is callable }}", "not_in_language", 1, 6),
    ("{{ len(a) }}", "unknown_function", 1, 4),
    ("{{ secrets }}", "secret_name", 1, 4),
    ("{{ secrets[1] }}", "secret_name", 1, 4),
    ("{{ 1 + secrets.X }}", "secret_inside", 1, 8),
    ("{{ now(1) }}", "bad_arguments", 1, 7),
    ("{{ range() }}", "bad_arguments", 1, 9),
    ("{{ dict([], []) }}", "bad_arguments", 1, 8),
]


@pytest.mark.parametrize("source, code, line, column", TABLE)
def test_a_fault_has_its_code_and_place(source, code, line, column):
    (found,) = problems(source)
    assert (found.code, found.line) == (code, line), found
    assert column is None or found.column == column, found
    before = source[: found.offset]
    assert (before.count("\n") + 1, len(before) - before.rfind("\n")) == (found.line, found.column)


@pytest.mark.parametrize(
    "source, hint",
    [
        ("{{ a && b }}", "`and`"), ("{{ a || b }}", "`or`"), ("{{ !a }}", "`not`"), ("{{ a = 1 }}", "`==`"), ("{{ a ? b : c }}", "a if b else c"),
        ("{{ steps.a-b }}", "`steps.a_b` or `steps['a-b']`"), ("{{ a.upper() }}", "| upper"), ("{{ a.items() }}", "| items"),
        ("{{ a.startswith('x') }}", "matching"), ("{{ a.get('k') }}", "default"), ("{{ a.abs() }}", "| abs"), ("{{ a | upperr }}", "`upper`"),
        ("{{ a is evn }}", "`even`"), ("{{ len(a) }}", "| length"), ("{{ rangee(3) }}", "`range`"), ("{{ upper(a) }}", "x | upper"),
        ("{{ timedelta(1) }}", "add_days"), ("{{ namespace() }}", "cannot be changed"), ("{{ a | tojsn }}", "`tojson`"),
        ("{{ a | truncate(lengtx=1) }}", "`length`"), ("{% iff a %}", "`if`"), ("{% include 'x' %}", "state"), ("{{ naïve }}", "['naïve']"),
        ("{{ {'a': 1}.keys() }}", "| list"), ("{{ a b }}", "operator"), ("{{ a | len }}", "| length"), ("{{ a is null }}", "is none"),
    ],
)  # fmt: skip
def test_a_fault_says_what_to_write_instead(source, hint):
    (found,) = problems(source)
    assert hint in found.suggestion, found


def test_all_faults_of_a_text_are_told_at_once():
    found = problems("{{ a | upperr }} {{ b.lower() }} {{ c is evn }} {{ len(d) }} {% if e | upperr %}{{ steps.a-b }}{% endif %}")
    assert [one.code for one in found] == [
        "unknown_filter",
        "method_call",
        "unknown_test",
        "unknown_function",
        "unknown_filter",
        "step_id_dash",
    ]


def test_blocks_closed_by_the_wrong_word_are_both_told():
    found = problems("{% for x in a %}{% endif %}")
    assert [(one.code, one.column) for one in found] == [("syntax", 4), ("syntax", 20)]


def test_a_syntax_fault_hides_no_other():
    found = problems("{{ a = 1 }} {{ b | upperr }} {{ c || d }} {{ e ? }} {{ 'x }}\n{{ g.upper() }}")
    assert [(one.code, one.line) for one in found] == [
        ("syntax", 1),
        ("unknown_filter", 1),
        ("syntax", 1),
        ("syntax", 1),
        ("syntax", 1),
        ("method_call", 2),
    ]


def test_offsets_are_of_the_text_as_it_came():
    (found,) = problems("a\r\nb\r\n{{ x | upperr }}")
    assert (found.offset, found.line, found.column) == (13, 3, 8)


@pytest.mark.parametrize(
    "source",
    [
        "{{ state.user.name }}", "{{ item }}", "{% for x in state.rows %}{{ x }}{{ loop.index }}{% endfor %}", "{% set q = 1 %}{{ q }}",
        "{{ state.rows | where(it.ok) }}", "{{ nope is defined }}", "{{ nope | default(1) }}", "{{ steps['a-b'].result }}", "{{ state.user['a-b'] | d(1) }}",
        "{{ inputs.n - inputs.n }}", "{{ steps.a_b.result.x - inputs.n }}", "{% raw %}{{ upperr( }}{% endraw %}", "{# {{ upperr( }} #}", "a } b }} c",
        "{{ state.rows | selectattr('ok') | map(attribute='id') | sum }}", "{{ {'a': 1, 'b': 1} }}", "{{ '&& || ! ? =' }}", "{{ 1 if true else 2 }}",
    ],
)  # fmt: skip
def test_a_near_miss_gives_nothing(source):
    assert problems(source, known=set(NAMES)) == ()
    value(source)


@pytest.mark.parametrize(
    "source, name, hint",
    [("{{ stat.a }}", "stat", "`state`"), ("{{ approved }}", "approved", "quotes"), ("{% for x in rows %}{% endfor %}", "rows", ""), ("{{ it.x }}", "it", ""),
     ("{% for x in state.rows %}{% endfor %}{{ x }}", "x", ""), ("{{ now }}", "now", "`now()`")],
)  # fmt: skip
def test_a_name_that_nobody_gives_is_found_where_the_names_are_known(source, name, hint):
    (found,) = problems(source, known=set(NAMES))
    assert found.code == "unknown_name"
    assert f"`{name}`" in found.message
    assert hint in found.suggestion
