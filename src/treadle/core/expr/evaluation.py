"""What one evaluation is given, and what it may end in.

Everything an expression can see comes in through `Env`; there is no clock, no chance and no environment behind it. `Evaluation` is the one
mutable object: it holds the slots of local names and counts moves down. A move is an element, a node or 64 bytes touched (language.md §7);
whoever touches data charges before touching.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, TypeAlias

from treadle.core.regex.matching import Regex
from treadle.core.values import BlobRef, Chunks, Holed, SecretRef, Value

MOVES_DEFAULT: Final = 200_000
OUTPUT_BYTES_DEFAULT: Final = 1 << 20

# A value while it is worked on. A decimal leaves the evaluator as text.
V: TypeAlias = bool | int | float | str | Decimal | list["V"] | dict[str, "V"] | BlobRef | Chunks | Holed | SecretRef | None


class ExprError(Exception):
    """An expression could not be evaluated. `column` counts characters of its source from 1; None where the source is not at hand."""

    def __init__(self, code: str, message: str, *, column: int | None = None, suggestion: str = "") -> None:
        """Keep a stable code, what happened, where, and what to do next."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.column = column
        self.suggestion = suggestion


class NeedBlobs(Exception):  # noqa: N818 - a question, not an error (ruling 11)
    """The evaluation must look inside values that were set aside: supply them in `Env.blobs` and evaluate again."""

    def __init__(self, digests: tuple[str, ...]) -> None:
        """Name the blobs, in the order in which they are needed."""
        super().__init__(f"needs {len(digests)} blob(s)")
        self.digests = digests


def no_draw(_ordinal: int) -> int:
    """Stand for chance where there is none: reading it is an error."""
    raise ExprError("no_random", "`random` and `uuid` have no source here", suggestion="use them in a step of a run") from None


def draw_bits(seed: str, path: str, name: str, ordinal: int) -> int:
    """Derive 64 random bits from (seed of the run, action path, name of the field, ordinal): ruling 5."""
    return int.from_bytes(hashlib.sha256(f"{seed}|{path}|{name}|{ordinal}".encode()).digest()[:8], "big")


def drawing(seed: str, path: str, name: str) -> Callable[[int], int]:
    """Give the source of chance of one field of one action, for `Env.draw`."""
    return lambda ordinal: draw_bits(seed, path, name, ordinal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Env:
    """All that an expression may see. `results` are of the expression's calls, in order; `env_vars` is the allow-listed environment.

    `names["steps"]` is keyed by step id with `-` written `_` (ruling 9). `blobs` maps digests to values that were asked for.
    """

    names: Mapping[str, Value] = field(default_factory=dict[str, Value])
    results: Sequence[Value] = ()
    now_ms: int = 0
    draw: Callable[[int], int] = no_draw
    env_vars: Mapping[str, str] = field(default_factory=dict[str, str])
    blobs: Mapping[str, Value] = field(default_factory=dict[str, Value])
    moves_max: int = MOVES_DEFAULT
    output_bytes_max: int = OUTPUT_BYTES_DEFAULT


class Missing:
    """Stands for a value that is not there, where `default` or `is defined` asks; never seen elsewhere."""

    __slots__ = ()


MISSING: Final = Missing()


class Evaluation:
    """One evaluation in progress."""

    __slots__ = ("at", "env", "left", "locals", "names", "ordinal", "patterns")

    def __init__(self, env: Env, slots: int, first_ordinal: int = 0) -> None:
        """Begin with empty slots and a full budget; draws are numbered from `first_ordinal`."""
        self.env = env
        self.names = env.names
        self.left = env.moves_max
        # Where the node that works now stands; an error without a place gets this one.
        self.at: int | None = None
        self.locals: list[V | Missing] = [MISSING] * slots
        self.ordinal = first_ordinal
        self.patterns: dict[tuple[str, bool], Regex] = {}

    def charge(self, moves: int) -> None:
        """Count moves down. Raises ExprError `budget` when they are used up."""
        self.left -= moves
        if self.left < 0:
            raise ExprError(
                "budget",
                f"the expression takes more than {self.env.moves_max:,} moves (an element or 64 bytes touched is a move)",
                suggestion="work on less data at once, or use a function; `limits.expression_moves` raises this to 1,000,000 at most",
            )

    def check_size(self, size: int) -> None:
        """Refuse text or data larger than an expression may give."""
        if size > self.env.output_bytes_max:
            raise ExprError(
                "budget",
                f"the expression gives more than {self.env.output_bytes_max:,} bytes",
                suggestion="pass on the parts that are needed, or use a function",
            )

    def draw(self) -> int:
        """Give the next 64 random bits of this evaluation."""
        bits = self.env.draw(self.ordinal)
        self.ordinal += 1
        return bits
