"""How each step went is told from the history, also of what has long left the state."""

from tests.conformance.harnesses import LocalHarness
from treadle.engine.course import Course, owner_of
from treadle.engine.timeline import Timeline
from treadle.testing.build import delegate, workflow
from treadle.testing.world import AGENT, opened


def test_what_a_step_stands_below_is_read_from_its_path():
    owners = {
        "a": "", "finally/x": "", "a.then/b": "a", "a.then/b.else/c": "a.then/b", "each[2]/b": "each", "each~2[2]/b~3": "each~2",
        "book.undo/unbook": "book", "all.one%2Etwo/x": "all",
    }  # fmt: skip
    assert {path: owner_of(path) for path in owners} == owners


async def test_a_claim_that_nothing_looked_at_is_told_as_one():
    async with opened(LocalHarness(None)) as world:
        run_id = (await world.begin(workflow(delegate("work")))).run.run_id
        await world.claim(run_id)
        await world.service.submit(run_id, "work", 1, AGENT, value="done")
        course = Course()
        for moment in await Timeline(world.engine, run_id).more():
            course.add(moment)
    (visit,) = course.visits.values()
    assert (visit.path, visit.status, visit.attempts, visit.said) == ("work", "completed", 1, ["only claimed"])
