"""Shapes: small definitions, one per way in which steps can stand in each other, and a walk over every order in which they can be settled.

`explore` takes a run from its start and tries, in every state it reaches, each thing that can happen to each open action, time and cancelling
included. States that were met before are not walked again, so that all orders are covered without being counted.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.core.build import (
    approve,
    break_,
    call,
    condition,
    continue_,
    delegate,
    fail,
    foreach,
    function,
    goto,
    http,
    merge,
    parallel,
    prompt,
    put,
    repeat,
    ret,
    run,
    shell,
    switch,
    task,
    wait,
    while_,
    workflow,
)
from tests.core.play import ANNA, SERVER, Play
from treadle.core import codec
from treadle.core.definition import By, Definition, Retry
from treadle.core.state import ActionState, StepNode

ONCE_MORE = Retry(attempts=2, backoff_ms=1_000, on=("failed", "timeout"))
ATTEMPTS_MAX = 3
ITEM = {"it": {"required": True}}
READ = {"effect": "read"}

SHAPES: dict[str, Definition] = {
    "nothing": workflow(),
    "one action": workflow(delegate("a")),
    "a line of three": workflow(delegate("a", output_to="x"), prompt("b"), call("c"), initial_state={"x": 0}, output="{{ state.x }}"),
    "a gate before a write": workflow(approve("gate", "{{ inputs }}"), call("w"), inputs={"n": {"default": 1}}),
    "a gate with a way round": workflow(approve("gate", on_reject=[prompt("why")]), delegate("a")),
    "a gate that runs out": workflow(approve("gate", within_ms=1_000, on_reject="continue"), delegate("a")),
    "a retry": workflow(delegate("a", retry=ONCE_MORE), prompt("b")),
    "a retry within a time": workflow(delegate("a", retry=ONCE_MORE, within_ms=1_500, timeout_ms=1_000), prompt("b")),
    "a write that is never repeated": workflow(call("w"), prompt("b")),
    "a failure passed by": workflow(call("c", on_error="continue", **READ), delegate("a")),
    "a fallback": workflow(call("c", fallback="{{ error.message }}", output_to="x", **READ), ret("r", "{{ state.x }}"), initial_state={"x": 0}),
    "a handler": workflow(delegate("a", on_error=[delegate("h"), put("s", {"x": 1})]), prompt("b"), initial_state={"x": 0}),
    "a handler that returns": workflow(delegate("a", on_error=[ret("r", "{{ error.class }}")]), prompt("b")),
    "a branch": workflow(condition("if", "{{ state.x }}", then=[delegate("a")], otherwise=[delegate("b")]), initial_state={"x": True}),
    "a branch that fails": workflow(condition("if", "{{ true }}", then=[delegate("a")], on_error=[prompt("h")]), prompt("b")),
    "a branch within a time": workflow(condition("if", "{{ true }}", then=[delegate("a"), delegate("b")], within_ms=500, on_error="continue"), prompt("c")),
    "rounds side by side": workflow(foreach("f", [0, 1, 2], do=[delegate("a")], output="{{ item }}", output_to="all"), initial_state={"all": 0}),
    "rounds in a window": workflow(foreach("f", [0, 1, 2], do=[call("c", **READ)], max_parallel=2, on_item_error="collect"), prompt("b")),
    "rounds one by one": workflow(foreach("f", [0, 1, 2], do=[delegate("a")], sequential=True)),
    "rounds that do a task": workflow(
        foreach("f", ["x", "y"], task="t", agent="@task", output_to="all"), initial_state={"all": 0}, output="{{ state.all }}",
        tasks={"t": task(delegate("a", output_to="z"), put("s", {"n": "{{ double(2) }}"}), inputs=ITEM, initial_state={"z": 0, "n": 0}, output="{{ [inputs.it, state.z] }}")},
    ),
    "rounds that ask": workflow(foreach("f", [0, 1], do=[delegate("a"), prompt("p"), approve("g")], agent="@task")),
    "rounds in rounds": workflow(foreach("f", [0, 1], do=[foreach("g", [0, 1], do=[delegate("a")], max_parallel=1)])),
    "a return out of rounds": workflow(foreach("f", [0, 1], do=[delegate("a"), condition("if", "{{ item == 1 }}", then=[ret("r", "{{ item }}")])]), prompt("b")),
    "a return out of a task": workflow(
        foreach("f", [0, 1], task="t", output_to="all"), initial_state={"all": 0},
        tasks={"t": task(delegate("a"), ret("r", "{{ inputs.it }}"), prompt("never"), inputs=ITEM)},
    ),
    "functions everywhere": workflow(
        prompt("p", "{{ make_items(2) }}"), foreach("f", "{{ make_items(2) }}", do=[delegate("a", "{{ double(item) }}")], output="{{ double(item) }}", output_to="all"),
        put("s", {"n": "{{ double(state.n) }}"}), initial_state={"n": "{{ double(1) }}", "all": 0}, output="{{ double(state.n) }}",
    ),
    "a function that raises": workflow(delegate("a"), put("s", {"n": "{{ broken(1) }}"}, on_error=[prompt("h")]), initial_state={"n": 0}),
    "steps skipped": workflow(delegate("a", when="{{ false }}"), delegate("b", output_to="x"), prompt("c", when="{{ state.x == 'done' }}"), initial_state={"x": 0}),
    "what agents do to tools": workflow(call("c", performer="agent"), call("d", performer="agent", repeatable=True)),
    "what a server does": workflow(http("h"), shell("s"), function("f", "double", {"value": 1})),
    "a switch": workflow(switch("s", "{{ state.x }}", {"7": [delegate("a")]}, [delegate("b")]), initial_state={"x": 7}),
    "branches that all count": workflow(parallel("p", {"l": [delegate("a")], "r": [prompt("b")]}, output_to="x"), prompt("c"), initial_state={"x": 0}),
    "the first branch wins": workflow(parallel("p", {"l": [delegate("a")], "m": [prompt("b")], "r": [call("c", **READ)]}, need=1), prompt("d")),
    "two of three branches": workflow(parallel("p", {"l": [call("a", **READ)], "m": [prompt("b")], "r": [call("c", **READ)]}, need=2, on_error="continue")),
    "a branch whose loser cleans up": workflow(parallel("p", {"l": [delegate("a", final=[prompt("f")])], "r": [prompt("b")]}, need=1)),
    "a while": workflow(while_("w", "{{ state.n < 2 }}", [prompt("a"), put("s", {"n": "{{ state.n + 1 }}"})], most=3), initial_state={"n": 0}),
    "a while at its limit": workflow(while_("w", "{{ true }}", [prompt("a")], most=2, on_limit="continue"), prompt("b")),
    "a repeat": workflow(repeat("r", "{{ steps.a.result == 'done' }}", [call("a", **READ)], most=2), prompt("b")),
    "a break out of depth": workflow(foreach("f", [0, 1], do=[delegate("a"), condition("if", "{{ item == 0 }}", then=[break_()])], sequential=True), prompt("b")),
    "a continue": workflow(repeat("r", "{{ loop.index >= 2 }}", [prompt("a"), continue_(), prompt("never")], most=3)),
    "a goto back": workflow(prompt("a"), prompt("b"), condition("if", "{{ steps.b.visits < 2 }}", then=[goto("g", "a", 1)]), prompt("c")),
    "a goto forward out of a branch": workflow(condition("if", "{{ true }}", then=[prompt("a"), goto("g", "c", 1)]), prompt("b"), prompt("c")),
    "a goto out of a handler": workflow(delegate("a", on_error=[goto("g", "a", 1)], undo=[prompt("u")]), prompt("b")),
    "a wait for time": workflow(wait("w", ms=1_000, within_ms=500, on_error="continue"), prompt("b")),
    "a wait for a signal": workflow(wait("w", signal="go", within_ms=5_000, final=[prompt("f")]), prompt("b")),
    "a failure of its own": workflow(condition("if", "{{ true }}", then=[fail("no", "why", "own")], on_error=[prompt("h")]), fail("end", status="goal_not_met")),
    "a finally": workflow(delegate("a", final=[prompt("f")]), prompt("b")),
    "a finally in a finally": workflow(delegate("a", final=[delegate("f", final=[prompt("g")])])),
    "a finally of rounds": workflow(foreach("f", [0, 1], do=[delegate("a", final=[prompt("g")])]), prompt("b")),
    "a finally of the file": workflow(delegate("a", undo=[prompt("u")]), final=[prompt("f")]),
    "undo in reverse": workflow(delegate("a", undo=[prompt("u")]), delegate("b", undo=[prompt("v")]), delegate("c")),
    "undo kept": workflow(delegate("a", undo=[prompt("u")]), delegate("b"), undo_on=()),
    "undo of rounds": workflow(foreach("f", [0, 1], do=[delegate("a", undo=[prompt("u", "{{ item }}")])], undo=[prompt("v")]), delegate("b")),
    "a gate of two people": workflow(approve("g", by=By(count=2, roles=("lead",), never=("starter",))), call("w")),
    "a call that is approved": workflow(call("w", requires=By())),
    "a gate that shows something else by now": workflow(approve("g", "{{ state.x }}"), delegate("a", output_to="x"), call("w", requires="g"), initial_state={"x": 0}),
    "an answer that is proven": workflow(delegate("a", verify=[{"shell": "make"}, {"expression": "{{ result is defined }}"}], repair=1), prompt("b")),
    "an outcome read back": workflow(call("w", read_back=[call("r", **READ)]), prompt("b")),
    "a key": workflow(call("w", key="auto", retry=ONCE_MORE), prompt("b")),
    "a result that is kept": workflow(call("a", cache=True, **READ), prompt("b")),
    "a budget that stops": workflow(foreach("f", [0, 1], do=[delegate("a", final=[prompt("g")])], budget={"calls": 1}, on_error="continue"), prompt("b")),
    "a budget that asks": workflow(delegate("a"), delegate("b"), budget={"calls": 1, "on_exceed": "ask"}, final=[delegate("f")]),
    "a budget that degrades": workflow(delegate("a"), delegate("b", undo=[prompt("u")]), budget={"calls": 1, "on_exceed": "degrade"}),
    "a budget of time": workflow(prompt("a", budget={"wall_ms": 700}, final=[prompt("f")]), prompt("b")),
    "children": workflow(run("r", "child", close_policy="wait"), run("s", "child", close_policy="abandon"), run("t", "child")),
    "items in worktrees": workflow(foreach("f", [0, 1], do=[delegate("a")], isolation=True, on_item_error="collect"), merge("m", "f")),
    "branches in worktrees": workflow(parallel("p", {"l": [prompt("a")], "r": [call("b", **READ)]}, need=1, isolation=True), merge("m", "p")),
    "a step in a worktree": workflow(delegate("a", isolation=True, retry=ONCE_MORE, final=[prompt("f")], on_error=[prompt("h")]), prompt("b")),
    "a worktree in a worktree": workflow(condition("if", "{{ true }}", then=[delegate("a", isolation=True), merge("m", "a")], isolation=True)),
    "enough of the items": workflow(foreach("f", [0, 1], do=[call("a", **READ)], on_item_error="collect", min_success_percent=60), prompt("b")),
}  # fmt: skip
PEOPLE = [replace(ANNA, name=name, roles=("lead",)) for name in ("anna", "bert", "carl")]

Move = Callable[[Play], Play]


def moves(play: Play) -> Iterator[tuple[str, Move]]:
    """Everything that can happen next, one thing each."""
    for action in play.state.actions.values():
        for label, move in _moves_of(play, action):
            yield f"{action.id} {label}", move
    for node in play.state.nodes.values():
        if isinstance(node, StepNode) and node.wait is not None and node.wait.signal:
            yield "signal", lambda p: p.signal("go", len(p.log))
    if play.state.parked is not None:
        yield "resumed", lambda p: p.unpark()
    if play.state.next_due_ms is not None:
        yield "time passes", lambda p: p.pass_ms(max(0, p.state.next_due_ms - p.now_ms))
    yield "cancel", lambda p: p.cancel()


def _moves_of(play: Play, action: ActionState) -> Iterator[tuple[str, Move]]:
    name, server = action.id, action.performer == "server"
    node = play.state.nodes.get(name)
    if action.kind == "approve":
        by = next(
            person for person in PEOPLE if person.name not in action.votes and not ("never" in action.params and person.name == "anna")
        )
        yield "approved", lambda p: p.decide(name, approved=True, by=by)
        yield "rejected", lambda p: p.decide(name, approved=False, by=by)
    elif action.status == "verifying" or (isinstance(node, StepNode) and node.phase == "read_back"):
        return
    elif action.kind in {"worktree", "worktree_commit"} and action.status == "open":
        yield "done", lambda p: p.answer(name, {"commit": "c"} if action.kind == "worktree_commit" else {"path": f"/w/{name}", "base": "b"})
        yield "failed", lambda p: p.answer(name, fails="failed")
    elif action.kind == "verify":
        yield "holds", lambda p: p.answer(name, [{"ok": True}])
        yield "does not hold", lambda p: p.answer(name, [{"ok": False, "message": "no"}])
    elif play.state.parked is not None and action.status == "open":
        return
    elif action.status == "unknown":
        yield "was done", lambda p: p.resolve(name, "done", "done")
        if action.attempt < ATTEMPTS_MAX:
            yield "was not done", lambda p: p.resolve(name, "not_done")
    elif action.status == "stopping":
        yield "answers late", lambda p: p.answer(name, "late")
        yield "goes away", lambda p: p.lost(name)
    elif action.status == "open" and (not server or action.effect not in {"none", "read"}):
        yield "claimed", lambda p: p.claim(name, by=SERVER if server else ANNA, channel=action.channel)
    elif action.status in {"open", "claimed"}:
        yield "done", lambda p: p.answer(name, "done")
        yield "failed", lambda p: p.answer(name, fails="failed")
        if action.attempt < ATTEMPTS_MAX:
            yield "lost", lambda p: p.lost(name)


def branch(play: Play) -> Play:
    """The same run once more, to be taken another way."""
    twin = copy.copy(play)
    twin.log, twin.every_note, twin.every_command = list(play.log), list(play.every_note), list(play.every_command)
    twin.blobs, twin.supplied = dict(play.blobs), dict(play.supplied)
    return twin


def explore(definition: Definition, visit: Callable[[Play, Play], None], *, states_max: int) -> tuple[int, int]:
    """Walk every order, depth first; `visit` sees each run before and after a move. Gives how many states and endings there were."""
    first = Play(definition)
    visit(first, first)
    seen, endings, todo = {_mark(first)}, int(first.state.ended), [first]
    while todo:
        play = todo.pop()
        if play.state.ended:
            continue
        for label, move in moves(play):
            after = move(branch(play))
            assert after.refused in {None, "stopped", "bad_output"}, f"{label}: {after.decision.refusal}"
            visit(play, after)
            mark = _mark(after)
            if mark not in seen and len(seen) < states_max:
                seen.add(mark)
                endings += after.state.ended
                todo.append(after)
    return len(seen), endings


def _mark(play: Play) -> bytes:
    """What makes a state different: not how many steps led to it, nor when."""
    state = play.state
    data = {
        name: getattr(state, name)
        for name in ("status", "nodes", "frames", "actions", "result", "failure", "degraded", "agenda", "undo", "undo_status", "ending")
    }
    return codec.dumps([data, sorted(state.timers)])
