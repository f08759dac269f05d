"""Arithmetic on JSON numbers and on decimals.

A result that JSON cannot hold is an error where it arises: integers stay within 64 bits, floats finite. Decimals compute in a context of
their own (50 digits, exponents to 100): sums and products are exact or an error, quotients are rounded to 50 digits.
"""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal, DecimalException, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Final

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
    if (
        isinstance(a, int | float | Decimal)
        and isinstance(b, int | float | Decimal)
        and not isinstance(a, bool)
        and not isinstance(b, bool)
    ):
        if (isinstance(a, float) and isinstance(b, Decimal)) or (isinstance(a, Decimal) and isinstance(b, float)):
            raise ExprError("types", f"`{op}` cannot mix a decimal with a float", suggestion="make both decimals: `x | decimal`")
        return a, b
    raise _wrong(op, a, b)


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


def _decimal(op: str, compute: Callable[[Decimal, Decimal], Decimal], a: Number, b: Number) -> Decimal:
    try:
        return compute(Decimal(a), Decimal(b))
    except Inexact:
        message = f"`{op}` needs more than {DIGITS_MAX} digits to be exact"
        raise ExprError("number_range", message, suggestion="round the operands first") from None
    except DivisionByZero:
        raise _by_zero(op) from None
    except (InvalidOperation, Overflow):
        if op in {"/", "//", "%"} and b == 0:
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
        size = len(a) + len(b)
        ev.charge(size >> MOVE_BITS)
        ev.check_size(size)
        return a + b
    if isinstance(a, list) and isinstance(b, list):
        ev.charge(len(a) + len(b))
        return a + b
    x, y = _numbers("+", a, b)
    if isinstance(x, Decimal) or isinstance(y, Decimal):
        return _decimal("+", EXACT.add, x, y)
    return checked(x + y)


def subtract(_ev: Evaluation, a: V, b: V) -> V:
    """Subtract numbers."""
    x, y = _numbers("-", a, b)
    if isinstance(x, Decimal) or isinstance(y, Decimal):
        return _decimal("-", EXACT.subtract, x, y)
    return checked(x - y)


def multiply(ev: Evaluation, a: V, b: V) -> V:
    """Multiply numbers; repeat a text or a list."""
    a, b = _opened(ev, a), _opened(ev, b)
    if isinstance(b, str | list):
        a, b = b, a
    if isinstance(a, str | list) and type(b) is int:
        count = max(b, 0)
        size = len(a) * count
        ev.charge((size >> MOVE_BITS) if isinstance(a, str) else size)
        ev.check_size(size)
        return a * count
    x, y = _numbers("*", a, b)
    if isinstance(x, Decimal) or isinstance(y, Decimal):
        return _decimal("*", EXACT.multiply, x, y)
    return checked(x * y)


def divide(_ev: Evaluation, a: V, b: V) -> V:
    """Divide; two integers give a float."""
    x, y = _numbers("/", a, b)
    if isinstance(x, Decimal) or isinstance(y, Decimal):
        return _decimal("/", ROUNDED.divide, x, y)
    if y == 0:
        raise _by_zero("/")
    try:
        return checked(x / y)
    except OverflowError:
        return checked(float("inf"))


def floor_divide(_ev: Evaluation, a: V, b: V) -> V:
    """Divide and round down; on decimals, towards zero."""
    x, y = _numbers("//", a, b)
    if isinstance(x, Decimal) or isinstance(y, Decimal):
        return _decimal("//", ROUNDED.divide_int, x, y)
    if y == 0:
        raise _by_zero("//")
    return checked(x // y)


def remainder(_ev: Evaluation, a: V, b: V) -> V:
    """Give what `//` leaves over."""
    x, y = _numbers("%", a, b)
    if isinstance(x, Decimal) or isinstance(y, Decimal):
        return _decimal("%", ROUNDED.remainder, x, y)
    if y == 0:
        raise _by_zero("%")
    return checked(x % y)


def power(_ev: Evaluation, a: V, b: V) -> V:
    """Raise to a power."""
    x, y = _numbers("**", a, b)
    if isinstance(x, Decimal) or isinstance(y, Decimal):
        return _decimal("**", ROUNDED.power, x, y)
    if isinstance(x, int) and isinstance(y, int) and y > 64 and abs(x) > 1:  # known to be too large: it is never computed
        return checked(INT_MAX + 1)
    try:
        result = x**y
    except OverflowError:
        return checked(float("inf"))
    except ZeroDivisionError:
        raise _by_zero("**") from None
    if not isinstance(result, int | float):
        raise ExprError("number_range", "a power of a negative number is no real number here")
    return checked(result)


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


OPERATORS: Final[dict[str, Operator]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "//": floor_divide,
    "%": remainder,
    "**": power,
}
