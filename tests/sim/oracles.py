"""Oracles: what must hold after every event, whatever happened. Each violation names its oracle, so that mutants can be told apart.

`Watch` sees every transition that was committed, in order, and every reply that reached a caller. It keeps its own account of what a client can
know, and compares it with the log at the end.
"""

from collections import Counter

from tests.sim.accounts import Accounts
from tests.sim.definitions import Drawn
from tests.sim.store import Reply, Store
from treadle.core import codec
from treadle.core.aside import fill
from treadle.core.commands import CloseRun, Decision, Note, Perform
from treadle.core.definition import Definition, Foreach, Run
from treadle.core.errors import InvariantViolationError
from treadle.core.events import ActionAnswered, ActionClaimed, ApprovalDecided, Event, RunForked, UndoRequested
from treadle.core.gates import step_path
from treadle.core.ids import address_of, is_under
from treadle.core.state import ActionState, ListNode, RunState, StepNode
from treadle.core.values import canonical, digest
from treadle.invariants import check_invariants

TIMER_STATES = {"timeout": {"claimed", "open"}, "backoff": {"backoff"}, "grace": {"stopping"}}
LAPSES_MAX = 3
HARMLESS = {"none", "read"}


class Violation(Exception):  # noqa: N818 - what a simulation ends with
    """An oracle was violated."""

    def __init__(self, oracle: str, message: str) -> None:
        super().__init__(f"{oracle}: {message}")
        self.oracle = oracle


