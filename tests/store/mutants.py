"""Mutants: mistakes of named classes, put into the real storages and the engine over them on purpose, which the player must find.

A mutant is written as the edit that somebody could make: in a function or a constant of the product, these words in place of those. Words
that are not there any more are an error, so that no mutant goes stale unseen.
"""

import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module

from tests.sim.oracles import Violation
from tests.store.player import play

EMBEDDED, ENGINE = "treadle.engine.embedded", "treadle.engine"


@dataclass(frozen=True)
class Mutant:
    """One mistake; `what` says the class of it. `edits` are, by place (`module:name` or `module:Class.name`), the words and those that replace them."""

    name: str
    what: str
    edits: dict[str, list[tuple[str, str]]]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the product make this mistake meanwhile."""
        with ExitStack() as stack:
            for place, changes in self.edits.items():
                stack.enter_context(_edited(place, changes))
            yield


@contextmanager
def _edited(place: str, changes: list[tuple[str, str]]) -> Iterator[None]:
    module = import_module(place.partition(":")[0])
    *path, name = place.partition(":")[2].split(".")
    owner = getattr(module, path[0]) if path else module
    original = vars(owner)[name]
    text = original if isinstance(original, str) else textwrap.dedent(inspect.getsource(inspect.unwrap(original)))
    for old, new in changes:
        if text.count(old) != 1:
            raise LookupError(f"{place} has {old!r} {text.count(old)} times")
        text = text.replace(old, new)
    wrong: object = text
    if not isinstance(original, str):
        scope: dict[str, object] = {}
        exec(compile(text, place, "exec"), vars(module), scope)
        wrong = scope[name]
    # Other modules may have the name too.
    owners = [
        owner,
        *(m for n, m in list(sys.modules.items()) if n.startswith("treadle") and m is not owner and vars(m).get(name) is original),
    ]
    for each in owners:
        setattr(each, name, wrong)
    try:
        yield
    finally:
        for each in owners:
            setattr(each, name, original)


def _mutant(name: str, what: str, *edits: tuple[str, str, str]) -> Mutant:
    places: dict[str, list[tuple[str, str]]] = {}
    for place, old, new in edits:
        places.setdefault(place, []).append((old, new))
    return Mutant(name, what, places)


APPLY, WRITER, STORAGE, READER = f"{EMBEDDED}.apply", f"{EMBEDDED}.writer", f"{EMBEDDED}.storage", f"{EMBEDDED}.reader"
MEMORY, LOCAL, PERFORMING, CONTRACT = f"{ENGINE}.memory", f"{ENGINE}.local", f"{ENGINE}.performing", f"{ENGINE}.storage"

MUTANTS = [
    # What is written for one transition
    _mutant("fence_not_checked", "a commit takes place on a revision that its writer has not seen", (f"{APPLY}:_run_update", "AND revision = ?", "AND ? >= 0")),
    _mutant("request_row_not_written", "what was carried out is not known when it is asked again",
            (f"{APPLY}:_write", "for request in write.requests:", "for request in ():")),
    _mutant("event_without_its_action_row", "an action is opened in the events and not among the rows",
            (f"{APPLY}:_change_actions", "for row in write.opened:", "for row in write.opened[:-1]:")),
    _mutant("row_of_a_closed_action_kept", "an action is closed in the events and not among the rows",
            (f"{APPLY}:_change_actions", "for action in write.closed:", "for action in write.closed[1:]:")),
    _mutant("link_of_the_wrong_event", "the chain goes on from another event than the one before",
            (f"{APPLY}:_chained", "next_link(link, revision, body)", "next_link(link, revision, rows[0][3])")),
    _mutant("redo_misses_an_event", "who lost a race is told of the events since the fence but for the first",
            (f"{APPLY}:_stale", "else write.expected.revision", "else write.expected.revision + 1")),
    _mutant("due_timer_lost", "a run's row keeps the due time that it was opened with",
            (f"{STORAGE}:_fields", "if before is None or due_ms != due_ms_of(before.state):", "if before is None:")),
    _mutant("row_of_a_lapsed_attempt", "an action's row keeps its holder when the attempt changes hands",
            (f"{STORAGE}:_action_fields", 'fields["holder"] = holder', 'fields["holder"] = old.holder or holder')),
    # Leases
    _mutant("lease_of_another_taken", "an action's row is taken from who holds it", (f"{APPLY}:_RENEW_LEASE", "lease_until_ms <= ?6", "?6")),
    _mutant("lapsed_lease_taken_for_living", "what a dead process held is held for ever",
            (f"{PERFORMING}:Performing._look_at_served", "served.until_ms > now_ms:", "served.until_ms > 0:")),
    _mutant("living_process_given_up", "what a process holds is called lost before its lease has run out",
            (f"{PERFORMING}:Performing._look_at_served", "served.until_ms > now_ms:", "served.until_ms < 0:"),
            (f"{PERFORMING}:Performing._lost", "served.action in lapsed()", "lapsed")),
    _mutant("effect_before_its_claim", "what has an effect is begun without a durable claim", (f"{PERFORMING}:Performing._perform", "if claim:", "if False:")),
    _mutant("effect_without_the_answer_to_its_claim", "what has an effect is begun although another one got the claim",
            (f"{PERFORMING}:Performing._perform", "state = await self._claim(key)", "await self._claim(key)")),
    # Reading
    _mutant("snapshot_of_the_revision_before", "a snapshot is filed under the revision before its own",
            (f"{APPLY}:_write", "(write.run, head.revision, write.snapshot)", "(write.run, head.revision - 1, write.snapshot)")),
    _mutant("snapshot_of_the_state_before", "a snapshot is of the state before the commit",
            (f"{STORAGE}:EmbeddedStorage._write", "snapshot=_snapshot(head, bodies, state)", "snapshot=_snapshot(head, bodies, before.state if before else state)")),
    _mutant("tail_replayed_twice", "the first event after a snapshot is folded again",
            (f"{READER}:Reader.load", "after_rev=snapshot[0][0] if snapshot", "after_rev=max(0, snapshot[0][0] - 1) if snapshot")),
    _mutant("tail_forgotten", "a run is read as of its last snapshot", (f"{STORAGE}:EmbeddedStorage._load", "if state is None or loaded.tail:", "if state is None:")),
    _mutant("event_of_another_missed", "what another process stored is read but for its first event",
            (f"{STORAGE}:EmbeddedStorage._newer", "after_rev=fence.revision", "after_rev=fence.revision + 1")),
    _mutant("feed_skips_a_run", "of what a run stored at once not the last is told",
            (f"{STORAGE}:EmbeddedStorage.changes", "for change in changes}", "for change in reversed(changes)}")),
    # Becoming durable
    _mutant("acknowledged_without_commit", "the reply leaves, and the transaction is not committed",
            (f"{WRITER}:Writer._transaction", "session.commit()", "session.roll_back()")),
    _mutant("mark_not_written", "the high-water mark stands still", (f"{WRITER}:Writer._mark", "self._turnstile.write_mark(self._store, seq)", "pass")),
    _mutant("mark_before_commit", "the high-water mark is raised before COMMIT",
            (f"{WRITER}:Writer._transaction", 'faults.point("commit.before")', '_last_seq(results) and self._mark(_last_seq(results)); faults.point("commit.before")')),
    _mutant("blob_row_before_its_file", "a value's file is written after the commit that names it",
            (f"{STORAGE}:EmbeddedStorage.commit", "if batch.transition.blobs:", "if False:"),
            (f"{STORAGE}:EmbeddedStorage.commit", "before, transition = redone[-1]", "isinstance(outcome, Stored) and self._keep_blobs(batch.transition)\n    before, transition = redone[-1]"),
            (f"{WRITER}:Writer._alone", "not all(self._has_blob(", "False and all(self._has_blob(")),
    # Groups and joint commits
    _mutant("rollback_forgotten_in_a_group", "a unit that is refused among others leaves half of itself behind",
            (f"{WRITER}:Writer._among_others", 'db.execute("ROLLBACK TO unit")', "pass")),
    _mutant("outcome_of_another_unit", "who commits in a group is told another one's outcome",
            (f"{WRITER}:_deliver", "zip(group, results, strict=True)", "zip(group, results[::-1], strict=True)")),
    _mutant("part_of_a_joint_commit_lost", "the first of several events that share a commit is not stored",
            (f"{ENGINE}.transact:joined", "events=_concat(part.events for part in parts)", "events=_concat(part.events for part in parts[1:] or parts)")),
    _mutant("joint_commit_carried_out_again", "what was committed together is carried out once more, one by one",
            (f"{LOCAL}:LocalEngine._send_together", "return True", "return False")),
    _mutant("reply_of_another_part", "who shares a commit is told what became of another one",
            (f"{LOCAL}:LocalEngine._send_together", "zip(group, parts, strict=False)", "zip(group, parts[::-1], strict=False)")),
    _mutant("reply_kept_for_another_request", "the replies of a joint commit are kept under one another's keys",
            (f"{CONTRACT}:kept_replies", "zip(batch.requests,", "zip(batch.requests[::-1],")),
    # The memory storage
    _mutant("memory_fence_not_checked", "a commit takes place on a revision that its writer has not seen",
            (f"{MEMORY}:MemoryStorage.commit", "current.fence != batch.before.fence", "False")),
    _mutant("memory_forgets_requests", "what was carried out is not known when it is asked again",
            (f"{MEMORY}:MemoryStorage._write", "self._requests[request.key] = (request.digest, reply)", "pass")),
    _mutant("memory_keeps_old_leases", "a lease outlives the attempt that it was of", (f"{MEMORY}:MemoryStorage._hold", "leases.pop(action.id, None)", "pass")),
    _mutant("memory_takes_from_others", "an action's row is taken from who holds it", (f"{MEMORY}:MemoryStorage.take", "held.until_ms <= now_ms", "True")),
    _mutant("memory_due_too_late", "what is due at this very instant is not", (f"{MEMORY}:MemoryStorage.due", "r.next_due_ms <= now_ms", "r.next_due_ms < now_ms")),
]  # fmt: skip
NAMED = {mutant.name: mutant for mutant in MUTANTS}


def caught(name: str, most: int) -> tuple[str, int] | None:
    """Give the oracle that catches a mutant and after how many seeds; None if none does."""
    with NAMED[name].applied():
        for seed in range(most):
            try:
                play(seed)
            except Violation as violation:
                return violation.oracle, seed + 1
    return None
