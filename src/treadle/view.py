"""The view: what a run looks like from outside, computed from definition and state; the one owner of every status word (ruling 46).

Pure, changes nothing, and holds no secret of the run but branch tokens, which the shell shows only to who may have them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from treadle.core.budget import bound_of
from treadle.core.definition import Definition, Foreach, Step
from treadle.core.errors import Failure
from treadle.core.gates import step_path
from treadle.core.ids import child_of_attempt, join
from treadle.core.index import FINALLY, budget_at, child_lists
from treadle.core.schema_expected import expected_answer
from treadle.core.settle import visit_path
from treadle.core.state import ActionState, ListNode, RunState, StepNode
from treadle.core.values import CHUNK_ITEMS, Json, Value

RunWord = Literal[
    "running", "waiting", "parked", "cancelling", "undoing", "completed", "completed_degraded", "goal_not_met", "failed", "cancelled"
]  # fmt: skip
StepWord = Literal["pending", "running", "waiting", "completed", "skipped", "failed", "handling"]
WaitsFor = Literal["person", "agent", "server", "time", "outcome"]
TITLE_CHARACTERS: Final = 80
_SKIPPED: Final = {"skipped": "its `when` did not hold", "jumped": "jumped over", "passed": "added when the run was past it"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionView:
    """An open action. `waits_for` says who moves it on; `due_ms` is the nearest instant at which time does. `child` is the run that it waits for,
    `working_dir` the worktree it is done in."""

    id: str
    kind: str
    status: str
    attempt: int
    performer: str
    channel: str
    effect: str
    waits_for: WaitsFor
    params: dict[str, Value]
    expected: dict[str, Json]
    opened_at_ms: int
    holder: str | None = None
    redo: bool = False
    due_ms: int | None = None
    digest: str | None = None
    problem: Failure | None = None
    description: str = ""
    votes: tuple[str, ...] = ()
    child: str | None = None
    working_dir: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """A step in the outline of a run; `done` of `total` for a foreach, `rounds` begun by a loop, `children` where something is open inside.

    `why` says why a skipped step was.
    """

    path: str
    type: str
    status: StepWord
    description: str = ""
    done: int | None = None
    total: int | None = None
    failed: int = 0
    rounds: int | None = None
    why: str = ""
    children: tuple["StepView", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchView:
    """A branch that a sub-agent works: one round of a foreach with an agent, named by its token."""

    path: str
    token: str
    agent: str
    foreach: str
    index: int
    item: Value = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitView:
    """A step that waits for time (`until_ms`) or for a signal; `due_ms` is when the wait itself runs out."""

    path: str
    since_ms: int
    until_ms: int | None = None
    signal: str | None = None
    due_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """What an owner has used of its budget; a bound of 0 is none. `owner` is a path, `""` the run."""

    owner: str
    calls: int
    calls_max: int
    tokens: int
    tokens_max: int
    usd: str
    usd_max: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run from outside."""

    run_id: str
    workflow: str
    status: RunWord
    revision: int
    started_at_ms: int
    now_ms: int
    started_by: str
    inputs: dict[str, Value]
    state: dict[str, Value]
    actions: tuple[ActionView, ...] = ()
    branches: tuple[BranchView, ...] = ()
    steps: tuple[StepView, ...] = ()
    result: Value = None
    failure: Failure | None = None
    parked: str | None = None
    degraded: bool = False
    next_due_ms: int | None = None
    waits: tuple[WaitView, ...] = ()
    budgets: tuple[BudgetView, ...] = ()
    signals: tuple[str, ...] = ()
    undo: str = ""
    ending: str | None = None
    parent: str | None = None
    forked_from: str | None = None


def status_word(state: RunState) -> RunWord:
    """Give the one word for a run: `running` while a performer holds something, `waiting` while a person, an agent, time or a child is awaited."""
    if state.parked is not None:
        return "parked"
    if state.status != "running":
        return state.status
    moving = any(
        (a.status in {"claimed", "verifying", "stopping"} and (a.kind != "run" or a.status == "verifying"))
        or (a.performer == "server" and a.status == "open")
        for a in state.actions.values()
    )
    waits = any(isinstance(node, StepNode) and node.phase == "wait" for node in state.nodes.values())
    return "running" if moving or not (state.actions or waits) else "waiting"


