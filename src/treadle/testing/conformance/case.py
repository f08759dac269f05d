"""What a case is: a named coroutine over a world, and the words for what it needs of an engine beyond the bare minimum."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from treadle.core.values import Value
from treadle.testing.world import Harness, World, opened

Need = Literal["blobs", "changes", "children", "forks", "listing", "moving", "undo", "worktrees", "yielding"]
NEEDS: Final[dict[Need, str]] = {
    "blobs": "values above 64 KiB",
    "changes": "a feed of what is stored",
    "children": "child runs",
    "forks": "runs made of the history of others",
    "listing": "runs that can be listed and found",
    "moving": "changed definitions of running runs",
    "undo": "taking back, when asked, what an ended run has kept for that",
    "worktrees": "git worktrees of steps, items and branches",
    "yielding": "transitions of more than 2,000 moves",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One behaviour that every engine shows. `functions` are registered for it; `needs` is what an engine may refuse as `not_yet`."""

    name: str
    play: Callable[[World], Awaitable[None]]
    needs: frozenset[Need] = frozenset()
    functions: Mapping[str, Callable[..., Value]] = field(default_factory=dict[str, Callable[..., Value]])

    async def run(self, harness: Harness) -> None:
        """Play it on an engine of its own. Raises AssertionError, or RequestError `not_yet` from an engine that lacks what it needs."""
        async with opened(harness, self.functions) as world:
            await self.play(world)


def case(*needs: Need, functions: Mapping[str, Callable[..., Value]] | None = None) -> Callable[[Callable[[World], Awaitable[None]]], Case]:
    """Make a case of a coroutine; its name says the behaviour."""

    def made(play: Callable[[World], Awaitable[None]]) -> Case:
        name = getattr(play, "__name__", "case").replace("_", " ")
        return Case(name=name, play=play, needs=frozenset(needs), functions=functions or {})

    return made
