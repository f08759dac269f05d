"""Text being written: counted as it is written, with a hole where a reference to a blob, or a secret, stands (ruling 11)."""

from typing import cast

from treadle.core.expr.evaluation import Evaluation, V
from treadle.core.expr.look import MOVE_BITS, text_of
from treadle.core.values import BlobRef, Holed, SecretRef


class Out:
    """Text being written."""

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.parts: list[str | BlobRef | SecretRef] = []
        self.size = 0

    def text(self, ev: Evaluation, text: str) -> None:
        """Write a piece of text."""
        self.size += len(text)
        ev.charge(1 + (len(text) >> MOVE_BITS))
        ev.check_size(self.size)
        self.parts.append(text)

    def value(self, ev: Evaluation, value: V) -> None:
        """Write a value as in text; a reference leaves a hole."""
        if isinstance(value, BlobRef | SecretRef):
            ev.charge(1)
            self.parts.append(value)
        elif isinstance(value, Holed):
            for part in value.parts:
                self.value(ev, part)
        else:
            self.text(ev, text_of(ev, value))

    def result(self) -> V:
        """Give what was written: text, or text with holes."""
        if all(isinstance(part, str) for part in self.parts):
            return "".join(cast("list[str]", self.parts))
        merged: list[str | BlobRef | SecretRef] = []
        for part in self.parts:
            if isinstance(part, str) and merged and isinstance(merged[-1], str):
                merged[-1] += part
            elif part != "":
                merged.append(part)
        return Holed(parts=tuple(merged))
