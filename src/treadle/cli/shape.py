"""The JSON that commands print. Keys are only ever added; times are ISO-8601 UTC text, what is not known or not there is null.

Branch tokens are not shown: who has one can work that branch.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from treadle.cli.exits import exit_code
from treadle.core.definition import Definition
from treadle.core.errors import Failure, Refusal
from treadle.core.events import RunMigrated
from treadle.core.ids import address_of
from treadle.core.values import Value
from treadle.engine.course import Visit, type_word
from treadle.engine.receipts import Decision, Receipt
from treadle.engine.service import Service
from treadle.engine.timeline import Moment
from treadle.engine.why import Wait
from treadle.ports import RunRow
from treadle.view import ActionView, BudgetView, RunView, StepView, WaitView

RUN_KEYS = (
    "id, workflow, version, status, exit_code, revision, started_at, started_by, degraded, parked, next_due_at, inputs, state, result,\n"
    "failure {class, message, step}, ending (finally, undo or null), undo (done, incomplete, kept or null), parent,\nforked_from (RUN/STEP, or null), "
    "steps [{path, type, status, description, why, done, total, failed, rounds, steps}],\n"
    "actions [{id, kind, status, waits_for, performer, effect, attempt, holder, opened_at, due_at, params, expected, digest, problem, votes,\n"
    "child (the run that it waits for, or null), working_dir (the worktree it is done in, or null)}],\n"
    "waits [{path, since, until, signal, due_at}], signals (unread) [name],\n"
    "budgets [{owner, calls, calls_max, tokens, tokens_max, usd, usd_max}] (no bound: null)"
)
ROW_KEYS = (
    "id, workflow, title, status, exit_code, revision, created_at, updated_at, next_due_at, started_by, directory, branch, definition,\n"
    "forked_from (the run whose history it shares, or null)"
)
WAIT_KEYS = "run, status, kind, message, action, command, due_at, others, child (the run below that is meant, or null)"
RECEIPT_KEYS = (
    "action, kind, effect, standing, by, by_kind, attempts, begun, redone, refused, key, run (that did it: of what a fork shares, another), opened_at, "
    "ended_at, note, facts [{check, ok, message}], decisions [{by, approved, digest, assurance, at, note}]"
)

VISIT_KEYS = "path, type, status, said, attempts, opened_at, ended_at"


def instant(at_ms: int | None) -> str | None:
    """Give an instant as text."""
    if at_ms is None:
        return None
    at = dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def run_json(service: Service, view: RunView, *, status: str = "", version: str = "") -> dict[str, Any]:
    """Give a run whole, with what was set aside."""
    filled = service.filled
    return {
        "id": view.run_id, "workflow": view.workflow, "version": version, "status": status or view.status,
        "exit_code": exit_code(view.status, view.undo), "revision": view.revision, "started_at": instant(view.started_at_ms),
        "started_by": view.started_by, "degraded": view.degraded, "parked": view.parked, "next_due_at": instant(view.next_due_ms),
        "inputs": await filled(dict(view.inputs)), "state": await filled(dict(view.state)), "result": await filled(view.result),
        "failure": failure_json(view.failure), "steps": [step_json(step) for step in view.steps],
        "actions": [await action_json(service, action) for action in view.actions], "ending": view.ending, "undo": view.undo or None,
        "parent": view.parent, "forked_from": view.forked_from, "waits": [wait_row(wait) for wait in view.waits], "signals": list(view.signals),
        "budgets": [budget_json(budget) for budget in view.budgets],
    }  # fmt: skip


async def action_json(service: Service, action: ActionView) -> dict[str, Any]:
    """Give an open action."""
    return {
        "id": action.id, "kind": action.kind, "status": action.status, "waits_for": action.waits_for, "performer": action.performer,
        "effect": action.effect, "attempt": action.attempt, "holder": action.holder, "opened_at": instant(action.opened_at_ms),
        "due_at": instant(action.due_ms), "params": await service.filled(dict(action.params)), "expected": action.expected,
        "digest": action.digest, "problem": failure_json(action.problem), "votes": list(action.votes), "child": action.child,
        "working_dir": action.working_dir or None,
    }  # fmt: skip


def step_json(step: StepView) -> dict[str, Any]:
    """Give a step of the outline."""
    return {
        "path": step.path, "type": type_word(step.type), "status": step.status, "description": step.description, "why": step.why or None,
        "done": step.done, "total": step.total, "failed": step.failed, "rounds": step.rounds, "steps": [step_json(child) for child in step.children],
    }  # fmt: skip


def visit_json(definition: Definition, visit: Visit) -> dict[str, Any]:
    """Give how one visit of a step went."""
    return {
        "path": visit.path, "type": type_at(definition, visit.path), "status": visit.status, "said": visit.said, "attempts": visit.attempts,
        "opened_at": instant(visit.opened_at_ms), "ended_at": instant(visit.ended_at_ms),
    }  # fmt: skip


def type_at(definition: Definition, path: str) -> str:
    """Give the language's word for the type of the step at a path."""
    step = definition.index.steps.get(address_of(path))  # none of a run that was moved to another definition since
    return type_word(type(step.spec).__name__) if step is not None else "gone"


