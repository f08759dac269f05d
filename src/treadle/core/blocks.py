"""Blocks: conditions, switches, parallels, and the loops `while`, `repeat` and `foreach`: how each begins its lists, and what it makes of their ends.

A block is a step with lists below it. `ended` is called when one of them is over, with how; the block then begins another, or ends. The rounds of
a `foreach` begin in the order of its items, at most so many at once; results stand by index however the rounds end (rulings 10, 14).
"""

from treadle.core import limits
from treadle.core.aside import in_pieces, item_at, pieces_of, size_of, with_error, with_item
from treadle.core.closing import begin_closing
from treadle.core.definition import Condition, Foreach, Parallel, Repeat, Switch, While
from treadle.core.draft import Draft
from treadle.core.errors import Failure, InvariantViolationError, StepFailedError, failure_at
from treadle.core.ids import branch_token, suffix_of
from treadle.core.records import replace
from treadle.core.render import Renderer
from treadle.core.state import Fan, Frame, Join, ListNode, Loop, Outcome, StepNode
from treadle.core.steps import fail_step, finish_step, open_list
from treadle.core.values import CHUNK_ITEMS, BlobRef, Chunks, Value, encode


def condition(draft: Draft, node: StepNode, spec: Condition, render: Renderer) -> None:
    """Choose one of two lists."""
    name = "then" if render.truth(spec.test, "if") else "else"
    _choose(draft, node, name, "." + name)


def switch(draft: Draft, node: StepNode, spec: Switch, render: Renderer) -> None:
    """Choose the list whose name is the value as text."""
    value = render.value(spec.value, "value")
    name = value if isinstance(value, str) else encode(draft.whole(value))
    name, suffix = (name, suffix_of(name)) if name in spec.cases else ("default", "default")
    _choose(draft, node, name, "." + suffix)


def _choose(draft: Draft, node: StepNode, name: str, suffix: str) -> None:
    draft.note("branch_chosen", node.path, branch=name)
    if draft.index.lists[node.at + suffix]:
        open_list(draft, draft.put(replace(node, phase="block", results=())), suffix, node.frame)
    else:
        finish_step(draft, node)


# Parallel


def parallel(draft: Draft, node: StepNode, spec: Parallel, _render: Renderer) -> None:
    """Begin every branch."""
    node = draft.put(replace(node, phase="block", results=(), join=Join()))
    for name in spec.branches:
        open_list(draft, node, "." + suffix_of(name), node.frame, isolated=draft.step(node).isolation)


def branch_ended(draft: Draft, owner: StepNode, spec: Parallel, branch: ListNode, outcome: Outcome) -> None:
    """Count a branch; when enough have succeeded the others are cancelled, when too many have failed the block fails."""
    name = next(name for name in spec.branches if owner.path + "." + suffix_of(name) == branch.path)
    join = owner.join or Join()
    if outcome.failure is not None:
        join = replace(join, failures={**join.failures, name: outcome.failure})
        draft.note("branch_failed", branch.path)
    elif outcome.how != "lost":
        join = replace(join, results={**join.results, name: draft.keep(branch.last)})
        join = replace(join, trees={**join.trees, name: draft.keep(branch.tree)}) if branch.tree is not None else join
        draft.note("branch_completed", branch.path)
    owner = draft.put(replace(owner, join=join))
    need = spec.need or len(spec.branches)
    if len(join.failures) > len(spec.branches) - need:
        begin_closing(draft, owner, Outcome(how="fail", failure=_all_causes(owner, join)))
    elif len(join.results) < need:
        return
    elif (others := _open_branches(draft, owner, spec)) and outcome.how != "lost":
        for other in others:
            begin_closing(draft, other, Outcome(how="lost"))
    elif not others:
        finish_step(draft, owner, joined(spec, join))


def _open_branches(draft: Draft, owner: StepNode, spec: Parallel) -> list[ListNode]:
    paths = (owner.path + "." + suffix_of(name) for name in spec.branches)
    return [node for path in paths if isinstance(node := draft.nodes.get(path), ListNode)]


