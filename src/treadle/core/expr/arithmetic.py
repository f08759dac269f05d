"""Arithmetic on JSON numbers and on decimals.

A result that JSON cannot hold is an error where it arises: integers stay within 64 bits, floats finite. Decimals compute in a context of
their own (50 digits, exponents to 100): sums and products are exact or an error, quotients are rounded to 50 digits.
"""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal, DecimalException, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Final, cast

from treadle.core.expr.evaluation import Evaluation, ExprError, V
from treadle.core.expr.look import MOVE_BITS, kind_of, opened, shown
from treadle.core.values import INT_MAX, INT_MIN, BlobRef, Chunks, Holed, SecretRef

DIGITS_MAX: Final = 50
_TRAPS: Final[list[type[DecimalException]]] = [InvalidOperation, DivisionByZero, Overflow]
EXACT: Final = Context(
    prec=DIGITS_MAX, rounding=ROUND_HALF_EVEN, Emin=-100, Emax=100, capitals=1, clamp=0, flags=[], traps=[*_TRAPS, Inexact]
)
ROUNDED: Final = Context(prec=DIGITS_MAX, rounding=ROUND_HALF_EVEN, Emin=-100, Emax=100, capitals=1, clamp=0, flags=[], traps=_TRAPS)
Number = int | float | Decimal
Operator = Callable[[Evaluation, V, V], V]


def checked(number: float) -> float:
    """Pass a number that JSON can hold. Raises ExprError `number_range`."""
    if type(number) is int:
        if not INT_MIN <= number <= INT_MAX:
            message = "the result lies beyond 64-bit integers"
            raise ExprError("number_range", message, suggestion="compute with decimals: `x | decimal`")
    elif number - number != 0.0:
        raise ExprError("number_range", "the result is infinite or no number", suggestion="test the operands first")
    return number


def _numbers(op: str, a: V, b: V) -> tuple[Number, Number]:
    if not _is_number(a) or not _is_number(b):
        raise _wrong(op, a, b)
    if {type(a), type(b)} == {float, Decimal}:
        raise ExprError("types", f"`{op}` cannot mix a decimal with a float", suggestion="make both decimals: `x | decimal`")
    return cast(Number, a), cast(Number, b)


def _is_number(value: V) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _wrong(op: str, a: V, b: V) -> ExprError:
    hint = ""
    if op == "+" and (isinstance(a, str) or isinstance(b, str)):
        hint = "to join texts write `~`; to add, convert first: `| int`, `| float` or `| decimal`"
    elif op == "%" and isinstance(a, str):
        hint = "text is not formatted with `%`; join parts with `~`"
    elif isinstance(a, bool) or isinstance(b, bool):
        hint = "booleans are no numbers; write `1 if x else 0`"
    elif isinstance(a, str) or isinstance(b, str):
        hint = "convert first: `| int`, `| float` or `| decimal`"
    return ExprError("types", f"`{op}` cannot work on {kind_of(a)} ({shown(a)}) and {kind_of(b)} ({shown(b)})", suggestion=hint)


def _computed(op: str, a: V, b: V) -> V:
    x, y = _numbers(op, a, b)
    if isinstance(x, Decimal) or isinstance(y, Decimal):
        return _decimal(op, Decimal(x), Decimal(y))
    if op == "**" and isinstance(x, int) and isinstance(y, int) and y > 64 and abs(x) > 1:
        return checked(INT_MAX + 1)  # known to be too large: it is never computed
    try:
        result = _WORK[op](x, y)
    except OverflowError:
        result = float("inf")
    except ZeroDivisionError:
        raise _by_zero(op) from None
    if isinstance(result, complex):
        raise ExprError("number_range", "a power of a negative number is no real number here")
    return checked(result)


def _decimal(op: str, a: Decimal, b: Decimal) -> Decimal:
    try:
        return _DECIMAL_WORK[op](a, b)
    except Inexact:
        message = f"`{op}` needs more than {DIGITS_MAX} digits to be exact"
        raise ExprError("number_range", message, suggestion="round the operands first") from None
    except (DivisionByZero, InvalidOperation, Overflow) as error:
        if isinstance(error, DivisionByZero) or (op in {"/", "//", "%"} and b == 0):
            raise _by_zero(op) from None
        raise ExprError("number_range", f"`{op}` gives no decimal of {DIGITS_MAX} digits") from None


def _by_zero(op: str) -> ExprError:
    return ExprError("division_by_zero", f"`{op}` divides by zero", suggestion="test the divisor first: `a / b if b else 0`")


def add(ev: Evaluation, a: V, b: V) -> V:
    """Add numbers, join texts, join lists."""
    if type(a) is int and type(b) is int:
        return checked(a + b)
    a, b = _opened(ev, a), _opened(ev, b)
    if isinstance(a, str) and isinstance(b, str):
        _charge_size(ev, a, len(a) + len(b))
        return a + b
    if isinstance(a, list) and isinstance(b, list):
        ev.charge(len(a) + len(b))
        return a + b
    return _computed("+", a, b)


def multiply(ev: Evaluation, a: V, b: V) -> V:
    """Multiply numbers; repeat a text or a list."""
    a, b = _opened(ev, a), _opened(ev, b)
    if isinstance(b, str | list):
        a, b = b, a
    if isinstance(a, str | list) and type(b) is int:
        _charge_size(ev, a, len(a) * max(b, 0))
        return a * b
    return _computed("*", a, b)


def _charge_size(ev: Evaluation, made: str | list[V], size: int) -> None:
    ev.charge((size >> MOVE_BITS) if isinstance(made, str) else size)
    ev.check_size(size)


def _numeric(op: str) -> Operator:
    return lambda _ev, a, b: _computed(op, a, b)


def negate(_ev: Evaluation, a: V) -> V:
    """Change the sign."""
    x, _ = _numbers("-", a, 0)
    return x.copy_negate() if isinstance(x, Decimal) else checked(-x)


def plus(_ev: Evaluation, a: V) -> V:
    """Give a number as it is."""
    x, _ = _numbers("+", a, 0)
    return x


def _opened(ev: Evaluation, value: V) -> V:
    return opened(ev, value) if isinstance(value, BlobRef | Chunks | Holed | SecretRef) else value


_WORK: Final[dict[str, Callable[[float, float], float | complex]]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "//": lambda a, b: a // b, "%": lambda a, b: a % b, "**": lambda a, b: a**b,
}  # fmt: skip
# Sums and products are exact; `//` and `%` of decimals go towards zero.
_DECIMAL_WORK: Final[dict[str, Callable[[Decimal, Decimal], Decimal]]] = {
    "+": EXACT.add, "-": EXACT.subtract, "*": EXACT.multiply, "/": ROUNDED.divide, "//": ROUNDED.divide_int, "%": ROUNDED.remainder,
    "**": ROUNDED.power,
}  # fmt: skip
OPERATORS: Final[dict[str, Operator]] = {"+": add, "*": multiply, **{op: _numeric(op) for op in ("-", "/", "//", "%", "**")}}
