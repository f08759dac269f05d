"""A bar for what takes longer than a second, on a terminal's error output; it is gone when that is done."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from treadle.cli import screen

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_S = 1.0


class Bar:
    """Shows how far something is that says so by `told`."""

    def __init__(self, *, quiet: bool = False) -> None:
        """A quiet one shows nothing."""
        self._quiet = quiet or not screen.errors().is_terminal
        self._began_s = time.monotonic()
        self._progress: Progress | None = None
        self._shown: dict[str, TaskID] = {}

    def told(self, what: str, done: int, total: int) -> None:
        """Say that so much of something is done."""
        if self._quiet or time.monotonic() - self._began_s < PATIENCE_S:
            return
        if self._progress is None:
            # Only whoever has to wait pays for it.
            from rich.progress import Progress

            self._progress = Progress(console=screen.errors(), transient=True)
            self._progress.start()
        if what not in self._shown:
            self._shown[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._shown[what], completed=done, total=total)

    def __enter__(self) -> Self:
        """Begin to count the time."""
        self._began_s = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
