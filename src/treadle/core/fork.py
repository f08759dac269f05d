"""Forks: a new run that shares the history of another up to a step, and goes on from there by itself (ruling 31).

`RunForked` holds the event that opened the step. It is absorbed once more, in a run where that one visit is held back; what stands then is the shared
part. It becomes a run of its own here: its own name, seed and clock, nobody at work in it, and nothing of the original that may be had once only.
A step that was handed out or waited elsewhere begins anew, so that its rendering, keys, children and approvals are the fork's own.
"""

from collections import deque

from treadle.core.draft import NODE_TIMERS, Draft
from treadle.core.events import RunForked
from treadle.core.ids import branch_token
from treadle.core.index import walk
from treadle.core.nearest import nearest
from treadle.core.records import replace
from treadle.core.settle import begin_step, next_visit, settle
from treadle.core.state import Frame, ListNode, Node, StepNode
from treadle.core.steps import schema_problem

_BEGUN_ANEW = ("opening", "worktree", "action", "gate", "wait", "read_back")


def fork(draft: Draft, event: RunForked) -> None:
    """Make a run of its own of what is shared, or refuse: then nothing has happened."""
    around = draft.nodes.get(event.at.rpartition("/")[0])
    draft.refusal = draft.claimed = None
    at_work = draft.status == "running" and draft.ending is None and ".read_back/" not in event.at
    if not at_work or not isinstance(around, ListNode) or draft.closing_above(around) or next_visit(draft, around) != event.at:
        hint = f"`treadle fork {event.from_run}` lists the steps from which it can be forked"
        draft.refuse("no_fork_point", f"the run did not open `{event.at}` there", hint=hint)
    elif tree := next((node for node in draft.nodes.values() if not _begins_anew(node) and (node.tree or node.phase == "worktree")), None):
        hint = "fork from the step that has the worktree, or from an earlier one"
        draft.refuse("in_worktree", f"at `{event.at}` there is work in a git worktree of {event.from_run}, of `{tree.path}`", hint=hint)
    elif _may_write(draft, draft.scope_of(around.frame), event):
        draft.note("run_forked", "", at=event.at, origin=event.from_run, rev=event.from_rev, by=event.by.name, set=list(event.set))
        _own_name(draft, event)
        _let_go(draft)
        draft.write_state(draft.scope_of(around.frame), dict(event.set))
    draft.changed = draft.absorbed = draft.refusal is None
    if draft.changed:
        settle(draft)


def _may_write(draft: Draft, scope: Frame, event: RunForked) -> bool:
    """Check what is set like any write, in the scope of the step; a name that nothing declares would change nothing."""
    task = draft.task_of(scope)
    outputs = [step.output_to for step in walk(task.steps) if step.output_to is not None]
    known: dict[str, object] = {**(scope.state or {}), **dict.fromkeys(outputs), **(task.state_schema or {})}
    unknown = next((name for name in event.set if name not in known), None)
    if unknown is not None:
        meant = nearest(unknown, known)
        hint = f"did you mean `{meant}`?" if meant else f"there are: {', '.join(known) or 'none'}"
        draft.refuse("no_such_state", f"no step at `{event.at}` can see a state `{unknown}`", hint=hint)
    elif problem := schema_problem(draft, task, dict(event.set), event.at):
        draft.refuse("invalid_state", problem.message, hint="nothing was forked; set a value that fits")
    return draft.refusal is None


def _own_name(draft: Draft, event: RunForked) -> None:
    now_ms = max(draft.now_ms, event.at_ms)
    passed_ms, seed = now_ms - draft.now_ms, draft.base.seed
    draft.timers = {name: due_ms + passed_ms for name, due_ms in draft.timers.items()}
    channels = {branch_token(seed, path): branch_token(event.seed, path) for path in draft.frames}
    for path, frame in draft.frames.items():
        # An approval that stood would be used twice: what requires it shows it again.
        approvals = {gate: replace(given, digest="") for gate, given in frame.approvals.items()}
        draft.frames[path] = replace(frame, channel=channels.get(frame.channel, frame.channel), approvals=approvals)
    draft.now_ms, draft.undo = now_ms, {}
    draft.base = replace(
        draft.base, run_id=event.run_id, seed=event.seed, started_at_ms=now_ms, started_by=event.by.name, parent=None, depth=0,
        forked_from=f"{event.from_run}/{event.at}",
    )  # fmt: skip


def _begins_anew(node: Node) -> bool:
    return isinstance(node, StepNode) and node.phase in _BEGUN_ANEW and node.closing is None and node.end is None


def _let_go(draft: Draft) -> None:
    """Leave nobody at work; every open node is looked at again, because a function may have been called for it."""
    draft.commands.clear()
    for action in list(draft.actions):
        draft.drop_action(action)
    for path, node in list(draft.nodes.items()):
        if path in draft.nodes and isinstance(node, StepNode) and _begins_anew(node):
            draft.drop_below(path)
            draft.disarm(path, *NODE_TIMERS)
            begin_step(draft, StepNode(path=path, at=node.at, list_path=node.list_path, frame=node.frame), again=True)
    draft.agenda = deque(draft.nodes)
