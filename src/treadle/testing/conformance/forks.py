"""Cases: a run that shares what another one did up to a step, and goes on from there by itself."""

from treadle.core.definition import Requires
from treadle.core.events import RunForked
from treadle.core.ids import child_run_id, idempotency_key
from treadle.engine.forking import look
from treadle.engine.service import Offer
from treadle.engine.verifying import verify_run
from treadle.ports import RunQuery
from treadle.testing.build import approve, assign, called, delegate, finish, joined, prompt, read, run, text, tool, workflow
from treadle.testing.conformance.case import case
from treadle.testing.world import AGENT, OTHER, PERSON, World, refused_with

TWO = workflow(
    prompt("one", output_to="a"), prompt("two", text("after ", read("state.a")), output_to="b"), finish(joined(a=read("state.a"), b=read("state.b"))),
    state={"a": "", "b": ""}, name="two",
)  # fmt: skip
BIG = "0123456789abcdef" * 6_000


async def _fork(world: World, run_id: str, at: str, *, key: str | None = None, **state: object) -> Offer:
    origin = await look(world.engine, run_id)
    offer = await world.service.fork(origin, origin.point(at), PERSON, state, key=key)
    if offer.refusal is None and offer.run.run_id not in world.started:
        world.started.append(offer.run.run_id)
    return offer


async def _done(world: World) -> str:
    run_id = (await world.begin(TWO)).run.run_id
    await world.answer(run_id, "1")
    await world.answer(run_id, "2")
    return run_id


@case("forks")
async def a_fork_goes_on_from_a_step_and_its_origin_stays_as_it_is(world: World) -> None:
    run_id = await _done(world)
    before = await world.history(run_id)
    fork = (await _fork(world, run_id, "two")).run
    assert (fork.status, fork.forked_from, [action.id for action in fork.actions]) == ("waiting", f"{run_id}/two", ["two"])
    ended = await world.answer(fork.run_id, "other")
    assert ended.run.result == {"a": "1", "b": "other"}
    assert (await world.service.look(run_id)).result == {"a": "1", "b": "2"}
    assert await world.history(run_id) == before
    shared = await world.history(fork.run_id)
    assert shared[: len(before) - 1] == [*before[: len(before) - 2], shared[len(before) - 2]]
    assert any(isinstance(event, RunForked) for event in shared)


@case("forks")
async def what_is_set_is_there_and_what_does_not_fit_makes_no_run(world: World) -> None:
    run_id = await _done(world)
    fork = await _fork(world, run_id, "two", a="set")
    assert fork.run.actions[0].params["message"] == "after set"
    before = [row.id for row in await world.service.runs(RunQuery())]
    refused_with(await _fork(world, run_id, "two", c=1), "no_such_state")
    assert [row.id for row in await world.service.runs(RunQuery())] == before


@case("forks")
async def a_fork_repeated_under_its_key_is_the_same_run(world: World) -> None:
    run_id = await _done(world)
    first = await _fork(world, run_id, "two", key="mine", a="x")
    again = await _fork(world, run_id, "two", key="mine", a="x")
    assert (again.run.run_id, again.duplicate) == (first.run.run_id, True)
    refused_with(await _fork(world, run_id, "one", key="mine"), "conflict")


@case("forks")
async def running_and_parked_runs_and_forks_can_be_forked(world: World) -> None:
    run_id = (await world.begin(TWO)).run.run_id
    await world.answer(run_id, "1")
    await world.claim(run_id)
    fork = (await _fork(world, run_id, "two")).run.run_id
    assert (await world.claim(fork, OTHER)).attempt == 1
    await world.service.park(fork, PERSON, "lunch")
    again = (await _fork(world, fork, "two", a="y")).run
    assert (again.status, again.forked_from) == ("waiting", f"{fork}/two")
    assert (await world.answer(again.run_id, "z")).run.result == {"a": "y", "b": "z"}
    first = (await _fork(world, fork, "one")).run
    await world.answer(first.run_id, "p")
    assert (await world.answer(first.run_id, "q")).run.result == {"a": "p", "b": "q"}


@case("forks")
async def a_fork_is_there_when_the_engine_is_opened_again(world: World) -> None:
    run_id = await _done(world)
    fork = (await _fork(world, run_id, "two")).run.run_id
    await world.restart()
    assert (await world.answer(fork, "late")).run.result == {"a": "1", "b": "late"}


