"""Accounts: what the oracles keep beside the core's own books, so that a mistake in those is seen.

Each account is fed with every transition that was committed and calls `broken(oracle, message)` where its rule does not hold: `finally` once per
begun step, `undo` once per completed visit and newest first, each goto at most so often, a signal for one wait, calls within their budgets,
a required gate approved for what it would show now.
"""

from collections import Counter
from collections.abc import Callable
from typing import NoReturn

from treadle.core.aside import fill
from treadle.core.commands import Decision, Note
from treadle.core.definition import Definition, Goto, Parallel
from treadle.core.events import ActionAnswered, CancelRequested, Event, SignalSent, UndoRequested
from treadle.core.ids import address_of, is_under, suffix_of
from treadle.core.index import budget_at
from treadle.core.render import visible_names
from treadle.core.state import ActionState, ListNode, RunState, StepNode
from treadle.core.values import Value, canonical, digest

Broken = Callable[[str, str], NoReturn]
COUNTED = {"delegate", "mcp_call", "http"}


class Accounts:
    """All of them, for one run."""

    def __init__(self, definition: Definition, blobs: dict[str, Value], broken: Broken) -> None:
        self.definition, self.blobs, self.broken = definition, blobs, broken
        self.steps = definition.index.steps
        self.begun: set[str] = set()
        self.cleaned: Counter[str] = Counter()
        self.hastened = False
        self.undoable: list[str] = []
        self.taken_back: list[str] = []
        self.undoing = False
        self.undo_cut = False
        self.asked_in_undo = 0
        self.gotos: Counter[tuple[str, str]] = Counter()
        self.sent: Counter[str] = Counter()
        self.read: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.made: set[tuple[str, int]] = set()
        self.children: dict[tuple[str, int], int] = {}
        self.stands: dict[str, bool] = {}
        self.since_fork: set[str] | None = None
        self.sharing = False
        self.failed_lists: set[str] = set()
        self.proven: set[str] = set()
        self.refuted: set[str] = set()
        self.state: RunState | None = None
        self.after: RunState | None = None

    def transition(self, before: RunState | None, event: Event, decision: Decision) -> None:
        state = self.after = decision.state
        bad = isinstance(event, ActionAnswered) and event.action.endswith(".verify") and isinstance(event.value, list)
        self.refuted = {event.action.removesuffix(".verify")} if bad and not all(row["ok"] for row in event.value) else set()
        if isinstance(event, SignalSent) and decision.refusal is None:
            self.sent[event.name] += 1
        if isinstance(event, CancelRequested) and before is not None and (before.status != "running" or before.ending is not None):
            self.hastened = True
        self.undoing = self.undoing or isinstance(event, UndoRequested)
        forked = max((number for number, note in enumerate(decision.notes) if note.kind == "run_forked"), default=-1)
        for number, note in enumerate(decision.notes):
            self.sharing = number < forked  # what it handed out is taken back by the fork
            known = getattr(self, "_" + note.kind, None)
            if known is not None:
                known(note)
        self._ends(before, state)
        self._budgets(state)
        self.state = state

    # finally

    def _step_opened(self, note: Note) -> None:
        self.stands[note.path.rpartition("/")[2].split("~")[0]] = False
        for owner in [path for path in self.calls if path == note.path]:
            del self.calls[owner]

    def _step_completed(self, note: Note) -> None:
        step = self.steps[address_of(note.path)]
        if step.final_steps:
            self.begun.add(note.path)
        if step.undo and not self.undoing:
            self._keep(note.path)

    def _step_failed(self, note: Note) -> None:
        step = self.steps[address_of(note.path)]
        if note.data["policy"] == "fail":
            self.failed_lists.add(_list_of(note.path))
        if step.final_steps:
            self.begun.add(note.path)
        if (
            isinstance(step.spec, Goto)
            and note.data["error_class"] == "max_visits"
            and self.gotos[self._goto(note.path)] < step.spec.max_visits
        ):
            self.broken("goto", f"{note.path} may not be taken, and was taken {self.gotos[self._goto(note.path)]} times only")

    def _finally_begun(self, note: Note) -> None:
        self.cleaned[note.path] += 1
        if self.cleaned[note.path] > 1:
            self.broken("finally", f"the `finally` of {note.path or 'the run'} was begun twice")

    def _finally_failed(self, note: Note) -> None:
        if note.path in self.undoable:  # the step has failed
            self.undoable.remove(note.path)

    def _finally_cut(self, _note: Note) -> None:
        self.hastened = True

    def _ends(self, before: RunState | None, state: RunState) -> None:
        for path, node in state.nodes.items():
            if isinstance(node, StepNode) and node.phase not in {"opening", "worktree"} and self.steps[node.at].final_steps:
                self.begun.add(path)
        if before is not None and not self.hastened:
            missing = [p for p in self.begun if not self.cleaned[p] and (state.ended or p not in state.nodes)]
            if missing:
                self.broken("finally", f"{missing[0]} has ended, its `finally` did not run")
        if state.ended and self.definition.final_steps and not self.cleaned[""] and not self.hastened:
            self.broken("finally", "the file's `finally` did not run")

    # undo

    def _keep(self, path: str) -> None:
        if path in self.undoable:
            self.broken("undo", f"{path} completed twice")
        self.undoable.append(path)

    def _cancel_requested(self, _note: Note) -> None:
        self.asked_in_undo += self.undoing

    def _cancel_hastened(self, _note: Note) -> None:
        self.undo_cut = self.undoing
        if self.undo_cut and not self.asked_in_undo:
            self.broken("undo", "the first request to cancel cut the undo off")

    def _undo_begun(self, note: Note) -> None:
        self.undoing = True
        if note.path in self.taken_back:
            self.broken("undo", f"{note.path} was taken back twice")
        self.taken_back.append(note.path)
        left = [path for path in self.undoable if path not in self.taken_back]
        if note.path not in self.undoable or any(self.undoable.index(p) > self.undoable.index(note.path) for p in left):
            self.broken("undo", f"{note.path} was taken back before {left[-1:]}, which completed later")

    def _run_ended(self, note: Note) -> None:
        status = str(note.data["status"])
        well = status in {"completed", "completed_degraded"} or (status == "goal_not_met" and not self.undoing)
        if well and self.taken_back:
            self.broken("undo", f"{self.taken_back[0]} was taken back in a run that ended well")
        left = [path for path in self.undoable if path not in self.taken_back]
        if self.undoing and left and not self.undo_cut:
            self.broken("undo", f"{left[-1]} was not taken back")
        if status in self.definition.undo_on and left and not self.undo_cut:
            self.broken("undo", f"the run ended as {status}, {left[-1]} was not taken back")

    # goto, signals

    def _goto_taken(self, note: Note) -> None:
        key, most = self._goto(note.path), self.steps[address_of(note.path)].spec.max_visits
        self.gotos[key] += 1
        if self.gotos[key] > most:
            self.broken("goto", f"{note.path} was taken {self.gotos[key]} times, at most {most} are allowed")

    def _goto(self, path: str) -> tuple[str, str]:
        """The list of a goto's target, and the place of the goto."""
        spec, around = self.steps[address_of(path)].spec, _list_of(path)
        assert isinstance(spec, Goto)
        while spec.target not in {step.id for step in self.definition.index.lists[address_of(around)]}:
            around = _list_of(_owner_of(around))
        return around, address_of(path)

    def _signal_taken(self, note: Note) -> None:
        name = str(note.data["signal"])
        self.read[name] += 1
        if self.read[name] > self.sent[name]:
            self.broken("signals", f"{note.path} took a signal `{name}` that nobody sent, or that another wait had taken")

    def _branch_completed(self, note: Note) -> None:
        if note.path in self.failed_lists:
            self.broken("join", f"{note.path} failed, and counts as completed")

    # parallel: when a block has ended nothing of it is left

    def losers(self, state: RunState) -> None:
        for path, node in state.nodes.items():
            if not isinstance(node, StepNode) or node.join is None or node.phase != "block" or node.closing is not None:
                continue
            spec = self.steps[node.at].spec
            assert isinstance(spec, Parallel)
            lists = [state.nodes.get(path + "." + suffix_of(name)) for name in spec.branches]
            going = [other for other in lists if isinstance(other, ListNode) and other.closing is None]
            if len(node.join.results) >= (spec.need or len(spec.branches)) and going:
                self.broken("join", f"{path} has its successes, and {going[0].path} goes on")

    # proof

    def _verified(self, note: Note) -> None:
        self.proven.add(note.path)

    def _action_opened(self, note: Note) -> None:
        self.proven.discard(note.path)
        self._dispatched(self.after, note)

    def _outcome_resolved(self, note: Note) -> None:
        self.proven.add(note.path)  # read back, or said by a person

    def _action_completed(self, note: Note) -> None:
        if note.path in self.refuted:
            self.broken("proof", f"{note.path} counts as done, and a check did not hold")
        step = self.steps.get(address_of(note.path))
        if step is not None and step.verify and note.path not in self.proven:
            self.broken("proof", f"{note.path} counts as done, and nothing was verified")

    # budgets

    def called(self, action: str, attempt: int) -> None:
        """An attempt was made."""
        state = self.state
        found = state.actions.get(action) if state is not None else None
        if found is None or found.attempt != attempt or found.redo or (found.kind not in COUNTED and not _counted_function(found)):
            return
        if (action, attempt) in self.made:
            return  # two processes may carry out at once what is harmless
        self.made.add((action, attempt))
        for owner in state.spent:
            if is_under(action, owner):
                self.calls[owner] += 1

    def child_called(self, action: ActionState, calls: int) -> int:
        """A child run made calls, in all; taken over after a loss it is the same child. Give what it made."""
        name = (action.id, action.failures)
        known = self.children.get(name, 0)  # what needs no claim may be carried out by two at once: it is one child
        now = self.state.actions.get(action.id) if self.state is not None else None
        if now is None or now.attempt != action.attempt:
            return known  # it has ended, as another worker has told: it calls no more
        made = self.children[name] = max(known, calls)
        for owner in self.state.spent if self.state is not None else ():
            if is_under(action.id, owner):
                self.calls[owner] += made - known
        return made

    def _budgets(self, state: RunState) -> None:
        for owner in [path for path in self.calls if path not in state.spent]:
            del self.calls[owner]
        if state.status != "running" or state.ending is not None:
            return
        for owner, spent in state.spent.items():
            budget, node = budget_at(self.definition, spent.at), state.nodes.get(owner)
            behind = isinstance(node, StepNode) and (node.phase in {"finally", "handler"} or node.end is not None)
            if not budget.calls or spent.over or behind:
                continue
            most = budget.calls * (1 + spent.more)
            if max(spent.calls, self.calls[owner]) > most:
                self.broken("budget", f"{owner or 'the run'} made {spent.calls} ({self.calls[owner]}) calls, it may make {most}")
        for owner, spent in state.spent.items():
            if owner and owner not in state.nodes:
                self.broken("budget", f"{owner} has ended, its budget is still counted ({spent})")

    # forks: what was approved and what was done before is the origin's

    def _run_forked(self, _note: Note) -> None:
        self.undoable, self.taken_back, self.since_fork = [], [], set()
        self.calls.clear()
        self.made.clear()

    def _step_begun_anew(self, note: Note) -> None:
        self.begun.discard(note.path)

    # gates

    def _gate_decided(self, note: Note) -> None:
        if self.since_fork is not None:
            owner = note.path.removesuffix(".requires")
            requires = self.steps[address_of(owner)].requires
            self.since_fork |= {owner.rpartition("/")[2].split("~")[0], note.path, *(requires.gates if requires else ())}
        if not note.path.endswith(".requires"):
            self.stands[note.path.rpartition("/")[2].split("~")[0]] = bool(note.data["approved"])

    def _dispatched(self, state: RunState, note: Note) -> None:
        """An action was handed out that requires gates: what they would show now is what was approved."""
        if note.data.get("action_kind") in {"approve", "verify", "worktree", "worktree_commit"}:
            return
        step = self.steps[address_of(note.path)]
        if step.requires is None or self.sharing:
            return
        wanted = [*step.requires.gates] if step.requires.by is None else [note.path + ".requires"]
        if self.since_fork is not None and not self.since_fork.issuperset(wanted):
            self.broken("fork", f"{note.path} was handed out on an approval that was given before the fork")
        if not step.requires.gates:
            return
        node = state.nodes.get(note.path)
        if not isinstance(node, StepNode):
            return
        frame = state.frames[node.frame]
        seen = visible_names(_Seen(state), frame)["state"]
        for gate in step.requires.gates:
            approval, inner = None, frame
            while approval is None:
                approval = inner.approvals.get(gate)
                if inner.state is not None or inner.outer is None:
                    break
                inner = state.frames[inner.outer]
            places = [at for at, each in self.steps.items() if each.id == gate and "[]" not in at]
            if places and not self.stands.get(gate, False):
                self.broken("gates", f"{note.path} was handed out, and {gate} was reached again and not approved since")
            if approval is None and places:
                continue  # reached again later in this very transition; until then it stood
            now = digest(canonical(fill({"of": gate, "state": seen}, self.blobs.__getitem__)))
            if approval is None or not approval.approved or approval.digest != now:
                self.broken("gates", f"{note.path} was handed out, and {gate} has not approved what it would show now")


class _Seen:
    """As much of a draft as `visible_names` looks at."""

    def __init__(self, state: RunState) -> None:
        self.frames, self.base, self.now_ms = state.frames, state, state.now_ms


def _counted_function(action) -> bool:
    return action.kind == "function" and action.effect != "none"


def _list_of(path: str) -> str:
    """The list that a step stands in."""
    return path.rpartition("/")[0]


def _owner_of(path: str) -> str:
    """The step that a list belongs to."""
    return path[: max(path.rfind("."), path.rfind("["))]
