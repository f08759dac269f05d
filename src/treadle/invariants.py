"""What holds of every state of a run: looked at from outside before a state is stored, and after each step of a simulation.

`advance` never asks this. A state that fails is a bug of ours: it is not stored, and the run is set aside.
"""

from treadle.core.errors import InvariantViolationError
from treadle.core.gates import step_path
from treadle.core.state import ListNode, RunState


def check_invariants(state: RunState) -> None:
    """Raise InvariantViolationError for a state that must not exist. Cheap enough for every commit."""
    if state.ended:
        if state.actions or state.nodes or state.timers:
            raise InvariantViolationError("an ended run has something open")
        return
    if "" not in state.nodes or "" not in state.frames:
        raise InvariantViolationError("a running run has no root")
    for path, node in state.nodes.items():
        parent = node.owner if isinstance(node, ListNode) else node.list_path
        if parent is not None and parent not in state.nodes:
            raise InvariantViolationError(f"{path!r} is open under {parent!r}, which is not")
        if node.frame not in state.frames:
            raise InvariantViolationError(f"{path!r} has no frame")
    for action in state.actions.values():
        if action.status != "stopping" and step_path(action.id) not in state.nodes:
            raise InvariantViolationError(f"the action {action.id!r} has no step")
        if (action.status == "claimed") != (action.holder is not None) and action.status in {"open", "claimed"}:
            raise InvariantViolationError(f"{action.id!r} is {action.status} with the holder {action.holder!r}")
    for name in state.timers:
        path = name.split(":", 1)[1]
        if path not in state.nodes and path not in state.actions:
            raise InvariantViolationError(f"the timer {name!r} belongs to nothing")
