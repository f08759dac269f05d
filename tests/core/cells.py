"""The transition table, cell by cell: a run in which an action is in some state, an event, and what must come of it.

`CELLS` lists every (event, state of the action) pair with one or more cases. `recording` notes which cells of the core's own table were really
entered, so that a cell that no case reaches is found (tests/core/test_table.py) and can be shown (`python -m tests.core.table_report`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from tests.core.build import approve, call, delegate, foreach, parallel, prompt, workflow, x
from tests.core.play import ME, OTHER, SERVER, Play
from treadle.core import transitions
from treadle.core.definition import Delegate, McpCall, Retry, Step
from treadle.core.events import Continued, Evaluated, RunStarted
from treadle.core.state import ACTION_STATES

RETRY = Retry(attempts=3, backoff_ms=1_000, on=("failed", "timeout"))
Make = Callable[[], Play]
Send = Callable[[Play], Play]


@dataclass(frozen=True, kw_only=True)
class Case:
    """`make` gives a run whose action `a` is in `state`; `send` feeds the event. `after` is what the action's state is then (None: gone)."""

    event: str
    state: str
    make: Make
    send: Send
    after: str | None
    refusal: str | None = None
    notes: tuple[str, ...] = ()
    run: str = "running"
    label: str = ""

    def __str__(self) -> str:
        return "-".join(part for part in (self.event, self.state, self.label) if part)


def _absent() -> Play:
    return Play(workflow(prompt("other")))


def _open(step=delegate, **fields) -> Make:
    return lambda: Play(workflow(step("a", **fields), prompt("other")))


def _claimed(step=delegate, by=ME, **fields) -> Make:
    return lambda: _open(step, **fields)().claim("a", by=by)


def _backoff() -> Play:
    return _claimed(retry=RETRY)().answer("a", fails="failed")


def _verifying() -> Play:
    return _claimed(verify=[{"shell": "make"}])().answer("a")


def _stopping() -> Play:
    return _claimed()().cancel()


def _unknown(step=call, by=SERVER, **fields) -> Play:
    return _claimed(step, by, **fields)().lost("a")


def _stopped_by_a_sibling() -> Play:
    play = Play(workflow(foreach("f", [0, 1], do=[delegate("a")]), prompt("other")))
    return play.claim("f[0]/a").answer("f[1]/a", fails="denied")


STATES: dict[str, Make] = {
    "absent": _absent, "open": _open(), "claimed": _claimed(), "verifying": _verifying, "backoff": _backoff, "stopping": _stopping, "unknown": _unknown,
}  # fmt: skip


def _cases(event: str, state: str, make: Make | None = None) -> Callable[..., Case]:
    def case(send: Send, after: str | None, refusal: str | None = None, *notes: str, **more) -> Case:
        return Case(
            event=event,
            state=state,
            make=make or STATES[state],
            send=send,
            after=after,
            refusal=refusal,
            notes=notes,
            **more,
        )

    return case


def _later(play: Play, ms: int) -> Play:
    play.now_ms += ms
    return play.wake()


def _claims() -> Iterator[Case]:
    event = "ActionClaimed"
    claim = lambda p: p.claim("a", by=OTHER)  # noqa: E731 - a table of short functions
    yield _cases(event, "absent")(claim, None, "not_open")
    yield _cases(event, "open")(claim, "claimed", None, "action_claimed")
    yield _cases(event, "open", _open(approve))(claim, "open", "waiting_on_person", label="gate")
    yield _cases(event, "open", _open(call))(claim, "open", "foreign", label="server's")
    yield _cases(event, "claimed")(lambda p: p.claim("a"), "claimed", None, label="same holder")
    yield _cases(event, "claimed")(claim, "claimed", "held", label="another")
    yield _cases(event, "claimed")(
        lambda p: p.claim("a", by=OTHER, lapsed=["a"]),
        "claimed",
        None,
        "lease_lapsed",
        "action_claimed",
        label="lapsed",
    )
    yield _cases(event, "claimed")(lambda p: p.claim("a", by=OTHER, take_over=True), "claimed", None, "action_claimed", label="take over")
    harmful = _claimed(repeatable=False)
    yield _cases(event, "claimed", harmful)(
        lambda p: p.claim("a", by=OTHER, lapsed=["a"]),
        "unknown",
        "outcome_unknown",
        "outcome_unknown",
        label="lapsed, harmful",
    )
    for state in ("verifying", "backoff", "stopping", "unknown"):
        by = SERVER if state == "unknown" else OTHER
        run = "cancelling" if state == "stopping" else "running"
        yield _cases(event, state)(lambda p, by=by: p.claim("a", by=by), state, "not_claimable", run=run)