def wait_row(wait: WaitView) -> dict[str, Any]:
    """Give a step that waits."""
    return {
        "path": wait.path, "since": instant(wait.since_ms), "until": instant(wait.until_ms), "signal": wait.signal,
        "due_at": instant(wait.due_ms),
    }  # fmt: skip


def budget_json(budget: BudgetView) -> dict[str, Any]:
    """Give what an owner has used; the run's owner is the empty text."""
    return {
        "owner": budget.owner, "calls": budget.calls, "calls_max": budget.calls_max or None, "tokens": budget.tokens,
        "tokens_max": budget.tokens_max or None, "usd": budget.usd, "usd_max": budget.usd_max or None,
    }  # fmt: skip


def moves_json(moments: Iterable[Moment]) -> list[dict[str, Any]]:
    """Give when a run was moved to another definition, by whom, and from which."""
    moved = ((moment, moment.event) for moment in moments)
    return [{"at": instant(m.at_ms), "by": e.by.name, "was": e.was, "to": e.to} for m, e in moved if isinstance(e, RunMigrated)]


def failure_json(failure: Failure | None) -> dict[str, Any] | None:
    """Give a failure."""
    return {"class": failure.error_class, "message": failure.message, "step": failure.step} if failure is not None else None


def refusal_json(refusal: Refusal | None) -> dict[str, Any] | None:
    """Give a refusal."""
    if refusal is None:
        return None
    return {"code": refusal.code, "message": refusal.message, "hint": refusal.hint, "details": refusal.details}


def row_json(row: RunRow, status: str = "", undo: str = "") -> dict[str, Any]:
    """Give a run of a list."""
    return {
        "id": row.id, "workflow": row.meta.workflow, "title": row.meta.title, "status": status or row.status,
        "exit_code": exit_code(row.status, undo), "revision": row.revision, "created_at": instant(row.created_ms),
        "updated_at": instant(row.updated_ms), "next_due_at": instant(row.next_due_ms), "started_by": row.meta.started_by,
        "directory": row.meta.directory, "branch": row.meta.branch, "definition": row.definition,
        "forked_from": row.meta.forked_from or None,
    }  # fmt: skip


def wait_json(view: RunView, wait: Wait, status: str = "") -> dict[str, Any]:
    """Give what a run waits for."""
    return {
        "run": view.run_id, "status": status or view.status, "kind": wait.kind, "message": wait.message, "action": wait.action or None,
        "command": wait.command or None, "due_at": instant(wait.due_ms), "others": wait.others,
        "child": wait.child or None,
    }  # fmt: skip


def decision_json(decision: Decision) -> dict[str, Any]:
    """Give what one person said at a gate."""
    return {
        "by": decision.by, "approved": decision.approved, "digest": decision.digest, "assurance": decision.assurance,
        "at": instant(decision.at_ms), "note": decision.note,
    }  # fmt: skip


def receipt_json(receipt: Receipt, facts: Value = None) -> dict[str, Any]:
    """Give what an action can prove; `facts` are its facts, whole."""
    return {
        "action": receipt.action, "kind": receipt.kind, "effect": receipt.effect, "standing": receipt.standing, "by": receipt.by or None,
        "by_kind": receipt.by_kind or None, "attempts": receipt.attempts, "begun": receipt.begun, "redone": receipt.redone,
        "refused": receipt.refused, "key": receipt.key, "run": receipt.run, "opened_at": instant(receipt.opened_at_ms),
        "ended_at": instant(receipt.ended_at_ms), "note": receipt.note, "facts": facts,
        "decisions": [decision_json(decision) for decision in receipt.decisions],
    }  # fmt: skip


async def moment_json(service: Service, moment: Moment) -> dict[str, Any]:
    """Give one event with its notes."""
    by = moment.by
    return {
        "seq": moment.seq, "rev": moment.rev, "at": instant(moment.at_ms), "event": type(moment.event).__name__,
        "by": by.name if by is not None else None, "by_kind": by.kind if by is not None else None,
        "notes": [{"kind": n.kind, "path": n.path, "data": await service.filled(dict(n.data))} for n in moment.notes],
    }  # fmt: skip
