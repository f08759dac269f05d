"""Cases: a run is moved to a changed definition, whole or not at all, whoever else has it in mind."""

from treadle.core.definition import Definition
from treadle.core.events import RunMigrated
from treadle.engine.forking import look
from treadle.engine.verifying import verify_run
from treadle.ports import RunQuery
from treadle.testing.build import delegate, finish, joined, prompt, read, text, tool, workflow
from treadle.testing.conformance.case import case
from treadle.testing.world import AGENT, PERSON, World, raises, refused_with


def _definition(say: str = "Do ", *, more: bool = False, note: bool = False) -> Definition:
    steps = [prompt("ask", output_to="said"), delegate("work", text(say, read("state.said")), output_to="done")]
    if more:
        steps.append(delegate("check", output_to="seen"))
    state = {"said": None, "done": None, "seen": None, **({"note": "new"} if note else {})}
    return workflow(*steps, finish(joined(done=read("state.done"), seen=read("state.seen"))), state=state)


async def _at_work(world: World) -> str:
    run_id = (await world.begin(_definition())).run.run_id
    await world.answer(run_id, "it")
    return run_id


@case("moving")
async def the_rest_of_a_run_is_mended_and_what_is_done_stays_done(world: World) -> None:
    run_id = await _at_work(world)
    mine = await world.claim(run_id)
    assert (mine.id, mine.params["instructions"]) == ("work", "Do it")
    new = _definition("Mend ", more=True, note=True)
    plan = await world.service.plan_migration(run_id, new, PERSON)
    before = len(await world.history(run_id))
    assert [(move.path, move.becomes) for move in plan.moves] == [("work", "handed out anew")]
    assert (plan.added, plan.troubles) == (("check",), ())
    assert len(await world.history(run_id)) == before, "a plan writes nothing"
    moved = await world.service.migrate(run_id, new, PERSON, planned=plan)
    assert moved.run.state == {"said": "it", "done": None, "seen": None, "note": "new"}
    refused_with(await world.service.submit(run_id, "work", 1, AGENT, value="old"), "late")
    again = await world.claim(run_id)
    assert (again.attempt, again.redo, again.params["instructions"]) == (2, True, "Mend it")
    await world.answer(run_id, "mended")
    await world.answer(run_id, "seen")
    assert (await world.ended(run_id)).result == {"done": "mended", "seen": "seen"}
    row = next(row for row in await world.engine.runs(RunQuery()) if row.id == run_id)
    assert row.definition == plan.event.to
    assert (await verify_run(world.engine, row)).differences == ()


@case("moving")
async def a_run_that_does_not_fit_is_left_as_it_was(world: World) -> None:
    run_id = await _at_work(world)
    before = await world.history(run_id)
    other = workflow(prompt("ask", output_to="said"), finish("x"), state={"said": None})
    refused = await raises("cannot_migrate", world.service.migrate(run_id, other, PERSON))
    assert "`work`" in refused.message
    await raises("unchanged", world.service.migrate(run_id, _definition(), PERSON))
    assert await world.history(run_id) == before
    await world.answer(run_id, "as before")
    assert (await world.ended(run_id)).result == {"done": "as before", "seen": None}
    refused_with(await world.service.migrate(run_id, _definition("x"), PERSON), "run_ended")


@case("moving")
async def what_was_shown_is_what_is_done(world: World) -> None:
    run_id = (await world.begin(_definition())).run.run_id
    new = _definition("Mend ")
    plan = await world.service.plan_migration(run_id, new, PERSON)
    await world.answer(run_id, "it")
    await raises("plan_changed", world.service.migrate(run_id, new, PERSON, planned=plan))
    plan = await world.service.plan_migration(run_id, new, PERSON)
    assert (await world.service.migrate(run_id, new, PERSON, planned=plan)).refusal is None


@case("moving")
async def a_run_moves_there_and_back_and_goes_on_after_a_restart(world: World) -> None:
    run_id = await _at_work(world)
    new = _definition("Mend ", more=True)
    await world.service.migrate(run_id, new, PERSON)
    await world.restart()
    assert (await world.claim(run_id)).params["instructions"] == "Mend it"
    first = next(event for event in await world.history(run_id) if isinstance(event, RunMigrated))
    await world.service.migrate(run_id, await world.engine.definition(first.was), PERSON)
    await world.restart()
    assert (await world.claim(run_id)).params["instructions"] == "Do it"
    await world.answer(run_id, "done")
    assert (await world.ended(run_id)).result == {"done": "done", "seen": None}


@case("moving", "forks")
async def a_fork_begins_with_the_definition_that_the_run_had_there(world: World) -> None:
    run_id = await _at_work(world)
    await world.service.migrate(run_id, _definition("Mend ", more=True), PERSON)
    await world.answer(run_id, "mended")
    origin = await look(world.engine, run_id)
    early = (await world.service.fork(origin, origin.point("work"), PERSON, {})).run.run_id
    late = (await world.service.fork(origin, origin.point("check"), PERSON, {})).run.run_id
    world.started.extend([early, late])
    assert (await world.claim(early)).params["instructions"] == "Do it"
    assert (await world.claim(late)).id == "check"


@case("moving")
async def what_may_have_had_an_effect_is_done_once(world: World) -> None:
    def definition(say: str) -> Definition:
        return workflow(tool("pay"), delegate("tell", say), finish("x"))

    run_id = (await world.begin(definition("one"))).run.run_id
    assert (await world.action(run_id, "tell", "open")).params["instructions"] == "one"
    moved = await world.service.migrate(run_id, definition("two"), PERSON)
    assert moved.run.actions[0].params["instructions"] == "two"
    await world.answer(run_id, "told")
    await world.ended(run_id)
    assert len(world.actions.of("pay")) == 1