def _answers() -> Iterator[Case]:
    event = "ActionAnswered"
    answer = lambda p: p.answer("a", "x")  # noqa: E731
    yield _cases(event, "absent")(answer, None, "not_open")
    yield _cases(event, "open")(answer, None, None, "action_completed", "step_completed")
    yield _cases(event, "open", _open(call, effect="read"))(answer, None, None, "action_completed", label="server's")
    yield _cases(event, "open", _open(call))(answer, "open", "not_claimed", label="server's, unclaimed")
    yield _cases(event, "open", _open(approve))(answer, "open", "needs_decision", label="gate")
    yield _cases(event, "open", _open(prompt, format="confirm"))(answer, "open", "invalid_answer", label="misfit")
    yield _cases(event, "open")(
        lambda p: p.answer("a", fails="denied"),
        None,
        None,
        "attempt_failed",
        "step_failed",
        "run_ended",
        run="failed",
        label="failure",
    )
    yield _cases(event, "claimed")(answer, None, None, "action_completed")
    yield _cases(event, "claimed")(lambda p: p.answer("a", by=OTHER), "claimed", "foreign", label="another")
    yield _cases(event, "claimed")(lambda p: p.answer("a", attempt=2), "claimed", "unknown_attempt", label="attempt to come")
    yield _cases(event, "claimed", lambda: STATES["claimed"]().claim("a", by=OTHER, lapsed=["a"]))(
        lambda p: p.answer("a", by=ME, attempt=1), "claimed", "late", label="attempt gone")  # fmt: skip
    yield _cases(event, "claimed", _claimed(retry=RETRY))(
        lambda p: p.answer("a", fails="failed"),
        "backoff",
        None,
        "attempt_failed",
        "retry_planned",
        label="failure, retried",
    )
    yield _cases(event, "claimed", _claimed(output={"type": "object"}))(
        answer, "claimed", "bad_output", "output_refused", label="misfit, repaired"
    )
    yield _cases(event, "verifying")(answer, "verifying", "verifying")
    yield _cases(event, "claimed", _claimed(verify=[{"shell": "make"}]))(answer, "verifying", None, "verifying", label="to be proven")
    yield _cases(event, "verifying")(
        lambda p: p.answer("a.verify", [{"ok": True}], by=SERVER), None, None, "verified", "action_completed", label="proven"
    )
    yield _cases(event, "verifying")(
        lambda p: p.answer("a.verify", [{"ok": False, "message": "no"}], by=SERVER),
        "claimed",
        "bad_output",
        "verify_failed",
        label="refuted",
    )
    yield _cases(event, "backoff")(lambda p: p.answer("a", by=ME), "backoff", "late")
    yield _cases(event, "stopping")(answer, None, "stopped", "answer_after_stop", "action_stopped", "run_ended", run="cancelled")
    yield _cases(event, "unknown")(lambda p: p.answer("a", "x", by=SERVER), None, None, "action_completed")


def _decisions() -> Iterator[Case]:
    event = "ApprovalDecided"
    decide = lambda p: p.decide("a", approved=True, digest=None if "a" in p.open else "gone")  # noqa: E731
    yield _cases(event, "absent")(decide, None, "not_open")
    yield _cases(event, "open", _open(approve))(decide, None, None, "gate_decided", "action_completed")
    yield _cases(event, "open", _open(approve))(
        lambda p: p.decide("a", approved=False),
        None,
        None,
        "gate_decided",
        "step_failed",
        run="failed",
        label="rejected",
    )
    yield _cases(event, "open")(lambda p: p.decide("a", approved=True), "open", "not_a_gate", label="no gate")
    yield _cases(event, "claimed")(lambda p: p.decide("a", approved=True), "claimed", "not_a_gate")
    for state in ("verifying", "backoff", "stopping", "unknown"):
        run = "cancelling" if state == "stopping" else "running"
        yield _cases(event, state)(lambda p: p.decide("a", approved=True), state, "not_open", run=run)


