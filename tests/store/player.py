"""A seeded player over the real storages: the same requests to the memory storage and to a file, while processes die at every fault point.

A seed is a play. Agents claim, answer, send signals, renew, repeat themselves and contradict themselves, several at once, through two engines
on each side; time passes; the engines on the file are killed in the middle of commits and opened again, and whoever was not told asks again.
After everything, runs without an outside world must be alike on both sides, to the byte of each event; and on each side everything must be what the player was
told and what the core makes of the events. In the end everybody behaves, and every run must end.
"""

import asyncio
import random
import tempfile
import threading
from pathlib import Path

from tests.sim.oracles import Violation
from tests.store.sides import LEASE_MS, CrashError, Side
from treadle.clock import FakeClock
from treadle.core.codec import dumps
from treadle.core.definition import Retry, Step, Wait
from treadle.core.errors import Failure, TreadleError
from treadle.core.events import ActionAnswered, ActionClaimed, Caller, Claim, OutcomeResolved, RunStarted, SignalSent
from treadle.core.values import BlobRef
from treadle.engine.embedded import checks, faults
from treadle.engine.embedded import storage as embedded
from treadle.engine.embedded.turnstile import Turnstile
from treadle.ports import Lease, Reply, Request, RunMeta, RunQuery
from treadle.testing.build import GO_ON, delegate, each, finish, joined, prompt, read, tool, workflow

AGENTS = tuple(Caller(kind="agent", name=name) for name in ("a1", "a2"))
ANNA = Caller(kind="human", name="anna", assurance="local")
POINTS = [point for point in faults.POINTS if point.startswith(("commit.", "blob."))]
DEEDS_MAX = 40
CHECKING = 0.3  # share of the moments in which everything is compared
BIG = 70_000
MEMORY_DISK = Path("/dev/shm")


def drawn(rng):
    """Draw a definition; those that servers perform something of are judged on each side for itself."""
    count = rng.choice((1, 2, 4))
    steps = [each("all", list(range(count)), do=[delegate("work", timeout_ms=rng.choice((None, 600_000)), on_error=GO_ON, retry=Retry(attempts=3, on=("transient",)))], max_parallel=count,
                  output_to="got"), prompt("ask", within_ms=rng.choice((None, 3_600_000)), on_error=GO_ON), Step(id="until", spec=Wait(signal="go"))]  # fmt: skip
    if served := rng.random() < 0.4:
        call = tool("call", parameters=joined(n=read("item")), effect=rng.choice(("read", "write", "write")))
        steps = [each("calls", list(range(count)), do=[call], max_parallel=count), tool("last")]
    return workflow(*steps, finish(read("state.got")), state={"got": None}), served


class Asked:
    """A request as it was made: who repeats it makes it in the same words."""

    def __init__(self, kind, run_id, make, number, value=None):
        self.kind, self.run_id, self.make, self.value = kind, run_id, make, value
        self.request: Request | None = Request(key=f"k{number}", digest=f"d{number}")
        self.done_on = set()

    def told_in(self, events, storage):
        """Count the events that say what this request said."""
        said = [event.payload for event in events if isinstance(event, SignalSent)]
        said += [event.failure.message if event.failure else event.value for event in events if isinstance(event, ActionAnswered)]
        return sum((storage.blob(value.digest) if isinstance(value, BlobRef) else value) == self.value for value in said)


