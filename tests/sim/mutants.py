"""Mutants: mistakes of named classes, put into the core or the model store on purpose, to prove that the oracles see them.

A mutant is a context manager. While it is entered, the simulation must find it within a bounded number of seeds.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from tests.sim.store import Reply, Store
from treadle.core import (
    answers,
    aside,
    attempts,
    closing,
    endings,
    gates,
    limits,
    opening,
    steps,
    transitions,
    waiting,
)
from treadle.core.draft import Draft
from treadle.core.events import Evaluated
from treadle.core.state import StepNode

Mutant = Callable[[], AbstractContextManager[None]]
MUTANTS: dict[str, Mutant] = {}


def mutant(make: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
    """Enter a generator function into the table; its name is the class of the bug, its docstring says what is wrong."""
    MUTANTS[make.__name__] = contextmanager(make)
    return make


@contextmanager
def swapped(original: Callable[..., Any], wrong: Callable[..., Any]) -> Iterator[None]:
    """Put a function in another's place, wherever the core or the simulation has a name or a table cell for it."""
    places: list[tuple[dict, object]] = []
    for name, module in list(sys.modules.items()):
        if name.startswith(("treadle.core", "tests.sim")):
            places += [(vars(module), key) for key, value in vars(module).items() if value is original and key != "original"]
    for row in (opening.OPENERS, *transitions.ACTION_EVENTS.values()):
        places += [(row, state) for state, cell in row.items() if cell is original]
    if not places:
        raise LookupError(f"{original} is nowhere")
    for where, key in places:
        where[key] = wrong
    try:
        yield
    finally:
        for where, key in places:
            where[key] = original


@contextmanager
def patched(owner: object, name: str, wrong: object) -> Iterator[None]:
    """Put something in the place of an attribute."""
    original = getattr(owner, name)
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        setattr(owner, name, original)


@mutant
def clock_goes_back():
    """The run takes the event's clock as its own."""
    make = Draft.__init__

    def wrong(self, definition, state, at_ms, blobs):
        make(self, definition, state, at_ms, blobs)
        self.now_ms = at_ms

    with patched(Draft, "__init__", wrong):
        yield


@mutant
def lapse_keeps_the_attempt():
    """Who takes a lapsed action over gets the same attempt number."""
    grant = attempts._grant

    def wrong(draft, action, claim):
        known = draft.actions.get(action.id)
        grant(draft, replace(action, attempt=known.attempt if known else action.attempt), claim)

    with swapped(grant, wrong):
        yield


@mutant
def late_answer_accepted():
    """An answer to an attempt that is gone counts for the one that is open."""
    fits = answers._fits_attempt

    def wrong(draft, action, event):
        return fits(draft, action, replace(event, attempt=action.attempt, holder=action.holder or event.holder))

    with swapped(fits, wrong):
        yield


@mutant
def request_answered_anew():
    """The store forgets which requests it has answered."""
    with patched(Store, "repeated", lambda self, key, body: None):
        yield


@mutant
def request_kept_without_its_events():
    """The store keeps the reply before it knows that the commit takes place."""
    commit = Store.commit

    def wrong(self, expected, events, state, blobs, request, reply: Reply, now_ms):
        if request is not None:
            self.requests[request[0]] = (request[1], reply)
        commit(self, expected, events, state, blobs, request, reply, now_ms)

    with patched(Store, "commit", wrong):
        yield


@mutant
def cancel_leaves_a_child_open():
    """The oldest action below something that closes is forgotten."""
    begin = closing.begin_closing

    def wrong(draft, node, outcome, **more):
        first = next(draft.actions_under(node.path), None)
        begin(draft, node, outcome, **more)
        if first is not None:
            draft.put_action(first)

    with swapped(begin, wrong):
        yield


@mutant
def sibling_not_cancelled():
    """When an item fails, the others are left alone."""
    begin = closing.begin_closing

    def wrong(draft, node, outcome, **more):
        if outcome.how == "fail" and isinstance(node, StepNode):
            draft.put(replace(node, closing=outcome))
            draft.look_at(node.path)
        else:
            begin(draft, node, outcome, **more)

    with swapped(begin, wrong):
        yield


@mutant
def timer_left_armed():
    """An action goes, its timers stay."""

    def wrong(self, action_id):
        if self.actions.pop(action_id, None) is not None:
            self.changed = True

    with patched(Draft, "drop_action", wrong):
        yield


