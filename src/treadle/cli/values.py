"""From text that a person typed, or a command line carried, to the value that an action or an input expects.

What does not fit is told in words, before anything is sent: a refused answer may cost an agent's repair, a person's never.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from treadle.core.errors import RequestError
from treadle.core.nearest import nearest
from treadle.core.schema import check
from treadle.core.values import Json, Value, ValueProblem, encode, normalise, parse_json

if TYPE_CHECKING:
    from treadle.authoring.nodes import Node

_YES: Final = frozenset({"y", "yes", "true", "ja", "oui", "1"})
_NO: Final = frozenset({"n", "no", "false", "nein", "non", "0"})
FILE_BYTES_MAX: Final = 8 << 20


class NotFittingError(Exception):
    """What was typed is no answer here; the message is for who typed it."""


def read_answer(kind: str, params: Mapping[str, Value], expected: Mapping[str, Json], text: str) -> Json:
    """Read an answer to an action. Raises NotFittingError."""
    value = _read(kind, params, expected, text)
    check_answer(expected, value)
    return value


def check_answer(expected: Mapping[str, Json], value: Json) -> None:
    """Compare a value with what is expected. Raises NotFittingError that names every fault."""
    faults = check(dict(expected), value) if expected else ()
    if faults:
        raise NotFittingError("; ".join(f"{fault.path or 'the answer'}: {fault.message}" for fault in faults[:5]))


def _read(kind: str, params: Mapping[str, Value], expected: Mapping[str, Json], text: str) -> Json:
    if kind != "prompt":
        return text if takes_text(expected) else read_json(text)
    match params.get("format"):
        case "info":
            return None
        case "confirm":
            return {"confirmed": read_yes(text)}
        case "choice":
            options = cast(list[Json], params.get("options") or [])
            if params.get("multiple"):
                return [choose(options, part.strip()) for part in text.split(",") if part.strip()]
            return choose(options, text.strip())
        case "form":
            return read_json(text)
        case _:
            return text


def takes_text(expected: Mapping[str, Json]) -> bool:
    """Tell whether plain text is an answer: nothing is said about its shape, or it is text."""
    return not expected or expected.get("type") == "string"


def read_yes(text: str) -> bool:
    """Read yes or no. Raises NotFittingError."""
    word = text.strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise NotFittingError("answer y or n")


def choose(options: list[Json], text: str) -> Json:
    """Find the option that a text means: itself, or its number counted from 1. Raises NotFittingError."""
    shown = [option_text(option) for option in options]
    if text in shown:
        return options[shown.index(text)]
    if text.isdigit() and 1 <= int(text) <= len(options):
        return options[int(text) - 1]
    close = nearest(text, shown)
    meant = f"; did you mean {close}?" if close else ""
    raise NotFittingError(f"choose one of 1 to {len(options)}, or its text{meant}")


def option_text(option: Value) -> str:
    """Say an option as it is shown."""
    return option if isinstance(option, str) else encode(option)


def read_json(text: str) -> Json:
    """Read JSON. Raises NotFittingError with the place of the fault."""
    try:
        return parse_json(text)
    except ValueProblem as problem:
        raise NotFittingError(problem.message) from problem


def read_field(schema: Mapping[str, Json], text: str) -> Json:
    """Read one value as its schema has it: text stays text, all else is JSON, yes and no are a boolean. Raises NotFittingError."""
    kind = schema.get("type")
    options = schema.get("enum")
    if isinstance(options, list):
        return choose(options, text.strip())
    if kind == "string" or kind is None:
        return text
    if kind == "boolean":
        return read_yes(text)
    return read_json(text)


def read_inputs(pairs: tuple[str, ...], file: str | None, declared: Mapping[str, Mapping[str, Json]]) -> dict[str, Json]:
    """Read the inputs of a run from `NAME=VALUE` pairs over a file (`-`: standard input).

    Raises RequestError `bad_input`, `bad_file`, and `invalid_inputs` with the line of each value of the file that does not fit.
    """
    given: dict[str, Json] = {}
    if file is not None:
        root = _root_of(file)
        found = _data(root)
        if not isinstance(found, dict):
            raise RequestError(f"{file} does not hold a map of inputs", code="bad_input", hint="write one `name: value` per input")
        replaced = {pair.partition("=")[0] for pair in pairs}
        faults = list(_misfits(root, {name: value for name, value in found.items() if name not in replaced}, declared))
        if faults:
            shown = _shown(file)
            message = "\n".join(f"{shown}:{line}:{column}: {text}" for line, column, text in faults)
            raise RequestError(message, code="invalid_inputs", hint="nothing was started; mend the file")
        given |= found
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise RequestError(f"--input {pair!r} is no NAME=VALUE", code="bad_input", hint='for example --input question="What now?"')
        try:
            given[name] = read_field(declared.get(name, {}), text)
        except NotFittingError as error:
            raise RequestError(f"the input `{name}`: {error}", code="bad_input", hint="see `inputs` of the workflow") from error
    return given


def _misfits(root: "Node", given: Mapping[str, Json], declared: Mapping[str, Mapping[str, Json]]) -> Iterator[tuple[int, int, str]]:
    """Say which values of a file of inputs do not fit, with their places; what is missing is told by whoever starts the run."""
    # As in `_root_of`.
    from treadle.authoring import nodes

    assert isinstance(root, nodes.Mapping)
    for name, value in given.items():
        if name not in declared:
            meant = nearest(name, declared)
            hint = f"did you mean `{meant}`?" if meant else f"the inputs are: {', '.join(declared) or 'none'}"
            yield root.keys[name].line, root.keys[name].column, f"there is no input `{name}`; {hint}"
            continue
        rule = {key: part for key, part in declared[name].items() if key not in {"required", "default"}}
        for fault in check(rule, cast(Value, value)):
            node = nodes.node_at(root.entries[name], fault.path)
            yield node.line, node.column, f"the input `{name}{fault.path and '.'}{fault.path}`: {fault.message}".replace(".[", "[")


def read_file(file: str) -> Json:
    """Read data from a JSON or YAML file, or from standard input. Raises RequestError `bad_file` with every fault."""
    return _data(_root_of(file))


def _data(root: "Node") -> Json:
    # As in `_root_of`.
    from treadle.authoring.nodes import data_of

    return data_of(root)


def _shown(file: str) -> str:
    return "standard input" if file == "-" else file


def _root_of(file: str) -> "Node":
    # The YAML reader: only where a file is given.
    from treadle.authoring import yaml_reader

    document = yaml_reader.read_bytes(read_bytes_of(file), _shown(file))
    errors = [problem for problem in document.problems if problem.severity == "error"]
    if errors or document.root is None:
        faults = "\n".join(map(str, errors)) or "it is empty"
        raise RequestError(f"{_shown(file)} cannot be read:\n{faults}", code="bad_file", hint="give a JSON or YAML file")
    return document.root


def read_bytes_of(file: str) -> bytes:
    """Read a file or standard input. Raises RequestError `bad_file`."""
    try:
        data = sys.stdin.buffer.read(FILE_BYTES_MAX + 1) if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise RequestError(f"{file} cannot be read: {error.strerror or error}", code="bad_file") from error
    if len(data) > FILE_BYTES_MAX:
        raise RequestError(f"{file} is larger than {FILE_BYTES_MAX} bytes", code="bad_file")
    return data


def clean_value(value: object) -> Json:
    """Give a value as it may enter a run. Raises RequestError."""
    try:
        return cast(Json, normalise(value))
    except ValueProblem as problem:
        raise RequestError(problem.message, code=problem.code) from problem