def _losses() -> Iterator[Case]:
    event = "PerformerLost"
    lost = lambda p: p.lost("a", p.state.actions["a"].attempt if "a" in p.open else 1)  # noqa: E731
    yield _cases(event, "absent")(lost, None, "not_open")
    yield _cases(event, "open")(lost, "open", None, "ignored", label="agent's")
    yield _cases(event, "open", _open(call, effect="read"))(lost, "open", None, "lease_lapsed", "action_offered", label="server's")
    yield _cases(event, "claimed")(lost, "open", None, "lease_lapsed", "action_offered", label="may be repeated")
    yield _cases(event, "claimed", _claimed(call, SERVER))(lost, "unknown", None, "outcome_unknown", label="harmful")
    yield _cases(event, "claimed")(lambda p: p.lost("a", 5), "claimed", None, "ignored", label="other attempt")
    yield _cases(event, "verifying")(lost, "verifying", None, "ignored")
    yield _cases(event, "verifying")(lambda p: p.lost("a.verify"), "verifying", None, "action_offered", label="who looks")
    yield _cases(event, "backoff")(lost, "backoff", None, "ignored")
    yield _cases(event, "stopping")(lost, None, None, "action_stopped", run="cancelled")
    yield _cases(event, "stopping")(lambda p: p.lost("a", 5), "stopping", None, "ignored", run="cancelling", label="other attempt")
    yield _cases(event, "unknown")(lost, "unknown", None, "ignored")


def _outcomes() -> Iterator[Case]:
    event = "OutcomeResolved"
    resolve = lambda p: p.resolve("a", "done", attempt=1)  # noqa: E731
    yield _cases(event, "absent")(resolve, None, "not_open")
    for state in ("open", "claimed", "verifying", "backoff", "stopping"):
        run = "cancelling" if state == "stopping" else "running"
        yield _cases(event, state)(resolve, state, "not_unknown", run=run)
    yield _cases(event, "unknown")(resolve, None, None, "outcome_resolved", "action_completed", label="done")
    yield _cases(event, "unknown")(
        lambda p: p.resolve("a", "not_done"), "open", None, "outcome_resolved", "action_offered", label="not done"
    )
    yield _cases(event, "unknown")(
        lambda p: p.resolve("a", "failed"), None, None, "outcome_resolved", "step_failed", run="failed", label="failed"
    )
    yield _cases(event, "unknown")(lambda p: p.resolve("a", "done", by=ME), "unknown", "needs_person", label="by an agent")
    yield _cases(event, "unknown")(lambda p: p.resolve("a", "done", attempt=2), "unknown", "late", label="other attempt")


def _migrate(play: Play) -> Play:
    """Move the run to a definition in which every text is another one."""
    return play.migrate(
        replace(play.definition, main=replace(play.definition.main, steps=tuple(map(_otherwise, play.definition.main.steps))))
    )


def _otherwise(step: Step) -> Step:
    match step.spec:
        case Delegate():
            return replace(step, spec=replace(step.spec, instructions=x("Do it otherwise.")))
        case McpCall():
            return replace(step, spec=replace(step.spec, parameters=x({"other": True})))
        case _:
            return step


def _action_cells() -> Iterator[Case]:
    for cells in (_claims, _answers, _decisions, _losses, _outcomes):
        yield from cells()


def _run_cells() -> Iterator[Case]:
    for state in ACTION_STATES:
        after = None if state == "absent" else state
        run = "cancelling" if state == "stopping" else "running"
        yield _cases("RunStarted", state)(lambda p: p.start(), after, "already_started", run=run)
        stray = Evaluated(at_ms=0, node="a", ordinal=0, value=1)
        yield _cases("Evaluated", state)(lambda p, e=stray: p.feed(e), after, None, "ignored", run=run)
        yield _cases("Continued", state)(lambda p: p.feed(Continued(at_ms=0)), after, None, run=run)
        yield _cases("SignalSent", state)(lambda p: p.signal("hello"), after, None, "signal_kept", run=run)
        yield _cases("UndoRequested", state)(lambda p: p.undo(), after, "not_ended", run=run)
        yield _cases("RunParked", state)(lambda p: p.park(), after, None, "run_parked", run=run)
        resumed = {"open": "open", "stopping": "stopping"}.get(state, after)
        yield _cases("RunResumed", state, lambda s=state: STATES[s]().park())(lambda p: p.unpark(), resumed, None, "run_resumed", run=run)
    parked = lambda: _open(call, effect="read")().park()  # noqa: E731
    yield _cases("RunResumed", "open", parked)(lambda p: p.unpark(), "open", None, "run_resumed", label="server's")

    woken = "Woken"
    wake = lambda p: _later(p, 10_000)  # noqa: E731
    yield _cases(woken, "absent")(wake, None)
    yield _cases(woken, "open", _open(within_ms=5_000))(wake, None, None, "timer_fired", "step_failed", run="failed", label="within")
    yield _cases(woken, "open", _open(approve, within_ms=5_000))(
        wake, None, None, "timer_fired", "step_failed", run="failed", label="within of a gate"
    )
    yield _cases(woken, "open", _open(call, effect="read", timeout_ms=5_000))(
        wake, None, None, "timer_fired", "attempt_failed", run="failed", label="timeout"
    )
    yield _cases(woken, "open", _open(timeout_ms=5_000))(wake, "open", None, label="timeout of an agent's")
    yield _cases(woken, "claimed", _claimed(within_ms=5_000))(wake, None, None, "timer_fired", "step_failed", run="failed", label="within")
    yield _cases(woken, "claimed", _claimed(timeout_ms=5_000))(
        wake, None, None, "timer_fired", "attempt_failed", run="failed", label="timeout"
    )
    yield _cases(woken, "verifying", lambda: _claimed(verify=[{"shell": "make"}], within_ms=5_000)().answer("a"))(
        wake, None, None, "timer_fired", "step_failed", run="failed", label="within"
    )
    yield _cases(woken, "backoff")(wake, "open", None, "timer_fired", "action_offered")
    yield _cases(woken, "backoff", lambda: _claimed(retry=Retry(attempts=2, backoff_ms=60_000, on=("failed",)), within_ms=1)().answer("a", fails="failed"))(
        wake, None, None, "timer_fired", run="failed", label="within")  # fmt: skip
    yield _cases(woken, "stopping")(wake, None, None, "timer_fired", "action_stopped", run="cancelled")
    yield _cases(woken, "unknown", lambda: _unknown(within_ms=5_000))(
        wake, None, None, "timer_fired", "step_failed", run="failed", label="within"
    )
    yield _cases(woken, "unknown")(wake, "unknown", None)


