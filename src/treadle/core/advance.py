"""`advance`: one event in, one decision out; the only way in which a run changes.

    advance(definition, state, event, blobs) -> Decision | NeedBlobs

Order inside a transition: the clock moves; every timer that is due fires (timers.py); the event is absorbed by the cell of the transition table
(transitions.py); settling does all deterministic work that follows (settle.py, opening.py); the caller's wish for its next action is granted
(claims.py). The old state is never touched, so an exception leaves the caller where it was.

A late, double or foreign event gives the same state and a refusal or note; only `HistoryMismatchError` and `InvariantViolationError` are raised.
`resume` gives the commands that a process must issue again after a restart; `fold` is `advance` over a history.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from treadle.core.bind import bind_inputs
from treadle.core.claims import claim_next
from treadle.core.commands import Command, Decision, NeedBlobs, Perform, StopAction
from treadle.core.definition import EFFECTS, Definition
from treadle.core.draft import Draft
from treadle.core.errors import HistoryMismatchError, InvariantViolationError, Refusal
from treadle.core.events import (
    ActionAnswered, ActionClaimed, ApprovalDecided, CancelRequested, Claim, Continued, Evaluated, Event, OutcomeResolved,
    PerformerLost, RunParked, RunResumed, RunStarted, Woken,
)  # fmt: skip
from treadle.core.expr import NeedBlobs as NeedBlobsError
from treadle.core.opening import dispatch, initial_state, visit_step
from treadle.core.render import NeedCallError, RenderFailedError, Renderer, with_result
from treadle.core.semantics import SUPPORTED
from treadle.core.settle import begin_closing, end_run, fail_node, settle
from treadle.core.state import Closing, Frame, ListNode, RunState
from treadle.core.timers import fire_due
from treadle.core.transitions import absorb_action_event
from treadle.core.values import Value

NO_BLOBS: Mapping[str, Value] = {}


def advance(
    definition: Definition, state: RunState | None, event: Event, blobs: Mapping[str, Value] = NO_BLOBS
) -> Decision | NeedBlobs:
    """Carry a run over one event. Repeating a call gives the same answer, byte for byte.

    `state` is None for `RunStarted` alone. `blobs` maps digests to values that an earlier call asked for.
    """
    if state is None:
        if not isinstance(event, RunStarted):
            raise HistoryMismatchError(f"a run begins with RunStarted, not with {type(event).__name__}")
        state = _unborn(definition, event)
    if definition.semantics not in SUPPORTED:
        raise HistoryMismatchError(
            f"the run has semantics number {definition.semantics}; this version of Treadle knows {sorted(SUPPORTED)}",
            hint="use the version of Treadle that started it, or a newer one",
        )
    draft = Draft(definition, state, event.at_ms, blobs)
    try:
        fire_due(draft)
        _absorb(draft, event)
        settle(draft, visit_step)
        then = event.then if isinstance(event, ActionAnswered | ApprovalDecided) else None
        if then is not None and draft.refusal is None and not draft.agenda:
            _claim_quietly(draft, then)
    except NeedBlobsError as need:
        return NeedBlobs(digests=tuple(need.digests))
    return draft.decision()


def fold(definition: Definition, events: Iterable[Event], blobs: Mapping[str, Value] = NO_BLOBS) -> RunState:
    """Compute a run's state from its history; `blobs` must hold all that the history looks into."""
    state: RunState | None = None
    for event in events:
        decision = advance(definition, state, event, blobs)
        if isinstance(decision, NeedBlobs):
            raise HistoryMismatchError(f"the history needs values that are not there: {', '.join(decision.digests)}")
        state = decision.state
    if state is None:
        raise HistoryMismatchError("the history is empty")
    return state


def resume(definition: Definition, state: RunState) -> tuple[Command, ...]:
    """Give the commands that are still to be carried out: the world may have forgotten them, the state has not. Pure."""
    if state.ended:
        return ()
    commands: list[Command] = []
    for action in state.actions.values():
        if action.status == "stopping":
            commands.append(StopAction(action=action.id, attempt=action.attempt))
        elif action.status == "open" and action.performer == "server" and state.parked is None:
            claim = EFFECTS.index(action.effect) >= EFFECTS.index("write")
            commands.append(Perform(action=action.id, attempt=action.attempt, claim=claim))
    return tuple(commands)


def _unborn(definition: Definition, event: RunStarted) -> RunState:
    return RunState(
        run_id=event.run_id, seed=event.seed, semantics=definition.semantics, env=event.env, started_at_ms=event.at_ms,
        started_by=event.by.name, now_ms=event.at_ms,
    )  # fmt: skip


