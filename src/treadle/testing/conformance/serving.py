"""Cases: what the server performs itself, and what it calls."""

from treadle.core.events import ActionClaimed, Evaluated, Event
from treadle.ports import ActionCall, Answer
from treadle.testing.build import GO_ON, called, each, finish, joined, prompt, read, tool, workflow
from treadle.testing.conformance.case import case
from treadle.testing.world import LOST, PERSON, World, refused_with


@case()
async def a_server_performed_action_gets_its_parameters_and_a_key(world: World) -> None:
    definition = workflow(
        tool("call", "memory.save", joined(key="k", value=read("inputs.value")), output_to="got", timeout_ms=60_000), finish(read("state.got")),
        inputs={"value": {"required": True}}, state={"got": None},
    )  # fmt: skip
    world.actions.on("call", {"saved": True})
    run_id = (await world.begin(definition, {"value": [1, 2]})).run.run_id
    run = await world.ended(run_id)
    assert (run.status, run.result) == ("completed", {"saved": True})
    (call,) = world.actions.calls
    assert call.params == {"tool": "memory.save", "parameters": {"key": "k", "value": [1, 2]}}
    assert (call.run_id, call.key, call.timeout_ms) == (run_id, f"{run_id}/call", 60_000)


@case()
async def a_write_is_claimed_durably_before_it_is_begun(world: World) -> None:
    seen: list[list[Event]] = []

    async def look(call: ActionCall) -> Answer:
        seen.append(await world.history(call.run_id))
        return Answer(value=1)

    world.actions.on("*", look)
    run_id = (await world.begin(workflow(tool("look", effect="read"), tool("write")))).run.run_id
    await world.ended(run_id)
    claims = [[e.claim.action for e in events if isinstance(e, ActionClaimed)] for events in seen]
    assert claims == [[], ["write"]]


@case()
async def many_server_performed_actions_are_each_done_once(world: World) -> None:
    definition = workflow(each("all", list(range(20)), do=[tool("call", parameters=joined(n=read("item")))], max_parallel=20, output=read("item"),
                               output_to="got"), finish(read("state.got")), state={"got": None})  # fmt: skip
    run = await world.ended((await world.begin(definition)).run.run_id)
    assert run.result == list(range(20))
    assert sorted(call.action.id for call in world.actions.calls) == sorted(f"all[{n}]/call" for n in range(20))


@case()
async def a_write_whose_outcome_nobody_knows_waits_for_a_person(world: World) -> None:
    definition = workflow(tool("call", output_to="got"), finish(read("state.got")), state={"got": None})
    world.actions.on("call", LOST, "second")
    run_id = (await world.begin(definition)).run.run_id
    action = await world.action(run_id, "call", "unknown")
    assert action.waits_for == "outcome"
    assert len(world.actions.calls) == 1
    refused_with(await world.service.resolve(run_id, "call", 2, PERSON, "done"), "late")
    await world.service.resolve(run_id, "call", 1, PERSON, "not_done")
    run = await world.ended(run_id)
    assert (run.status, run.result) == ("completed", "second")
    assert [call.action.attempt for call in world.actions.calls] == [1, 2]


@case()
async def a_write_that_a_person_calls_done_is_not_done_again(world: World) -> None:
    definition = workflow(tool("call", output_to="got"), finish(read("state.got")), state={"got": None})
    world.actions.on("call", LOST, "second")
    run_id = (await world.begin(definition)).run.run_id
    await world.action(run_id, "call", "unknown")
    offer = await world.service.resolve(run_id, "call", 1, PERSON, "done", value="it was there")
    assert (offer.run.status, offer.run.result) == ("completed", "it was there")
    assert len(world.actions.calls) == 1


@case()
async def a_read_that_was_lost_is_done_again(world: World) -> None:
    definition = workflow(tool("call", effect="read", output_to="got"), finish(read("state.got")), state={"got": None})
    world.actions.on("call", LOST, "second")
    run = await world.ended((await world.begin(definition)).run.run_id)
    assert (run.status, run.result) == ("completed", "second")
    assert [(call.action.attempt, call.action.redo) for call in world.actions.calls] == [(1, False), (2, True)]


def _shout(word: str) -> str:
    return word.upper() + "!"


def _refuse(word: str) -> str:
    raise ValueError(f"{word} is not wanted")


@case(functions={"shout": _shout})
async def a_function_in_an_expression_is_called_once_and_its_result_is_kept(world: World) -> None:
    definition = workflow(
        prompt("ask", output_to="word"), prompt("show", called("shout", read("state.word")), output_to="b"),
        finish(joined(a=read("state.word"), b=read("state.b"))), state={"word": called("shout", "hi"), "b": None}, functions=["shout"],
    )  # fmt: skip
    offer = await world.begin(definition)
    assert offer.run.state["word"] == "HI!"
    offer = await world.answer(offer.run.run_id, "you")
    assert offer.action is not None
    assert (offer.action.id, offer.action.params["message"]) == ("show", "YOU!")
    results = [event.value for event in await world.history(offer.run.run_id) if isinstance(event, Evaluated)]
    assert results == ["HI!", "YOU!"]
    count = len(world.functions.calls)
    await world.check_histories()
    assert len(world.functions.calls) == count == 2, "a fold calls no function"


@case(functions={"refuse": _refuse})
async def a_function_that_raises_fails_its_step(world: World) -> None:
    definition = workflow(prompt("ask", called("refuse", "x"), on_error=GO_ON), finish(read("steps.ask.error")), functions=["refuse"])
    run = await world.ended((await world.begin(definition)).run.run_id)
    assert run.status == "completed_degraded"
    assert isinstance(run.result, dict)
    assert run.result["class"] == "function"
    assert "x is not wanted" in str(run.result["message"])


@case()
async def a_function_that_is_not_there_fails_its_step(world: World) -> None:
    definition = workflow(prompt("ask", called("gone", "x")), functions=["gone"])
    run = await world.ended((await world.begin(definition)).run.run_id)
    assert run.failure is not None
    assert (run.status, run.failure.error_class) == ("failed", "function")
