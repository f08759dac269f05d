"""A draft: one state on its way to the next, inside one transition.

The maps are copied when the draft is made and written through methods, so that the old state stays whole whatever happens and `changed`
tells whether there is anything to store. Nothing here decides: policy is in the modules that call it.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from treadle.core import limits
from treadle.core.aside import fill, make_room, size_of
from treadle.core.commands import Blob, Command, Decision, Note, Perform
from treadle.core.definition import Definition, Step, Task
from treadle.core.errors import HistoryMismatchError, InvariantViolationError, Refusal
from treadle.core.expr import NeedBlobs as NeedBlobsError
from treadle.core.ids import is_under
from treadle.core.records import names_of, replace
from treadle.core.state import ENDED, ActionState, Frame, ListNode, Node, Parked, RunState, RunStatus, StepNode, frames_from
from treadle.core.values import BlobRef, Value, spill

AnyNode = TypeVar("AnyNode", bound=ListNode | StepNode)
NODE_TIMERS: Final = ("within", "wait", "wall", "shield")
ATTEMPT_TIMERS: Final = ("timeout", "backoff", "grace")
_FIXED: Final = {"run_id", "seed", "semantics", "started_at_ms", "started_by", "parent", "depth", "forked_from", "env", "revision"}
_MAY_CHANGE: Final = tuple(name for name in names_of(RunState) if name not in _FIXED)


class Draft:
    """The working copy of one transition."""

    def __init__(self, definition: Definition, state: RunState, at_ms: int, blobs: Mapping[str, Value]) -> None:
        """Copy what may change; the run's clock never goes back (ruling 7)."""
        self.definition, self.index, self.base = definition, definition.index, state
        self.blobs = dict(blobs)  # and what this transition sets aside itself: nobody else has it yet
        self.now_ms = max(state.now_ms, at_ms)
        self.nodes, self.frames = dict(state.nodes), dict(state.frames)
        self.actions, self.timers = dict(state.actions), dict(state.timers)
        self.agenda, self.closings, self.mailbox = deque(state.agenda), list(state.closings), list(state.mailbox)
        self.spent, self.used, self.undo = dict(state.spent), state.used, dict(state.undo)
        self.status: RunStatus = state.status
        self.parked, self.degraded, self.goal_missed = state.parked, state.degraded, state.goal_missed
        self.undo_status, self.ending = state.undo_status, state.ending
        self.result, self.failure = state.result, state.failure
        self.moves, self.moves_left, self.size_bytes = state.moves, limits.SETTLE_MOVES_MAX, state.size_bytes
        self.reached = state.reached
        self.commands: list[Command] = []
        self.notes: list[Note] = []
        self.set_aside: dict[str, bytes] = {}
        self.refusal: Refusal | None = None
        self.claimed: str | None = None
        self.holds: list[str] = []  # visits that are not opened yet: where a fork begins
        self.changed, self.absorbed = False, False

    def decision(self) -> Decision:
        """Freeze the draft."""
        if not self.changed:
            return Decision(state=self.base, changed=False, notes=tuple(self.notes), refusal=self.refusal, claimed=self.claimed)
        state = self._state()
        if state.size_bytes > limits.STATE_BYTES_MAX and not state.ended:
            state = make_room(state, self.set_aside)
            if state.size_bytes > limits.STATE_BYTES_MAX and state.parked is None:
                reason = f"the state is above {limits.STATE_BYTES_MAX} bytes, and nothing in it can be set aside"
                self.park(reason, "treadle")
                state = replace(state, parked=self.parked, size_bytes=state.size_bytes + limits.ENTRY_BYTES)
        return Decision(
            state=state, changed=True, absorbed=self.absorbed, commands=tuple(self.commands), notes=tuple(self.notes),
            blobs=tuple(Blob(digest=d, body=b) for d, b in self.set_aside.items()), refusal=self.refusal,
            claimed=self.claimed, more=bool(state.agenda) and state.parked is None,
        )  # fmt: skip

    def _state(self) -> RunState:
        mine = vars(self)
        changed = {name: mine[name] for name in _MAY_CHANGE}
        changed |= {"agenda": tuple(self.agenda), "closings": tuple(self.closings), "mailbox": tuple(self.mailbox)}
        return replace(self.base, **changed, revision=self.base.revision + 1)

    # What is there

    @property
    def ended(self) -> bool:
        """Tell whether the run is over."""
        return self.status in ENDED

    def step_at(self, at: str) -> Step:
        """Give the definition's step at an address. Raises HistoryMismatchError where the definition has none."""
        step = self.index.steps.get(at)
        if step is None:
            raise HistoryMismatchError(f"the run is at {at!r}; `{self.definition.name}` has no such step")
        return step

    def step(self, node: StepNode) -> Step:
        """Give the definition's step of a node."""
        return self.step_at(node.at)

    def list_node(self, path: str) -> ListNode:
        """Give an open list; its absence is a bug."""
        node = self.nodes.get(path)
        if not isinstance(node, ListNode):
            raise InvariantViolationError(f"there is no open list {path!r}")
        return node

    def step_node(self, path: str) -> StepNode:
        """Give an open step; its absence is a bug."""
        node = self.nodes.get(path)
        if not isinstance(node, StepNode):
            raise InvariantViolationError(f"there is no open step {path!r}")
        return node

    def scope_of(self, frame_path: str) -> Frame:
        """Give the frame that owns the state seen from a frame."""
        *_, scope = frames_from(self.frames, self.frames[frame_path])
        return scope

    def task_of(self, scope: Frame) -> Task:
        """Give the task whose steps run in a scope; an undo in it has outlived the list that opened it."""
        at, scopes = self.list_node(scope.path).at, self.index.scopes
        return scopes[at] if at in scopes else scopes[max((known for known in scopes if is_under(at, known)), key=len)]

    def actions_under(self, path: str) -> Iterator[ActionState]:
        """Give open actions at or below a path, in the order in which they were opened."""
        return (a for a in self.actions.values() if is_under(a.id, path))

    def read_blob(self, digest: str) -> Value:
        """Give a value that was set aside; raises NeedBlobs where the shell has not supplied it."""
        if digest not in self.blobs:
            raise NeedBlobsError((digest,))
        return self.blobs[digest]

    def whole(self, value: Value) -> Value:
        """Give a value with what was set aside in it, for checks against a schema."""
        return fill(value, self.read_blob)

    # Changes

    def note(self, kind: str, path: str, **data: Value) -> None:
        """Say what was derived."""
        self.notes.append(Note(kind=kind, path=path, data=data))

    def refuse(self, code: str, message: str, hint: str = "", **details: Value) -> None:
        """Give the caller a refusal; what was changed before stays."""
        self.refusal = Refusal(code=code, message=message, hint=hint, details=details or None)  # type: ignore[arg-type]

    def look_at(self, path: str) -> None:
        """Put a node on the agenda."""
        self.agenda.append(path)
        self.changed = True

    def put(self, node: AnyNode) -> AnyNode:
        """Add or replace a node, and give it back."""
        self._grow(node.path, self.nodes)
        self.nodes[node.path] = node
        if node.closing is not None and node.path not in self.closings:
            self.closings.append(node.path)
        elif node.closing is None and self.closings and node.path in self.closings:
            self.closings.remove(node.path)
        return node

    def put_frame(self, frame: Frame) -> None:
        """Add or replace a frame."""
        self._grow(frame.path, self.frames)
        self.frames[frame.path] = frame

    def put_action(self, action: ActionState) -> None:
        """Add or replace an action."""
        self._grow(action.id, self.actions)
        self.actions[action.id] = action

    def _grow(self, path: str, where: Mapping[str, object]) -> None:
        self.changed = True
        if path not in where:
            self.size_bytes += limits.ENTRY_BYTES + 6 * len(path)

    def drop_action(self, action_id: str) -> None:
        """Take an action and its timers away."""
        if self.actions.pop(action_id, None) is not None:
            self.changed = True
        self.disarm(action_id, *ATTEMPT_TIMERS)

    def drop(self, path: str) -> None:
        """Take one node away, with its timers and what it may spend."""
        self.nodes.pop(path, None)
        self.spent.pop(path, None)
        self.disarm(path, *NODE_TIMERS)
        if self.closings and path in self.closings:
            self.closings.remove(path)
        self.changed = True

    def drop_below(self, path: str, *, keep: frozenset[str] = frozenset()) -> None:
        """Take everything strictly below a path away, actions and what is in `keep` excepted."""
        for where, drop in ((self.nodes, self.drop), (self.frames, self.frames.pop)):
            for other in [p for p in where if p.startswith(path) and p != path and is_under(p, path) and p not in keep]:
                drop(other)

    def drop_list(self, node: ListNode) -> None:
        """Take a list away with all below it, and the frame it has of its own."""
        self.drop_below(node.path)
        self.drop(node.path)
        if node.frame == node.path:
            self.frames.pop(node.path, None)

    def parent_of(self, node: Node) -> Node | None:
        """Give the node that a node stands in, None for the root and for lists of the run's end."""
        path = node.owner if isinstance(node, ListNode) else node.list_path
        return self.nodes.get(path) if path is not None else None

    def closing_above(self, node: Node) -> Node | None:
        """Give the nearest closing node around a node; a `finally` in between shields from it (ruling 27)."""
        above: Node | None = node
        while self.closings and above is not None:
            if isinstance(above, StepNode) and above.phase == "finally" and above is not node:
                return None
            above = self.parent_of(above)
            if above is not None and above.closing is not None:
                return above
        return None

    def arm(self, kind: str, path: str, due_ms: int) -> None:
        """Set a timer."""
        self.timers[f"{kind}:{path}"] = due_ms
        self.changed = True

    def disarm(self, path: str, *kinds: str) -> None:
        """Take timers away that are set; of a node `NODE_TIMERS`, of an attempt `ATTEMPT_TIMERS`."""
        for kind in kinds if self.timers else ():
            self.changed |= self.timers.pop(f"{kind}:{path}", None) is not None

    def keep(self, value: Value) -> Value:
        """Make a value fit to stand in the state: a large one is set aside at once (ruling 10)."""
        size = size_of(value)
        if size > limits.BLOB_BYTES_MIN and not isinstance(value, BlobRef):
            return self.set_value_aside(value)
        self.size_bytes += size
        return value

    def set_value_aside(self, value: Value) -> BlobRef:
        """Turn a value into a blob reference, whatever its size."""
        reference, body = spill(value)
        self.set_aside[reference.digest], self.blobs[reference.digest] = body, value
        self.size_bytes += size_of(reference)
        return reference

    def write_state(self, scope: Frame, updates: dict[str, Value]) -> None:
        """Write fields of a scope."""
        kept = {name: self.keep(value) for name, value in updates.items()}
        self.size_bytes += sum(map(len, updates))
        self.put_frame(replace(scope, state={**(scope.state or {}), **kept}))

    def park(self, reason: str, by: str) -> None:
        """Set the run aside (ruling 24); what this very transition would have had performed waits too."""
        self.commands = [command for command in self.commands if not isinstance(command, Perform)]
        self.parked = Parked(reason=reason, by=by, at_ms=self.now_ms)
        self.size_bytes += limits.ENTRY_BYTES + size_of(reason)
        self.changed = True
        self.note("run_parked", "", reason=reason, by=by)
