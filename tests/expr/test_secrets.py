"""Secrets in expressions: references that are passed on or stand in text, and that nothing looks into."""

import json

import pytest

from tests.expr.support import FUNCTIONS, env, problem
from treadle.authoring.expressions import compile_data, compile_text
from treadle.core.aside import fill, named
from treadle.core.expr import Expr, ExprError, evaluate, from_json, to_json
from treadle.core.values import Holed, SecretRef, ValueProblem, decode, encode, normalise, spill

T, U = SecretRef(name="T"), SecretRef(name="U")


@pytest.mark.parametrize(
    "source, wanted",
    [
        ("{{ secrets.T }}", T),
        ("{{ secrets['T'] }}", T),
        ("Bearer {{ secrets.T }}", Holed(parts=("Bearer ", T))),
        ("{{ 'user:' ~ secrets.T ~ 1 }}", Holed(parts=("user:", T, "1"))),
        ("{{ {'a': [secrets.T, 1]} }}", {"a": [T, 1]}),
        ("{{ secrets.T if inputs.flag else secrets.U }}", T),
        ("{% if inputs.flag %}<{{ secrets.T }}>{% else %}{{ secrets.U }}{% endif %}", Holed(parts=("<", T, ">"))),
        ("{% for x in state.nums %}{{ secrets.T }}{{ x }}{% endfor %}", Holed(parts=(T, "3", T, "1", T, "2"))),
        ("{% set t = secrets.T %}{{ t }}!", Holed(parts=(T, "!"))),
        ("{% set secrets = 1 %}{{ secrets }}", "1"),
    ],
)
def test_a_secret_is_passed_on_unread(source, wanted):
    expr = compile_text(source, functions=FUNCTIONS)
    assert evaluate(expr, env()) == wanted
    back = from_json(json.loads(json.dumps(to_json(expr))))
    assert evaluate(back, env()) == wanted


def test_its_reads_name_it():
    assert compile_data({"a": "{{ secrets.T }}", "b": "x{{ secrets.U }}"}).reads == ("secrets.T", "secrets.U")


@pytest.mark.parametrize(
    "source",
    [
        "{{ secrets.T | upper }}",
        "{{ secrets.T | default('x') }}",
        "{{ secrets.T | length }}",
        "{{ secrets.T == 'x' }}",
        "{{ secrets.T is defined }}",
        "{{ not secrets.T }}",
        "{{ secrets.T and 1 }}",
        "{{ 1 if secrets.T else 2 }}",
        "{{ secrets.T.x }}",
        "{{ secrets.T[0] }}",
        "{{ [secrets.T][0] }}",
        "{{ ('a' ~ secrets.T) | hash }}",
        "{{ {'a': secrets.T} | tojson }}",
        "{{ {secrets.T: 1} }}",
        "{{ [secrets.T] | join('') }}",
        "{{ shout(secrets.T) }}",
        "{{ shout(['a', secrets.T]) }}",
        "{% for x in [secrets.T] %}{{ x }}{% endfor %}",
        "{% if secrets.T %}x{% endif %}",
        "{% set t %}a{{ secrets.T }}{% endset %}{{ t | upper }}",
        "{% set t = [secrets.T] %}{% set u = t %}{{ u | first }}",
    ],
)
def test_what_would_look_inside_is_refused_when_it_is_compiled(source):
    assert problem(source).code == "secret_inside"


@pytest.mark.parametrize(
    "source", ["{{ secrets }}", "{{ secrets[state.key] }}", "{{ secrets['a-b'] }}", "{{ secrets['" + "x" * 65 + "'] }}"]
)
def test_a_name_is_written_out(source):
    assert problem(source).code == "secret_name"


def test_the_evaluator_refuses_it_too():
    """A definition that was not compiled here: a tree by hand."""
    secret = ("secret", "T")
    trees = [
        ("filter", "upper", secret), ("filter", "string", secret), ("filter", "tojson", ("list", secret)), ("filter", "length", secret),
        ("cmp", secret, "==", ("const", "x")), ("cmp", ("text", "a", secret), "==", ("const", "x")), ("not", secret), ("arith", secret, "+", secret),
        ("if", secret, ("const", 1), ("const", 2)), ("filter", "hash", ("text", "a", secret)), ("neg", secret), ("cmp", secret, "in", ("const", "x")),
    ]  # fmt: skip
    for tree in trees:
        with pytest.raises(ExprError) as error:
            evaluate(Expr(tree), env())
        assert error.value.code in {"secret_inside", "types"}, tree


def test_it_is_stored_by_name_and_comes_from_nowhere_else():
    value = {"a": T, "b": Holed(parts=("x", T))}
    assert encode(value) == '{"a":{"$treadle.secret":"T"},"b":{"$treadle.holed":["x",{"$treadle.secret":"T"}]}}'
    assert decode(encode(value)) == value
    with pytest.raises(ValueProblem) as problem:
        normalise({"$treadle.secret": "T"})
    assert problem.value.code == "reserved_key"


def test_filling_what_was_set_aside_leaves_secrets_as_they_are_and_showing_gives_the_name():
    reference, body = spill("long " * 9)
    large, large_body = spill({"a": T})
    blobs = {reference.digest: decode(body.decode()), large.digest: decode(large_body.decode())}
    whole = fill([Holed(parts=("a", reference, T)), large], blobs.__getitem__)
    assert whole == [Holed(parts=("a", "long " * 9, T)), {"a": T}]
    assert named(whole) == ["a" + "long " * 9 + "***T***", {"a": {"$treadle.secret": "T"}}]