def joined(spec: Parallel, join: Join) -> Value:
    """Give the result of a `parallel`; null for a branch that has none."""
    if not spec.need:
        return {name: join.results.get(name) for name in spec.branches}
    return {"winners": list(join.results), "results": join.results}


def _all_causes(owner: StepNode, join: Join) -> Failure:
    message = f"`{owner.path}`: " + "; ".join(f"{name}: {failure.message}" for name, failure in join.failures.items())
    return replace(next(iter(join.failures.values())), message=message, result=None, has_result=False)


# while and repeat


def loop(draft: Draft, node: StepNode, _spec: While | Repeat, _render: Renderer) -> None:
    """Begin a loop."""
    draft.put(replace(node, phase="block", results=(), loop=Loop()))
    draft.look_at(node.path)


def go_on_with_loop(draft: Draft, node: StepNode, spec: While | Repeat) -> None:
    """Begin the next round, or end. Raises what rendering raises: the condition of a `while` is asked here."""
    rounds = node.loop.rounds if node.loop is not None else 0
    path = f"{node.path}[{rounds}]"
    if f"{node.path}[{rounds - 1}]" in draft.nodes:
        return
    if isinstance(spec, While) and not Renderer(draft, node).truth(spec.condition, "condition"):
        end_loop(draft, node)
    elif rounds >= spec.max_iterations:
        _reach_limit(draft, node, spec)
    else:
        node = draft.put(replace(node, results=(), loop=Loop(rounds=rounds + 1)))
        channel = draft.frames[node.frame].channel
        draft.put_frame(Frame(path=path, outer=node.frame, index=rounds, count=-1, channel=channel))
        draft.note("round_opened", path)
        open_list(draft, node, f"[{rounds}]", path)


def end_loop(draft: Draft, node: StepNode) -> None:
    """End a loop with how many rounds it made."""
    finish_step(draft, node, {"iterations": node.loop.rounds if node.loop is not None else 0})


def _reach_limit(draft: Draft, node: StepNode, spec: While | Repeat) -> None:
    if spec.on_limit == "fail":
        message = f"`{node.path}` made {spec.max_iterations} rounds, and its condition still asks for more"
        raise StepFailedError(failure_at(node.path, "max_iterations", message))
    draft.goal_missed = True
    draft.note("limit_reached", node.path, rounds=spec.max_iterations)
    end_loop(draft, node)


def round_ended(draft: Draft, owner: StepNode, spec: While | Repeat, round_node: ListNode, outcome: Outcome) -> None:
    """Go on after a round of a loop. A `repeat` asks its condition where the round can be seen, before it is gone."""
    if outcome.failure is not None:
        draft.drop_list(round_node)
        fail_step(draft, owner, outcome.failure)
        return
    done = False
    if isinstance(spec, Repeat):
        asking = draft.put(replace(round_node, phase="output", closing=None, cursor=len(draft.index.lists[round_node.at])))
        done = Renderer(draft, asking).truth(spec.until, "until")
    draft.drop_list(round_node)
    if done:
        end_loop(draft, owner)
    else:
        draft.look_at(owner.path)


def loop_around(draft: Draft, node: StepNode) -> tuple[ListNode, StepNode]:
    """Give the innermost round that a step stands in, and its loop."""
    around = draft.list_node(node.list_path)
    while not around.at.endswith("[]"):
        around = draft.list_node(draft.step_node(around.owner or "").list_path)
    return around, draft.step_node(around.owner or "")


# foreach


def foreach(draft: Draft, node: StepNode, spec: Foreach, render: Renderer) -> None:
    """Begin: find the items."""
    items = render.value(spec.items, "items")
    if isinstance(items, BlobRef) and items.kind == "list":
        items = draft.read_blob(items.digest)
    if not isinstance(items, list | Chunks):
        raise StepFailedError(failure_at(node.path, "expression", f"`items` of step `{node.path}` is not a list"))
    count = items.length if isinstance(items, Chunks) else len(items)
    if count > spec.items_max:
        message = f"`items` of step `{node.path}` has {count} items; the limit is {spec.items_max}"
        raise StepFailedError(failure_at(node.path, "failed", message))
    empty = pieces_of([None] * count)
    if isinstance(items, list):
        items = in_pieces(pieces_of(items), count, draft.set_value_aside)
        draft.size_bytes += size_of(items)
    fan = Fan(items=items, count=count, parts=empty, trees=empty if draft.step(node).isolation else ())
    node = draft.put(replace(node, phase="block", results=(), fan=fan))
    draft.note("items_found", node.path, count=count)
    draft.look_at(node.path)


