"""The rounds of a `foreach`: items in order, at most so many at once, results by index however the rounds end (rulings 10, 14)."""

from treadle.core import limits
from treadle.core.aside import in_pieces, item_at, pieces_of, size_of, with_item
from treadle.core.closing import begin_closing
from treadle.core.definition import Foreach
from treadle.core.draft import Draft
from treadle.core.errors import InvariantViolationError, StepFailedError, failed
from treadle.core.ids import branch_token
from treadle.core.records import replace
from treadle.core.render import Renderer
from treadle.core.state import Fan, Frame, ListNode, Outcome, StepNode
from treadle.core.steps import fail_step, finish_step, open_list
from treadle.core.values import CHUNK_ITEMS, BlobRef, Chunks, Value


def foreach(draft: Draft, node: StepNode, spec: Foreach, render: Renderer) -> None:
    """Begin: find the items."""
    items = render.value(spec.items, "items")
    if isinstance(items, BlobRef) and items.kind == "list":
        items = draft.read_blob(items.digest)
    if not isinstance(items, list | Chunks):
        raise StepFailedError(failed(node.path, "expression", f"`items` of step `{node.path}` is not a list"))
    count = items.length if isinstance(items, Chunks) else len(items)
    if count > spec.items_max:
        message = f"`items` of step `{node.path}` has {count} items; the limit is {spec.items_max}"
        raise StepFailedError(failed(node.path, "failed", message))
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
    draft.put_frame(
        Frame(
            path=path, outer=node.frame, item=draft.keep(item_at(items, index, draft.blobs)), index=index, count=fan.count,
            item_name=spec.item_name, channel=channel,
        )
    )  # fmt: skip
    draft.note("item_opened", path)
    open_list(draft, node, f"[{index}]", path, phase="opening" if spec.task is not None else "running", isolated=draft.step(node).isolation)


def end_foreach(draft: Draft, node: StepNode, spec: Foreach, fan: Fan) -> None:
    """End with the list of results; too few successes are a failure that carries it."""
    draft.degraded = draft.degraded or bool(fan.errors or fan.error_parts)
    result = in_pieces(fan.parts, fan.count, draft.set_value_aside)
    needed = max(spec.min_success, -(-spec.min_success_percent * fan.count // 100))
    succeeded = fan.next_index - fan.open_count - len(fan.errors) - CHUNK_ITEMS * len(fan.error_parts)
    if succeeded >= needed:
        finish_step(draft, node, result)
        return
    failure = failed(node.path, "min_success", f"{succeeded} of {fan.count} items of `{node.path}` succeeded; {needed} must")
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
        fan = _with_error(draft, fan, {**failure.shown(), "index": index})
    owner = draft.put(replace(owner, fan=fan))
    if failure is None or collects:
        draft.look_at(owner.path)
        return
    message = f"item {index} of `{owner.path}` failed: {failure.message}"
    begin_closing(draft, owner, Outcome(how="fail", failure=replace(failure, message=message, result=None, has_result=False)))


def _with_error(draft: Draft, fan: Fan, error: Value) -> Fan:
    errors = (*fan.errors, draft.keep(error))
    if len(errors) < CHUNK_ITEMS:
        return replace(fan, errors=errors)
    return replace(fan, errors=(), error_parts=(*fan.error_parts, draft.set_value_aside(list(errors))))
