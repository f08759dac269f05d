"""Migration: a run goes on with a changed definition (rulings 18, 63).

`RunMigrated` is absorbed with the new definition in hand; nothing here has seen the old one. What follows from comparing the two was found before,
by the plan that a person saw, and stands in the event. Here the places of the run get their new names, all that is open is held against the
new definition, and what was handed out with another text is let go. If anything does not fit, nothing has happened.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

from treadle.core import limits
from treadle.core.attempts import harmless, render_again
from treadle.core.closing import cut_off
from treadle.core.draft import Draft
from treadle.core.errors import StepFailedError
from treadle.core.events import RunMigrated
from treadle.core.gates import step_path
from treadle.core.opening import first_state
from treadle.core.records import replace
from treadle.core.render import NeedCallError, Renderer
from treadle.core.schema_bind import bind_inputs
from treadle.core.settle import settle
from treadle.core.state import ActionState, ListNode, Node, RunState, StepNode
from treadle.core.verify import VERIFY
from treadle.core.waiting import fire_due

T = TypeVar("T")
_ID: Final = re.compile(r"(?:\A|(?<=/))[A-Za-z_][A-Za-z0-9_-]*")


def migrate(draft: Draft, event: RunMigrated) -> None:
    """Put a run on the definition of the draft, or refuse: then it is untouched, and goes on with the one it had."""
    if draft.ended:
        draft.refuse("run_ended", f"the run has ended: {draft.status}", hint="start another run", status=draft.status)
        return
    if draft.status != "running" or draft.ending is not None or draft.closings:
        draft.refuse("ending", "the run, or a part of it, is ending, and keeps its definition", hint="let that end, then try again")
        return
    there = Draft(draft.definition, _renamed(draft.base, event), event.at_ms, draft.blobs)
    faults = [*_misfits(there)] or [*_declare(there)]
    if faults:
        draft.refuse("cannot_migrate", f"the run cannot go on with it: {faults[0]}", hint="mend the file", faults=list(faults))
        return
    vars(draft).update(vars(there), base=draft.base, holds=draft.holds)
    draft.note("run_migrated", "", was=event.was, to=event.to, by=event.by.name)
    for action_id in event.anew:
        _let_go(draft, action_id)
    draft.changed = draft.absorbed = True
    fire_due(draft)
    settle(draft)


def keeps(action: ActionState) -> bool:
    """Tell whether an attempt keeps what it was given: it may have had an effect, or has ended and another one comes."""
    may_stay = action.kind == "run" or not harmless(action)
    return action.kind != "approve" and action.status != "open" and (action.status != "claimed" or may_stay)


def renamer(renamed: Mapping[str, str]) -> Callable[[str], str]:
    """Give what writes a path, an address, or a step's id or name in expressions, as it is called now."""
    ids = {old.replace("-", "_"): new.replace("-", "_") for old, new in renamed.items()} | dict(renamed)
    return lambda path: _ID.sub(lambda found: ids.get(found[0], found[0]), path)


