"""What the tests of several processes run: `python -m tests.kill.child ROLE FOLDER`.

A child keeps its own record: it writes to its standard output what it was told, when it was told. Its outside world is a file to which every
performed action adds a line, by its own hand and forced to disk, so that it outlives any kill.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path

from treadle.clock import SystemClock
from treadle.core.values import encode
from treadle.engine.embedded.storage import EmbeddedStorage
from treadle.engine.local import LocalEngine
from treadle.engine.service import Service
from treadle.ports import Answer, RunMeta, RunQuery
from treadle.testing.build import (
    approve,
    assign,
    called,
    each,
    finish,
    joined,
    prompt,
    read,
    task,
    tool,
    workflow,
)
from treadle.testing.world import AGENT, PERSON, ScriptedFunctions

SERVED_LEASE_MS = 400  # of processes that are killed; the others are not in a hurry
BIG = 70_000
WORDS = ("one", "two", "three")
CRUNCH = 700

# Everything that leaves a mark of its own in the store: answers, claims, functions, blobs, a yielding transition, effects, a gate.
WALK = workflow(
    prompt("ask", output_to="plan"),
    tool("look", parameters=joined(at=read("state.word")), effect="read", output_to="seen"),
    each("talk", list(WORDS), do=[prompt("say", read("item"), output_to=None)], sequential=True, output_to="talk"),
    each("crunch", list(range(CRUNCH)), task="crunched", output_to="sums"),
    tool("save", parameters=joined(plan=read("state.plan")), output_to="saved"),
    prompt("large", output_to="large"),
    prompt("larger", output_to="larger"),
    approve("gate", read("state.plan")),
    tool("publish", parameters=joined(large=read("state.large")), output_to="published"),
    finish(joined(plan=read("state.plan"), seen=read("state.seen"), saved=read("state.saved"), published=read("state.published"),
                  large=read("state.large"), larger=read("state.larger"), word=read("state.word"))),
    state={"plan": None, "word": called("shout", "hey"), "seen": None, "talk": None, "sums": None, "saved": None, "large": None, "larger": None,
           "published": None},
    tasks={"crunched": task(assign("a", n=read("inputs.n")), assign("b", n=read("state.n")), finish(read("state.n")),
                            inputs={"n": {}}, state={"n": 0})},
    functions=["shout"], name="walk",
)  # fmt: skip


def answer_to(action):
    """What this agent answers to an action, always the same."""
    return {"large": "x", "larger": "y"}[action] * BIG if action.startswith("large") else f"answer to {action}"


def done_by(action):
    """What the world gives for an action, always the same."""
    return {"done": action}


def say(**fields):
    print(json.dumps(fields), flush=True)


class FileWorld:
    """Performs by adding a line to a file; `hold` actions then wait for a file to appear."""

    def __init__(self, folder):
        self.log, self.go = folder / "world.log", folder / "go"

    async def perform(self, call):
        line = json.dumps({"key": call.key, "attempt": call.action.attempt, "pid": os.getpid()}) + "\n"
        await asyncio.to_thread(self._add, line)
        parameters = call.params["parameters"]
        while isinstance(parameters, dict) and parameters.get("hold") and not self.go.exists():
            await asyncio.sleep(0.01)
        return Answer(value=done_by(call.action.id))

    def _add(self, line):
        handle = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, line.encode())
        os.fsync(handle)
        os.close(handle)


def lines(folder):
    """What was done in the world."""
    log = folder / "world.log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def opened(folder, *, performs=True, served_lease_ms=SERVED_LEASE_MS):
    storage = EmbeddedStorage.open(folder / "treadle.db")
    functions = ScriptedFunctions({"shout": lambda word: word.upper()})
    engine = LocalEngine(
        storage, functions=functions, clock=SystemClock(), holder=f"process-{os.getpid()}", served_lease_ms=served_lease_ms,
        runner=FileWorld(folder) if performs else None,
    )  # fmt: skip
    return engine, Service(engine, SystemClock())


@contextlib.asynccontextmanager
async def serving(folder, served_lease_ms=SERVED_LEASE_MS):
    engine, service = opened(folder, served_lease_ms=served_lease_ms)
    task = asyncio.create_task(engine.serve())
    try:
        yield engine, service
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await engine.close()


async def walk(folder):
    """Start the run, or find it again, and do whatever it asks, to its end."""
    async with serving(folder) as (engine, service):
        offer = await service.start(WALK, {}, AGENT, RunMeta(workflow=WALK.name), key="walk")
        run_id = offer.run.run_id
        say(told="started", run=run_id, rev=offer.run.revision)
        while offer.kind != "ended":
            offer = await one_step(engine, service, folder, run_id)
        whole = await service.filled((await service.look(run_id)).result)
        say(told="ended", run=run_id, rev=offer.run.revision, status=offer.run.status, digest=digest(whole))
    say(told="closed")


async def one_step(engine, service, folder, run_id):
    run = await service.look(run_id)
    for action in run.actions:
        if action.waits_for == "outcome":
            # A person looks into the world, where it can be seen.
            was_done = any(line["key"] == f"{run_id}/{action.id}" for line in lines(folder))
            word = "done" if was_done else "not_done"
            return await service.resolve(run_id, action.id, action.attempt, PERSON, word, value=done_by(action.id))
        if action.kind == "approve":
            offer = await service.decide(run_id, action.id, action.digest, PERSON, approved=True)
            say(told="decided", run=run_id, rev=offer.run.revision, action=action.id, refused=code_of(offer))
            return offer
    offer = await service.next_step(run_id, AGENT, wait_ms=50)
    if offer.action is None:
        return offer
    action = offer.action
    say(told="claimed", run=run_id, rev=offer.run.revision, action=action.id, attempt=action.attempt)
    value = answer_to(action.id)
    offer = await service.submit(run_id, action.id, action.attempt, AGENT, value=value, then_next=False)
    say(told="answered", run=run_id, rev=offer.run.revision, action=action.id, attempt=action.attempt, digest=digest(value),
        refused=code_of(offer))  # fmt: skip
    return offer


def code_of(offer):
    return offer.refusal.code if offer.refusal is not None else None


def digest(value):
    return hashlib.sha256(encode(value).encode()).hexdigest()[:16]


async def serve(folder, served_lease_ms=SERVED_LEASE_MS):
    """Perform until killed."""
    async with serving(folder, served_lease_ms):
        say(told="serving", pid=os.getpid())
        await asyncio.Event().wait()


def mended(say, *more):
    """A definition of three steps, in the second of which its text can be mended, and to which more can be added."""
    return workflow(prompt("ask", output_to="said"), prompt("work", say, output_to="done"), *more, finish(read("state.done")),
                    state={"said": None, "done": None})  # fmt: skip


MENDED = mended("mended", prompt("check"))


async def move(folder):
    """Move the one run there is to the mended definition."""
    engine, service = opened(folder, performs=False)
    (row,) = await service.runs(RunQuery())
    moved = await service.migrate(row.id, MENDED, PERSON)
    say(told="moved", run=row.id, rev=moved.run.revision)
    await engine.close()


def main():
    role, folder = sys.argv[1:]
    roles = {"walk": walk, "move": move, "serve": serve, "serve patiently": lambda folder: serve(folder, 15_000)}
    asyncio.run(roles[role](Path(folder)))


if __name__ == "__main__":
    main()
