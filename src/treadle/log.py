"""Logging: standard `logging` everywhere, one handler on stderr, its lines dressed by structlog when the first one is written.

stdout belongs to protocols and to results. The core logs nothing; it gives notes. structlog takes 100 ms to import, so a process that has
nothing to say does not pay for it. What a record carries in `extra` (`run_id`, `action_id`, `attempt`) becomes keys of the line.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from structlog.stdlib import ProcessorFormatter

_OURS: Final = "treadle"


class _Dressed(logging.Formatter):
    """Makes structlog's formatter when it is first needed."""

    def __init__(self, form: Literal["json", "text"]) -> None:
        super().__init__()
        self._form = form
        self._formatter: ProcessorFormatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Give a record as a line."""
        if self._formatter is None:
            self._formatter = self._make()
        return self._formatter.format(record)

    def _make(self) -> "ProcessorFormatter":
        # See the head of this file.
        import structlog

        shared: list[structlog.typing.Processor] = [
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ]
        last: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
        if self._form == "text":
            last = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        else:
            shared.append(structlog.processors.format_exc_info)
        return structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last], foreign_pre_chain=shared
        )


class _Scrubbed(logging.Formatter):
    """Writes what another formatter writes, without what `redact` takes out."""

    def __init__(self, inner: logging.Formatter, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._inner, self._redact = inner, redact

    def format(self, record: logging.LogRecord) -> str:
        """Give a record as a line."""
        return self._redact(self._inner.format(record))


@contextlib.contextmanager
def scrubbed(redact: Callable[[str], str]) -> Iterator[None]:
    """Have every line of this process's log go through `redact` while the block runs: libraries log what they were sent."""
    # Without a handler of ours Python's own last one writes.
    last = [logging.lastResort] if logging.lastResort is not None else []
    dressed = [(handler, handler.formatter) for handler in (*logging.getLogger().handlers, *last)]
    for handler, formatter in dressed:
        handler.setFormatter(_Scrubbed(formatter or logging.Formatter(), redact))
    try:
        yield
    finally:
        for handler, formatter in dressed:
            handler.setFormatter(formatter)


def configure(level: str, form: Literal["json", "text"]) -> None:
    """Log to stderr from `level` on; of libraries only what is a warning or worse. Called once per process, and safe to repeat."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Dressed(form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(level.upper())
