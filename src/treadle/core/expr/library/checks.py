"""Comparisons, and tests (`x is …`). A test for a kind or for equality never raises; one that needs a number or text says so."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final, TypeAlias

from treadle.core.expr.evaluation import Evaluation, ExprError, V
from treadle.core.expr.given import int_given, text_given
from treadle.core.expr.library.patterns import found_in
from treadle.core.expr.look import MOVE_BITS, equal, kind_of, less, opened, wrong_kind

Compare: TypeAlias = Callable[[Evaluation, V, V], bool]
Check: TypeAlias = Callable[[Evaluation, V], bool]


def contains(ev: Evaluation, item: V, holder: V) -> bool:
    """Tell whether a list holds an item, an object a key, a text another text."""
    holder = opened(ev, holder)
    if isinstance(holder, list):
        ev.charge(len(holder))
        return any(equal(ev, item, other) for other in holder)
    item = opened(ev, item)
    if isinstance(holder, dict):
        return isinstance(item, str) and item in holder
    if isinstance(holder, str) and isinstance(item, str):
        ev.charge(1 + ((len(holder) + len(item)) >> MOVE_BITS))
        return item in holder
    if isinstance(holder, str):
        raise wrong_kind("in", "text within text", item, "convert it: `| string`")
    raise wrong_kind("in", "a list, an object or text", holder)


COMPARE: Final[dict[str, Compare]] = {
    "==": equal,
    "!=": lambda ev, a, b: not equal(ev, a, b),
    "<": less,
    "<=": lambda ev, a, b: not less(ev, b, a),
    ">": lambda ev, a, b: less(ev, b, a),
    ">=": lambda ev, a, b: not less(ev, a, b),
    "in": contains,
    "not in": lambda ev, a, b: not contains(ev, a, b),
}


def _is_kind(*kinds: str) -> Check:
    return lambda _ev, value: kind_of(value) in kinds


def _is_type(*types: type) -> Check:
    # The very types: a boolean is no integer.
    return lambda _ev, value: type(value) in types


def _is(wanted: V) -> Check:
    return lambda _ev, value: value is wanted


def _rest(who: str, value: V, divisor: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_kind(who, "whole numbers", value, "use `| int`")
    return value % divisor


def _divisible(_ev: Evaluation, value: V, num: V) -> bool:
    divisor = int_given("divisibleby", "num", num)
    if divisor == 0:
        raise ExprError("division_by_zero", "`divisibleby` divides by zero")
    return _rest("divisibleby", value, divisor) == 0


def _even(_ev: Evaluation, value: V) -> bool:
    return _rest("even", value, 2) == 0


def _odd(_ev: Evaluation, value: V) -> bool:
    return _rest("odd", value, 2) == 1


def _lower(ev: Evaluation, value: V) -> bool:
    return text_given(ev, "lower", value).islower()


def _upper(ev: Evaluation, value: V) -> bool:
    return text_given(ev, "upper", value).isupper()


def _matching(ev: Evaluation, value: V, pattern: V, ignorecase: V = False) -> bool:  # noqa: FBT002
    return found_in(ev, "matching", value, pattern, ignorecase) is not None


# What each test does; names and parameters are in `table.py`.
WORK: Final[dict[str, Callable[..., bool]]] = {
    "boolean": _is_type(bool),
    "decimal": _is_type(Decimal),
    "divisibleby": _divisible,
    "even": _even,
    "odd": _odd,
    "false": _is(False),
    "true": _is(True),
    "float": _is_type(float),
    "integer": _is_type(int),
    "number": _is_type(int, float, Decimal),
    "string": _is_kind("text"),
    "mapping": _is_kind("an object"),
    "iterable": _is_kind("text", "a list", "an object"),
    "sequence": _is_kind("text", "a list", "an object"),
    "none": _is(None),
    "lower": _lower,
    "upper": _upper,
    "matching": _matching,
    "eq": COMPARE["=="],
    "ne": COMPARE["!="],
    "lt": COMPARE["<"],
    "le": COMPARE["<="],
    "gt": COMPARE[">"],
    "ge": COMPARE[">="],
    "in": contains,
}