def view(definition: Definition, state: RunState, *, outline: bool = True) -> RunView:
    """Show a run. Without `outline` it costs the same however long the file is: `steps` is empty then."""
    root = state.frames.get("")
    return RunView(
        run_id=state.run_id, workflow=definition.name, status=status_word(state), revision=state.revision,
        started_at_ms=state.started_at_ms, now_ms=state.now_ms, started_by=state.started_by,
        inputs=(root.inputs or {}) if root is not None else {}, state=(root.state or {}) if root is not None else {},
        actions=tuple(action_view(definition, state, action) for action in state.actions.values()),
        branches=tuple(_branches(definition, state)),
        steps=tuple(_whole_outline(definition, state)) if outline else (),
        result=state.result, failure=state.failure, degraded=state.degraded, next_due_ms=state.next_due_ms,
        parked=state.parked.reason if state.parked is not None else None, waits=tuple(_waits(state)),
        budgets=tuple(budgets_of(definition, state)), signals=tuple(signal.name for signal in state.mailbox), undo=state.undo_status,
        ending=state.ending.phase if state.ending is not None else None, parent=state.parent,
        forked_from=state.forked_from,
    )  # fmt: skip


def title_of(inputs: Mapping[str, object]) -> str:
    """Name a run for lists and searches: the first of its inputs that is a text, shortened."""
    text = next((" ".join(value.split()) for value in inputs.values() if isinstance(value, str) and value.strip()), "")
    return text if len(text) <= TITLE_CHARACTERS else text[: TITLE_CHARACTERS - 1] + "…"


def _waits(state: RunState) -> Iterator[WaitView]:
    for node in state.nodes.values():
        if isinstance(node, StepNode) and node.wait is not None:
            due = [at for kind in ("wait", "within") if (at := state.timers.get(f"{kind}:{node.path}")) is not None]
            yield WaitView(
                path=node.path, since_ms=node.wait.since_ms, until_ms=node.wait.until_ms, signal=node.wait.signal,
                due_ms=min(due, default=None),
            )  # fmt: skip


def budgets_of(definition: Definition, state: RunState) -> Iterator[BudgetView]:
    """Show what the owners of budgets have used."""
    for owner, spent in state.spent.items():
        budget, times = budget_at(definition, spent.at), 1 + spent.more
        yield BudgetView(
            owner=owner, calls=spent.calls, calls_max=bound_of(budget, spent), tokens=spent.tokens, tokens_max=budget.tokens * times,
            usd=spent.usd, usd_max=str(Decimal(budget.usd) * times) if budget.usd else "",
        )  # fmt: skip


def action_view(definition: Definition, state: RunState, action: ActionState) -> ActionView:
    """Show one open action."""
    timers = [f"{kind}:{action.id}" for kind in ("timeout", "backoff", "grace")] + [f"within:{step_path(action.id)}"]
    timers += [f"wait:{step_path(action.id)}"] if action.id != step_path(action.id) else []
    dues = [state.timers[name] for name in timers if name in state.timers]
    return ActionView(
        id=action.id, kind=action.kind, status=action.status, attempt=action.attempt, performer=action.performer,
        channel=action.channel, effect=action.effect, waits_for=_waits_for(state, action), params=action.params,
        expected=expected_answer(action.kind, action.params), opened_at_ms=action.opened_at_ms, holder=action.holder,
        redo=action.redo, due_ms=min(dues, default=None), digest=action.digest, problem=action.problem,
        description=definition.index.steps[action.at].description, votes=action.votes, child=_child_of(action),
        working_dir=action.working_dir,
    )  # fmt: skip


def _child_of(action: ActionState) -> str | None:
    return child_of_attempt(str(action.params["run_id"]), action.attempt) if action.kind == "run" and action.performer == "server" else None


