"""The closed tree: its stored form, what is refused in it, what it reads, and calls of registered functions (ruling 4)."""

import json

import pytest

from tests.expr.support import FUNCTIONS, NAMES, env, problem, problems, stored
from treadle.authoring.expressions import compile_condition, compile_data, compile_text
from treadle.core.expr import Call, Env, Expr, ExprError, const, evaluate, evaluate_call_args, from_json, to_json
from treadle.core.values import encode


@pytest.mark.parametrize(
    "source, reads",
    [
        ("plain", ()),
        ("{{ state.requirements }}", ("state.requirements",)),
        ("{{ state.user.name.first }} {{ inputs.x }}", ("inputs.x", "state.user.name.first")),
        ("{{ state.rows[0].name }}", ("state.rows",)),
        ("{{ state.rows[inputs.n] }}", ("inputs.n", "state.rows")),
        ("{{ state[inputs.n] }}", ("inputs.n", "state[*]")),
        ("{{ state }} {{ steps }}", ("state[*]", "steps[*]")),
        ("{{ state['a']['b c'] }}", ("state.a.b c",)),
        ("{{ steps.a_b.result }} {{ steps['a-b'].status }}", ("steps.a_b.result", "steps.a_b.status")),
        ("{{ item }} {{ loop.index }} {{ run.id }}", ("item", "loop.index", "run.id")),
        ("{% for r in state.rows %}{{ r.name }}{{ loop.index }}{% endfor %}", ("state.rows",)),
        ("{% for r in state.rows %}{{ r }}{% endfor %}{{ r }}", ("r", "state.rows")),
        ("{% set x = state.a %}{{ x.b }}", ("state.a",)),
        ("{{ state.rows | where(it.ok) | pick(it.id ~ inputs.n) }}", ("inputs.n", "state.rows")),
        ("{{ state.rows | selectattr('ok') | map(attribute='name') }}", ("state.rows",)),
        ("{{ plan(state.a, x=inputs.b) }}", ("inputs.b", "state.a")),
        ("{{ state.a if inputs.b else state.c }}", ("inputs.b", "state.a", "state.c")),
        ("{{ state.a is defined }} {{ state.b | default(state.c) }}", ("state.a", "state.b", "state.c")),
    ],
)
def test_reads_are_known_from_the_text(source, reads):
    expr = compile_text(source, functions=FUNCTIONS)
    assert expr.reads == reads
    assert stored(expr).reads == reads


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "x", [], {}, [1, {"a": None}], {"$ref": "{}"}])
def test_a_constant_is_an_expression(value):
    expr = const(value)
    assert encode(evaluate(stored(expr), Env())) == encode(value)
    assert expr.reads == ()


def test_kinds_of_numbers_and_booleans_are_different_expressions():
    assert const(1) != const(True)
    assert const(1) != const(1.0)
    assert const(1) == const(1)
    assert len({const(1), const(1)}) == 1


def test_the_stored_form_is_plain_json_without_places():
    expr = compile_text("{{ state.a }}")
    assert to_json(expr) == {"tree": ["path", ["name", "state"], "a"]}
    assert to_json(compile_text("{{   state . a   }}")) == to_json(expr)
    assert expr.columns == (3, 3)


