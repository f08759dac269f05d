"""The short way for plain reads gives what the long way gives: tree, places, reads."""

import random

import pytest
from jinja2 import lexer

from treadle.authoring import expression_scan, expressions
from treadle.authoring.expressions import ExpressionProblemsError, compile_condition, compile_data, compile_text
from treadle.core.expr import const

PIECES = [
    "{{ state.a }}", "{{state.a.b_2}}", "{{  inputs.x  }}", "{{ item }}", "{{ steps.look_up.result }}", "{{\nrun.id\n}}", "{{ loop.index }}", "{{ _x.Y9 }}",
    " ", "\n", "text", "é…", "{", "}", "}}", "{ {", "%}", "#}", "-", "{{ none }}", "{{ not }}", "{{ secrets.X }}", "{{ true.x }}", "{{ a.0 }}", "{{ a . b }}", "{{- a }}",
    "{{ a -}}", "{{ a | upper }}", "{{ a.b() }}", "{{ a['b'] }}", "{{ é.b }}", "{{ a.é }}", "{{ steps.a-b }}", "{{ a.true }}", "{{ a.not }}", "{{ a }", "{{ }}", "{{ a b }}",
    "{{ a | default(1) }}", "{{ a + 1 }}", "{{ 'x' ~ b }}", '{{ "q" if a else 2 }}', "{{ xs | where(it.a) }}", "{{ xs | map('upper') | list }}", "{{ a is defined }}", "{{+ a }}",
    "{{ not a }}", "{{ a | nope }}", "{{ '}' }}", "{{ {'a': 1} }}", "{{ [a, 1] }}", "{{ a.b | default(c.d) }} and {{ a.b | default(c.d) }}", "{{ a == 'x' }}", "{{ -1 }}",
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
        without.setattr(expressions, "taken_apart", lambda _: None)
        return short, compiled(compile_, source)


@pytest.mark.parametrize(
    "compile_", [compile_text, compile_condition, lambda source: compile_data({"k": [source]})], ids=["text", "condition", "data"]
)
def test_the_short_way_gives_what_the_long_way_gives(monkeypatch, compile_):
    rng = random.Random(7)
    short_ways = 0
    for piece in PIECES:
        assert len(set(map(repr, both_ways(monkeypatch, compile_, piece)))) == 1, piece
    for _ in range(2_000):
        source = "".join(rng.choices(PIECES, k=rng.choice([1, 2, 2, 3])))
        short, long = both_ways(monkeypatch, compile_, source)
        assert short == long, source
        short_ways += expressions._short(source, {}) is not None
    assert short_ways > 100


TOKENS = [
    *lexer.operators, "a", "b_1", "é", "ab\u0301", "1", "0", "1_000", "0x1F", "0X1f", "1.5", "1e3", "1.5E-2", "1.", ".5", "007", "1a", "0b101", "0o17", "'x'", '"y"', "'it\\'s'",
    "'\n'", "'(", '"', "\\", "!", "$", "not", "is", " ", "\t", "\n", "\u00a0", "?", "'{{'", "#", "1_", "_", "²", "\u0660", "e5", "x1e5",
]  # fmt: skip


def test_the_tokens_of_a_hole_are_jinjas():
    rng = random.Random(11)
    plain = 0
    for _ in range(10_000):
        inside = "".join(rng.choice(TOKENS) + rng.choice(["", " "]) for _ in range(rng.randint(0, 8)))
        source = rng.choice(["", " ", "\n"]) + "{{ " + inside + "}}" + rng.choice(["", "\n"])
        short = expression_scan._tokens_of_hole(source)
        if short:
            plain += 1
            assert short == [token for token in expression_scan._tokens(source) if token.kind != "data"], source
    assert plain > 500


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
