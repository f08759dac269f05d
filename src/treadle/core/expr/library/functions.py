"""The built-in functions. Time and chance come from `Env` alone, so a replay gives the same (ruling 5)."""

from typing import Final, cast
from uuid import UUID

from treadle.core.expr.evaluation import MISSING, Evaluation, ExprError, Missing, V
from treadle.core.expr.given import int_given, text_given
from treadle.core.expr.library.dates import instant_of_ms
from treadle.core.expr.look import kind_of, opened
from treadle.core.nearest import nearest

_UNIT: Final = 2.0**-53


def now(ev: Evaluation) -> V:
    """Give the instant of the event that is being absorbed."""
    return instant_of_ms(ev.env.now_ms)


def uuid(ev: Evaluation) -> V:
    """Draw a UUID of version 4."""
    return str(UUID(int=(ev.draw() << 64) | ev.draw(), version=4))


def random(ev: Evaluation, low: "V | Missing" = MISSING, high: "V | Missing" = MISSING) -> V:
    """Draw a number from 0 up to 1; between two bounds, a whole one if both are (bounds included)."""
    if low is MISSING and high is MISSING:
        return (ev.draw() >> 11) * _UNIT
    if high is MISSING:
        low, high = 0, low
    bounds = (low, high)
    for bound in bounds:
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise ExprError("types", f"`random` wants numbers as bounds, not {kind_of(bound)}")
    first, last = cast(tuple[float, float], bounds)
    if first > last:
        raise ExprError("types", f"`random` wants the lower bound first, not {first} and {last}")
    if isinstance(first, int) and isinstance(last, int):
        return first + ev.draw() % (last - first + 1)
    return first + (ev.draw() >> 11) * _UNIT * (last - first)


def counted(ev: Evaluation, start: V, stop: "V | Missing" = MISSING, step: V = 1) -> V:
    """Give whole numbers from `start` (0 by default) up to but not including `stop`."""
    if stop is MISSING:
        start, stop = 0, start
    first, last = int_given("range", "start", start), int_given("range", "stop", cast(V, stop))
    stride = int_given("range", "step", step)
    if stride == 0:
        raise ExprError("types", "the step of a range cannot be 0")
    # The length is worked out before anything is counted.
    ev.charge(max(0, (last - first + stride - (1 if stride > 0 else -1)) // stride))
    return list[V](range(first, last, stride))


def env(ev: Evaluation, name: V, default: "V | Missing" = MISSING) -> V:
    """Give a variable of the environment, if the configuration allows it to be read."""
    wanted = text_given(ev, "env", name)
    found = ev.env.env_vars.get(wanted)
    if found is not None:
        return found
    if default is not MISSING:
        return cast(V, default)
    meant = nearest(wanted, ev.env.env_vars)
    hint = f"did you mean `{meant}`?" if meant else "allow it in the configuration, or give a default: `env('NAME', '')`"
    raise ExprError("undefined", f"the environment variable {wanted[:60]!r} is not set or not allowed", suggestion=hint)


def to_dict(ev: Evaluation, pairs: "V | Missing" = MISSING) -> V:
    """Make an object of `[key, value]` pairs, or copy one."""
    if pairs is MISSING:
        return {}
    value = opened(ev, cast(V, pairs))
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        raise ExprError("types", f"`dict` wants pairs, not {kind_of(value)}")
    ev.charge(len(value))
    out: dict[str, V] = {}
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ExprError("types", "`dict` wants pairs of a text and a value")
        out[pair[0]] = pair[1]
    return out
