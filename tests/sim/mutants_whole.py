"""Mutants of what the whole language brought: ends, joins, waits, budgets, proof. `MUTANTS` is the whole table."""

from dataclasses import replace

from tests.sim.mutants import MUTANTS, mutant, patched, swapped
from treadle.core import (
    attempts,
    blocks,
    budget,
    closing,
    endings,
    fork,
    gates,
    steps,
    verify,
    waiting,
)
from treadle.core.draft import Draft
from treadle.core.state import Signal, StepNode

__all__ = ["MUTANTS"]


@mutant
def finally_skipped():
    """What is closed from outside ends without its `finally`."""
    with swapped(closing.owes_finally, lambda draft, node: False):
        yield


@mutant
def finally_of_failures_skipped():
    """A step that failed ends without its `finally`."""
    conclude = steps._conclude

    def wrong(draft, node, end):
        if end.failure is not None:
            steps.depart(draft, node, end)
        else:
            conclude(draft, node, end)

    with swapped(conclude, wrong):
        yield


@mutant
def shield_missing():
    """What closes around a `finally` stops it."""
    begin = closing.begin_closing

    def wrong(draft, node, outcome, **_more):
        begin(draft, node, outcome, shielded=False)

    with swapped(begin, wrong):
        yield


@mutant
def undo_oldest_first():
    """What was done first is taken back first."""
    undo_next = endings._undo_next

    def wrong(draft):
        draft.undo = dict(reversed(draft.undo.items()))
        undo_next(draft)
        draft.undo = dict(reversed(draft.undo.items()))

    with swapped(undo_next, wrong):
        yield


class _Keeping(dict):
    def pop(self, key, default=None):
        return self.get(key, default)


@mutant
def undo_twice():
    """What was taken back stays on the list."""
    make = Draft.__init__

    def wrong(self, definition, state, at_ms, blobs):
        make(self, definition, state, at_ms, blobs)
        self.undo = _Keeping(self.undo)

    with patched(Draft, "__init__", wrong):
        yield


@mutant
def undo_of_failures():
    """What failed is taken back as if it had been done."""
    depart = steps.depart

    def wrong(draft, node, end):
        if end.status == "failed" and draft.step(node).undo:
            steps._keep_for_undo(draft, node, replace(end, status="completed"))
        depart(draft, node, end)

    with swapped(depart, wrong):
        yield


@mutant
def loser_not_cancelled():
    """The branches that another one beat go on."""
    begin = closing.begin_closing

    def wrong(draft, node, outcome, **more):
        if outcome.how != "lost":
            begin(draft, node, outcome, **more)

    with swapped(begin, wrong):
        yield


@mutant
def budget_off_by_one():
    """One call more than the budget has is made."""
    spent_up = budget._spent_up

    def wrong(allowed, spent):
        return spent_up(replace(allowed, calls=allowed.calls + 1 if allowed.calls else 0), spent)

    with swapped(spent_up, wrong):
        yield


@mutant
def call_counted_in_one_budget():
    """A call is counted by the nearest owner alone."""
    owners = budget._owners

    with swapped(owners, lambda draft, path: owners(draft, path)[-1:]):
        yield


@mutant
def gate_digest_not_compared():
    """An approval is good for whatever the gate would show now."""

    def wrong(draft, node, step, params, render):
        if step.requires is None or step.requires.by is not None:
            return unmet(draft, node, step, params, render)
        return any(gates.approval_of(draft, node, gate) is None for gate in step.requires.gates) and unmet(
            draft, node, step, params, render
        )

    unmet = gates.unmet
    with swapped(unmet, wrong):
        yield


@mutant
def vote_counted_twice():
    """One person approves for two."""
    why_not = gates.why_not

    def wrong(draft, action, event):
        return why_not(draft, replace(action, votes=()), event)

    with swapped(why_not, wrong):
        yield


@mutant
def goto_not_counted():
    """A goto may be taken for ever."""
    go_to = endings.go_to

    def wrong(draft, node, spec, render):
        for path, other in list(draft.nodes.items()):
            if not isinstance(other, StepNode):
                draft.nodes[path] = replace(other, taken={})
        go_to(draft, node, spec, render)

    with swapped(go_to, wrong):
        yield


@mutant
def goto_counted_per_run():
    """How often a goto was taken outlives the list of its target."""
    go_to = endings.go_to
    taken: dict[tuple[str, str], int] = {}

    def wrong(draft, node, spec, render):
        key = (draft.base.seed, node.at)
        taken[key] = taken.get(key, 0) + 1
        go_to(draft, node, spec if taken[key] <= spec.max_visits else replace(spec, max_visits=0), render)

    with swapped(go_to, wrong):
        yield


