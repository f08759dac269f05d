"""Carrying a run on in this process: the engine serves, a performer performs, the view follows; until the run ends, or somebody leaves.

A performer is a person at this terminal, a script (`script.py`), or nobody: then the run goes on until only a person or an agent can move it.
`Acks` writes down each reply that reached its caller, as tests of durability need it (ruling 56): a line that is there was acknowledged.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import orjson

from treadle import presence
from treadle.cli import facts, screen
from treadle.cli.asking import Asker, LeftError, Said
from treadle.cli.children import any_changed, look, open_below, waits_for
from treadle.cli.frame import decider
from treadle.cli.live import Show
from treadle.compose import OpenProject
from treadle.core.errors import Failure, Refusal, RequestError
from treadle.core.events import Caller
from treadle.core.state import ENDED
from treadle.core.values import Value, canonical, digest
from treadle.engine.service import Offer
from treadle.engine.timeline import Timeline
from treadle.engine.why import Wait
from treadle.ports import Lease
from treadle.view import ActionView, RunView

LOOK_AGAIN_MS = 3_000


class Performer(Protocol):
    """Whoever answers what a run asks."""

    async def perform(self) -> None:
        """Answer until the run ended or was parked, or nothing is left to answer. Raises LeftError to leave."""
        ...


class Acks:
    """A file of acknowledged requests, a JSON object a line; without a path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        """Append to a file."""
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if path is not None else -1

    def note(self, what: str, offer: Offer, *, action: str = "", attempt: int = 0, value: Value = None) -> None:
        """Write a reply down that has just been received."""
        if self._fd >= 0 and offer.refusal is None:
            row = {
                "ack": what, "run": offer.run.run_id, "revision": offer.run.revision, "action": action, "attempt": attempt,
                "digest": digest(canonical(value)),
            }  # fmt: skip
            # One write of one line: whoever is killed has written all of it or nothing.
            os.write(self._fd, orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


@dataclass(slots=True, kw_only=True)
class Carried:
    """How carrying on ended: the run as it is then, and whether somebody left it."""

    view: RunView
    wait: Wait
    left: bool


class Watch:
    """Follows a run: what happened is told once, how it stands is shown."""

    def __init__(self, opened: OpenProject, run_id: str, show: Show) -> None:
        """Follow nothing yet."""
        self.opened, self.run_id, self.show = opened, run_id, show
        self.timeline = Timeline(opened.engine, run_id)
        self._teller = facts.Teller()
        self._agents: set[str] = set()

    async def skip(self) -> None:
        """Take what has happened so far as known."""
        await self._news()

    async def look(self) -> tuple[RunView, Wait]:
        """Tell what is new, and show how the run stands."""
        self.show.tell(await self._news())
        self.show.left_to_agent = self.agent_at_work()
        view = await look(self.opened, self.run_id)
        wait = await waits_for(self.opened, view)
        self.show.look(view, wait)
        return view, wait

    def agent_at_work(self) -> bool:
        """Tell whether a living session of an agent has taken part in this run: delegated steps are left to it then.

        Or the person at a terminal that only looks would take an agent's next step away from it.
        """
        here = {each.holder for each in presence.living(self.opened.live_dir)} - {self.opened.holder}
        return any(presence.process_of(name) in here for name in self._agents)

    async def _news(self) -> list[facts.Fact]:
        told: list[facts.Fact] = []
        for moment in await self.timeline.more():
            told += self._teller.tell(moment)
            if moment.by is not None and moment.by.kind == "agent":
                self._agents.add(moment.by.name)
        return told

    async def follow(self) -> None:
        """Look whenever something was stored, until cancelled."""
        await self.look()
        async for _seq, run_id in self.opened.engine.changes():
            if run_id == self.run_id:
                await self.look()


async def carry_on(watch: Watch, performer: Performer) -> Carried:
    """Carry a run on until the performer has done its part. Raises what the performer raises, but LeftError."""
    left = False
    async with _signals() as interrupted:
        following = asyncio.create_task(watch.follow())
        performing = asyncio.create_task(performer.perform())
        stopped = asyncio.create_task(interrupted.wait())
        tasks: list[asyncio.Task[object]] = [following, performing, stopped]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            watch.show.close()
    for result in ended:
        if isinstance(result, LeftError):
            left = True
        elif isinstance(result, Exception):
            raise result
    view, wait = await watch.look()
    return Carried(view=view, wait=wait, left=left or interrupted.is_set())


@contextlib.asynccontextmanager
async def _signals() -> AsyncIterator[asyncio.Event]:
    """Give an event that is set when this process is asked to stop; the run is left as it is then."""
    loop, interrupted = asyncio.get_running_loop(), asyncio.Event()
    names = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    for name in names:
        loop.add_signal_handler(name, interrupted.set)
    try:
        yield interrupted
    finally:
        for name in names:
            loop.remove_signal_handler(name)


class PassedBy:
    """Remembers what somebody else holds, so that it is tried again only when the run has moved, or after a while."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._seen: dict[str, tuple[int, float]] = {}

    def may(self, action: ActionView, view: RunView) -> bool:
        """Tell whether to try an action."""
        revision, until_s = self._seen.get(f"{view.run_id}/{action.id}", (-1, 0.0))
        return revision != view.revision or time.monotonic() >= until_s

    def note(self, action: ActionView, view: RunView) -> None:
        """Pass an action by."""
        self._seen[f"{view.run_id}/{action.id}"] = (view.revision, time.monotonic() + LOOK_AGAIN_MS / 1000)


class Nobody:
    """Performs nothing: waits while the run goes on by itself."""

    def __init__(self, opened: OpenProject, run_id: str) -> None:
        """Watch a run."""
        self._opened, self._run_id = opened, run_id

    async def perform(self) -> None:
        """Return as soon as only a person or an agent can move the run."""
        while True:
            view = await self._opened.service.look(self._run_id)
            family = [view, *await open_below(self._opened, view)]
            if is_over(view) or not any(_moves_by_itself(each, family) for each in family):
                return
            await any_changed(self._opened.service, family, LOOK_AGAIN_MS)


def _moves_by_itself(view: RunView, family: list[RunView]) -> bool:
    """Tell whether a run goes on without a person or an agent; one that waits for a child goes on as that does."""
    if view.parked is not None:
        return False
    open_ids = {each.run_id for each in family}
    moves = any(action.waits_for in {"server", "time"} and action.child not in open_ids for action in view.actions)
    return moves or any(wait.signal is None for wait in view.waits)


class Person:
    """The person at this terminal: is asked for one thing after the other, what a person alone can give first."""

    def __init__(self, watch: Watch, asker: Asker, who: Caller, acks: Acks) -> None:
        """Ask for nothing yet."""
        self._opened, self._run_id, self._show = watch.opened, watch.run_id, watch.show  # the run that is asked for just now
        self._watch, self._asker, self._who, self._acks = watch, asker, who, acks
        self._passed_by = PassedBy()
        self._refused: set[str] = set()

    async def perform(self) -> None:
        """Ask until the run is over. Raises LeftError."""
        service = self._opened.service
        while True:
            root = await service.look(self._watch.run_id)
            if is_over(root):
                return
            family = [root, *await open_below(self._opened, root)]
            view, action = next(((each, action) for each in family if (action := self._next(each)) is not None), (root, None))
            if action is None:
                await any_changed(service, family, LOOK_AGAIN_MS)
                continue
            self._run_id = view.run_id
            held = await self._held(action)
            if held is not None:
                await self._ask(held, view)

    def _next(self, view: RunView) -> ActionView | None:
        mine = [a for a in view.actions if asks_somebody(a) and self._passed_by.may(a, view)]
        if self._watch.agent_at_work():
            mine = [a for a in mine if a.waits_for != "agent"]
        order = {"outcome": 0, "person": 1, "agent": 2}
        return min(mine, key=lambda a: order.get(a.waits_for, 3), default=None)

    async def _held(self, action: ActionView) -> ActionView | None:
        """Take an action before asking for it, so that no two do it; None if somebody else holds it."""
        if action.kind == "approve" and not await self._may_decide(action):
            return None
        if action.kind == "approve" or action.waits_for == "outcome":
            whole = await self._opened.service.filled(dict(action.params))
            return _with(action, whole)
        offer = await self._opened.service.next_step(self._run_id, self._who, token=action.channel, action=action.id)
        if offer.action is None:
            self._passed_by.note(action, offer.run)
            return None
        return offer.action

    async def _may_decide(self, action: ActionView) -> bool:
        """Tell whether this person's decision would count at all; that it would not is said once for each gate, and the gate stays open."""
        try:
            decider(self._opened.settings.people)
        except RequestError as error:
            self._passed_by.note(action, await self._opened.service.look(self._run_id))
            if action.id not in self._refused:
                self._refused.add(action.id)
                with self._show.asking():
                    screen.say(f"  `{action.id}` waits for a decision that is not yours to make", style="yellow")
                    tell_refusal(Refusal(code=error.code, message=error.message, hint=error.hint))
            return False
        return True

    async def _ask(self, action: ActionView, view: RunView) -> None:
        renewing = asyncio.create_task(self._renew(action))
        gone = asyncio.create_task(self._gone(action))
        with self._show.asking():
            asking = asyncio.create_task(self._asker.ask(action, where=_where(view, action)))
            try:
                await asyncio.wait({asking, gone}, return_when=asyncio.FIRST_COMPLETED)
                if asking.done():
                    await self._send(action, asking.result())
                else:
                    screen.say()
                    screen.say(f"  `{action.id}` was answered elsewhere, or is not open any more", style="yellow")
            finally:
                for task in (asking, gone, renewing):
                    task.cancel()
                await asyncio.gather(asking, gone, renewing, return_exceptions=True)
                await let_go(self._opened, self._run_id, action, self._who.name)

    async def _send(self, action: ActionView, said: Said) -> None:
        service, run_id, who = self._opened.service, self._run_id, self._who
        match said.kind:
            case "park":
                offer = await service.park(run_id, who, said.text)
            case "approve" | "reject":
                shown = action.digest or ""
                offer = await service.decide(run_id, action.id, shown, who, approved=said.kind == "approve", note=said.text)
            case "done" | "not_done" | "failed":
                offer = await service.resolve(run_id, action.id, action.attempt, who, said.kind, value=said.value, note=said.text)
            case "cannot":
                failure = Failure(error_class="failed", message=said.text, step=action.id)
                offer = await service.submit(run_id, action.id, action.attempt, who, failure=failure, token=action.channel, then_next=False)
            case _:
                offer = await service.submit(
                    run_id, action.id, action.attempt, who, value=said.value, token=action.channel, then_next=False
                )
        self._acks.note(said.kind, offer, action=action.id, attempt=action.attempt, value=said.value)
        if offer.refusal is not None:
            tell_refusal(offer.refusal)

    async def _renew(self, action: ActionView) -> None:
        service = self._opened.service
        while True:
            await asyncio.sleep(service.lease_ms / 3000)
            await service.heartbeat(self._run_id, action.id, action.attempt, self._who.name)

    async def _gone(self, action: ActionView) -> None:
        """Return when an action is not there any more as it was shown."""
        while True:
            view = await self._opened.service.look(self._run_id)
            now = next((a for a in view.actions if a.id == action.id), None)
            if is_over(view) or now is None or now.attempt != action.attempt or now.holder not in {None, action.holder, self._who.name}:
                return
            await self._opened.service.changed(self._run_id, view.revision, LOOK_AGAIN_MS)


async def let_go(opened: OpenProject, run_id: str, action: ActionView, holder: str) -> None:
    """Let go of what was not answered, so that another may take it at once. What is not held any more stays as it is."""
    now_ms = opened.clock.now_ms()
    lease = Lease(action=action.id, attempt=action.attempt, holder=holder, until_ms=now_ms)
    await opened.storage.take(run_id, lease, now_ms)


def asks_somebody(action: ActionView) -> bool:
    """Tell whether an action is for a person or an agent."""
    return action.waits_for in {"person", "agent", "outcome"}


def is_over(view: RunView) -> bool:
    """Tell whether nobody is asked for anything any more."""
    return view.status in ENDED or view.parked is not None


def tell_refusal(refusal: Refusal) -> None:
    """Show why a request was not done."""
    screen.say(f"  {screen.clean(refusal.message)} [{refusal.code}]", style="yellow")
    if refusal.hint:
        screen.say(f"  {screen.clean(refusal.hint)}", style="yellow")


def _where(view: RunView, action: ActionView) -> str:
    """Say how many other things wait beside this one, so that several branches are seen side by side."""
    others = [a.id for a in view.actions if a.id != action.id and a.waits_for in {"person", "agent"}]
    if not others:
        return ""
    shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    return f"   (open beside it: {shown})"


def _with(action: ActionView, params: Value) -> ActionView:
    return replace(action, params=params) if isinstance(params, dict) else action


def kept_and_open(view: RunView) -> tuple[list[str], list[str]]:
    """Give the steps whose results are kept, and those that will run."""
    kept = [step.path for step in view.steps if step.status in {"completed", "skipped", "failed"}]
    return kept, [step.path for step in view.steps if step.path not in set(kept)]


def listed(names: Iterable[str], most: int = 8) -> str:
    """List names, shortened when there are many."""
    rows = list(names)
    return ", ".join(rows[:most]) + (f" and {len(rows) - most} more" if len(rows) > most else "") or "nothing"
