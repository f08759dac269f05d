"""kill -9 in the middle of a migration leaves the run whole, in the old definition or in the new one, and it goes on either way."""

import asyncio
import signal

import pytest

from tests.kill.child import MENDED, mended, opened
from treadle.core.codec import digest_of
from treadle.engine.embedded import checks
from treadle.engine.verifying import verify_run
from treadle.ports import RunMeta, RunQuery
from treadle.testing.world import AGENT

POINTS = {
    "commit.begun": False,
    "commit.event": False,
    "commit.unit": False,
    "commit.before": False,
    "commit.after": True,
    "commit.released": True,
}
QUICK = ("commit.before", "commit.after")


async def begun(folder):
    engine, service = opened(folder, performs=False)
    run_id = (await service.start(mended("wrong"), {}, AGENT, RunMeta(workflow="w"))).run.run_id
    await service.submit(run_id, "ask", 1, AGENT, value="it", then_next=False)
    await engine.close()


async def found(folder):
    engine, service = opened(folder, performs=False)
    (row,) = await service.runs(RunQuery())
    assert (await verify_run(engine, row)).differences == ()
    store = engine.storage.store
    assert [*checks.check_file(store.path), *checks.check_chains(store.reader)] == []
    message = (await service.next_step(row.id, AGENT)).action
    while (offer := await service.next_step(row.id, AGENT)).action is not None:
        await service.submit(row.id, offer.action.id, offer.action.attempt, AGENT, value="done", then_next=False)
    await engine.close()
    return row.definition, message.params["message"], offer.run.result


@pytest.mark.kill
@pytest.mark.parametrize("point", [pytest.param(p, marks=() if p in QUICK else pytest.mark.slow) for p in POINTS])
def test_a_kill_leaves_the_run_in_the_old_definition_or_the_new_one(child, tmp_path, point):
    asyncio.run(begun(tmp_path))
    record, code = child("move", fault=f"{point}:1").ended()
    assert (record, code) == ([], -signal.SIGKILL)
    definition, message, result = asyncio.run(found(tmp_path))
    moved = POINTS[point]
    assert definition == digest_of(MENDED if moved else mended("wrong"))
    assert message == ("mended" if moved else "wrong")
    assert result == "done"
