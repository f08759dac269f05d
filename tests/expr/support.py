"""How these tests evaluate: one call from source to value, always through the stored form of the tree."""

import json

from treadle.authoring.expressions import ExpressionProblemsError, compile_text
from treadle.core.expr import Env, Expr, ExprError, drawing, evaluate, from_json, to_json
from treadle.core.values import encode

NOW_MS = 1_763_629_200_123  # 2025-11-20T09:00:00.123Z
FUNCTIONS = {"shout": ("1", True), "plan": ("2", True), "send": ("1", False)}
STATE = {
    "user": {"name": "Ada", "tags": ["x", "y"], "items": 3, "address": None},
    "rows": [
        {"id": 1, "name": "pear", "ok": True, "price": "1.10", "team": "b"},
        {"id": 2, "name": "Apple", "ok": False, "price": "2.20", "team": "A"},
        {"id": 3, "name": "fig", "ok": True, "price": "0.70", "team": "a"},
    ],
    "text": "Hello World",
    "nums": [3, 1, 2],
    "empty": [],
    "none": None,
    "zero": 0,
    "key": "name",
    "o": {"b": 2, "a": 1},
}
NAMES = {
    "state": STATE,
    "inputs": {"n": 2, "flag": True},
    "steps": {"a_b": {"status": "completed", "result": {"x": 1}}},
    "item": "it-1",
    "loop": {"index": 2, "index0": 1, "first": False, "last": True, "length": 2},
    "run": {"id": "run_1"},
}


def env(names=None, **options):
    given = {"now_ms": NOW_MS, "draw": drawing("seed", "path", "field"), "env_vars": {"HOME": "/home/ada"}}
    return Env(names=NAMES if names is None else names, **{**given, **options})


def stored(expr: Expr) -> Expr:
    """The expression as it comes back from a definition; equal, and without columns."""
    back = from_json(json.loads(json.dumps(to_json(expr))))
    assert back == expr
    return back


def value(source, names=None, **options):
    """Compile, store, load and evaluate."""
    expr = compile_text(source, functions=FUNCTIONS)
    found = evaluate(expr, env(names, **options))
    assert encode(evaluate(stored(expr), env(names, **options))) == encode(found)
    return found


def written(source, names=None, **options):
    """The value as stored bytes: 1, 1.0 and true differ here."""
    return encode(value(source, names, **options))


def failure(source, names=None, **options):
    """The error of an expression that compiles and cannot be evaluated."""
    expr = compile_text(source, functions=FUNCTIONS)
    try:
        found = evaluate(expr, env(names, **options))
    except ExprError as error:
        return error
    raise AssertionError(f"{source} gave {found!r}")


def problems(source, compile_=compile_text, **options):
    """The problems of a text that does not compile."""
    try:
        compile_(source, **{"functions": FUNCTIONS, **options})
    except ExpressionProblemsError as error:
        return error.problems
    return ()


def problem(source, **options):
    """The one problem of a text."""
    (found,) = problems(source, **options)
    return found