@case("forks")
async def what_a_server_does_for_a_fork_has_keys_of_its_own(world: World) -> None:
    definition = workflow(tool("work"), tool("pay", effect="pay"), finish("paid"))
    run_id = (await world.begin(definition)).run.run_id
    await world.ended(run_id)
    origin = await look(world.engine, run_id)
    assert [(each.receipt.action, each.receipt.effect) for each in origin.again(origin.point("pay"))] == [("pay", "pay")]
    assert [each.receipt.action for each in origin.again(origin.point("work"))] == ["work", "pay"]
    fork = (await _fork(world, run_id, "pay")).run.run_id
    assert (await world.ended(fork)).result == "paid"
    assert [call.key for call in world.actions.of("pay")] == [idempotency_key(run_id, "pay"), idempotency_key(fork, "pay")]
    assert len(world.actions.of("work")) == 1


@case("forks")
async def an_approval_is_not_used_a_second_time(world: World) -> None:
    definition = workflow(
        approve("gate", "all of it"), tool("deploy", requires=Requires(gates=("gate",))), finish("deployed"), name="deploys"
    )  # fmt: skip
    run_id = (await world.begin(definition)).run.run_id
    await _approve(world, run_id, "gate")
    await world.ended(run_id)
    fork = (await _fork(world, run_id, "deploy")).run
    assert [action.id for action in fork.actions] == ["deploy.requires"]
    await _approve(world, fork.run_id, "deploy.requires")
    assert (await world.ended(fork.run_id)).result == "deployed"


async def _approve(world: World, run_id: str, action: str) -> None:
    shown = next(a for a in (await world.service.look(run_id)).actions if a.id == action)
    offer = await world.service.decide(run_id, action, shown.digest or "", PERSON, approved=True)
    assert offer.refusal is None, offer.refusal


@case("forks", functions={"double": lambda n: n * 2})
async def what_functions_gave_is_shared_and_what_comes_after_is_asked_anew(world: World) -> None:
    definition = workflow(
        prompt("ask", output_to="a"), assign("first", n=called("double", read("state.n"))), prompt("mid", text(called("double", read("state.n")))),
        finish(read("state.n")), state={"a": "", "n": 1}, functions=["double"],
    )  # fmt: skip
    run_id = (await world.begin(definition)).run.run_id
    await world.answer(run_id, "go")
    assert world.functions.calls == ["double", "double"]
    fork = (await _fork(world, run_id, "mid", n=5)).run
    assert fork.actions[0].params["message"] == "10"
    assert (await world.answer(fork.run_id, "on")).run.result == 5


@case("children", "forks")
async def a_fork_starts_children_of_its_own_and_a_forked_child_is_nobodys(world: World) -> None:
    parent = workflow(
        run("child", "it", output_to="got"), finish(read("state.got")), state={"got": None}, children={"it": TWO}, name="parent"
    )
    run_id = (await world.begin(parent)).run.run_id
    child = child_run_id(run_id, "child")
    await world.there(child)
    await world.answer(child, "1")
    fork = (await _fork(world, run_id, "child")).run.run_id
    own = child_run_id(fork, "child")
    await world.there(own)
    await world.answer(child, "2")
    assert (await world.ended(run_id)).result == {"a": "1", "b": "2"}
    alone = (await _fork(world, child, "two")).run
    assert (alone.parent, alone.forked_from) == (None, f"{child}/two")
    await world.answer(alone.run_id, "3")
    await world.answer(own, "4")
    await world.answer(own, "5")
    assert (await world.ended(fork)).result == {"a": "4", "b": "5"}


@case("blobs", "forks")
async def what_was_set_aside_is_shared(world: World) -> None:
    definition = workflow(
        delegate("one", output_to="a"), prompt("two"), finish(read("state.a")), state={"a": None}, name="large"
    )  # fmt: skip
    run_id = (await world.begin(definition)).run.run_id
    await world.answer(run_id, BIG)
    fork = (await _fork(world, run_id, "two")).run.run_id
    await world.service.cancel(run_id, PERSON)
    await world.restart()
    ended = await world.answer(fork, "go")
    assert await world.service.filled(ended.run.result) == BIG


@case("forks", "listing")
async def forks_are_listed_by_the_run_they_come_from_and_fit_their_events(world: World) -> None:
    run_id = await _done(world)
    forks = [(await _fork(world, run_id, at)).run.run_id for at in ("one", "two")]
    rows = await world.service.runs(RunQuery(forked_from=run_id))
    assert [(row.id, row.meta.forked_from) for row in rows] == [(fork, run_id) for fork in reversed(forks)]
    await world.answer(forks[0], "x", by=AGENT)
    for row in await world.service.runs(RunQuery()):
        found = await verify_run(world.engine, row)
        assert found.differences == (), row.id
