"""Worktrees: a git worktree of its own for a step, an item of a foreach, or a branch of a parallel (`isolation: worktree`, ruling 29).

Whatever is isolated asks for its worktree before it begins: an action of its own, `PATH.worktree`, is performed, and the node keeps what it gave.
When it is done, `PATH.worktree.commit` keeps what was changed under a ref; `merge` reads that from the step's record. Both may be done again
without harm. What failed or was stopped is kept by whoever clears up after the run. What stands below a node works in the nearest worktree above.
"""

from collections.abc import Mapping
from typing import Final

from treadle.core.commands import Perform
from treadle.core.draft import Draft
from treadle.core.state import ActionState, Node
from treadle.core.values import Value

WORKTREE: Final = ".worktree"
COMMIT: Final = ".worktree.commit"
KINDS: Final = frozenset({"worktree", "worktree_commit"})


def around(draft: Draft, node: Node | None) -> Mapping[str, Value] | None:
    """Give the worktree that a node works in: its own, or the nearest above it; None where it works in the checkout."""
    while node is not None and node.tree is None:
        node = draft.parent_of(node)
    return node.tree if node is not None else None


def directory(draft: Draft, node: Node) -> str:
    """Give the directory of that worktree; empty for the checkout."""
    return str((around(draft, node) or {}).get("path") or "")


def has_uncommitted(node: Node) -> bool:
    """Tell whether a node has a worktree whose changes are not kept yet."""
    return node.tree is not None and "commit" not in node.tree


def ask(draft: Draft, node: Node, at: str) -> None:
    """Have a worktree made for a node, which waits in the phase `worktree`; for one that has it, what was changed kept. `at` is whose isolation it is."""
    kind, suffix = ("worktree", WORKTREE) if node.tree is None else ("worktree_commit", COMMIT)
    action = ActionState(
        id=node.path + suffix, at=at, kind=kind, performer="server", channel="", effect="none", repeatable=True,
        params={"scope": node.path, **(node.tree or {})}, opened_at_ms=draft.now_ms, working_dir=directory(draft, node),
    )  # fmt: skip
    draft.put_action(action)
    draft.note("action_opened", action.id, action_kind=kind, performer="server", effect="none")
    if draft.parked is None:  # else it is handed out when the run is resumed
        draft.commands.append(Perform(action=action.id, attempt=1, claim=False))
