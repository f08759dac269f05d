"""What filters, tests and functions are given, checked: each asks for the kind that it works on and names itself in the error."""

from typing import cast

from treadle.core.expr.access import step_into
from treadle.core.expr.evaluation import MISSING, Evaluation, ExprError, V
from treadle.core.expr.look import MOVE_BITS, kind_of, opened, shown, text_of_scalar, wrong_kind
from treadle.core.values import BlobRef, Chunks, Holed, SecretRef


def text_given(ev: Evaluation, who: str, value: V) -> str:
    """Pass text; a number or boolean is taken as it is written. Charges for reading it."""
    value = opened(ev, value) if isinstance(value, BlobRef | Chunks | Holed | SecretRef) else value
    if isinstance(value, str):
        ev.charge(1 + (len(value) >> MOVE_BITS))
        return value
    if value is None or isinstance(value, list | dict):
        hint = "use `default` for what may be null" if value is None else "use `| tojson`, or go through it: `| map(…)`"
        raise wrong_kind(who, "text", value, hint)
    return text_of_scalar(cast(int, value))


def int_given(who: str, name: str, value: V, low: int = -(2**63), high: int = 2**63 - 1) -> int:
    """Pass a whole number within bounds."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise ExprError("types", f"`{name}` of `{who}` is a whole number, not {kind_of(value)} ({shown(value)})", suggestion="use `| int`")
    if not low <= value <= high:
        wanted = f"at least {low}" if value < low else f"at most {high}"
        raise ExprError("types", f"`{name}` of `{who}` is {wanted}, not {value}")
    return value


def list_given(ev: Evaluation, who: str, value: V) -> list[V]:
    """Pass a list."""
    value = opened(ev, value)
    if not isinstance(value, list):
        raise wrong_kind(who, "a list", value)
    ev.charge(len(value))
    return value


def object_given(ev: Evaluation, who: str, value: V) -> dict[str, V]:
    """Pass an object."""
    value = opened(ev, value)
    if not isinstance(value, dict):
        raise wrong_kind(who, "an object", value)
    ev.charge(len(value))
    return value


def word_given(ev: Evaluation, who: str, name: str, value: V, allowed: tuple[str, ...]) -> str:
    """Pass one of a few words."""
    word = opened(ev, value)
    if not isinstance(word, str) or word not in allowed:
        raise ExprError("types", f"`{name}` of `{who}` is one of {', '.join(allowed)}; not {shown(word)}")
    return word


def keys_given(who: str, attribute: V) -> tuple[str | int, ...]:
    """Read an attribute as `a.b` or `a.0.b`; a number is an index."""
    if type(attribute) is int:
        return (attribute,)
    if not isinstance(attribute, str):
        raise ExprError("types", f"`attribute` of `{who}` is text, not {kind_of(attribute)}")
    return tuple(int(part) if part.isascii() and part.isdigit() and len(part) < 10 else part for part in attribute.split("."))


def value_at(ev: Evaluation, who: str, item: V, keys: tuple[str | int, ...], default: V = None, *, has_default: bool = False) -> V:
    """Follow an attribute into one item. Raises ExprError `undefined` where it leads nowhere and there is no default."""
    ev.charge(len(keys))
    for key in keys:
        found = step_into(ev, item, key)
        if found is MISSING:
            if has_default:
                return default
            dotted = ".".join(map(str, keys))
            have = f"; it has {', '.join(f'`{name[:60]}`' for name in list(item)[:20])}" if isinstance(item, dict) else ""
            raise ExprError(
                "undefined",
                f"`{who}` meets {kind_of(item)} without `{dotted}`{have}",
                suggestion="choose first: `selectattr('…', 'defined')`",
            )
        item = cast(V, found)
    return item
