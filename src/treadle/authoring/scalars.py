"""What a plain YAML scalar means: the 1.2 core schema, by hand (language.md §6).

Loaders in use still read `2026-11-20` as a date, `1_000` as 1000, `0b11` as 3 and `yes` as true; here all of these are text. Numbers
that JSON does not have are faults, not values: infinities, NaN, integers beyond ±2⁶³ (ruling 8).
"""

import math
import re
from typing import Final

from treadle.core.values import Json

INTEGER_MAX: Final = 2**63 - 1
INTEGER_MIN: Final = -(2**63)
EXACT_FLOAT_MAX: Final = 2.0**53
_CONSTANTS: Final[dict[str, Json]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_BASED = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
# What may begin a number; every other scalar skips the patterns.
_NUMERIC_START = frozenset("0123456789+-.")


class ScalarError(ValueError):
    """A scalar looks like a number that Treadle's data cannot hold."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the code of the problem."""
        super().__init__(message)
        self.code = code
        self.message = message


def resolve(text: str) -> Json:
    """Give the value of a plain scalar. Raises ScalarError."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMERIC_START:
        return text
    if _INTEGER.match(text):
        return _integer(text, 10)
    if _BASED.match(text):
        return _integer(text[2:], 8 if text[1] == "o" else 16)
    if _FLOAT.match(text):
        return _float(text)
    if _NOT_FINITE.match(text):
        raise ScalarError("not_finite", f"`{text}` is no number that JSON can hold; numbers are finite")
    return text


def _integer(digits: str, base: int) -> int:
    # Python refuses to read very long decimal numbers; 20 digits are enough to know that it is too large.
    bare = digits.lstrip("+-0") or "0"
    value = int(bare, base) * (-1 if digits.startswith("-") else 1) if len(bare) <= 20 else INTEGER_MAX + 1
    if not INTEGER_MIN <= value <= INTEGER_MAX:
        raise ScalarError("number_range", "integers lie within ±2⁶³")
    return value


def _float(text: str) -> Json:
    value = float(text)
    if not math.isfinite(value):
        raise ScalarError("number_range", f"`{text[:40]}` is larger than any number here")
    return int(value) if value.is_integer() and abs(value) < EXACT_FLOAT_MAX else value