def _absorb(draft: Draft, event: Event) -> None:
    if draft.status not in {"running", "cancelling"}:
        draft.refuse("run_ended", f"the run has ended: {draft.status}", hint="start another run", status=draft.status)
        return
    match event:
        case RunStarted():
            _start(draft, event)
        case ActionClaimed(claim=Claim(action=str(action_id)) as claim) if claim.by.kind == "server":
            absorb_action_event(draft, event, action_id)
        case ActionClaimed(claim=claim):
            claim_next(draft, claim)
        case ActionAnswered() | ApprovalDecided() | PerformerLost() | OutcomeResolved():
            absorb_action_event(draft, event, event.action)
        case Evaluated():
            _evaluated(draft, event)
        case CancelRequested():
            _cancel(draft, event)
        case RunParked():
            _park(draft, event)
        case RunResumed():
            _resume(draft)
        case Woken() | Continued():
            pass


def _start(draft: Draft, event: RunStarted) -> None:
    if draft.base.revision:
        draft.refuse("already_started", "the run has been started before")
        return
    task = draft.definition.main
    bound, faults = bind_inputs(task, event.inputs)
    if faults:
        draft.refusal = Refusal(
            code="invalid_inputs",
            message="; ".join(fault.message for fault in faults),
            hint="nothing was started; mend the inputs and start again",
            details={"faults": [{"path": f.path, "rule": f.rule, "message": f.message} for f in faults]},
        )
        return
    draft.put_frame(Frame(path="", outer=None, state={}, inputs=bound))
    draft.put(ListNode(path="", at="", owner=None, frame="", phase="opening"))
    draft.note("run_started", "", workflow=draft.definition.name, by=event.by.name)
    draft.look_at("")
    _open_run(draft)


def _open_run(draft: Draft) -> None:
    """Evaluate the first state of the run; until its functions have answered, the root list stays `opening`."""
    root = draft.list_node("")
    render = Renderer(draft, root)
    try:
        state = initial_state(draft.definition.main, render)
    except NeedCallError as need:
        draft.agenda.clear()
        draft.command(need.command)
        return
    except RenderFailedError as error:
        fail_node(draft, root, error.failure)
        return
    draft.write_state(draft.frames[""], state)
    draft.put(replace(root, phase="running", results=()))


def _evaluated(draft: Draft, event: Evaluated) -> None:
    node = draft.nodes.get(event.node)
    if node is None or event.ordinal != len(node.results):
        draft.note("ignored", event.node, event="Evaluated")
        return
    if event.failure is not None:
        fail_node(draft, node, replace(event.failure, error_class="function", step=event.node))
        return
    draft.put(with_result(node, draft.keep(event.value)))
    if event.node == "" and isinstance(node, ListNode) and node.phase == "opening":
        draft.look_at("")
        _open_run(draft)
    else:
        draft.look_at(event.node)


def _cancel(draft: Draft, event: CancelRequested) -> None:
    draft.parked = None
    if draft.status == "cancelling":
        draft.note("cancel_hastened", "", by=event.by.name)
        end_run(draft, "cancelled", None, None)
        return
    draft.status = "cancelling"
    draft.note("cancel_requested", "", by=event.by.name, reason=event.reason)
    draft.agenda.clear()
    begin_closing(draft, draft.list_node(""), Closing(how="cancel"))


def _park(draft: Draft, event: RunParked) -> None:
    if draft.parked is not None:
        draft.refuse("already_parked", f"the run is already set aside: {draft.parked.reason}", hint="`treadle resume` takes it up")
        return
    draft.park(event.reason, event.by.name)


def _resume(draft: Draft) -> None:
    if draft.parked is None:
        draft.refuse("not_parked", "the run is not set aside", hint="ask for the next step")
        return
    draft.parked = None
    draft.changed = True
    draft.note("run_resumed", "")
    fire_due(draft)
    for action in list(draft.actions.values()):
        if action.status == "open":
            dispatch(draft, action)


def _claim_quietly(draft: Draft, claim: Claim) -> None:
    """Grant the caller's next action if there is one; that there is none is no refusal."""
    claim_next(draft, claim)
    draft.refusal = None


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
        if action.status != "stopping" and action.id not in state.nodes:
            raise InvariantViolationError(f"the action {action.id!r} has no step")
        if (action.status == "claimed") != (action.holder is not None) and action.status in {"open", "claimed"}:
            raise InvariantViolationError(f"the action {action.id!r} is {action.status} with the holder {action.holder!r}")
    for name in state.timers:
        path = name.split(":", 1)[1]
        if path not in state.nodes and path not in state.actions:
            raise InvariantViolationError(f"the timer {name!r} belongs to nothing")