@mutant
def signal_delivered_twice():
    """A signal that a wait took is kept for the next one."""
    receive = waiting.receive

    def wrong(draft, event):
        receive(draft, event)
        if any(note.kind == "signal_taken" for note in draft.notes):
            draft.mailbox.append(Signal(name=event.name, payload=event.payload, by=event.by.name, at_ms=draft.now_ms))

    with swapped(receive, wrong):
        yield


@mutant
def wait_that_is_over_takes_a_signal():
    """A wait whose `finally` runs ends once more."""
    receive = waiting.receive

    def wrong(draft, event):
        over = [node for node in draft.nodes.values() if isinstance(node, StepNode) and node.wait is not None and node.phase == "finally"]
        mine = [node for node in over if node.wait.signal == event.name]
        if mine:
            draft.note("signal_taken", mine[0].path, signal=event.name, by=event.by.name)
            steps.finish_step(draft, mine[0])
        else:
            receive(draft, event)

    with swapped(receive, wrong):
        yield


@mutant
def nothing_read_back_means_done():
    """A `read_back` that finds nothing counts as a result."""
    ended = attempts.read_back_ended

    def wrong(draft, owner, node, outcome):
        ended(draft, owner, replace(node, last="done" if node.last is None else node.last), outcome)

    with swapped(ended, wrong):
        yield


@mutant
def answer_not_proven():
    """An answer counts as done before anything has been verified."""
    with swapped(verify.await_proof, verify.complete):
        yield


@mutant
def bad_proof_accepted():
    """What a check found missing is passed over."""
    looked = verify.looked

    def wrong(draft, looking, value, failure):
        rows = [{**row, "ok": True} for row in value] if isinstance(value, list) else value
        looked(draft, looking, rows, failure)

    with swapped(looked, wrong):
        yield


@mutant
def join_counts_failures():
    """A branch that failed counts as one that succeeded."""
    ended = blocks.branch_ended

    def wrong(draft, owner, spec, branch, outcome):
        ended(draft, owner, spec, branch, replace(outcome, failure=None) if outcome.how == "fail" else outcome)

    with swapped(ended, wrong):
        yield


@mutant
def children_not_set_apart():
    """What a child run may make is counted when it has ended."""
    reserve = budget.reserve

    with swapped(reserve, lambda draft, path, child=None: reserve(draft, path) if child is None else 0):
        yield


@mutant
def fork_keeps_approvals():
    """What was approved before a fork is good for what the fork does."""
    own_name = fork._own_name

    def wrong(draft, event):
        before = {path: frame.approvals for path, frame in draft.frames.items()}
        own_name(draft, event)
        draft.frames = {path: replace(frame, approvals=before[path]) for path, frame in draft.frames.items()}

    with swapped(own_name, wrong):
        yield


@mutant
def fork_keeps_tokens():
    """Who was given a branch of the origin can work the fork's."""
    own_name = fork._own_name

    def wrong(draft, event):
        before = {path: frame.channel for path, frame in draft.frames.items()}
        own_name(draft, event)
        draft.frames = {path: replace(frame, channel=before[path]) for path, frame in draft.frames.items()}

    with swapped(own_name, wrong):
        yield


@mutant
def fork_keeps_its_origins_name():
    """The outside world knows what a fork does by the keys of its origin."""
    own_name = fork._own_name

    def wrong(draft, event):
        known = draft.base.run_id
        own_name(draft, event)
        draft.base = replace(draft.base, run_id=known)

    with swapped(own_name, wrong):
        yield


@mutant
def fork_takes_back_what_its_origin_did():
    """A fork that fails takes back what it shares."""
    own_name = fork._own_name

    def wrong(draft, event):
        undo = draft.undo
        own_name(draft, event)
        draft.undo = undo

    with swapped(own_name, wrong):
        yield


@mutant
def fork_lets_nobody_go():
    """Whoever held an action of the origin holds it in the fork."""
    let_go = fork._let_go

    def wrong(draft):
        held = {name: action for name, action in draft.actions.items() if action.status == "claimed" and action.id in draft.nodes}
        nodes = {name: draft.nodes[name] for name in held}
        let_go(draft)
        draft.actions |= held
        draft.nodes |= nodes

    with swapped(let_go, wrong):
        yield


@mutant
def old_approval_kept():
    """A gate that is reached again and not decided stands as it was decided before."""
    with swapped(gates.forget_decision, lambda draft, node, gate_id: None):
        yield