def _renamed(state: RunState, event: RunMigrated) -> RunState:
    """Give everything alive its new name and place. Results of functions are asked for again: they may stand in another order."""
    to = renamer(event.renamed)

    def keys(old: Mapping[str, T]) -> dict[str, T]:
        return {to(key): item for key, item in old.items()}

    def moved(node: Node) -> Node:
        node = replace(node, path=to(node.path), at=to(node.at), frame=to(node.frame), results=())
        if isinstance(node, StepNode):
            return replace(node, list_path=to(node.list_path))
        visits, cursor = keys(node.visits), event.cursors.get(node.path, node.cursor)
        return replace(node, owner=node.owner and to(node.owner), cursor=cursor, visits=visits, taken=keys(node.taken))

    nodes = {to(path): moved(node) for path, node in state.nodes.items()}
    frames = {
        to(path): replace(f, path=to(path), outer=f.outer and to(f.outer), steps=keys(f.steps), marks=keys(f.marks), approvals=keys(f.approvals))
        for path, f in state.frames.items()
    }  # fmt: skip
    for path in event.passed:
        around, _, step_id = path.rpartition("/")
        frame = frames[nodes[around].frame]
        frames[frame.path] = replace(frame, marks={**frame.marks, step_id: "passed"})
    armed = ((name.partition(":"), due_ms) for name, due_ms in state.timers.items())
    timers = {f"{kind}:{to(path)}": due_ms for (kind, _, path), due_ms in armed} | {f"within:{path}": at for path, at in event.dues.items()}
    growth = limits.ENTRY_BYTES * (len(nodes) + len(frames) + len(state.actions) + len(state.undo)) if event.renamed else 0
    return replace(
        state, nodes=nodes, frames=frames, actions={to(a): replace(v, id=to(a), at=to(v.at)) for a, v in state.actions.items()},
        timers={name: due_ms for name, due_ms in timers.items() if due_ms is not None}, agenda=tuple(map(to, state.agenda)),
        spent={to(path): replace(spent, at=to(spent.at)) for path, spent in state.spent.items()}, size_bytes=state.size_bytes + growth,
        undo={to(path): replace(entry, at=to(entry.at)) for path, entry in state.undo.items()},
    )  # fmt: skip


def _misfits(draft: Draft) -> Iterator[str]:
    """Tell what is open, or can be taken back, and has no place in the new definition."""
    lists, steps = draft.index.lists, draft.index.steps
    for path, node in draft.nodes.items():
        frame = draft.frames[node.frame]
        if isinstance(node, ListNode):
            is_scope = frame.path == path and frame.state is not None
            if node.at not in lists or is_scope != (node.at in draft.index.scopes):
                yield f"`{path}` is open, and there is no such list of steps"
            continue
        around = draft.list_node(node.list_path)
        if node.at not in steps or lists.get(around.at, ())[around.cursor : around.cursor + 1] != (steps[node.at],):
            yield f"`{path}` is open, and there is no such step"
    gone = (path for path, kept in draft.undo.items() if f"{kept.at}.undo" not in lists)
    yield from (f"`{path}` can be taken back, and has no `undo` there" for path in gone)


def _declare(draft: Draft) -> Iterator[str]:
    """Give inputs and fields that are new their defaults; tell which values the new definition does not take."""
    for node in [node for node in draft.nodes.values() if isinstance(node, ListNode) and node.phase != "opening"]:
        task, frame = draft.index.scopes.get(node.at), draft.frames[node.frame]
        if task is None or frame.state is None or frame.inputs is None:
            continue
        given = {name: value for name, value in frame.inputs.items() if name in task.inputs and value is not None}
        bound, faults = bind_inputs(task, given, draft.whole)
        yield from (fault.message for fault in faults)
        try:
            state = first_state(Renderer(draft, node), task, bound, frame.state)
        except StepFailedError as error:
            yield error.failure.message
        except NeedCallError as need:
            yield f"a default calls `{need.command.function}`, which cannot be done for a run that has begun"
        else:
            draft.put_frame(replace(frame, inputs={**frame.inputs, **{name: draft.keep(value) for name, value in bound.items()}}))
            draft.write_state(draft.frames[frame.path], {name: value for name, value in state.items() if name not in frame.state})


def _let_go(draft: Draft, action_id: str) -> None:
    """Hand a step out anew; what may have had an effect keeps what it was given, and the next attempt is rendered anew."""
    path = step_path(action_id)
    node, action = draft.nodes.get(path), draft.actions.get(path)
    if isinstance(node, StepNode) and action_id.endswith(VERIFY):
        draft.put(replace(node, again=draft.actions.get(action_id)))
        cut_off(draft, action_id)
        draft.look_at(path)
    elif action is not None and keeps(action):
        draft.put_action(replace(action, stale=True))
    elif isinstance(node, StepNode) and node.phase in {"opening", "gate", "action", "wait"}:
        render_again(draft, node, action)
