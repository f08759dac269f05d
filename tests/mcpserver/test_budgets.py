"""What the server costs a model in tokens (ruling 43): characters / 4, printed, and held under their limits."""

import json
from typing import Any

import pytest

from tests.mcpserver.flows import FANNED, GATED, SMALL
from tests.mcpserver.support import MODES, Shop, Told
from treadle.mcpio.server.build import INSTRUCTIONS

STEP_TOKENS_MAX = 150
ASKING = "name: asking\nsteps:\n  - {id: sure, type: prompt, format: confirm, message: 'Really?'}\n"


def tokens(text: str) -> float:
    """The measure of ruling 43."""
    return len(text) / 4


def compact(data: Any) -> str:
    """Data as it stands on the wire."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def overhead(step: Told) -> tuple[float, float]:
    """What surrounds the author's words in a step: in the text, and in the data; a client shows its model one of the two."""
    own = next(step[name] for name in ("message", "instructions", "call") if name in step.data)
    own = own if isinstance(own, str) else compact(own)
    schema = step.data.get("expected")
    in_text = len(own) + (len(json.dumps(schema)) if schema else 0)
    in_data = len(json.dumps(own, ensure_ascii=False)) - 2 + (len(compact(schema)) if schema else 0)
    return (len(step.text) - in_text) / 4, (len(compact(step.data)) - in_data) / 4


@pytest.mark.parametrize("mode", MODES)
async def test_the_list_of_tools_stays_under_two_thousand_tokens(store: Shop, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with store.agent(mode=mode) as agent:
        listed = await agent.client.list_tools()
    whole = compact(listed.model_dump(mode="json", by_alias=True, exclude_none=True))
    with capsys.disabled():
        print(f"\ntools/list ({mode}): {tokens(whole):.0f} tokens for {len(listed.tools)} tools")
    assert tokens(whole) < 2_000
    assert len(INSTRUCTIONS.encode()) < 2_048
    hot = [tool.name for tool in listed.tools if (tool.meta or {}).get("anthropic/alwaysLoad")]
    assert hot == ["start_workflow", "get_next_step", "submit_result", "get_run"]
    reading = [tool.name for tool in listed.tools if tool.annotations and tool.annotations.read_only_hint]
    assert reading == ["list_workflows", "describe_workflow", "get_run", "list_runs"]
    assert [tool.name for tool in listed.tools if tool.annotations and tool.annotations.destructive_hint] == ["cancel_run"]


async def test_a_step_costs_less_than_150_tokens_beside_its_own_text(store: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("small", SMALL), ("fanned", FANNED), ("gated", GATED), ("asking", ASKING)):
        store.write(name, text)
    measured: dict[str, tuple[float, float]] = {}
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        measured["prompt, the first step of a run"] = overhead(step)
        measured["delegate with a schema, after an answer"] = overhead(await agent.do(step["next"], result="quiet"))
        measured["confirm"] = overhead(await agent("start_workflow", workflow="asking"))
        step = await agent("start_workflow", workflow="fanned")
        fan = await agent.do(step["next"], result=["pearl"])
        measured["delegate in a branch"] = overhead(await agent.do(fan["branches"][0]["prompt"]))
        prompt = tokens(fan["branches"][0]["prompt"])
    with capsys.disabled():
        print("\noverhead of a step in tokens (text, data): " + "; ".join(f"{n} {t:.0f}, {d:.0f}" for n, (t, d) in measured.items()))
        print(f"prompt of a branch: {prompt:.0f} tokens")
    assert max(max(pair) for pair in measured.values()) < STEP_TOKENS_MAX, measured
    assert prompt < 200
