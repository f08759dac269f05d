"""A run as `get_run` and `list_runs` show it: where it stands, what was decided so far, and the call that goes on with it.

Short by default, because an agent that lost its context pays for every word of it (at most 400 tokens); `full` adds state, inputs and every step.
What was decided is read from the state, not from the log: it costs the same in a long run, and what no expression reads matters no more.
Nothing here writes (ruling 45), and no branch's token is ever shown.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from treadle.core.codec import digest_of
from treadle.core.definition import Approve, Delegate, Foreach, Prompt, Step
from treadle.core.index import walk
from treadle.core.render import instant
from treadle.core.state import Frame
from treadle.core.values import BlobRef, Chunks, Holed, SecretRef, Value
from treadle.engine.course import type_word
from treadle.engine.why import Wait, why
from treadle.mcpio.server.offers import Channel, left_over, voted, waiting_on
from treadle.mcpio.server.replies import Reply, json_text, short
from treadle.ports import RunRow, Snapshot
from treadle.view import ActionView, RunView, StepView, WaitView, view

DECIDED_FIRST, DECIDED_LAST = 2, 5
DECIDED_CHARS: Final = 120
FIELD_CHARS_MAX: Final = 4_000
STEPS_SHOWN_MAX: Final = 200


def run_reply(snapshot: Snapshot, *, full: bool = False, others: Sequence[str] = ()) -> Reply:
    """Show one run. `others` are ids of further runs that the same words fit."""
    run = view(snapshot.definition, snapshot.state)
    waits = why(run, served=True)
    decided = _decided(snapshot, run)
    data: dict[str, Any] = {
        "kind": "run", "run_id": run.run_id, "workflow": run.workflow, "version": snapshot.definition.version, "title": snapshot.meta.title, "status": run.status,
        "waiting_on": waiting_on(waits), "why": waits.message, "progress": _progress(run), "decided": decided,
    }  # fmt: skip
    data |= {"current": waits.action} if waits.action else {}
    data |= {"due_at": instant(waits.due_ms)} if waits.due_ms is not None else {}
    data |= {"ending": run.ending} if run.ending is not None else {}
    data |= {"child": waits.child} if waits.child else {}
    data |= {"parent": run.parent} if run.parent is not None else {}
    data |= {"forked_from": run.forked_from} if run.forked_from is not None else {}
    data |= left_over(run)
    data |= {"budgets": budgets} if (budgets := list(_budgets(run, full=full))) else {}
    data |= {"others": list(others)} if others else {}
    data |= _end(run, full=full)
    if full:
        data |= _everything(snapshot, run)
    data["resume"], data["next"] = _go_on(run, waits)
    return Reply(text=_text(data), data=data)


def _text(data: dict[str, Any]) -> str:
    title = f" “{data['title']}”" if data["title"] else ""
    lines = [f"Run {data['run_id']} of {data['workflow']}{title}: {data['status']}, waiting on {data['waiting_on']}: {data['why']}."]
    lines.append(f"Progress: {data['progress']}.")
    if data["decided"]:
        lines += ["Decided so far:", *(f"- {row}" for row in data["decided"])]
    shown = {
        "kind",
        "run_id",
        "workflow",
        "title",
        "status",
        "waiting_on",
        "why",
        "progress",
        "decided",
        "current",
        "resume",
        "next",
    }
    lines += [f"{name}: {json_text(value)}" for name, value in data.items() if name not in shown]
    return "\n".join([*lines, data["next"]])


def _go_on(run: RunView, waits: Wait) -> tuple[str | None, str]:
    own = Channel(run_id=run.run_id)
    if waits.kind == "ended":
        return None, "It is over; there is nothing to go on with"
    if waits.kind == "parked":
        call = own.call("resume_run")
        return call, f"If the user wants to go on: {call}, then {own.call('get_next_step')}"
    call = Channel(run_id=waits.child or run.run_id).call("get_next_step")
    return call, f"To go on: {call}" + (
        f" (the child run that this one waits for); when it has ended, {own.call('get_next_step')}" if waits.child else ""
    )


def _end(run: RunView, *, full: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if run.failure is not None:
        found["failure"] = {name: short(text) for name, text in run.failure.shown().items()}
    if run.result is not None:
        found["result"] = _field(run.result) if full else short(plain(run.result), 400)
    return found


def _budgets(run: RunView, *, full: bool) -> Iterator[str]:
    """Say what is used of what is bounded; in short, only what the run itself may use."""
    for budget in run.budgets if full else [each for each in run.budgets if not each.owner]:
        rows = (
            (budget.calls, budget.calls_max, "calls"),
            (budget.tokens, budget.tokens_max, "tokens"),
            (budget.usd, budget.usd_max, "usd"),
        )
        said = ", ".join(f"{used} of {bound} {what}" for used, bound, what in rows if bound)
        if said:
            yield f"{budget.owner or 'run'}: {said}"


def _progress(run: RunView) -> str:
    ended = sum(step.status not in {"pending", "running", "waiting", "handling"} for step in run.steps)
    fans = [f"`{step.path}` {step.done} of {step.total} items" for step in _flat(run.steps) if step.total is not None and step.children]
    loops = [f"`{step.path}` round {step.rounds}" for step in _flat(run.steps) if step.rounds and step.children]
    said = ", ".join([f"{ended} of {len(run.steps)} steps", *[*fans, *loops][:3]])
    return said + (", with failures that were tolerated" if run.degraded else "")


# What was decided


def _decided(snapshot: Snapshot, run: RunView) -> list[str]:
    root = snapshot.state.frames.get("")
    if root is None:
        return []
    words = {step.path.rpartition("/")[2]: step.status for step in _flat(run.steps)}
    rows: list[str] = []
    for top in snapshot.definition.main.steps:
        for step in walk((top,)) if words.get(top.id) != "pending" else ():
            # What has not ended is not decided, whatever its field held before; what is in no outline stands in a list that has ended.
            said = _outcome(step, root) if words.get(step.id, "completed") in {"completed", "failed"} else ""
            rows += [f"{step.id}: {said}"] if said else []
    if len(rows) > DECIDED_FIRST + DECIDED_LAST:
        rows = [*rows[:DECIDED_FIRST], f"… {len(rows) - DECIDED_FIRST - DECIDED_LAST} more", *rows[-DECIDED_LAST:]]
    return rows


def _outcome(step: Step, root: Frame) -> str:
    """Say in a few words what came of a step that somebody answered; empty where nothing is known."""
    if not isinstance(step.spec, Prompt | Approve | Delegate | Foreach):
        return ""
    record = root.steps.get(step.id.replace("-", "_"))
    value = record.get("result") if isinstance(record, dict) else None
    if value is None and step.output_to is not None:
        value = (root.state or {}).get(step.output_to)
    if value is None:
        return ""
    if isinstance(step.spec, Approve) and isinstance(value, dict):
        note = f" ({value['note']})" if value.get("note") else ""
        return short(
            f"{'approved' if value.get('approved') else 'rejected'} by {json_text(value.get('by'))}{note}",
            DECIDED_CHARS,
        )
    if isinstance(step.spec, Foreach) and isinstance(value, list | Chunks | BlobRef):
        return f"{len(value) if isinstance(value, list) else value.length} results"
    return short(plain(value), DECIDED_CHARS)


def plain(value: Value) -> Any:
    """Give a value as JSON data; what was set aside is only named."""
    match value:
        case BlobRef():
            return f"({value.kind} of {value.length:,}, set aside)" if value.length >= 0 else "(long text, set aside)"
        case Chunks():
            return f"(list of {value.length:,}, set aside)"
        case Holed():
            return "".join(part if isinstance(part, str) else str(plain(part)) for part in value.parts)
        case SecretRef():
            return f"***{value.name}***"
        case list():
            return [plain(item) for item in value]
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case _:
            return value


# Everything


def _everything(snapshot: Snapshot, run: RunView) -> dict[str, Any]:
    meta, held = snapshot.meta, {lease.action: lease for lease in snapshot.leases}
    steps = [_step_row(step) for step in _flat(run.steps)]
    found: dict[str, Any] = {
        "definition": digest_of(snapshot.definition), "started_at": instant(run.started_at_ms), "started_by": run.started_by, "directory": meta.directory, "branch": meta.branch,
        "revision": run.revision, "inputs": {name: _field(value) for name, value in run.inputs.items()},
        "state": {name: _field(value) for name, value in run.state.items()},
        "actions": [_action_row(action, held[action.id].until_ms if action.id in held else None) for action in run.actions],
        "waits": [_wait_row(wait) for wait in run.waits], "steps": steps[:STEPS_SHOWN_MAX],
    }  # fmt: skip
    if len(steps) > STEPS_SHOWN_MAX:
        found["steps_not_shown"] = len(steps) - STEPS_SHOWN_MAX
    return found


def _field(value: Value) -> Any:
    whole = plain(value)
    return whole if len(json_text(whole)) <= FIELD_CHARS_MAX else short(whole, FIELD_CHARS_MAX)


def _action_row(action: ActionView, until_ms: int | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "action": action.id, "type": action.kind, "status": action.status, "attempt": action.attempt, "performer": action.performer,
        "waits_for": action.waits_for, "effect": action.effect,
    }  # fmt: skip
    row |= {"holder": action.holder} if action.holder is not None else {}
    row |= {"lease_until": instant(until_ms)} if until_ms is not None else {}
    row |= {"due_at": instant(action.due_ms)} if action.due_ms is not None else {}
    row |= voted(action) if action.kind == "approve" else {}
    return row | ({"problem": action.problem.shown()} if action.problem is not None else {})


def _wait_row(wait: WaitView) -> dict[str, Any]:
    row: dict[str, Any] = {"path": wait.path, "since": instant(wait.since_ms)}
    row |= {"signal": wait.signal} if wait.signal is not None else {}
    return row | ({"due_at": instant(wait.due_ms)} if wait.due_ms is not None else {})


def _step_row(step: StepView) -> dict[str, Any]:
    row: dict[str, Any] = {"path": step.path, "type": type_word(step.type), "status": step.status}
    row |= {"why": step.why} if step.why else {}
    row |= {"rounds": step.rounds} if step.rounds is not None else {}
    return row | ({"done": step.done, "total": step.total, "failed": step.failed} if step.total is not None else {})


def _flat(steps: Sequence[StepView]) -> Iterator[StepView]:
    for step in steps:
        yield step
        yield from _flat(step.children)


# Lists


def runs_reply(rows: Sequence[RunRow], *, more: bool, found_for: str = "") -> Reply:
    """Show a page of runs; `found_for` are the words of a search that fitted several."""
    listed = [
        {
            "run_id": row.id, "workflow": row.meta.workflow, "title": row.meta.title, "status": row.status,
            "updated_at": instant(row.updated_ms), "branch": row.meta.branch,
            **({"forked_from": row.meta.forked_from} if row.meta.forked_from else {}),
        }
        for row in rows
    ]  # fmt: skip
    if found_for:
        then = "call get_run with the run_id that is meant; ask the user if you are not sure"
    elif more:
        then = f'for the next page: list_runs(before="{rows[-1].id}") with the same filters'
    else:
        then = "get_run(run_id=…) shows one of them" if rows else "none; start_workflow starts one, list_runs(all=true) shows ended ones"
    lines = [_line(row) for row in listed]
    head = f"{len(listed)} runs fit {found_for!r}:" if found_for else f"{len(listed)} runs:"
    return Reply(text="\n".join([head, *lines, then]), data={"kind": "runs", "runs": listed, "more": more, "next": then})


def _line(row: dict[str, Any]) -> str:
    forked = f", forked from {row['forked_from']}" if "forked_from" in row else ""
    return f"{row['run_id']} {row['status']} {row['workflow']} {row['title']} ({row['updated_at']}{forked})"
