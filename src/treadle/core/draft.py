"""A draft: one state on its way to the next, inside one transition.

The maps are copied when the draft is made and written through methods, so that the old state stays whole whatever happens and `changed`
tells whether there is anything to store. Nothing here decides: policy is in the modules that call it.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace

from treadle.core import limits
from treadle.core.commands import Blob, Command, Decision, Note
from treadle.core.definition import Definition, Step, Task
from treadle.core.errors import Failure, InvariantViolationError, Refusal
from treadle.core.ids import is_under
from treadle.core.state import ActionState, Frame, ListNode, Node, Parked, RunState, StepNode
from treadle.core.values import BlobRef, Value, encode, spill


class Draft:
    """The working copy of one transition."""

    def __init__(self, definition: Definition, state: RunState, at_ms: int, blobs: Mapping[str, Value]) -> None:
        """Copy what may change; the run's clock never goes back (ruling 7)."""
        self.definition, self.index, self.base, self.blobs = definition, definition.index, state, blobs
        self.now_ms = max(state.now_ms, at_ms)
        self.nodes, self.frames = dict(state.nodes), dict(state.frames)
        self.actions, self.timers = dict(state.actions), dict(state.timers)
        self.agenda = deque(state.agenda)
        self.status, self.parked, self.degraded = state.status, state.parked, state.degraded
        self.result, self.failure = state.result, state.failure
        self.moves, self.size_bytes, self.reached = state.moves, state.size_bytes, state.reached
        self.commands: list[Command] = []
        self.notes: list[Note] = []
        self.set_aside: dict[str, bytes] = {}
        self.refusal: Refusal | None = None
        self.claimed: str | None = None
        self.changed = False

    def decision(self) -> Decision:
        """Freeze the draft."""
        if not self.changed:
            return Decision(
                state=self.base, changed=False, notes=tuple(self.notes), refusal=self.refusal, claimed=self.claimed
            )
        state = RunState(
            run_id=self.base.run_id, seed=self.base.seed, semantics=self.base.semantics, env=self.base.env,
            started_at_ms=self.base.started_at_ms, started_by=self.base.started_by, now_ms=self.now_ms,
            revision=self.base.revision + 1, status=self.status, parked=self.parked, degraded=self.degraded,
            moves=self.moves, size_bytes=self.size_bytes, nodes=self.nodes, frames=self.frames, actions=self.actions,
            timers=self.timers, agenda=tuple(self.agenda), reached=self.reached, result=self.result, failure=self.failure,
        )  # fmt: skip
        return Decision(
            state=state, changed=True, commands=tuple(self.commands), notes=tuple(self.notes),
            blobs=tuple(Blob(digest=d, body=b) for d, b in self.set_aside.items()), refusal=self.refusal,
            claimed=self.claimed, more=bool(self.agenda) and not state.ended and self.parked is None,
        )  # fmt: skip

    # What is there

    def step(self, node: StepNode) -> Step:
        """Give the definition's step of a node."""
        return self.index.steps[node.at]

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
        frame = self.frames[frame_path]
        while frame.state is None and frame.outer is not None:
            frame = self.frames[frame.outer]
        return frame

    def task_of(self, scope: Frame) -> Task:
        """Give the task whose steps run in a scope."""
        return self.index.scopes[self.list_node(scope.path).at]

    def actions_under(self, path: str) -> Iterator[ActionState]:
        """Give open actions at or below a path, in the order in which they were opened."""
        return (a for a in self.actions.values() if is_under(a.id, path))

    # Changes

    def note(self, kind: str, path: str, **data: Value) -> None:
        """Say what was derived."""
        self.notes.append(Note(kind=kind, path=path, data=data))

    def refuse(self, code: str, message: str, hint: str = "", **details: Value) -> None:
        """Give the caller a refusal; what was changed before stays."""
        self.refusal = Refusal(code=code, message=message, hint=hint, details=details or None)  # type: ignore[arg-type]

    def command(self, command: Command) -> None:
        """Ask the world for something, after the commit."""
        self.commands.append(command)

    def look_at(self, path: str) -> None:
        """Put a node on the agenda."""
        self.agenda.append(path)
        self.changed = True

    def put(self, node: Node) -> None:
        """Add or replace a node."""
        self.nodes[node.path] = node
        self.changed = True

    def put_frame(self, frame: Frame) -> None:
        """Add or replace a frame."""
        self.frames[frame.path] = frame
        self.changed = True

    def put_action(self, action: ActionState) -> None:
        """Add or replace an action."""
        self.actions[action.id] = action
        self.changed = True

    def drop_action(self, action_id: str) -> None:
        """Take an action and its timers away."""
        if self.actions.pop(action_id, None) is not None:
            self.changed = True
        for kind in ("timeout", "backoff", "grace"):
            self.timers.pop(f"{kind}:{action_id}", None)

    def drop(self, path: str) -> None:
        """Take one node away, with its timer."""
        self.nodes.pop(path, None)
        self.timers.pop(f"within:{path}", None)
        self.changed = True

    def drop_frame(self, path: str) -> None:
        """Take a frame away, and its state from the account."""
        frame = self.frames.pop(path, None)
        if frame is not None:
            self.size_bytes -= sum(frame.sizes.values())
            self.changed = True

    def drop_below(self, path: str) -> None:
        """Take everything strictly below a path away, actions excepted."""
        for other in [p for p in self.nodes if p != path and is_under(p, path)]:
            self.drop(other)
        for other in [p for p in self.frames if p != path and is_under(p, path)]:
            self.drop_frame(other)

    def arm(self, kind: str, path: str, due_ms: int) -> None:
        """Set a timer."""
        self.timers[f"{kind}:{path}"] = due_ms
        self.changed = True

    def disarm(self, kind: str, path: str) -> None:
        """Take a timer away, if it is set."""
        if self.timers.pop(f"{kind}:{path}", None) is not None:
            self.changed = True

    # Values

    def keep(self, value: Value) -> Value:
        """Set a value aside if it is large (ruling 10); the reference is what state holds."""
        if value is None or isinstance(value, (bool, int, float, BlobRef)):
            return value
        if isinstance(value, str) and len(value) < limits.BLOB_BYTES_MIN // 4:
            return value
        if len(encode(value)) <= limits.BLOB_BYTES_MIN:
            return value
        return self.set_value_aside(value)

    def set_value_aside(self, value: Value) -> Value:
        """Turn a value into a blob reference, whatever its size."""
        reference, body = spill(value)
        self.set_aside[reference.digest] = body
        return reference

    def write_state(self, scope: Frame, updates: dict[str, Value]) -> None:
        """Write fields of a scope and keep the account of its size."""
        kept = {name: self.keep(value) for name, value in updates.items()}
        sizes = {name: len(encode(value)) for name, value in kept.items()}
        self.size_bytes += sum(sizes.values()) - sum(scope.sizes.get(name, 0) for name in sizes)
        self.put_frame(replace(scope, state={**(scope.state or {}), **kept}, sizes={**scope.sizes, **sizes}))
        if self.size_bytes > limits.STATE_BYTES_MAX:
            self._shrink()

    def _shrink(self) -> None:
        """Set the largest values aside until the state fits (ruling 10)."""
        fields = [(size, path, name) for path, f in self.frames.items() for name, size in f.sizes.items()]
        for size, path, name in sorted(fields, reverse=True):
            if self.size_bytes <= limits.STATE_BYTES_MAX or size < limits.SPILL_BYTES_MIN:
                return
            frame = self.frames[path]
            reference = self.set_value_aside((frame.state or {})[name])
            smaller = len(encode(reference))
            self.size_bytes += smaller - size
            self.put_frame(
                replace(frame, state={**(frame.state or {}), name: reference}, sizes={**frame.sizes, name: smaller})
            )

    def fail_run(self, failure: Failure) -> None:
        """Remember why the run failed; `ending` closes it."""
        self.failure = failure
        self.changed = True

    def park(self, reason: str, by: str) -> None:
        """Set the run aside (ruling 24)."""
        self.parked = Parked(reason=reason, by=by, at_ms=self.now_ms)
        self.changed = True
        self.note("run_parked", "", reason=reason, by=by)
