"""The short way for plain reads gives what the long way gives: tree, places, reads."""

import random

import pytest

from treadle.authoring import expressions
from treadle.authoring.expression_plain import plain_reads
from treadle.authoring.expressions import ExpressionProblemsError, compile_condition, compile_data, compile_text
from treadle.core.expr import const

PIECES = [
    "{{ state.a }}", "{{state.a.b_2}}", "{{  inputs.x  }}", "{{ item }}", "{{ steps.look_up.result }}", "{{\nrun.id\n}}", "{{ loop.index }}", "{{ _x.Y9 }}",
    " ", "\n", "text", "é…", "{", "}", "}}", "{ {", "%}", "#}", "-", "{{ none }}", "{{ not }}", "{{ secrets.X }}", "{{ true.x }}", "{{ a.0 }}", "{{ a . b }}", "{{- a }}",
    "{{ a -}}", "{{ a | upper }}", "{{ a.b() }}", "{{ a['b'] }}", "{{ é.b }}", "{{ a.é }}", "{{ steps.a-b }}", "{{ a.true }}", "{{ a.not }}", "{{ a }", "{{ }}", "{{ a b }}",
    "{{ range }}", "{{ 1 }}", "{{ 'a' }}", "{% if a %}x{% endif %}", "{# c #}", "{{ a.b.c.d.e.f }}", "{{a}}", "{{\ta\u00a0}}", "\\", "{{ in }}", "{{ self }}", "\r\n",
]  # fmt: skip


def compiled(compile_, source):
    """What a source gives: the expression with its places, or the faults."""
    expressions.kept.cache_clear()
    try:
        expr = compile_(source)
    except ExpressionProblemsError as error:
        return [(one.code, one.offset, one.message) for one in error.problems]
    return expr.tree, expr.calls, expr.columns, expr.reads


def both_ways(monkeypatch, compile_, source):
    short = compiled(compile_, source)
    with monkeypatch.context() as without:
        without.setattr(expressions, "plain_reads", lambda _: None)
        return short, compiled(compile_, source)


@pytest.mark.parametrize(
    "compile_", [compile_text, compile_condition, lambda source: compile_data({"k": [source]})], ids=["text", "condition", "data"]
)
def test_the_short_way_gives_what_the_long_way_gives(monkeypatch, compile_):
    rng = random.Random(7)
    short_ways = 0
    for piece in PIECES:
        assert len(set(map(repr, both_ways(monkeypatch, compile_, piece)))) == 1, piece
    for _ in range(1_000):
        source = "".join(rng.choices(PIECES, k=rng.choice([1, 2, 3, 5])))
        short, long = both_ways(monkeypatch, compile_, source)
        assert short == long, source
        short_ways += plain_reads(source) is not None
    assert short_ways > 100


def test_names_that_are_not_known_are_still_told():
    with pytest.raises(ExpressionProblemsError):
        compile_text("{{ stat.a }}", known={"state"})


def test_equal_sources_are_compiled_once_whatever_functions_there_are():
    functions = {"f": ("1", True)}
    assert compile_text("{{ a.b }}") is compile_text("{{ a.b }}", functions=functions)
    assert compile_text("{{ f(1) }}", functions=functions) is compile_text("{{ f(1) }}", functions=dict(functions))
    assert compile_text("{{ f(1) }}", functions={"f": ("2", True)}).calls[0].version == "2"
    with pytest.raises(ExpressionProblemsError):
        compile_text("{{ f(1) }}")
    with pytest.raises(ExpressionProblemsError):
        compile_condition("a {{ a.b }}")
    assert compile_text("no template") == const("no template")