class Watch:
    """The oracles of one run."""

    def __init__(self, drawn: Drawn, store: Store, *, remembers: bool = True) -> None:
        """Without `remembers` it sees one transition alone: what takes an account of those before is left out."""
        self.remembers = remembers
        self.definition: Definition = drawn.definition
        self.lists, self.store = drawn.lists, store
        self.holders: dict[tuple[str, int], str] = {}
        self.effects: Counter[str] = Counter()
        self.acknowledged: list[tuple[str, int, str]] = []
        self.gates: dict[str, list[str]] = {}
        self.rejected: set[str] = set()
        self.failures: Counter[str] = Counter()
        self.lapses: Counter[str] = Counter()
        self.collected: set[str] = set()
        self.went_on = False
        self.closed = 0
        self.shared = 0
        self.sharing = False  # while it sees what another run did, whose effects it does not know
        self.foreign: set[str] = set()
        self.accounts = Accounts(self.definition, store.blobs, self.broken)

    def broken(self, oracle: str, message: str) -> None:
        raise Violation(oracle, message)

    # Every transition

    def transition(self, before: RunState | None, event: Event, decision: Decision) -> None:
        state = decision.state
        try:
            check_invariants(state)
        except InvariantViolationError as error:
            self.broken("invariants", str(error))
        if isinstance(event, RunForked):
            self._forked(event, state)
            event = first_of(event)
        elif before is not None:
            self._monotone(before, event, state)
            self._claims(before, event, decision)
        self._commands(decision)
        if not state.ended:
            self._structure(state)
            self._timers(state)
            self.accounts.losers(state)
        self._notes(before, event, decision)
        if self.remembers:
            self.accounts.transition(before, event, decision)

    def _forked(self, event: RunForked, state: RunState) -> None:
        """A fork has a name of its own, nobody is at work in it, and no token of its origin opens a branch of it."""
        self.holders.clear()
        if state.run_id != event.run_id or state.seed != event.seed:
            self.broken("fork", f"the fork {event.run_id} calls itself {state.run_id}, and goes on with the seed of its origin")
        known = self.foreign & {frame.channel for frame in state.frames.values() if frame.channel}
        if known:
            self.broken("fork", f"{known} opened a branch of the origin, and opens one of the fork")
        held = [action.id for action in state.actions.values() if action.holder is not None]
        if held:
            self.broken("fork", f"{held[0]} is held by somebody who works for the origin")
        if event.at in state.timers or (state.now_ms < event.at_ms and state.status == "running"):
            self.broken("fork", f"the fork was made at {event.at_ms}, and its clock says {state.now_ms}")

    def _monotone(self, before: RunState, event: Event, state: RunState) -> None:
        if state.now_ms < before.now_ms or state.now_ms < event.at_ms:
            self.broken("clock", f"{before.now_ms} -> {state.now_ms}, the event came at {event.at_ms}")
        going = {"cancelling", "cancelled", "undoing"} | ({"failed"} if state.undo_status == "incomplete" else set())
        if before.ended:
            if not isinstance(event, UndoRequested):
                self.broken("status", f"{before.status} -> {state.status}")
            self.closed = 0
        elif (before.status == "cancelling" and before.ending is None and state.status not in going) or (
            before.status == "undoing" and state.status == "running"
        ):
            self.broken("status", f"{before.status} -> {state.status}")
        if state.revision != before.revision + 1:
            self.broken("revision", f"{before.revision} -> {state.revision}")
        if state.parked is None and before.parked is None:
            for name, due in before.timers.items():
                if due <= state.now_ms and state.timers.get(name) == due:
                    self.broken("timers", f"{name} was due at {due}, it is {state.now_ms}")

    def _claims(self, before: RunState, event: Event, decision: Decision) -> None:
        state = decision.state
        for name, action in state.actions.items():
            old = before.actions.get(name)
            if old is action:
                continue
            if old is not None and action.attempt < old.attempt:
                self.broken("attempts", f"{name} went from attempt {old.attempt} to {action.attempt}")
            if action.holder is None:
                continue
            if self.holders.setdefault((name, action.attempt), action.holder) != action.holder:
                self.broken("claims", f"attempt {action.attempt} of {name} has two holders")
            if old is not None and old.status == "claimed" and old.holder != action.holder and isinstance(event, ActionClaimed):
                offered = any(note.kind == "action_offered" and note.path == name for note in decision.notes)
                if not (name in event.claim.lapsed or event.claim.take_over or offered):
                    self.broken("claims", f"{name} was taken from its holder without a lapse")
            if before.parked is not None and state.parked is not None and (old is None or old.holder is None):
                self.broken("parked", f"{name} was claimed in a run that is set aside")

    def _commands(self, decision: Decision) -> None:
        for index, command in enumerate(decision.commands):
            if isinstance(command, CloseRun):
                self.closed += 1
                if self.closed > 1 or index != len(decision.commands) - 1 or not decision.state.ended:
                    self.broken("close", "CloseRun is neither the last command nor the only one of its kind")
            elif isinstance(command, Perform) and decision.state.parked is not None:
                self.broken("parked", f"{command.action} is to be performed in a run that is set aside")
        if decision.state.ended and not self.closed:
            self.broken("close", "the run ended without CloseRun")

    def _structure(self, state: RunState) -> None:
        shields = [path for path, node in state.nodes.items() if isinstance(node, StepNode) and node.phase == "finally"]
        closing = [path for path, node in state.nodes.items() if node.closing is not None]
        for path in closing:
            self._closing(state, path, [shield for shield in shields if shield != path and is_under(shield, path)])
        for path, node in state.nodes.items():
            if isinstance(node, StepNode) and node.closing is None and not (closing and withers(state, path, shields)):
                self._step(state, node)
        for action in state.actions.values():
            node = state.nodes.get(step_path(action.id))
            if action.status != "stopping" and (node is None or not self._belongs(state, action, node)):
                self.broken("closing", f"{action.id} is {action.status}, its step is not open")
            if action.status == "stopping" and not any(is_under(action.id, path) for path in closing):
                self.broken("closing", f"{action.id} is stopping under nothing that closes")

    def _closing(self, state: RunState, path: str, shields: list[str]) -> None:
        """Below what closes stands only what a `finally` needs: its steps, the step it belongs to, and the way there."""
        for action in state.actions.values():
            inside = any(is_under(action.id, f"{shield}.finally") for shield in shields)
            if is_under(action.id, path) and action.status != "stopping" and not inside:
                self.broken("closing", f"{action.id} is {action.status} below {path}, which is closing")
        steps = self.definition.index.steps
        ends = [p for p, n in state.nodes.items() if isinstance(n, StepNode) and (n.phase == "finally" or steps[n.at].final_steps)]
        for other in state.nodes:
            if other == path or not is_under(other, path) or any(is_under(other, f"{shield}.finally") for shield in shields):
                continue
            node = state.nodes[other]
            passage = (isinstance(node, ListNode) or node.phase in {"block", "handler"}) and f"within:{other}" not in state.timers
            if not any(is_under(end, other) for end in ends) and not passage:
                self.broken("closing", f"{other} is open below {path}, which is closing")

    def _belongs(self, state: RunState, action, node: StepNode | ListNode) -> bool:
        if action.kind in {"worktree", "worktree_commit"}:
            return node.phase == "worktree" and (node.end is not None) == (action.kind == "worktree_commit")
        if isinstance(node, ListNode):
            return False
        if action.id == node.path:
            return node.phase == ("read_back" if action.status == "unknown" and node.phase == "read_back" else "action")
        if action.id.endswith(".requires"):
            return node.phase == "gate"
        main = state.actions.get(node.path)
        return node.phase == "action" and main is not None and main.status == "verifying"

    def _step(self, state: RunState, node: StepNode) -> None:
        if node.phase == "action" and node.path not in state.actions:
            self.broken("closing", f"{node.path} waits for an action that is not there")
        fan = node.fan
        if fan is None or node.phase != "block":
            return
        spec = self.definition.index.steps[node.at].spec
        open_rounds = [other for other in state.nodes.values() if isinstance(other, ListNode) and other.owner == node.path]
        width = 1 if isinstance(spec, Foreach) and spec.sequential else getattr(spec, "max_parallel", 0)
        if len(open_rounds) != fan.open_count or fan.open_count > width or fan.next_index > fan.count:
            self.broken("rounds", f"{node.path} has {len(open_rounds)} open rounds, counts {fan.open_count}, may have {width}")

    def _timers(self, state: RunState) -> None:
        for name in state.timers:
            kind, path = name.split(":", 1)
            action, node = state.actions.get(path), state.nodes.get(path)
            if kind in TIMER_STATES:
                right = action is not None and action.status in TIMER_STATES[kind]
            elif kind in {"within", "wait"}:
                right = isinstance(node, StepNode) and node.phase != "finally" and (kind == "within" or node.phase in {"wait", "gate"})
            else:
                right = node is not None and (kind == "wall" or node.closing is not None or path == "finally")
            if not right:
                self.broken("timers", f"{name} is armed, but {path} is {action.status if action else node}")
        for name, action in state.actions.items():
            needed = {"backoff": "backoff", "stopping": "grace"}.get(action.status)
            spec = self.definition.index.steps[action.at].spec
            waited_for = isinstance(spec, Run) and spec.close_policy == "wait" and action.kind == "run"
            if needed is not None and f"{needed}:{name}" not in state.timers and not waited_for:
                self.broken("timers", f"{name} is {action.status} without a timer: nothing will move it")

    # What was derived

    def _notes(self, before: RunState | None, event: Event, decision: Decision) -> None:
        completed = {note.path for note in decision.notes if note.kind == "step_completed"}
        self.done = {f"{note.kind} {note.path}" for note in decision.notes}
        for note in decision.notes:
            if note.kind == "gate_decided":
                self._decided(before, event, decision.state, note)
            elif note.kind == "action_completed" and isinstance(event, ActionAnswered) and note.path == event.action:
                holder = self.holders.get((note.path, event.attempt), event.holder)
                person = event.by.kind == "human"
                if note.data["attempt"] != event.attempt or (holder != event.holder and not person):
                    self.broken(
                        "claims",
                        f"{note.path} was completed by {event.holder} as attempt {event.attempt}, which is not its own",
                    )
            elif note.kind == "attempt_failed":
                self.failures[note.path] += 1
                self.lapses.pop(note.path, None)
                retry = self.definition.index.steps[_at(note.path)].retry
                if self.failures[note.path] > (retry.attempts if retry else 1):
                    self.broken("retry", f"{note.path} failed {self.failures[note.path]} times")
            elif note.kind == "lease_lapsed":
                self.lapses[note.path] += 1
                if self.lapses[note.path] > LAPSES_MAX:
                    self.broken("lapses", f"{note.path} lapsed {self.lapses[note.path]} times")
            elif note.kind == "step_failed" and note.data["policy"] in {"continue", "fallback"}:
                self.went_on = True
            elif note.kind == "item_failed":
                self._item_failed(note.path)
            elif note.kind == "action_opened":
                self.gates.pop(note.path, None)
            elif self.remembers and not self.sharing and note.kind == "outcome_resolved" and note.data["by"] == "read_back":
                if (note.data["outcome"] == "done") != bool(self.effects[note.path]):
                    self.broken("effects", f"{note.path} was read back as {note.data['outcome']}: it had {self.effects[note.path]} effects")
            elif note.kind in {"step_opened", "step_begun_anew"}:
                for counted in (self.failures, self.lapses):
                    counted.pop(note.path, None)
        self.went_on = self.went_on or bool(self.collected & completed)
        wrongly = self.rejected & completed
        if wrongly:
            self.broken("gates", f"{min(wrongly)} was rejected and completed")
        self.rejected.clear()

    def _item_failed(self, path: str) -> None:
        spec = self.definition.index.steps[_at(path.rsplit("[", 1)[0])].spec
        if isinstance(spec, Foreach) and spec.on_item_error == "collect":
            self.collected.add(path.rsplit("[", 1)[0])

    def _decided(self, before: RunState | None, event: Event, state: RunState, note: Note) -> None:
        path, data = note.path, note.data
        if not isinstance(event, ApprovalDecided) or before is None:
            self.broken("gates", f"{path} was decided by {type(event).__name__}")
        action = before.actions[path]
        shown = digest(canonical(fill(action.params["show"], self.store.blobs.__getitem__)))
        if event.by.kind != "human" or not event.digest == action.digest == shown:
            self.broken("gates", f"{path} was decided by {event.by.kind} about {event.digest}, it shows {shown}")
        within = before.timers.get(f"within:{path}")
        if within is not None and before.parked is None and state.parked is None and within <= max(event.at_ms, before.now_ms):
            self.broken("gates", f"{path} was decided after its time")
        if self.remembers:
            self._counted(path, event, action, data)
        step = self.definition.index.steps[_at(step_path(path))]
        if path.endswith(".requires"):
            return
        if not data["approved"] and step.spec.on_reject != "continue" and step.on_error.policy != "fallback":
            self.rejected.add(path)

    def _counted(self, path: str, event: ApprovalDecided, action: ActionState, data: dict) -> None:
        deciders = self.gates.setdefault(path, [])
        if event.by.name in deciders and data["approved"]:
            self.broken("gates", f"{event.by.name} approved {path} twice")
        if len(deciders) >= int(action.params.get("count") or 1):
            self.broken("gates", f"{path} was decided {len(deciders) + 1} times")
        deciders.append(event.by.name)
        if data["approved"] and f"action_completed {path}" in self.done and len(deciders) < int(action.params.get("count") or 1):
            self.broken("gates", f"{path} was approved by {len(deciders)} only")

    # What callers saw and did

    def effect(self, action_id: str, attempt: int, holder: str) -> None:
        """An action had its effect on the world."""
        if action_id != step_path(action_id):
            return
        self.accounts.called(action_id, attempt)
        step = self.definition.index.steps[_at(action_id)]
        if step.effect in HARMLESS:
            return
        self.effects[action_id] += 1
        if self.effects[action_id] > 1 and not step.repeatable and step.key is None:
            self.broken("effects", f"{action_id} was done twice, now as attempt {attempt} by {holder}")

    def acknowledge(self, action: str, attempt: int, body: str, reply: Reply) -> None:
        """A caller got the reply to an answer."""
        if reply.refusal is None:
            self.acknowledged.append((action, attempt, body))

    def duplicate(self, first: Reply, again: Reply) -> None:
        """A caller made the same request again after it had got a reply that was stored."""
        if (first.refusal, first.claimed) != (again.refusal, again.claimed) or not again.duplicate:
            self.broken("acknowledged", f"the same request got {again} after {first}")

    # The end

    def ended(self, state: RunState) -> None:
        answers = [event for event in self.store.log[self.shared :] if isinstance(event, ActionAnswered)]
        logged = {(event.action, event.attempt, body_of(event)) for event in answers}
        for answer in self.acknowledged:
            if answer not in logged:
                self.broken("acknowledged", f"the answer {answer} was acknowledged and is not in the log")
        counted = Counter((e.action, e.attempt) for e in answers if (e.action, e.attempt, body_of(e)) in set(self.acknowledged))
        for (action, attempt), count in counted.items():
            if count > 1:
                self.broken("acknowledged", f"attempt {attempt} of {action} was answered {count} times")
        if state.status == "completed" and self.went_on:
            self.broken("degraded", "a failure was passed by, and the run says `completed`")
        for field, items in self.lists.items():
            found = (state.frames[""].state or {}).get(field) if "" in state.frames else None
            if isinstance(found, list) and found:
                self._in_order(field, items, found)

    def _in_order(self, field: str, items: list, found: list) -> None:
        # A `return` in a loop within a task gives "early" for its item.
        if len(found) != len(items) or any(got not in (None, wanted, "early") for got, wanted in zip(found, items, strict=True)):
            self.broken("order", f"{field} is {found}, the items were {items}")


def withers(state: RunState, path: str, shields: list[str]) -> bool:
    """Whether something closes around a node, and no `finally` shields it."""
    around = [p for p, n in state.nodes.items() if n.closing is not None and p != path and is_under(path, p)]
    return any(not any(is_under(shield, p) and shield != p and is_under(path, f"{shield}.finally") for shield in shields) for p in around)


def first_of(event: Event) -> Event:
    """The event that a fork absorbs anew; any other one itself."""
    return first_of(event.event) if isinstance(event, RunForked) else event


def body_of(event: ActionAnswered) -> str:
    return codec.dumps([event.value, event.failure]).decode()


def _at(path: str) -> str:
    """The address of a path."""
    return address_of(path)