class Play:
    """One play. `run` raises Violation."""

    def __init__(self, seed, folder):
        self.rng, self.clock, self.path = random.Random(seed), FakeClock(), folder / "treadle.db"
        self.memory = Side(None, self.clock, random.Random(f"{seed} memory"))
        self.file = Side(self.path, self.clock, random.Random(f"{seed} file"))
        self.sides = (self.memory, self.file)
        self.runs, self.alike, self.asked = [], set(), []
        self.crashes = 0

    async def run(self):
        for _ in range(self.rng.choice((1, 2, 3, 4))):
            await self.start()
        acts = [
            self.ask,
            self.ask,
            self.ask_together,
            self.ask_together,
            self.ask_again,
            self.pass_time,
            self.wake,
            self.renew,
            self.kill,
            self.serve,
            self.start,
        ]
        acts = [act for act in acts for _ in range(self.rng.choice((0, 1, 1, 3)))] or [self.ask]
        for _ in range(self.rng.choice((8, 16, 30))):
            act = self.rng.choice(acts)
            if act != self.start or len(self.runs) < 5:
                await act()
            if self.rng.random() < CHECKING:
                await self.check()
        await self.come_to_the_end()
        await self.check_at_the_end()
        return self

    # Asking both sides

    async def both(self, runs, calls, *, locked=False):
        """Do the same on both sides; on the file perhaps with a crash, after which those who were told nothing ask again, one after the other."""
        there = await self.memory.all([call(self.memory) for call in calls])
        if not locked and self.rng.random() < 0.4:
            self.file.arm(self.rng.choice(POINTS), self.rng.choice((1, 1, 2, 3)))
        here = await self.file.all([call(self.file) for call in calls], locked=locked)
        await self.file.settled()
        crashed = self.file.crashed
        if crashed:
            self.crashes += 1
            await self.file.begin_again()
            for at, told in enumerate(here):
                if told is None:
                    (here[at],) = await self.file.all([calls[at](self.file)])
            if len(calls) > 1:  # who was told nothing asks after those who were answered: from here on these runs go their own ways
                self.alike -= set(runs)
        self.file.disarm()
        for side in self.sides:
            await side.settled()
        for one, other in zip(there, here, strict=True):
            said, wrote = (_told(reply, crashed=crashed, alone=len(calls) == 1) for reply in (one, other))
            if self.alike.issuperset(runs) and said != wrote:
                raise Violation("told", f"memory said {said}, the file {wrote}")
        return list(zip(there, here, strict=True))

    async def start(self):
        definition, served = drawn(self.rng)
        run_id = f"r{len(self.runs)}"
        self.runs.append(run_id)
        self.alike |= set() if served else {run_id}
        event = RunStarted(at_ms=self.clock.now_ms(), run_id=run_id, seed="s", inputs={}, by=AGENTS[0])
        request, which = Request(key=f"start:{run_id}", digest=run_id), self.rng.randrange(2)
        await self.both([run_id], [lambda side: side.engines[which].start(definition, event, RunMeta(workflow="w", title=run_id), request)])

    def state(self, run_id):
        return self.memory.memory._records[run_id].state

    async def send(self, group, *, locked=False):
        engines = self.rng.choice(((0,), (1,), (0, 1)))
        which = {run_id: self.rng.choice(engines) for run_id in self.runs}

        def call(asked):
            return lambda side: side.engines[which[asked.run_id]].send(asked.run_id, asked.make, asked.request)

        runs = {asked.run_id for asked in group}
        for asked, replies in zip(group, await self.both(runs, list(map(call, group)), locked=locked), strict=True):
            told = zip(self.sides, replies, strict=True) if asked.kind != "claim" else ()
            asked.done_on |= {side for side, reply in told if isinstance(reply, Reply) and reply.refusal is None}

    def new(self, run_id):
        """Make up a request to a run."""
        rng, state, number = self.rng, self.state(run_id), len(self.asked)
        held = [action for action in state.actions.values() if action.performer != "server" and action.holder]
        kind = rng.choice(("claim", "answer", "answer", "signal"))
        by = rng.choice(AGENTS)
        if kind == "answer" and held:
            action = rng.choice(held)
            holder = by.name if rng.random() < 0.1 else action.holder
            value = f"{number} " * (BIG // 3 if rng.random() < 0.4 else 1)
            failure = (
                Failure(error_class="transient", message=value, step=action.id) if len(value) < BIG // 3 and rng.random() < 0.2 else None
            )
            asked = Asked(
                "answer", run_id, answered(action.id, action.attempt - (rng.random() < 0.1), holder, value, failure), number, value
            )
        elif kind == "signal":
            asked = Asked("signal", run_id, signalled(rng.choice(("go", "on")), number), number, number)
        else:
            action = rng.choice([None, *(action.id for action in state.actions.values())])
            asked = Asked("claim", run_id, claimed(by, action), number)
        self.asked.append(asked)
        return asked

    def a_run(self):
        return self.rng.choice(self.runs)

    async def ask(self):
        await self.send([self.new(self.a_run())])

    async def ask_together(self):
        group, locked = [self.new(self.a_run()) for _ in range(self.rng.choice((2, 3, 6)))], self.rng.random() < 0.2
        for asked in group if locked else ():
            asked.request = None  # nobody is killed here, so none needs to ask again
        await self.send(group, locked=locked)

    async def ask_again(self):
        """Repeat requests, also beside new ones; sometimes in other words."""
        if known := [asked for asked in self.asked if asked.request]:
            again = self.rng.sample(known, min(len(known), self.rng.choice((1, 2, 4))))
            if self.rng.random() < 0.3:
                told = again[0]
                other = Asked("claim", told.run_id, signalled("on", "other words"), 0)
                other.request = Request(key=told.request.key, digest="other")
                await self.send([other])
            group = [*again, *(self.new(self.a_run()) for _ in range(self.rng.choice((0, 2, 4))))]
            self.rng.shuffle(group)
            await self.send(group, locked=self.rng.random() < 0.3)

    async def renew(self):
        run_id = self.a_run()
        for action in [action for action in self.state(run_id).actions.values() if action.holder and action.performer != "server"]:
            holder = action.holder if self.rng.random() < 0.7 else "a1"
            lease = Lease(action=action.id, attempt=action.attempt, holder=holder, until_ms=self.clock.now_ms() + LEASE_MS)
            await self.both([run_id], [lambda side, lease=lease: side.engines[0].renew(run_id, lease)])

    # Time, deaths, the outside world

    async def pass_time(self):
        now_ms, storage = self.clock.now_ms(), self.memory.memory
        ends = [lease.until_ms for run_id in self.runs for lease in storage.leases(run_id)]
        borders = [at_ms - now_ms for at_ms in [*ends, storage.next_due_ms() or 0] if at_ms > now_ms]
        self.clock.advance(self.rng.choice((1, 6_000, 16_000, 400_000, *borders[-3:])))

    async def wake(self):
        await self.both([], [lambda side: side.engines[0]._performing._feed_due(self.clock.now_ms())])

    async def kill(self):
        for side in self.sides:
            which = self.rng.randrange(2)
            await side.kill(which)
            side.open(which)

    async def serve(self):
        """Let engines look around, perhaps both at once, and keep what they have in hand; a person looks into the world."""
        which = self.rng.choice(((0,), (1,), (0, 1), (1, 0)))

        async def look(side):
            now_ms, all_of_them = self.clock.now_ms(), [side.engines[each]._performing for each in which]
            await asyncio.gather(*(performing._look_at_served(now_ms) for performing in all_of_them))
            for performing in all_of_them:
                in_hand = [(key, work) for key, work in performing._works.items() if work.doing]
                await asyncio.gather(*(performing._keep_lease(key, now_ms, work) for key, work in in_hand))

        await self.both(self.runs, [look])
        for side in self.sides:
            await self.resolve(side)

    async def resolve(self, side):
        for run_id in self.runs:
            for action in (await side.engines[0].current(run_id)).state.actions.values():
                if action.status == "unknown":
                    word = "done" if side.effects[run_id, action.id] else "not_done"
                    await side.engines[0].send(run_id, resolved(action.id, action.attempt, word))
        await side.settled()

    # Oracles

    async def check(self):
        for run_id in self.runs:
            found = [await side.check_fold(run_id) for side in self.sides]
            if run_id in self.alike and found[0] != found[1]:
                raise Violation("side by side", f"{run_id} is not the same in memory and on file")
            rows = [sorted(side.engines[1].storage.leases(run_id), key=lambda lease: lease.action) for side in self.sides]
            if run_id in self.alike and rows[0] != rows[1]:
                raise Violation("leases", f"{run_id}: {rows[0]} in memory, {rows[1]} on file")
        for side in self.sides:
            if side.found:
                raise side.found
        self.check_rows()
        now_ms = self.clock.now_ms()
        due = [sorted(run for run in side.engines[1].storage.due(now_ms) if run in self.alike) for side in self.sides]
        if due[0] != due[1]:
            raise Violation("due", f"{due[0]} in memory, {due[1]} on file")
        lists = [[row for row in await side.engines[0].runs(RunQuery()) if row.id in self.alike] for side in self.sides]
        if lists[0] != lists[1]:
            raise Violation("list", f"{lists[0]} in memory, {lists[1]} on file")

    def check_rows(self):
        """Compare the rows of open actions with the state, read apart from any engine."""
        for run_id in self.runs:
            state = self.file.engines[0].storage._load(run_id).state
            rows = {row.id: (row.status, row.attempt, row.performer) for row in self.file.apart.actions(run_id)}
            if rows != {action.id: (action.status, action.attempt, action.performer) for action in state.actions.values()}:
                raise Violation("rows", f"{run_id} has the rows {rows}")
        for finding in [
            *checks.check_chains(self.file.apart),
            *checks.check_blobs(self.file.apart, self.file.engines[0].storage.store.blobs),
        ]:
            raise Violation(finding.code, finding.message)

    async def come_to_the_end(self):
        for side in self.sides:
            side.calm = True
            await side.begin_again()  # what hangs would hang for ever
        for _ in range(DEEDS_MAX):
            states = [await self.drive(side, run_id) for side in self.sides for run_id in self.runs]
            if all(state.ended for state in states):
                return
            await self.serve()
            await self.wake()
            self.clock.advance(LEASE_MS // 4)
        raise Violation("liveness", str([(state.run_id, list(state.actions.values())) for state in states if not state.ended]))

    async def drive(self, side, run_id):
        """Do for a run what it waits for; gives the state before."""
        engine = side.engines[0]
        state = (await engine.current(run_id)).state
        for action in [action for action in state.actions.values() if action.performer != "server"]:
            await engine.send(run_id, claimed(AGENTS[0], action.id))
            await engine.send(run_id, answered(action.id, None, AGENTS[0].name, "x"))
        if not state.ended:
            await engine.send(run_id, signalled("go", None))
        return state

    async def check_at_the_end(self):
        await self.check()
        for asked in self.asked:
            for side in [side for side in self.sides if side in asked.done_on and asked.request]:
                before = (await side.engines[0].current(asked.run_id)).state.revision
                reply = await side.engines[1].send(asked.run_id, asked.make, asked.request)
                if not reply.duplicate or reply.state.revision != before or reply.refusal is not None:
                    raise Violation("requests", f"{asked.request} was carried out, and is not known any more")
        await self.check_log()
        await self.check_feed()
        last_seq = self.file.apart.last_seq()
        for which in (0, 1):
            await self.file.kill(which)
        turnstile = Turnstile(self.path)
        mark = turnstile.read_mark()
        turnstile.close()
        if mark is None or mark[1] != last_seq:
            raise Violation("mark", f"the mark is {mark}, the last event {last_seq}")
        for finding in checks.check_file(self.path):
            raise Violation(finding.code, finding.message)

    async def check_log(self):
        """What was told to be done is in the log once, and nothing is there twice."""
        for side in self.sides:
            logs = {run_id: await side.engines[0].storage.events(run_id, 0) for run_id in self.runs}
            for asked in [asked for asked in self.asked if asked.kind != "claim"]:
                found = asked.told_in([each.event for each in logs[asked.run_id]], side.engines[0].storage)
                if found > 1 or (found == 0 and side in asked.done_on):
                    raise Violation("log", f"{asked.request} ({asked.value}) is in the log of {asked.run_id} {found} times")

    async def check_feed(self):
        """Follow what was stored since some moment, then what another engine stores."""
        for side in self.sides:
            storage = side.engines[0].storage
            newest = {run_id: (await storage.events(run_id, 0))[-1].seq for run_id in self.runs}
            after = self.rng.randrange(max(newest.values()))
            wanted, feed = {run: seq for run, seq in newest.items() if seq > after}, storage.changes(after)
            told = {}
            try:
                async with asyncio.timeout(0.5):
                    while any(told.get(run) != seq for run, seq in wanted.items()):
                        seq, run_id = await anext(feed)
                        told[run_id] = seq
            except TimeoutError:
                raise Violation("feed", f"{wanted} was stored after {after}, and {told} was told") from None


def _told(reply, *, crashed, alone):
    """Give what must be the same on both sides: all of it, unless somebody had to ask twice, or others were asking."""
    if isinstance(reply, TreadleError):
        return reply.code
    if isinstance(reply, BaseException):
        raise Violation("exception", f"{type(reply).__name__}: {reply}") from reply
    if not isinstance(reply, Reply):
        return reply
    told = (reply.refusal and reply.refusal.code, reply.claimed)
    if crashed:
        return told
    return (*told, reply.notes, (reply.duplicate, reply.lease_until_ms, dumps(reply.state)) if alone else None)


def claimed(by, action):
    def make(at_ms, _state, lapsed):
        return ActionClaimed(at_ms=at_ms, claim=Claim(channel="", holder=by.name, by=by, action=action, lapsed=lapsed()))

    return make


def answered(action, attempt, holder, value, failure=None):
    by = Caller(kind="agent", name=holder)

    def make(at_ms, state, _lapsed):
        found = state.actions.get(action)
        number = attempt if attempt is not None else found.attempt if found else 0
        return ActionAnswered(
            at_ms=at_ms, action=action, attempt=number, holder=holder, by=by, value=None if failure else value, failure=failure
        )

    return make


def signalled(name, payload):
    return lambda at_ms, _state, _lapsed: SignalSent(at_ms=at_ms, name=name, payload=payload, by=ANNA)


def resolved(action, attempt, word):
    return lambda at_ms, _state, _lapsed: OutcomeResolved(at_ms=at_ms, action=action, attempt=attempt, outcome=word, by=ANNA, value="x")


async def _played(seed, folder):
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # those who were killed leave tasks behind
    play = Play(seed, folder)
    try:
        return await play.run()
    except TreadleError as error:
        raise Violation("exception", f"{type(error).__name__}: {error}") from error
    finally:
        await play.memory.close()
        await play.file.close()


def play(seed):
    """Play a seed on a new file. Raises Violation."""
    known, hook = (embedded.SNAPSHOT_BYTES_MIN, embedded.SNAPSHOT_GROWTH), threading.excepthook
    threading.excepthook = lambda args: None if isinstance(args.exc_value, CrashError) else hook(args)
    embedded.SNAPSHOT_BYTES_MIN, embedded.SNAPSHOT_GROWTH = 1 << 10, 1  # short tails: snapshots are written and read all the time
    try:
        with tempfile.TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None) as folder:
            return asyncio.run(_played(seed, Path(folder)))
    finally:
        embedded.SNAPSHOT_BYTES_MIN, embedded.SNAPSHOT_GROWTH = known
        threading.excepthook = hook
