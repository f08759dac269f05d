"""Filters on numbers, and to numbers and booleans. Text that is no number is an error, unless a default is given (language.md §4)."""

import math
import re
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final, cast

from treadle.core.expr.arithmetic import DIGITS_MAX, EXACT, ROUNDED, checked
from treadle.core.expr.evaluation import MISSING, Evaluation, ExprError, Missing, V
from treadle.core.expr.given import int_given, word_given
from treadle.core.expr.look import opened, shown, wrong_kind

_TEXT_MAX: Final = 400
_PLACES_MAX: Final = 30
_INTEGER: Final = re.compile(r"[+-]?[0-9]+\Z")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?\Z")
_BOOLEANS: Final[dict[str, bool]] = {
    "true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False, "": False,
}  # fmt: skip
_PREFIXES: Final = "kMGTPEZY"
_ROUNDINGS: Final = {
    "common": ROUND_HALF_EVEN, "ceil": ROUND_CEILING, "floor": ROUND_FLOOR, "half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN,
    "down": ROUND_DOWN,
}  # fmt: skip
_METHODS: Final = tuple(_ROUNDINGS)


def _not_a_number(who: str, value: V, wanted: str) -> ExprError:
    return ExprError("types", f"`{who}` cannot make {wanted} of {shown(value)}", suggestion=f"give a default: `| {who}(0)`, or test first")


def absolute(_ev: Evaluation, value: V) -> V:
    """Give the number without its sign."""
    if isinstance(value, Decimal):
        return value.copy_abs()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_kind("abs", "a number", value)
    return checked(abs(value))


def to_int(ev: Evaluation, value: V, default: "V | Missing" = MISSING, base: V = 10) -> V:
    """Make a whole number: of a number by cutting off, of text by reading."""
    value = opened(ev, value)
    radix = int_given("int", "base", base, 2, 36)
    found: int | None = None
    if isinstance(value, bool | int | float | Decimal):
        found = int(value)
    elif isinstance(value, str) and len(value) <= _TEXT_MAX:
        found = _read_int(value.strip(), radix)
    if found is not None:
        return cast(int, checked(found))
    if default is MISSING:
        raise _not_a_number("int", value, "a whole number")
    return cast(V, default)


def _read_int(text: str, base: int) -> int | None:
    if base != 10:
        try:
            return int(text, base) if text.isascii() and "_" not in text else None
        except ValueError:
            return None
    if _INTEGER.match(text):
        return int(text)
    if not _NUMBER.match(text):
        return None
    number = float(text)
    return int(number) if math.isfinite(number) else None


def to_float(ev: Evaluation, value: V, default: "V | Missing" = MISSING) -> V:
    """Make a number with a fraction."""
    value = opened(ev, value)
    if isinstance(value, bool | int | float | Decimal):
        return checked(float(value))
    if isinstance(value, str) and len(value) <= _TEXT_MAX and _NUMBER.match(value.strip()):
        return checked(float(value))
    if default is MISSING:
        raise _not_a_number("float", value, "a number")
    return cast(V, default)


def to_bool(ev: Evaluation, value: V) -> V:
    """Read a boolean: of text true, yes, on, 1 and false, no, off, 0 and the empty text, in any case; of numbers 1 and 0; null is false."""
    value = opened(ev, value)
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, int | float) and value in {0, 1}:
        return bool(value)
    if isinstance(value, str) and len(value) <= _TEXT_MAX and value.strip().lower() in _BOOLEANS:
        return _BOOLEANS[value.strip().lower()]
    raise ExprError(
        "types", f"`bool` cannot make a boolean of {shown(value)}", suggestion="compare instead: `x == 'done'`, `x | length > 0`"
    )


def to_decimal(ev: Evaluation, value: V) -> V:
    """Make a number that computes exactly; as a result it is text. A float counts as it is written."""
    value = opened(ev, value)
    ev.charge(4)
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise wrong_kind("decimal", "text or a number", value)
    text = value.strip() if isinstance(value, str) else repr(value)
    if len(text) > _TEXT_MAX or not _NUMBER.match(text):
        raise ExprError("types", f"`decimal` cannot make a number of {shown(value)}", suggestion="write digits and a point: '1234.50'")
    number = Decimal(text)
    exponent = cast(int, number.as_tuple().exponent)
    if len(number.as_tuple().digits) > DIGITS_MAX or not -DIGITS_MAX <= exponent <= DIGITS_MAX:
        raise ExprError("number_range", f"`decimal` holds up to {DIGITS_MAX} digits, not {shown(value)}")
    return number


def round_number(ev: Evaluation, value: V, precision: V = 0, method: V = "common") -> V:
    """Round: common and half_even (a half to the even neighbour), half_up (away from zero), ceil, floor, down. Floats stay floats."""
    places = int_given("round", "precision", precision, -_PLACES_MAX, _PLACES_MAX)
    how = word_given(ev, "round", "method", method, _METHODS)
    if isinstance(value, Decimal):
        return _quantized("round", value, places, how)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_kind("round", "a number", value, "convert first: `| float` or `| decimal`")
    if how == "common":
        return checked(round(value, places))
    if how in {"ceil", "floor"}:
        scale = 10.0**places
        return checked(float(math.ceil(value * scale) if how == "ceil" else math.floor(value * scale)) / scale)
    rounded = _quantized("round", cast(Decimal, to_decimal(ev, value)), places, how)
    return checked(int(rounded) if isinstance(value, int) else float(rounded))


def round_money(ev: Evaluation, value: V, places: V = 2, method: V = "half_up") -> V:
    """Round a decimal, or text or a number as one, to exactly so many places."""
    digits = int_given("round_money", "places", places, 0, _PLACES_MAX)
    how = word_given(ev, "round_money", "method", method, _METHODS)
    return _quantized("round_money", cast(Decimal, to_decimal(ev, value)), digits, how)


def _quantized(who: str, value: Decimal, places: int, how: str) -> Decimal:
    try:
        rounded = value.quantize(Decimal(1).scaleb(-places, ROUNDED), rounding=_ROUNDINGS[how], context=ROUNDED)
    except InvalidOperation:
        raise ExprError("number_range", f"`{who}` would need more than {DIGITS_MAX} digits") from None
    # Rounded to tens and up it would be written with an exponent.
    return rounded if places >= 0 else EXACT.add(rounded, Decimal(0))


def filesizeformat(_ev: Evaluation, value: V, binary: V = False) -> V:  # noqa: FBT002
    """Write a number of bytes for people: 13 kB, 4.1 MB."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_kind("filesizeformat", "a number", value, "use `| int`")
    base = 1024 if binary is True else 1000
    if value == 1:
        return "1 Byte"
    if value < base:
        return f"{int(value)} Bytes"
    size, step = value / base, 0
    while size >= base and step < len(_PREFIXES) - 1:
        size, step = size / base, step + 1
    unit = f"{_PREFIXES[step].upper()}iB" if binary is True else f"{_PREFIXES[step]}B"
    return f"{size:.1f} {unit}"