@mutant
def only_one_timer_fires():
    """Of the timers that are due only the first one fires."""
    fire = waiting.fire_due

    def wrong(draft):
        due = sorted((at, name) for name, at in draft.timers.items() if at <= draft.now_ms)
        for _, name in due[1:]:
            del draft.timers[name]
        later = {name: at for at, name in due[1:]}
        fire(draft)
        draft.timers |= later

    with swapped(fire, wrong):
        yield


@mutant
def late_approval_accepted():
    """The time of a gate is looked at after the decision."""
    fire = waiting.fire_due

    def wrong(draft):
        gates = [f"within:{a.id}" for a in draft.actions.values() if a.kind == "approve"]
        held = {name: draft.timers.pop(name) for name in gates if name in draft.timers}
        fire(draft)
        draft.timers |= {name: at for name, at in held.items() if name.split(":", 1)[1] in draft.nodes}

    with swapped(fire, wrong):
        yield


@mutant
def set_order():
    """Actions are gone through in the order of a set."""

    def wrong(self, path):
        inside = {action.id for action in self.actions.values() if settle_is_under(action.id, path)}
        return (self.actions[name] for name in inside)

    with patched(Draft, "actions_under", wrong):
        yield


def settle_is_under(path: str, root: str) -> bool:
    return not root or path == root or (path.startswith(root) and path[len(root)] in "/[.")


@mutant
def claim_without_a_lapse():
    """Whoever asks gets what another one holds."""
    with swapped(attempts.may_take, lambda action, claim: True):
        yield


@mutant
def lapses_not_counted():
    """A performer may be lost for ever."""
    with patched(limits, "LAPSES_MAX", 99):
        yield


@mutant
def retry_not_counted():
    """Every failure is the first one."""
    fail = answers.fail_attempt

    def wrong(draft, action, failure):
        fail(draft, replace(action, failures=0), failure)

    with swapped(fail, wrong):
        yield


@mutant
def results_out_of_order():
    """Results stand in the order in which items ended."""
    put = aside.with_item

    def wrong(parts, index, value):
        taken = sum(1 for part in parts for item in part if item is not None)
        return put(parts, min(taken, index) if value is not None else index, value)

    with swapped(put, wrong):
        yield


@mutant
def stale_fence_accepted():
    """The store appends to a run that has moved."""
    with patched(Store, "fits", lambda self, expected: True):
        yield


@mutant
def effect_without_a_claim():
    """What has an effect is begun without a durable claim."""
    with swapped(closing.needs_claim, lambda action: False):
        yield


@mutant
def unknown_outcome_offered_again():
    """What may have been done is done again."""
    with swapped(attempts.harmless, lambda action: True):
        yield


@mutant
def rejected_gate_completes():
    """A rejection ends the gate as done."""

    def wrong(draft, action, result, message):
        draft.drop_action(action.id)
        steps.finish_step(draft, draft.step_node(gates.step_path(action.id)), result)

    with swapped(answers.reject, wrong):
        yield


@mutant
def any_digest_approves():
    """A decision counts whatever it was shown."""
    why_not = gates.why_not

    def wrong(draft, action, event):
        return why_not(draft, action, replace(event, digest=action.digest or ""))

    with swapped(why_not, wrong):
        yield


@mutant
def agent_approves():
    """An agent that says it is a person is believed."""
    why_not = gates.why_not

    def wrong(draft, action, event):
        return why_not(draft, action, replace(event, by=replace(event.by, kind="human")))

    with swapped(why_not, wrong):
        yield


@mutant
def parked_run_performs():
    """A run that is set aside goes on handing out what servers do."""
    offer = attempts.offer

    def wrong(draft, action):
        parked, draft.parked = draft.parked, None
        offer(draft, action)
        draft.parked = draft.parked or parked

    with swapped(offer, wrong), patched(Draft, "park", _park_without_holding):
        yield


def _park_without_holding(self, reason, by):
    before = self.commands
    _PARK(self, reason, by)
    self.commands = before


_PARK = Draft.park


@mutant
def degraded_forgotten():
    """A failure that was passed by leaves no trace in the status."""
    end = endings.end_run

    def wrong(draft, *args, **more):
        draft.degraded = False
        end(draft, *args, **more)

    with swapped(end, wrong):
        yield


@mutant
def results_of_functions_not_stored():
    """The log lacks what registered functions gave."""
    commit = Store.commit

    def wrong(self, expected, events, *more):
        commit(self, expected, [event for event in events if not isinstance(event, Evaluated)], *more)

    with patched(Store, "commit", wrong):
        yield


@mutant
def stopped_action_forgotten():
    """What was told to stop is not waited for, and nobody looks at what closes any more."""
    with swapped(closing.closing_goes_on, lambda draft: None):
        yield
