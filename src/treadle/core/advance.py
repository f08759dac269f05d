"""`advance`: one event in, one decision out; the only way in which a run changes.

    advance(definition, state, event, blobs) -> Decision | NeedBlobs

Order inside a transition: the clock moves; every timer that is due fires (waiting.py); the event is absorbed by the cell of the transition table
(transitions.py); settling does all deterministic work that follows (settle.py, opening.py); the caller's wish for its next action is granted (attempts.py). The old state is never touched, so an exception leaves the
caller where it was.

A late, double or foreign event gives the same state and a refusal or note; only `HistoryMismatchError` and `InvariantViolationError` are raised.
What is made of histories and states afterwards (`fold`, `resume`) stands above the core, in `replay.py`.
"""

from collections.abc import Mapping

from treadle.core import events, limits
from treadle.core.aside import size_of
from treadle.core.attempts import claim_action, may_take, offer
from treadle.core.budget import grant, own
from treadle.core.closing import begin_closing, counts
from treadle.core.commands import Decision, NeedBlobs
from treadle.core.definition import Definition
from treadle.core.draft import Draft
from treadle.core.endings import skip_finally, undo_on_request
from treadle.core.errors import HistoryMismatchError
from treadle.core.events import Evaluated, Event, RunForked, RunMigrated, RunResumed, RunStarted
from treadle.core.expr import NeedBlobs as NeedBlobsError
from treadle.core.fork import fork
from treadle.core.migrate import migrate
from treadle.core.records import replace
from treadle.core.render import with_result
from treadle.core.schema_bind import bind_inputs
from treadle.core.semantics import SUPPORTED
from treadle.core.settle import settle
from treadle.core.state import ActionState, Frame, ListNode, Node, Outcome, RunState, StepNode
from treadle.core.steps import fail_node
from treadle.core.transitions import absorb_action_event
from treadle.core.values import Value
from treadle.core.verify import to_prove
from treadle.core.waiting import fire_due, receive

NO_BLOBS: Mapping[str, Value] = {}


def advance(definition: Definition, state: RunState | None, event: Event, blobs: Mapping[str, Value] = NO_BLOBS) -> Decision | NeedBlobs:
    """Carry a run over one event. Repeating a call gives the same answer, byte for byte.

    `state` is None for `RunStarted` alone; `blobs` maps digests to values that an earlier call asked for. With `RunMigrated` the definition is the
    new one, which the run has from there on.
    """
    first = event
    while isinstance(first, RunForked):
        first = first.event
    draft = Draft(definition, _unborn(definition, first) if state is None else state, first.at_ms, blobs)
    _check_fit(draft)
    try:
        _carry(draft, event)
    except NeedBlobsError as need:
        return NeedBlobs(digests=tuple(need.digests))
    return draft.decision()


def _carry(draft: Draft, event: Event) -> None:
    if isinstance(event, RunForked):
        draft.holds.append(event.at)
        _carry(draft, event.event)
        draft.holds.remove(event.at)
        fork(draft, event)
    elif isinstance(event, RunMigrated):  # nothing fires, and nothing is looked at, where the old names still stand
        migrate(draft, event)
    else:
        _take_in(draft, event)


def _take_in(draft: Draft, event: Event) -> None:
    then = event.then if isinstance(event, events.ActionAnswered | events.ApprovalDecided) else None
    fire_due(draft)
    settle(draft)
    passed, draft.changed = draft.changed, False
    _absorb(draft, event)
    draft.absorbed, draft.changed = draft.changed, draft.changed or passed
    settle(draft)
    if then is not None and draft.refusal is None and draft.parked is None:
        _claim_next(draft, events.ActionClaimed(at_ms=event.at_ms, claim=then))
        settle(draft)


def _unborn(definition: Definition, event: Event) -> RunState:
    if not isinstance(event, RunStarted):
        raise HistoryMismatchError(f"a run begins with RunStarted, not with {type(event).__name__}")
    return RunState(
        run_id=event.run_id, seed=event.seed, semantics=definition.semantics, env=event.env, started_at_ms=event.at_ms,
        started_by=event.by.name, parent=event.parent, depth=event.depth, now_ms=event.at_ms, size_bytes=limits.ENTRY_BYTES + size_of({**event.env}),
    )  # fmt: skip


def _check_fit(draft: Draft) -> None:
    if draft.base.semantics != draft.definition.semantics or draft.base.semantics not in SUPPORTED:
        raise HistoryMismatchError(
            f"the run has semantics number {draft.base.semantics}, its definition {draft.definition.semantics}; "
            f"this version of Treadle knows {sorted(SUPPORTED)}",
            hint="use the version of Treadle that started it, or a newer one",
        )


def _absorb(draft: Draft, event: Event) -> None:
    match event:
        case _ if draft.ended and isinstance(event, events.Woken | events.Continued | Evaluated | events.PerformerLost):
            draft.note("ignored", "", event=type(event).__name__)
        case events.UndoRequested() if draft.ended:
            undo_on_request(draft, event)
        case _ if draft.ended:
            draft.refuse("run_ended", f"the run has ended: {draft.status}", hint="start another run", status=draft.status)
        case RunStarted():
            _start(draft, event)
        case events.ActionClaimed(claim=claim):
            if draft.parked is not None:
                hint = f"`treadle resume {draft.base.run_id}` takes it up"
                draft.refuse("run_parked", f"the run is set aside: {draft.parked.reason}", hint=hint)
            elif claim.action is None:
                _claim_next(draft, event)
            else:
                absorb_action_event(draft, event, claim.action)
        case events.ActionAnswered() | events.ApprovalDecided() | events.PerformerLost() | events.OutcomeResolved():
            absorb_action_event(draft, event, event.action)
        case Evaluated():
            _evaluated(draft, event)
        case events.SignalSent():
            receive(draft, event)
        case events.UndoRequested():
            draft.refuse("not_ended", "the run has not ended; cancel it first", hint="`treadle cancel` ends it, and takes back what it did")
        case events.CancelRequested():
            _cancel(draft, event)
        case events.RunParked():
            if draft.parked is None:
                draft.park(event.reason, event.by.name)
            else:
                draft.refuse("already_parked", f"the run is set aside: {draft.parked.reason}", hint="resume it first")
        case RunResumed():
            _resume(draft, event)
        case events.Woken() | events.Continued() | RunForked() | RunMigrated():
            pass