def _cancel_cells() -> Iterator[Case]:
    event = "CancelRequested"
    cancel = lambda p: p.cancel()  # noqa: E731
    yield _cases(event, "absent", lambda: Play(workflow(foreach("gone", [], do=[delegate("a")]), prompt("other"))))(
        cancel, None, None, "cancel_requested", run="cancelled"
    )
    yield _cases(event, "open")(cancel, None, None, "action_dropped", "run_ended", run="cancelled", label="agent's")
    yield _cases(event, "open", _open(call))(cancel, None, None, "action_dropped", run="cancelled", label="server's, unclaimed")
    yield _cases(event, "open", _open(call, effect="read"))(cancel, "stopping", None, "action_stopping", run="cancelling", label="server's")
    yield _cases(event, "claimed")(cancel, "stopping", None, "action_stopping", run="cancelling")
    yield _cases(event, "verifying")(cancel, None, None, "action_stopping", "action_dropped", run="cancelling")
    yield _cases(event, "backoff")(cancel, None, None, "action_dropped", run="cancelled")
    yield _cases(event, "stopping")(cancel, None, None, "cancel_hastened", "run_ended", run="cancelled")
    yield Case(
        event=event,
        state="stopping",
        make=_stopped_by_a_sibling,
        send=cancel,
        after="stopping",
        run="cancelling",
        label="stopped by a sibling",
        notes=("cancel_requested",),
    )
    yield _cases(event, "unknown")(cancel, None, None, "action_dropped", run="cancelled")


def _beside(step=delegate, **fields) -> Play:
    """A run in which `a` is open beside a step that has not been opened yet."""
    return Play(workflow(parallel("p", {"x": [step("a", **fields)], "y": [delegate("first"), delegate("point")]})))


def _in_the_shared_part(state: str) -> Play:
    """Bring `p.x/a` into a state, and only then open the step at which the fork begins."""
    path, by = "p.x/a", ME
    play = _beside(**{"verifying": {"verify": [{"shell": "make"}]}, "backoff": {"retry": RETRY}}.get(state, {}))
    match state:
        case "absent":
            play.done(path)
        case "claimed":
            play.claim(path)
        case "verifying":
            play.claim(path).answer(path)
        case "backoff":
            play.claim(path).answer(path, fails="failed")
        case "unknown":
            play, by = _beside(call), SERVER
            play.claim(path, by=by).lost(path)
        case "stopping":
            round_of = foreach("f", [0, 1], do=[delegate("a")], on_error="continue")
            play = Play(workflow(parallel("p", {"x": [round_of], "y": [delegate("first"), delegate("point")]})))
            play.claim("p.x/f[0]/a").answer("p.x/f[1]/a", fails="denied")
    return play.done("p.y/first")


def _become_the_fork(play: Play) -> Play:
    play.__dict__.update(play.fork("p.y/point").__dict__)
    return play


def _fork_cells() -> Iterator[Case]:
    for state in ACTION_STATES:
        make = lambda s=state: _in_the_shared_part(s)  # noqa: E731
        after = None if state in {"absent", "stopping"} else "open"
        notes = ("run_forked", "step_begun_anew") if after else ("run_forked",)
        yield _cases("RunForked", state, make)(_become_the_fork, after, None, *notes)