def _waits_for(state: RunState, action: ActionState) -> WaitsFor:
    if action.status == "unknown":
        node = state.nodes.get(action.id)
        # A person's word is refused while it is read back (S115), so nobody is asked for it.
        return "server" if isinstance(node, StepNode) and node.phase == "read_back" else "outcome"
    if action.status in {"backoff", "stopping"}:
        return "time"
    if action.performer == "server" or action.status == "verifying":
        return "server"
    return "agent" if action.kind not in {"prompt", "approve"} else "person"


def _branches(definition: Definition, state: RunState) -> Iterator[BranchView]:
    for path, frame in state.frames.items():
        node = state.nodes.get(path)
        if frame.index is None or not frame.channel or not isinstance(node, ListNode) or node.owner is None:
            continue
        owner = state.nodes.get(node.owner)
        spec = definition.index.steps[owner.at].spec if isinstance(owner, StepNode) else None
        if isinstance(spec, Foreach) and spec.agent is not None:
            item = frame.item if frame.item is not None else (frame.inputs or {})
            yield BranchView(path=path, token=frame.channel, agent=spec.agent, foreach=node.owner, index=frame.index, item=item)


def _whole_outline(definition: Definition, state: RunState) -> Iterator[StepView]:
    yield from _outline(definition, state, "", definition.main.steps)
    if FINALLY in state.nodes:
        yield from _outline(definition, state, FINALLY, definition.final_steps)
    for node in state.nodes.values():
        if isinstance(node, ListNode) and node.owner is None and node.path.endswith(".undo"):
            yield from _outline(definition, state, node.path, definition.index.lists[node.at])


def _outline(definition: Definition, state: RunState, path: str, steps: tuple[Step, ...]) -> Iterator[StepView]:
    """Show the steps of an open list. What is behind the cursor has ended; only what did not simply complete is marked."""
    node = state.nodes.get(path)
    cursor = node.cursor if isinstance(node, ListNode) and not (path == "" and state.ending is not None) else state.reached
    frame = state.frames.get(node.frame) if node is not None else state.frames.get("")
    marks = frame.marks if frame is not None else {}
    for index, step in enumerate(steps):
        times = node.visits.get(step.id, 1) if isinstance(node, ListNode) else 1
        here_path = visit_path(node, step.id, times or 1) if isinstance(node, ListNode) else join(path, step.id)
        here = state.nodes.get(here_path)
        type_name = type(step.spec).__name__
        if isinstance(here, StepNode):
            yield _open_step(definition, state, here, step, type_name)
            continue
        word: StepWord = "pending"
        mark, why = marks.get(step.id), ""
        if index < cursor or (state.ended and mark is not None):
            word = "completed" if mark is None else "skipped" if mark in _SKIPPED else "failed"
            why = _SKIPPED.get(mark or "", "")
        yield StepView(path=here_path, type=type_name, status=word, description=step.description, why=why)


def _open_step(definition: Definition, state: RunState, node: StepNode, step: Step, type_name: str) -> StepView:
    action = state.actions.get(node.path)
    word: StepWord = "handling" if node.phase in {"handler", "finally", "read_back"} else "running"
    if node.phase in {"wait", "gate"}:
        word = "waiting"
    if action is not None and action.status in {"open", "backoff", "unknown"} and action.performer != "server":
        word = "waiting"
    children: list[StepView] = []
    for suffix, steps in child_lists(step):
        if suffix != "[]" and node.path + suffix in state.nodes:
            children += _outline(definition, state, node.path + suffix, steps)
    fan = node.fan
    lists = (each for each in state.nodes.values() if isinstance(each, ListNode) and each.owner == node.path)
    rounds = [each for each in lists if each.at == node.at + "[]"]
    for each in rounds if fan is not None or node.loop is not None else []:
        inner = tuple(_outline(definition, state, each.path, definition.index.lists[each.at]))
        children.append(StepView(path=each.path, type="Round", status="running", children=inner))
    return StepView(
        path=node.path, type=type_name, status=word, description=step.description, children=tuple(children),
        done=fan.next_index - fan.open_count if fan is not None else None, total=fan.count if fan is not None else None,
        failed=len(fan.errors) + CHUNK_ITEMS * len(fan.error_parts) if fan is not None else 0,
        rounds=node.loop.rounds if node.loop is not None else None,
    )  # fmt: skip