def _start(draft: Draft, event: RunStarted) -> None:
    if draft.base.revision:
        draft.refuse("already_started", "the run has been started before", hint="look at the run")
        return
    bound, faults = bind_inputs(draft.definition.main, event.inputs, draft.whole)
    if faults:
        message = "; ".join(fault.message for fault in faults)
        listed: Value = [{"path": fault.path, "rule": fault.rule, "message": fault.message} for fault in faults]
        draft.refuse("invalid_inputs", message, hint="nothing was started; mend the inputs", faults=listed)
        return
    draft.put_frame(Frame(path="", outer=None, inputs=bound))
    draft.put(ListNode(path="", at="", owner=None, frame="", phase="opening"))
    own(draft, "", "", draft.definition.main.budget, event.calls_max)
    draft.note("run_started", "", workflow=draft.definition.name, by=event.by.name)
    draft.look_at("")


def _claim_next(draft: Draft, event: events.ActionClaimed) -> None:
    """Grant the next action of a channel, if there is one; the same holder asking again gets what it holds and writes nothing."""
    claim = event.claim
    mine = [a for a in draft.actions.values() if a.channel == claim.channel and a.performer != "server" and a.kind != "approve"]
    held = [a for a in mine if a.status == "claimed" and a.holder == claim.holder]
    takeable = [a for a in mine if a.status == "claimed" and may_take(a, claim)]
    for action in held[:1] or [*(a for a in mine if a.status == "open"), *takeable]:
        if draft.actions.get(action.id) is action:  # a lapse too many of one may have closed another
            claim_action(draft, action, event)
            settle(draft)
        if draft.claimed is not None:
            break
    draft.refusal = None  # that nothing is there for it is not the caller's fault


def _evaluated(draft: Draft, event: Evaluated) -> None:
    node = draft.nodes.get(event.node)
    # A node waits for a function if it could not finish rendering and nobody is about to look at it.
    if node is None or not _may_wait_for_function(draft, node) or event.ordinal != len(node.results):
        draft.note("ignored", event.node, event="Evaluated")
    elif event.failure is not None:
        message = event.failure.message[: limits.MESSAGE_CHARACTERS_MAX]
        fail_node(draft, node, replace(event.failure, error_class="function", step=event.node, message=message))
    else:
        draft.put(with_result(node, draft.keep(event.value)))
        draft.look_at(event.node)


def _may_wait_for_function(draft: Draft, node: Node) -> bool:
    """Tell whether a node could not finish rendering: nobody is about to look at it, and it has something to render."""
    if node.path in draft.agenda or node.closing is not None:
        return False
    if not isinstance(node, StepNode) or node.phase in {"opening", "fallback", "gate"}:
        return node.phase in {"opening", "output", "fallback", "gate"}
    return to_prove(draft, node) is not None or (node.phase == "block" and node.loop is not None)


def _cancel(draft: Draft, event: events.CancelRequested) -> None:
    held = list(draft.actions.values()) if draft.parked is not None else []
    draft.parked, draft.changed = None, True
    if draft.status == "undoing" and draft.ending is not None and not draft.ending.asked:
        draft.note("cancel_requested", "", by=event.by.name, reason=event.reason)
        draft.ending = replace(draft.ending, asked=True)
        _hand_out_again(draft, held)
        return
    if draft.status != "running":
        draft.note("cancel_hastened", "", by=event.by.name)
        draft.status = "cancelling"
        skip_finally(draft)
        return
    draft.status = "cancelling"
    draft.note("cancel_requested", "", by=event.by.name, reason=event.reason)
    if draft.ending is None:
        begin_closing(draft, draft.list_node(""), Outcome(how="cancel"))
    elif draft.ending.status == "completed":
        draft.ending = replace(draft.ending, status="cancelled")
    _hand_out_again(draft, held)


def _resume(draft: Draft, event: RunResumed) -> None:
    if draft.parked is None:
        draft.refuse("not_parked", "the run is not set aside", hint="ask for the next step")
        return
    if event.by.kind == "agent" and any(spent.asked for spent in draft.spent.values()):
        hint = f"a person runs `treadle resume {draft.base.run_id}`"
        draft.refuse("needs_person", "a budget is spent, and only a person grants as much again", hint=hint)
        return
    draft.parked, draft.changed = None, True
    draft.moves = 0  # whoever resumes a run that moved too much gives it as much again
    draft.note("run_resumed", "", by=event.by.name)
    held = list(draft.actions.values())
    grant(draft)
    fire_due(draft)
    _hand_out_again(draft, held)


def _hand_out_again(draft: Draft, held: list[ActionState]) -> None:
    """Offer what waited while the run was set aside, and what was not counted because its budget was spent."""
    for action in held:
        waits = action.status == "open" or (action.status == "claimed" and counts(action) and not action.counted)
        if waits and draft.actions.get(action.id) is action:
            offer(draft, action)