@pytest.mark.parametrize(
    "data",
    [
        None, [], "x", {"tree": None}, {"tree": []}, {"tree": ["nope", 1]}, {"tree": ["const"]}, {"tree": ["const", 1, 2]}, {"tree": ["const", [1]]},
        {"tree": ["name", 1]}, {"tree": ["path", ["name", "a"], None]}, {"tree": ["path", ["name", "a"], ["slice", 1, None, None]]},
        {"tree": ["slice", None, None, None]}, {"tree": ["local", -1]}, {"tree": ["local", True]}, {"tree": ["local", 10**9]},
        {"tree": ["dict", ["const", "a"]]}, {"tree": ["cmp", ["const", 1], "<>", ["const", 1]]}, {"tree": ["arith", ["const", 1], "@", ["const", 1]]},
        {"tree": ["arith", ["const", 1], "+"]}, {"tree": ["for", 0, None, ["const", 1], None, ["text"], None, None]},
        {"tree": ["text", ["for", 0, None, ["const", 1], None, ["const", 1], None, None]]}, {"tree": ["text", ["set", "a", ["const", 1]]]},
        {"tree": ["text", 1]}, {"tree": ["branch", ["const", 1], ["text"], None]}, {"tree": ["text", ["branch", ["const", 1], ["text"]]]},
        {"tree": ["call", 0]}, {"tree": ["const", 1], "calls": [{}]}, {"tree": ["const", 1], "calls": 5}, {"tree": ["const", 1], "extra": 1},
        {"tree": ["const", 1], "calls": [{"function": "f", "version": "1", "args": [["call", 0]], "kwargs": {}}]},
        {"tree": ["keep", 0, ["const", 1], ["const", 1], 1]}, {"tree": ["filter", 1, ["const", 1]]},
    ],
)  # fmt: skip
def test_a_damaged_tree_is_refused(data):
    with pytest.raises(ExprError) as caught:
        from_json(data)
    assert caught.value.code == "bad_tree"


@pytest.mark.parametrize(
    "tree",
    [
        ("filter", "nope", ("const", 1)),
        ("test", "nope", ("const", 1)),
        ("fn", "nope"),
        ("filter", "replace", ("const", "a")),
        ("filter", "upper", ("const", "a"), ("const", 1)),
    ],
)
def test_a_name_that_is_not_in_the_tables_never_runs(tree):
    with pytest.raises(ExprError) as caught:
        evaluate(from_json(json.loads(json.dumps({"tree": tree}))), env())
    assert caught.value.code == "bad_tree"


def test_a_deep_tree_is_refused():
    tree = ["const", 1]
    for _ in range(200):
        tree = ["not", tree]
    with pytest.raises(ExprError):
        from_json({"tree": tree})


def test_calls_are_lifted_in_reading_order_inner_before_outer():
    expr = stored(compile_text("{{ plan(shout(state.text), shout('b')) ~ shout('c') }}", functions=FUNCTIONS))
    assert [(call.function, call.version) for call in expr.calls] == [
        ("shout", "1"),
        ("shout", "1"),
        ("plan", "2"),
        ("shout", "1"),
    ]
    assert evaluate_call_args(expr, 0, env()) == (("Hello World",), {})
    assert evaluate_call_args(expr, 2, env(results=["A", "B"])) == (("A", "B"), {})
    assert evaluate(expr, env(results=["A", "B", {"p": 1}, "C"])) == '{"p": 1}C'


def test_a_call_takes_arguments_by_name():
    expr = stored(compile_text("{{ plan(1, depth=inputs.n).steps[0] }}", functions=FUNCTIONS))
    assert evaluate_call_args(expr, 0, env()) == ((1,), {"depth": 2})
    assert evaluate(expr, env(results=[{"steps": ["x"]}])) == "x"


def test_calls_of_both_branches_are_lifted_and_a_result_that_is_missing_is_our_fault():
    expr = compile_text("{{ shout('a') if inputs.flag else shout('b') }}", functions=FUNCTIONS)
    assert len(expr.calls) == 2
    with pytest.raises(ExprError) as caught:
        evaluate(expr, env())
    assert caught.value.code == "bug"


def test_draws_of_arguments_move_no_draw_of_the_tree():
    with_call = compile_text("{{ [random(), shout(random())] }}", functions=FUNCTIONS)
    without = compile_text("{{ [random()] }}")
    assert evaluate(with_call, env(results=["x"]))[0] == evaluate(without, env())[0]
    assert evaluate_call_args(with_call, 0, env())[0] != tuple(evaluate(without, env()))


