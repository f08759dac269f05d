"""The differential test: the same definition and the same scripted answers give the same events on every engine (design §2, ruling 42).

Compared is everything but `at_ms` and the holder. A script waits wherever the order of two events would otherwise be chance.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from treadle.core.codec import dumps
from treadle.core.definition import Retry
from treadle.core.events import Event
from treadle.core.state import ENDED
from treadle.core.values import Json, Value
from treadle.testing.build import (
    GO_ON,
    approve,
    assign,
    called,
    choose,
    delegate,
    each,
    equal,
    finish,
    handled,
    joined,
    prompt,
    read,
    task,
    text,
    tool,
    workflow,
)  # fmt: skip
from treadle.testing.world import AGENT, LOST, OTHER, PERSON, Harness, World, failure, opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A scripted run: `play` gives the id of the run that it drove to its end."""

    name: str
    play: Callable[[World, str], Awaitable[str]]
    functions: Mapping[str, Callable[..., Value]] = field(default_factory=dict[str, Callable[..., Value]])

    async def run(self, harness: Harness) -> tuple[list[Json], list[object]]:
        """Play it on an engine of its own; gives what is to be compared: the events, and how the run looks at its end."""
        async with opened(harness, self.functions) as world:
            run_id = await self.play(world, self.name.replace(" ", "_"))
            run = await world.service.look(run_id)
            assert run.status in ENDED, run
            result = await world.service.filled(run.result)
            shown: list[object] = [
                run.status,
                result,
                run.failure and run.failure.error_class,
                [step.status for step in run.steps],
            ]
            return comparable(await world.history(run_id)), shown


def comparable(events: list[Event]) -> list[Json]:
    """Give events as plain data without instants and holders; a server's name is its holder's."""
    return [_without(json.loads(dumps(event))) for event in events]


def _without(data: Json) -> Json:
    if isinstance(data, list):
        return [_without(item) for item in data]
    if not isinstance(data, dict):
        return data
    hidden = {"at_ms", "holder", *(["name"] if data.get("kind") == "server" else [])}
    return {key: _without(item) for key, item in data.items() if key not in hidden}


async def _planning(world: World, seed: str) -> str:
    """The shape of `planning:interactive`: ask, fan out to agents, call tools, approve, save."""
    research = task(delegate("search", read("inputs.topic"), output_to="found"), finish(joined(topic=read("inputs.topic"), found=read("state.found"))),
                    inputs={"topic": {"required": True}}, state={"found": None})  # fmt: skip
    definition = workflow(
        prompt("ask", text("about ", read("inputs.about")), output_to="wish"),
        each("research", called("topics", read("state.wish")), task="research", agent="@task", output_to="found", max_parallel=2),
        tool("known", "memory.get", joined(key=read("state.wish")), effect="read", output_to="known"),
        choose("empty", equal(read("state.known"), None), then=[assign("note", known="nothing yet")]),
        approve("gate", read("state.found"), on_reject="continue"),
        tool("save", "memory.save", joined(plan=read("state.found"), known=read("state.known"))),
        finish(read("state.found")),
        inputs={"about": {"type": "string", "default": "gardens"}},
        state={"wish": None, "found": None, "known": None}, tasks={"research": research}, functions=["topics"],
    )  # fmt: skip
    run_id = (await world.begin(definition, seed=seed)).run.run_id
    offer = await world.answer(run_id, "sheds")
    while offer.branches:
        branch = offer.branches[0]
        action = await world.claim(run_id, OTHER, token=branch.token)
        await world.service.submit(
            run_id, action.id, action.attempt, OTHER, value=f"about {action.params['instructions']}", token=branch.token
        )
        offer = await world.service.next_step(run_id, AGENT)
    gate = await world.action(run_id, "gate", "open")
    await world.service.decide(run_id, "gate", gate.digest or "", PERSON, approved=True, note="good")
    await world.ended(run_id)
    return run_id


def _topics(wish: str) -> list[Value]:
    return [f"{wish} of {what}" for what in ("wood", "stone", "brick")]


