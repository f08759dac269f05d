"""Text with templates: blocks, white space, what values look like in text, and when a value keeps its type."""

import pytest

from tests.expr.support import failure, problem, problems, value

TABLE = [
    ("plain", "plain"),
    ("", ""),
    ("Hello {{ state.user.name }}!", "Hello Ada!"),
    ("{{ 1 }}{{ 2 }}", "12"),
    (
        "{{ none }} {{ true }} {{ 6 / 2 }} {{ [1, 'a', none] }} {{ {'k': 1.5} }}",
        'null true 3.0 [1, "a", null] {"k": 1.5}',
    ),
    ("<{{ '<b>&' }}>", "<<b>&>"),
    ("{{ 'é\u2028' }}.", "é\u2028."),
    ("{% if state.rows %}yes{% endif %}", "yes"),
    ("{% if state.empty %}a{% elif inputs.n == 2 %}b{% else %}c{% endif %}", "b"),
    ("{% if 0 %}a{% endif %}", ""),
    ("{% for r in state.rows %}{{ r.id }}{% endfor %}", "123"),
    (
        "{% for r in state.rows if r.ok %}{{ loop.index }}{{ r.name }}{% if not loop.last %},{% endif %}{% endfor %}",
        "1pear,2fig",
    ),
    ("{% for x in state.empty %}{{ x }}{% else %}none{% endfor %}", "none"),
    ("{% for k, v in state.o | items %}{{ k }}={{ v }};{% endfor %}", "b=2;a=1;"),
    ("{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "123"),
    ("{% for k in state.o %}{{ k }}{% endfor %}", "ba"),
    ("{% for c in 'abc' %}{{ c }}.{% endfor %}", "a.b.c."),
    (
        "{% for x in [1, 2, 3] %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.length }} {% endfor %}",
        "03true3 12false3 21false3 ",
    ),
    (
        "{% for x in [1, 2, 4] %}{{ loop.previtem | default(0) }}<{{ x }}>{{ loop.nextitem | default(9) }} {% endfor %}",
        "0<1>2 1<2>4 2<4>9 ",
    ),
    ("{% for x in range(4) %}{{ loop.cycle('a', 'b') }}{% endfor %}", "abab"),
    (
        "{% for x in [1, 2] %}{% for y in [1, 2] %}{{ x }}{{ loop.index }} {% endfor %}{{ loop.index }};{% endfor %}",
        "11 12 1;21 22 2;",
    ),
    ("{{ loop.index }}{% for x in [1] %}{{ loop.length }}{% endfor %}{{ loop.index }}", "212"),
    ("{% set x = 1 %}{{ x }}{% set x = x + 1 %}{{ x }}", "12"),
    ("{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}", "2,3,1"),
    ("{% for i in [1, 2] %}{% if i == 1 %}{% set y = 'set' %}{% endif %}{{ y | default('-') }}{% endfor %}", "set-"),
    (
        "{% set x = 'out' %}{% for i in [1, 2] %}{% if i == 1 %}{% set x = 'in' %}{% endif %}{{ x }} {% endfor %}",
        "in out ",
    ),
    ("{% if inputs.flag %}{% set y = 1 %}{% else %}{% set y = 2 %}{% endif %}{{ y }}", "1"),
    ("{% set a, b = [1, 2] %}{{ b }}{{ a }}", "21"),
    ("{% set t %}<{{ state.user.name }}>{% endset %}{{ t }}{{ t | length }}", "<Ada>5"),
    ("{% set state = {'x': 5} %}{{ state.x }}", "5"),
    ("{% raw %}{{ not }} {% this %}{% endraw %}", "{{ not }} {% this %}"),
    ("a{# nothing #}b", "ab"),
    ("a {{- 1 -}} b", "a1b"),
    ("a\n{%- if true %} x {% endif -%}\n b", "a x b"),
    ("a\n{% if true %}\nb\n{% endif %}\nc\n", "a\nb\nc\n"),
    ("  {% if true %}\n  b\n  {% endif %}\n", "  b\n"),
    ("- {{ 1 }}\n- {{ 2 }}\n", "- 1\n- 2\n"),
    ("{{ 1 }}\r\n{{ 2 }}", "1\n2"),
    ("{{ '{{' }} {{ '}}' }}", "{{ }}"),
    ("{{ item }} {{ item ~ '' }}", "it-1 it-1"),
]


@pytest.mark.parametrize("source, wanted", TABLE)
def test_a_text_reads(source, wanted):
    assert value(source) == wanted


@pytest.mark.parametrize(
    "source, wanted",
    [
        ("{{ state.nums }}", [3, 1, 2]),
        ("  {{ state.nums }}\n", [3, 1, 2]),
        ("{{- state.nums -}}", [3, 1, 2]),
        ("{# why #}{{ state.nums }}", [3, 1, 2]),
        ("{{ '5' }}", "5"),
        ("{{ 'true' }}", "true"),
        ("{{ 6 / 2 }}", 3),
        ("{{\n  state.nums[0]\n}}\n", 3),
        ("{{ state.nums }}.", "[3, 1, 2]."),
        ("{{ 1 }} ", 1),
        ("{{ 1 }}{{ '' }}", "1"),
        ("{% if true %}1{% endif %}", "1"),
        ("5", "5"),
    ],
)
def test_one_expression_alone_keeps_its_type_and_everything_else_is_text(source, wanted):
    found = value(source)
    assert found == wanted
    assert type(found) is type(wanted)


def test_a_name_set_in_a_branch_only_is_an_error_where_that_branch_was_not_taken():
    source = "{% if state.empty %}{% set y = 1 %}{% endif %}{{ y }}"
    assert failure(source).code == "undefined"
    assert problem(source, known={"state"}).code == "unknown_name"


def test_unpacking_needs_as_many_items_as_names():
    assert failure("{% for a, b in [[1, 2, 3]] %}{% endfor %}").code == "types"
    assert failure("{% for a, b in [1] %}{% endfor %}").code == "types"
    assert failure("{% set a, b = [1] %}").code == "types"


@pytest.mark.parametrize(
    "word, closing",
    [
        ("include 'x'", ""), ("import 'x' as y", ""), ("from 'x' import y", ""), ("macro m()", "{% endmacro %}"), ("call m()", "{% endcall %}"),
        ("extends 'x'", ""), ("block b", "{% endblock %}"), ("filter upper", "{% endfilter %}"), ("with a = 1", "{% endwith %}"),
        ("autoescape true", "{% endautoescape %}"), ("do x", ""), ("break", ""), ("continue", ""), ("print x", ""),
    ],
)  # fmt: skip
def test_a_block_that_the_language_has_not_is_refused_by_name(word, closing):
    found = problems("{% " + word + " %}" + closing)
    assert {one.code for one in found} == {"not_in_language"}
    assert found[0].suggestion
    assert found[0].column == 4


@pytest.mark.parametrize(
    "source, code",
    [
        ("{% for x in xs recursive %}{{ loop(x) }}{% endfor %}", "not_in_language"),
        ("{% set ns = namespace(a=1) %}", "unknown_function"),
        ("{% set ns.a = 1 %}", "not_in_language"),
        ("{% set x | upper %}a{% endset %}", "not_in_language"),
    ],
)
def test_other_ways_to_change_values_or_recurse_are_refused(source, code):
    assert code in {one.code for one in problems(source)}