@pytest.mark.parametrize(
    "source",
    [
        "{{ state.rows | pick(shout(it.name)) }}",
        "{{ state.rows | where(shout(it)) }}",
        "{% for r in state.rows %}{{ shout(r.name) }}{% endfor %}",
        "{% for r in state.rows %}{{ shout(loop.index) }}{% endfor %}",
        "{% set x = 1 %}{{ shout(x) }}",
    ],
)
def test_a_call_whose_argument_would_vary_is_a_load_error(source):
    assert problem(source).code == "function_in_loop"


def test_a_call_in_a_loop_whose_argument_does_not_vary_is_made_once():
    expr = compile_text("{% for r in state.rows %}{{ shout(state.text) }};{% endfor %}", functions=FUNCTIONS)
    assert expr.calls == (Call(function="shout", version="1", args=(("path", ("name", "state"), "text"),)),)
    assert evaluate(expr, env(results=["X"])) == "X;X;X;"


@pytest.mark.parametrize(
    "source, code",
    [("{{ send(1) }}", "not_pure"), ("{{ shot(1) }}", "unknown_function"), ("{{ state.rows | map('shout') }}", "unknown_filter"),
     ("{{ shout(a=1, a=2) }}", "bad_arguments"), ("{{ shout(*state.rows) }}", "bad_arguments"), ("{{ state.f(1) }}", "method_call"),
     ("{{ (1)(2) }}", "method_call"), ("{{ range }}", "unknown_name"), ("{{ shout }}", "unknown_name")],
)  # fmt: skip
def test_a_call_that_cannot_be_made_is_a_load_error(source, code):
    assert problem(source, known=set(NAMES)).code == code


def test_data_is_compiled_whole_and_its_keys_are_never_templates():
    data = {"a": "{{ state.nums }}", "{{ b }}": [1, "x {{ item }}", {"c": None}], "d": {"e": [1.5]}}
    expr = stored(compile_data(data))
    assert evaluate(expr, env()) == {"a": [3, 1, 2], "{{ b }}": [1, "x it-1", {"c": None}], "d": {"e": [1.5]}}
    assert expr.reads == ("item", "state.nums")


def test_data_shares_slots_and_calls_without_mixing_them():
    data = [
        "{% if inputs.flag %}{% set x = 1 %}{% endif %}{{ x }}",
        "{{ x | default('unset') }}",
        "{{ shout('a') }}",
        "{{ shout(shout('b')) }}",
    ]
    expr = stored(compile_data(data, functions=FUNCTIONS))
    assert evaluate(expr, env(results=["A", "B", "C"])) == ["1", "unset", "A", "C"]


def test_problems_in_data_say_which_text():
    found = problems({"a": ["{{ 1 | upperr }}", "fine"], "b": "{{ x.y() }}"}, compile_=compile_data)
    assert [(one.path, one.code, one.column) for one in found] == [
        (("a", 0), "unknown_filter", 8),
        (("b",), "method_call", 5),
    ]


@pytest.mark.parametrize(
    "source, code",
    [("state.n > 3", "condition_braces"), ("{{ a }} {{ b }}", "condition_text"), ("{% if a %}x{% endif %}", "condition_text"), ("{{ 'yes' }}", "condition_text"),
     ("{{ a ~ b }}", "condition_text"), ("", "condition_braces"), ("{{ a | upperr }}", "unknown_filter")],
)  # fmt: skip
def test_a_condition_is_one_expression(source, code):
    (found,) = problems(source, compile_=compile_condition)
    assert found.code == code


def test_the_hint_of_a_bare_condition_is_what_to_write():
    assert problems("state.n > 3", compile_=compile_condition)[0].suggestion == 'write "{{ state.n > 3 }}"'


def test_an_expression_keeps_its_program():
    expr = Expr(("path", ("name", "state"), "text"))
    evaluate(expr, env())
    first = expr.program
    evaluate(expr, env())
    assert expr.program is first
