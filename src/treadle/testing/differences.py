"""Where two pieces of JSON differ: the paths alone, each with what was expected and what came."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from treadle.core.nearest import nearest
from treadle.core.values import Value, as_text, encode

SHOWN_CHARACTERS_MAX: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One path at which two values differ. `expected` and `came` are as they are shown; `came` is empty where nothing was there."""

    path: str
    expected: str
    came: str
    hint: str = ""


def differences(expected: Value, came: Value, *, partly: bool = False, path: str = "") -> list[Difference]:
    """Compare. With `partly`, keys that `expected` does not name are free, at every depth."""
    return list(_differences(expected, came, path, partly=partly))


def _differences(expected: Value, came: Value, path: str, *, partly: bool) -> Iterator[Difference]:
    if isinstance(expected, dict) and isinstance(came, dict):
        yield from _of_maps(expected, came, path, partly=partly)
    elif isinstance(expected, list) and isinstance(came, list):
        yield from _of_lists(expected, came, path, partly=partly)
    elif not equal(expected, came):
        yield Difference(path=path, expected=shown(expected), came=shown(came), hint=_why(expected, came))


def _of_maps(expected: Mapping[str, Value], came: Mapping[str, Value], path: str, *, partly: bool) -> Iterator[Difference]:
    for key, value in expected.items():
        here = step_below(path, key)
        if key in came:
            yield from _differences(value, came[key], here, partly=partly)
            continue
        near = nearest(key, [name for name in came if name not in expected])
        yield Difference(path=here, expected=shown(value), came="", hint=f"there is `{near}`" if near else "")
    if not partly:
        for key, value in came.items():
            if key not in expected:
                yield Difference(path=step_below(path, key), expected="", came=shown(value))


def _of_lists(expected: Sequence[Value], came: Sequence[Value], path: str, *, partly: bool) -> Iterator[Difference]:
    for index, (one, other) in enumerate(zip(expected, came, strict=False)):
        yield from _differences(one, other, f"{path}[{index}]", partly=partly)
    for index in range(len(came), len(expected)):
        yield Difference(path=f"{path}[{index}]", expected=shown(expected[index]), came="")
    for index in range(len(expected), len(came)):
        yield Difference(path=f"{path}[{index}]", expected="", came=shown(came[index]))


def equal(one: Value, other: Value) -> bool:
    """Compare as JSON does: `true` is not 1, and 1 is 1.0."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def step_below(path: str, key: str) -> str:
    """Name a key below a path."""
    return f"{path}.{key}" if path else key


def shown(value: Value, most: int = SHOWN_CHARACTERS_MAX) -> str:
    """Write a value as JSON, shortened."""
    text = encode(value) if isinstance(value, str) else as_text(value)
    return text if len(text) <= most else f"{text[: most - 1]}… ({len(text):,} characters)"


def _why(expected: Value, came: Value) -> str:
    """Say where two texts part, or that only the type differs: what the eye does not find."""
    if isinstance(expected, str) and isinstance(came, str):
        at = next((n for n, (a, b) in enumerate(zip(expected, came, strict=False)) if a != b), min(len(expected), len(came)))
        if expected.rstrip() == came.rstrip():
            return "they differ in white space at the end; a block written with `|` ends with a line break, one with `|-` does not"
        return f"they part at character {at + 1}: {came[max(0, at - 20) : at + 20]!r}" if at > 20 else ""
    if isinstance(expected, str) != isinstance(came, str) and as_text(expected) == as_text(came):
        return "only one of them is text"
    return ""