async def _trouble(world: World, seed: str) -> str:
    """Retries, time-outs, handlers and fallbacks; every timer fires while nothing else happens."""
    definition = workflow(
        tool("flaky", effect="read", retry=Retry(attempts=3, backoff_ms=300, max_backoff_ms=300), output_to="a"),
        prompt("slow", within_ms=400, on_error=GO_ON),
        tool("broken", effect="read", on_error=handled(prompt("tell", read("error.class"), output_to="b"))),
        finish(joined(a=read("state.a"), b=read("state.b"))), state={"a": None, "b": None},
    )  # fmt: skip
    world.actions.on("flaky", failure("transient"), failure("rate_limited"), "third time")
    world.actions.on("broken", failure("denied"))
    run_id = (await world.begin(definition, seed=seed)).run.run_id
    for attempt in (1, 2):
        await world.until(run_id, lambda run, n=attempt: [(a.status, a.attempt) for a in run.actions] == [("backoff", n)])
        await world.elapse(350)
    await world.action(run_id, "slow", "open")
    await world.claim(run_id)
    await world.elapse(450)
    await world.action(run_id, "broken.on_error/tell", "open")
    await world.answer(run_id, "told")
    return run_id


async def _hands(world: World, seed: str) -> str:
    """Claims that lapse or are taken over, answers that are refused, doubled or in conflict."""
    schema = {"type": "object", "required": ["n"]}
    definition = workflow(delegate("one", output=schema), delegate("two", output_to="b"), finish(read("state.b")), state={"b": None})
    run_id = (await world.begin(definition, seed=seed)).run.run_id
    await world.claim(run_id)
    await world.service.next_step(run_id, OTHER, action="one")
    await world.service.next_step(run_id, OTHER, action="one", take_over=True)
    await world.service.submit(run_id, "one", 1, AGENT, value={"n": 0})
    await world.service.submit(run_id, "one", 2, OTHER, value="no object")
    for value in ({"n": 1}, {"n": 1}, {"n": 2}):
        await world.service.submit(run_id, "one", 3, OTHER, value=value)
    await world.elapse(world.harness.lease_ms + 100)
    await world.claim(run_id, AGENT)
    await world.service.submit(run_id, "two", 2, AGENT, value="done")
    return run_id


async def _doubt(world: World, seed: str) -> str:
    """A lost read, a lost write that a person settles, a run set aside and taken up."""
    definition = workflow(
        tool("look", effect="read"),
        tool("write", output_to="a"),
        prompt("last"),
        finish(read("state.a")),
        state={"a": None},
    )
    world.actions.on("look", LOST, "seen")
    world.actions.on("write", LOST, "again")
    run_id = (await world.begin(definition, seed=seed)).run.run_id
    await world.action(run_id, "write", "unknown")
    await world.service.park(run_id, PERSON, "let me see")
    await world.service.next_step(run_id, AGENT)
    await world.service.resume(run_id, PERSON)
    await world.service.resolve(run_id, "write", 1, PERSON, "not_done", note="I looked")
    await world.action(run_id, "last", "open")
    await world.answer(run_id, "ok")
    return run_id


async def _end(world: World, seed: str) -> str:
    """A cancellation, with an answer in its grace."""
    definition = workflow(each("all", [1, 2], do=[delegate("work", read("item"))], max_parallel=2))
    run_id = (await world.begin(definition, seed=seed)).run.run_id
    await world.claim(run_id, AGENT)
    await world.claim(run_id, OTHER)
    await world.service.cancel(run_id, PERSON, "enough")
    await world.service.submit(run_id, "all[1]/work", 1, OTHER, value="just done")
    await world.service.submit(run_id, "all[0]/work", 1, AGENT, value="me too")
    await world.ended(run_id)
    return run_id


async def _many(world: World, seed: str) -> str:
    """More than one commit may hold, and items that fail."""
    body = task(assign("a", n=read("inputs.n")), assign("b", n=read("state.n")), choose("c", equal(read("state.n"), 7), then=[prompt("odd", on_error=GO_ON)]),
                finish(read("state.n")), inputs={"n": {}}, state={"n": 0})  # fmt: skip
    definition = workflow(each("all", list(range(900)), task="body", on_item_error="collect", output_to="got"), finish(read("state.got")),
                          tasks={"body": body}, state={"got": None})  # fmt: skip
    run_id = (await world.begin(definition, seed=seed)).run.run_id
    await world.action(run_id, "all[7]/c.then/odd", "open")
    action = await world.claim(run_id)
    await world.service.submit(run_id, action.id, 1, AGENT, failure=failure("denied"))
    await world.ended(run_id)
    return run_id


SCRIPTS: Final = (
    Script(name="planning", play=_planning, functions={"topics": _topics}),
    Script(name="trouble", play=_trouble),
    Script(name="hands", play=_hands),
    Script(name="doubt", play=_doubt),
    Script(name="end", play=_end),
    Script(name="many", play=_many),
)
