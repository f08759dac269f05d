"""Shapes: small definitions, one per way in which steps can stand in each other, and a walk over every order in which they can be settled.

`explore` takes a run from its start and tries, in every state it reaches, each thing that can happen to each open action, time and cancelling
included. States that were met before are not walked again, so that all orders are covered without being counted.
"""

import copy
from collections.abc import Callable, Iterator

from tests.core.build import approve, call, condition, delegate, foreach, prompt, put, ret, task, workflow
from tests.core.play import ANNA, SERVER, Play
from treadle.core import codec
from treadle.core.definition import Definition, Retry
from treadle.core.state import ActionState

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
}  # fmt: skip

Move = Callable[[Play], Play]


def moves(play: Play) -> Iterator[tuple[str, Move]]:
    """Everything that can happen next, one thing each."""
    for action in play.state.actions.values():
        for label, move in _moves_of(action):
            yield f"{action.id} {label}", move
    if play.state.next_due_ms is not None:
        yield "time passes", lambda p: p.pass_ms(max(0, p.state.next_due_ms - p.now_ms))
    yield "cancel", lambda p: p.cancel()


def _moves_of(action: ActionState) -> Iterator[tuple[str, Move]]:
    name, server = action.id, action.performer == "server"
    if action.kind == "approve":
        yield "approved", lambda p: p.decide(name, approved=True)
        yield "rejected", lambda p: p.decide(name, approved=False)
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
            assert after.refused in {None, "stopped"}, f"{label}: {after.decision.refusal}"
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
    data = {name: getattr(state, name) for name in ("status", "nodes", "frames", "actions", "result", "failure", "degraded", "agenda")}
    return codec.dumps([data, sorted(state.timers)])
