"""`treadle eval`: the playground, its answers as JSON, and many questions at once."""

import io
import json
import sys

import pytest

from treadle.cli.group import run

CONTEXT = """\
state:
  rows:
    - {id: 1, ok: true}
    - {id: 2, ok: false}
inputs: {who: Ada}
steps:
  look-up: {status: completed, result: {n: 3}}
"""
DOUBLE = """\
from treadle.functions import function


@function(version="1", pure=True)
def double(n: int) -> int:
    return 2 * n


@function(version="1")
def send(n: int) -> int:
    return n
"""


@pytest.fixture
def ask(tmp_path, capfdbinary, monkeypatch):
    """Run `treadle eval` in this process, in a folder of its own; gives exit code, output and error output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home" / "data"))
    (tmp_path / "context.yaml").write_text(CONTEXT)

    def call(*arguments, given=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = run(["eval", *arguments])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


@pytest.fixture
def value(ask):
    def evaluated(*arguments, **more):
        code, out, _ = ask(*arguments, "--json", **more)
        assert code == 0, out
        return json.loads(out)["value"]

    return evaluated


@pytest.fixture
def error(ask):
    def failed(*arguments, **more):
        code, out, _ = ask(*arguments, "--json", **more)
        assert code == 1
        return json.loads(out)["error"]

    return failed


@pytest.mark.parametrize(
    "source, wanted",
    [
        ("1 + 2", 3),
        ("{{ 1 + 2 }}", 3),
        ("  {{ [1, 2.0] }}\n", [1, 2]),
        ("n is {{ 1 + 2 }}.", "n is 3."),
        ("{% for n in range(3) %}{{ n }}{% endfor %}", "012"),
        ("{'a': {'b': 1}}", {"a": {"b": 1}}),
        ("state.rows | where(it.ok) | map(attribute='id')", [1]),
        ("inputs.who ~ '!'", "Ada!"),
        ("missing | default('none')", "none"),
        ("steps.look_up.result.n + steps['look-up'].result.n", 6),
        ("'1.10' | decimal + '2.20' | decimal", "3.30"),
        ("now() | date | length", 10),
        ("none", None),
    ],
)
def test_an_expression_gives_its_value(value, source, wanted):
    assert value(source, "--context", "context.yaml") == wanted


def test_the_context_may_come_from_standard_input_as_json_or_yaml(value):
    assert value("a.b", "-c", "-", given=b'{"a": {"b": [1]}}') == [1]
    assert value("a.b", "-c", "-", given=b"a:\n  b: 2026-11-20\n") == "2026-11-20"


@pytest.mark.parametrize(
    "source, wanted",
    [
        ("1 +", {"code": "syntax", "line": 1, "column": 4}),
        ("{{ 1 + }}", {"code": "syntax", "line": 1, "column": 8}),
        ("state.rowz", {"code": "undefined", "line": 1, "column": 1, "suggestion": "did you mean `state.rows`?"}),
        ("x\n{{ inputs.who | uper }}", {"code": "unknown_filter", "line": 2, "column": 17, "suggestion": "did you mean `upper`?"}),
        ("a\nb {{ 1 // 0 }}", {"code": "division_by_zero", "line": 2, "column": 6}),
        ("stat", {"code": "unknown_name", "line": 1, "column": 1, "suggestion": "did you mean `state`?"}),
        ("range(1000000)", {"code": "budget", "line": 1, "column": 6}),
        ("{{ state.rows | where(it.id > ", {"code": "syntax"}),
        ("", {"code": "syntax", "line": 1, "column": 1}),
    ],
)
def test_an_error_says_what_where_and_what_to_write(error, source, wanted):
    found = error(source, "--context", "context.yaml")
    assert set(found) == {"code", "message", "line", "column", "suggestion"}
    assert found | wanted == found


def test_every_fault_of_a_text_is_told(ask):
    _, out, _ = ask("{{ 1 | upperr }} {{ x.y() }}", "--json")
    told = json.loads(out)
    assert [told["error"]["code"], *(other["code"] for other in told["others"])] == ["unknown_filter", "method_call"]


def test_people_see_the_value_or_a_caret_under_the_fault(ask):
    assert ask("1 + 2")[:2] == (0, "3\n")
    assert ask("'3'")[:2] == (0, '"3"\n')
    assert ask("Hi {{ 'you' }}")[:2] == (0, "Hi you\n")
    assert ask("range(60) | list")[1].startswith("[\n  0,\n  1,\n")
    code, out, _ = ask("inputs.whom", "-c", "context.yaml")
    assert code == 1
    assert out.startswith("expression:1:1: error[undefined]: `inputs` has no `whom`; it has `who`\n 1 | inputs.whom\n   | ^")
    assert out.endswith(" help: did you mean `inputs.who`?\n")


def test_moves_and_time_are_shown_when_asked_for(ask):
    _, out, err = ask("range(10) | sum", "--moves", "--time")
    assert out == "45\n"
    assert " moves, " in err
    told = json.loads(ask("range(10) | sum", "--moves", "--time", "--json")[1])
    assert told["moves"] > 10
    assert told["ms"] > 0


def test_each_line_gets_an_answer_in_order_whatever_stands_in_it(ask):
    lines = [
        b'{"expr": "a + 1", "context": {"a": 1}}',
        b"",
        b"no json",
        b'{"expr": 1}',
        b'{"expr": "who", "context": [1]}',
        b'{"expr": "who", "contexts": {}}',
        b'{"expr": "who", "expr": "who"}',
        b'{"expr": "\xff"}',
        b"[" * 100_000,
        b'{"expr": "1 +"}',
        b'{"expr": "range(10**9)"}',
        b'{"expr": "inputs.who"}',
        b'{"expr": "inputs.who", "context": {"inputs": {"who": "Bob"}}}',
        b'{"expr": "NaN", "context": {"x": NaN}}',
    ]
    code, out, _ = ask("--jsonl", "--context", "context.yaml", given=b"\n".join(lines))
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer.get("value", answer.get("error", {}).get("code")) for answer in answers] == [
        2, "bad_line", "bad_line", "bad_line", "bad_context", "bad_line", "bad_line", "bad_line", "bad_line", "syntax", "budget", "Ada", "Bob", "bad_line",
    ]  # fmt: skip
    assert code == 1
    assert ask("--jsonl", given=b'{"expr": "1"}\n{"expr": "2"}\n')[:2] == (0, '{"value":1}\n{"value":2}\n')


def test_a_line_beyond_all_measure_is_answered_and_skipped(ask, monkeypatch):
    monkeypatch.setattr("treadle.cli.eval.LINE_BYTES_MAX", 100)
    long = b'{"expr": "' + b"x" * 1_000 + b'"}\n'
    _, out, _ = ask("--jsonl", given=long + b'{"expr": "1"}\n' + long)
    assert [json.loads(line).get("value", "bad") for line in out.splitlines()] == ["bad", 1, "bad"]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--json",),
        ("--jsonl", "1"),
        ("--jsonl", "-c", "-"),
        ("1", "-c", "nowhere.yaml"),
        ("1", "-c", "list.json"),
        ("1", "-c", "bad.yaml"),
    ],
)
def test_what_was_meant_otherwise_is_a_usage_error(ask, tmp_path, arguments):
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "bad.yaml").write_text("a: [")
    code, out, err = ask(*arguments)
    assert code == 2
    assert not out
    assert "error" in err


def test_functions_of_the_project_are_called_once_they_are_trusted(ask, error, value, tmp_path):
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "own.py").write_text(DOUBLE)
    (tmp_path / "treadle.toml").write_text("")
    found = error("double(4)")
    assert found["code"] == "function"
    assert "treadle trust" in found["message"]
    assert run(["trust", "--yes", "--json"]) == 0
    ask("1")  # what `trust` printed
    assert value("double(double(4)) + 1") == 17
    assert error("double('x')")["code"] == "function"
    assert error("send(4)")["code"] == "not_pure"