def go_on_with_rounds(draft: Draft, node: StepNode, spec: Foreach, fan: Fan) -> None:
    """Begin as many rounds as may be open, or end."""
    if fan.next_index == fan.count and fan.open_count == 0:
        end_foreach(draft, node, spec, fan)
        return
    width = 1 if spec.sequential else spec.max_parallel
    open_items = sum(1 for frame in draft.frames.values() if frame.index is not None and frame.count >= 0)
    room = min(limits.OPEN_ITEMS_MAX, draft.definition.limits.open_items_max) - open_items
    while fan.next_index < fan.count and fan.open_count < width and (room > 0 or fan.open_count == 0):
        _begin_round(draft, node, spec, fan)
        fan = replace(fan, next_index=fan.next_index + 1, open_count=fan.open_count + 1)
        room -= 1
    draft.put(replace(node, fan=fan))


def _begin_round(draft: Draft, node: StepNode, spec: Foreach, fan: Fan) -> None:
    index, path = fan.next_index, f"{node.path}[{fan.next_index}]"
    items = draft.read_blob(fan.items.digest) if isinstance(fan.items, BlobRef) else fan.items
    channel = branch_token(draft.base.seed, path) if spec.agent is not None else draft.frames[node.frame].channel
    item = draft.keep(item_at(items, index, draft.blobs))
    draft.put_frame(Frame(path=path, outer=node.frame, item=item, index=index, count=fan.count, item_name=spec.item_name, channel=channel))
    draft.note("item_opened", path)
    open_list(draft, node, f"[{index}]", path, phase="opening" if spec.task is not None else "running", isolated=draft.step(node).isolation)


def end_foreach(draft: Draft, node: StepNode, spec: Foreach, fan: Fan) -> None:
    """End with the list of results; too few successes are a failure that carries it."""
    failed = len(fan.errors) + CHUNK_ITEMS * len(fan.error_parts)
    draft.degraded = draft.degraded or failed > 0
    result = in_pieces(fan.parts, fan.count, draft.set_value_aside)
    needed = max(spec.min_success, -(-spec.min_success_percent * fan.count // 100))
    succeeded = fan.next_index - fan.open_count - failed
    if succeeded >= needed:
        finish_step(draft, node, result)
        return
    failure = failure_at(node.path, "min_success", f"{succeeded} of {fan.count} items of `{node.path}` succeeded; {needed} must")
    fail_step(draft, node, replace(failure, result=result, has_result=True))


def item_ended(draft: Draft, owner: StepNode, spec: Foreach, node: ListNode, outcome: Outcome) -> None:
    """Take a round's value, or what became of it."""
    fan, index, failure = owner.fan, draft.frames[node.path].index, outcome.failure
    if fan is None or index is None:
        raise InvariantViolationError(f"the round {node.path!r} belongs to no foreach")
    draft.drop_list(node)
    draft.note("item_failed" if failure else "item_completed", node.path)
    fan = replace(fan, open_count=fan.open_count - 1, parts=with_item(fan.parts, index, draft.keep(outcome.value)))
    if node.tree is not None and failure is None:
        fan = replace(fan, trees=with_item(fan.trees, index, draft.keep(node.tree)))
    collects = spec.on_item_error == "collect"
    if failure is not None and collects:
        fan = with_error(fan, draft.keep({**failure.shown(), "index": index}), draft.set_value_aside)
    owner = draft.put(replace(owner, fan=fan))
    if failure is None or collects:
        draft.look_at(owner.path)
        return
    message = f"item {index} of `{owner.path}` failed: {failure.message}"
    begin_closing(draft, owner, Outcome(how="fail", failure=replace(failure, message=message, result=None, has_result=False)))
