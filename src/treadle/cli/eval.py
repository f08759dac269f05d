"""`treadle eval`: try an expression on data of yours, with the compiler and the evaluator that a run uses; nothing is stored.

One expression is printed as JSON, so that a text and a number can be told apart; a text with templates is printed as it would be sent.
With `--jsonl` every line that comes in gives exactly one line that goes out, whatever stands in it.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import click
import orjson
from rich.text import Text

from treadle import functions, trust
from treadle.authoring.expression_play import FILE, Answer, Playground
from treadle.authoring.problems import did_you_mean
from treadle.cli import screen
from treadle.cli.frame import Frame, command
from treadle.cli.problems import show
from treadle.cli.values import FILE_BYTES_MAX, clean_value, read_file
from treadle.clock import SystemClock
from treadle.core.errors import RequestError
from treadle.core.values import Value, ValueProblem, parse_json

# A line is data as a file is; a longer one is answered, and skipped without being kept.
LINE_BYTES_MAX: Final = FILE_BYTES_MAX
_LINE_MAX: Final = 100
_PROMPT: Final = "> "
_KEYS: Final = ("expr", "context")
_MORE: Final = """\
Names:
What the context holds: `inputs`, `state`, `item`, `loop`, `steps`, `error` or any other.
Functions of the project are called once `treadle trust` has allowed their files.

