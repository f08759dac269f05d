"""The functions that the core itself asks for while it opens a step, beside those that a project registers.

Their names begin with `treadle.`, which no registered function's can. What they give is recorded with the event, so a run is recomputed without
asking again.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

from treadle.actions.held import PathRefusedError, digests
from treadle.actions.kept import KeptResults
from treadle.core.opening import CACHE_GET, FILES_DIGEST
from treadle.core.values import Value
from treadle.ports import FunctionFailedError, Functions

PREFIX: Final = "treadle."


class OwnFunctions:
    """Answers the core's own questions and hands every other call on; implements `ports.Functions`."""

    def __init__(self, registered: Functions, kept: KeptResults, root: Path) -> None:
        """Files are looked at below `root`."""
        self._registered, self._kept, self._root = registered, kept, root

    def call(self, name: str, version: str, args: Sequence[Value], kwargs: dict[str, Value]) -> Value:
        """Call it; see `ports.Functions.call`."""
        if not name.startswith(PREFIX):
            return self._registered.call(name, version, args, kwargs)
        if name == CACHE_GET:
            key, ttl_ms, commit = args
            return self._kept.get(str(key), int(cast(int, ttl_ms)), commit=commit is True)
        if name == FILES_DIGEST:
            return self._files_digest(cast(list[str], args[0]), Path(str(args[1])) if args[1:] else self._root)
        raise FunctionFailedError(f"this version of Treadle has no function {name!r}")

    def _files_digest(self, patterns: list[str], root: Path) -> Value:
        try:
            return {"root": str(root), "files": cast(Value, {pattern: digests(root, pattern) for pattern in patterns})}
        except PathRefusedError as error:
            raise FunctionFailedError(str(error)) from error