def _migration_cells() -> Iterator[Case]:
    for state in ACTION_STATES:
        ending = "ending" if state == "stopping" else None
        after = {"absent": None, "claimed": "open"}.get(state, state)
        notes = () if ending else ("run_migrated",)
        yield _cases("RunMigrated", state)(_migrate, after, ending, *notes, run="cancelling" if ending else "running")
    yield _cases("RunMigrated", "claimed", _claimed(call, SERVER))(_migrate, "claimed", None, "run_migrated", label="harmful")


CELLS: list[Case] = [*_action_cells(), *_run_cells(), *_cancel_cells(), *_fork_cells(), *_migration_cells()]


def _words(*words: str) -> dict[str, str]:
    return dict(zip(ACTION_STATES, words, strict=True))


# Events of the whole run: what becomes of an action in each state. `advance` does it.
RUN_EVENTS: dict[str, dict[str, str]] = {
    "RunStarted": dict.fromkeys(ACTION_STATES, "untouched; refused"),
    "RunForked": dict.fromkeys(ACTION_STATES, "its step begins anew") | {"absent": "untouched", "stopping": "dropped"},
    "Evaluated": dict.fromkeys(ACTION_STATES, "untouched"),
    "Continued": dict.fromkeys(ACTION_STATES, "untouched"),
    "Woken": _words(
        "untouched", "within fires, and the timeout of what needs no claim", "within and timeout fire", "within fires",
        "within and backoff fire", "grace fires", "within fires",
    ),
    "CancelRequested": _words(
        "untouched", "dropped; what a server may have begun is stopped", "stopped", "dropped",
        "dropped", "untouched; dropped by a second request", "dropped",
    ),
    "SignalSent": dict.fromkeys(ACTION_STATES, "untouched"),
    "UndoRequested": dict.fromkeys(ACTION_STATES, "untouched; refused"),
    "RunParked": dict.fromkeys(ACTION_STATES, "untouched; nothing is handed out"),
    "RunMigrated": dict.fromkeys(ACTION_STATES, "the next attempt is rendered anew")
    | {
        "absent": "untouched", "open": "handed out anew if it changed", "claimed": "let go if it changed and does no harm",
        "verifying": "checked anew if its checks changed", "stopping": "untouched; refused",
    },
    "RunResumed": dict.fromkeys(ACTION_STATES, "untouched") | {"open": "a server's is performed"},
}  # fmt: skip


def all_cells() -> list[tuple[str, str]]:
    """Every cell of the core's own tables."""
    tables = {**transitions.ACTION_EVENTS, **RUN_EVENTS}
    return [(event, state) for event, row in tables.items() for state in row]


@dataclass
class Recorder:
    """How often each cell was entered."""

    seen: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, event: str, state: str) -> None:
        self.seen[event, state] = self.seen.get((event, state), 0) + 1


@contextmanager
def recording() -> Iterator[Recorder]:
    """Note every cell that events enter: of the action they name, or, for events of the whole run, of every action that is open."""
    recorder = Recorder()
    table, absorb_run = transitions.ACTION_EVENTS, Play._advance

    def wrapped(event: str, state: str, cell):
        def enter(*args):
            recorder.add(event, state)
            return cell(*args)

        return enter

    def advance(play: Play, event):
        name = type(event).__name__
        if name in RUN_EVENTS and not (play.state is None and isinstance(event, RunStarted)):
            statuses = [action.status for action in play.state.actions.values() if action.id.endswith("a")]
            for status in statuses or ["absent"]:
                recorder.add(name, status)
        return absorb_run(play, event)

    before = {event: dict(row) for event, row in table.items()}
    for event, row in table.items():
        for state, cell in row.items():
            row[state] = wrapped(event, state, cell)
    Play._advance = advance
    try:
        yield recorder
    finally:
        Play._advance = absorb_run
        for event, row in before.items():
            table[event].update(row)


def check(case: Case) -> None:
    """Carry one case out. Raises AssertionError."""
    play = case.make()
    assert status_of(play) == (None if case.state == "absent" else case.state), "the case does not begin where it says"
    before = play.state
    case.send(play)
    assert status_of(play) == case.after
    assert play.refused == case.refusal
    assert play.status == case.run
    kinds = iter(play.kinds)
    assert all(note in kinds for note in case.notes), f"{case.notes} do not stand in this order in {play.kinds}"
    if case.refusal is not None and not case.notes:
        assert play.state is before, "a refusal without a note changes nothing"
    play.check_log()


def status_of(play: Play) -> str | None:
    return next((action.status for action in play.state.actions.values() if action.id.endswith("a")), None)