Exit codes: 0 a value, 1 an expression that cannot be evaluated, 2 usage.
"""


@command(
    examples="treadle eval '1 + 2'\n"
    "treadle eval \"state.rows | where(it.ok) | map(attribute='name')\" --context state.yaml\n"
    "treadle eval 'Dear {{ inputs.name }}, …' --context - < data.json\n"
    "treadle eval --jsonl < questions.jsonl\n"
    "treadle eval                        an expression after another, until Ctrl-D",
    keys="value; or error {code, message, line, column, suggestion} and, where there are more, others [the same]; with --moves moves, "
    "with --time ms. Lines of --jsonl: {expr, context} in, these out",
    more=_MORE,
)
@click.argument("expr", required=False, metavar="[EXPR]")
@click.option("--context", "-c", "file", metavar="FILE", help="JSON or YAML with the names that EXPR may read (- for standard input).")
@click.option("--jsonl", is_flag=True, help='Read {"expr", "context"} per line from standard input; answer each with a line of JSON.')
@click.option("--moves", is_flag=True, help="Show the moves spent; a run allows 200,000 per expression.")
@click.option("--time", "timed", is_flag=True, help="Show how long compiling and evaluating took.")
def evaluate(frame: Frame, expr: str | None, *, file: str | None, jsonl: bool, moves: bool, timed: bool) -> int:
    """Evaluate EXPR, an expression with or without its braces, or a text with templates."""
    if jsonl and (expr is not None or file == "-"):
        raise click.UsageError("with --jsonl the expressions come from standard input, one per line; give neither EXPR nor --context -")
    context = {} if file is None else _context(read_file(file), file)
    shell = _Shell(frame, as_json=frame.json or jsonl, moves=moves, timed=timed)
    if jsonl:
        return shell.lines(context)
    if expr is not None:
        return shell.tell(expr, context)
    if frame.json or not screen.is_terminal():
        raise click.UsageError("an expression is missing; on a terminal `treadle eval` alone asks for one after another")
    return shell.asking(context)


def _context(data: object, file: str) -> Mapping[str, Value]:
    if not isinstance(data, dict):
        hint = "write the names at the top: `state: {…}`"
        raise RequestError(f"{file} does not hold a map of names", code="bad_context", hint=hint)
    return cast("dict[str, Value]", clean_value(data))


class _Shell:
    """Asks the playground and shows what it answers."""

    def __init__(self, frame: Frame, *, as_json: bool, moves: bool, timed: bool) -> None:
        self.as_json, self.moves, self.timed = as_json, moves, timed
        project = frame.settings.project
        found = functions.catalog(project)
        self.playground = Playground(
            {name: (info.version, info.pure) for name, info in found.visible().items()},
            functions.Registry(found, project, trust.user_store()),
            now_ms=SystemClock().now_ms(),
            seed=os.urandom(16).hex(),
        )

    def tell(self, source: str, context: Mapping[str, Value]) -> int:
        """Evaluate and show; gives the exit code."""
        begin = time.perf_counter_ns()
        answer = self.playground.answer(source, context)
        took_ms = (time.perf_counter_ns() - begin) / 1e6
        if self.as_json:
            _print_line(self._json(answer, took_ms))
        else:
            self._show(answer, took_ms)
        return int(bool(answer.problems))

    def lines(self, context: Mapping[str, Value]) -> int:
        """Answer each line of standard input; the names of a line hide those of `context`."""
        failed = 0
        for line in _lines():
            try:
                source, own = _request(line)
            except RequestError as error:
                _print_line({"error": {"code": error.code, "message": error.message, "line": 1, "column": 1, "suggestion": error.hint}})
                failed = 1
                continue
            failed |= self.tell(source, {**context, **own})
        return failed

    def asking(self, context: Mapping[str, Value]) -> int:
        """Evaluate what is typed, line by line, until the end of input."""
        there = ", ".join(context) or "none; `--context FILE` gives some"
        screen.say(f"An expression or a text with templates; names: {screen.clean(there, lines=False)}. Ctrl-D ends.", style="bright_black")
        while True:
            try:
                line = input(_PROMPT)
            except EOFError:
                screen.say()
                return 0
            if line.strip():
                self.tell(line, context)

    def _json(self, answer: Answer, took_ms: float) -> dict[str, object]:
        told: dict[str, object] = {}
        if answer.problems:
            first, *others = (
                {"code": p.code, "message": p.message, "line": p.line, "column": p.column, "suggestion": p.suggestion}
                for p in answer.problems
            )
            told = {"error": first, **({"others": others} if others else {})}
        else:
            told = {"value": answer.value, **({"moves": answer.moves} if self.moves else {})}
        return told | ({"ms": round(took_ms, 3)} if self.timed else {})

    def _show(self, answer: Answer, took_ms: float) -> None:
        if answer.problems:
            show(answer.problems, {FILE: answer.source})
            return
        if answer.is_text and isinstance(answer.value, str):
            # What goes to a file or a pipe is the text itself; on a terminal hidden characters could deceive.
            text = screen.clean(answer.value) if screen.console().is_terminal else answer.value
            screen.say(Text(text), end="" if text.endswith("\n") else "\n")
        else:
            screen.say(Text(screen.clean(_written(answer.value))))
        costs = [f"{answer.moves:,} move{'s' * (answer.moves != 1)}"] * self.moves + [f"{took_ms:.2f} ms"] * self.timed
        if costs:
            screen.errors().print(Text(", ".join(costs), style="bright_black"))


def _written(value: Value) -> str:
    """Write JSON on one line while it fits."""
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= _LINE_MAX else json.dumps(value, ensure_ascii=False, indent=2)


def _print_line(data: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(data, option=orjson.OPT_APPEND_NEWLINE))
    # Whoever writes the next line may be waiting for this one.
    sys.stdout.buffer.flush()


def _lines() -> Iterator[bytes | None]:
    """Give the lines of standard input; None for one that is too long."""
    stream = sys.stdin.buffer
    while line := stream.readline(LINE_BYTES_MAX + 1):
        if len(line) <= LINE_BYTES_MAX:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(LINE_BYTES_MAX)
        yield None


def _request(line: bytes | None) -> tuple[str, Mapping[str, Value]]:
    """Read one line of `--jsonl`. Raises RequestError `bad_line`, `bad_context`."""
    hint = 'write {"expr": "1 + 2", "context": {}}'
    if line is None:
        raise RequestError(f"the line is longer than {LINE_BYTES_MAX:,} bytes", code="bad_line", hint="pass on less data")
    try:
        data: Any = parse_json(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RequestError(f"the line is not UTF-8: {error.reason}", code="bad_line", hint=hint) from error
    except ValueProblem as problem:
        raise RequestError(problem.message, code="bad_line", hint=hint) from problem
    if not isinstance(data, dict) or not isinstance(data.get("expr"), str):
        raise RequestError("the line is no object with a text `expr`", code="bad_line", hint=hint)
    for key in data:
        if key not in _KEYS:
            raise RequestError(f"a line has `expr` and `context`, not `{key[:60]}`", code="bad_line", hint=did_you_mean(key, _KEYS) or hint)
    return cast(str, data["expr"]), _context(data.get("context", {}), "`context`")
