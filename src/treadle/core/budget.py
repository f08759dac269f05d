"""Budgets: what an owner (the run, a task's round, a step) may cost, and what happens when that is spent (language.md §2, §9).

A call is counted before it is dispatched and in every budget above it, so a bound on calls is never passed; tokens and money are known only when
they are reported, so an attempt is refused once they are spent. A spent budget stops its owner, and nothing below the owner catches that:
the owner fails with class `budget` (`stop`), ends with what it has (`degrade`), or the run is set aside until a person grants as much
again by resuming it (`ask`).
"""

from decimal import Decimal

from treadle.core import limits
from treadle.core.closing import begin_closing
from treadle.core.definition import Budget
from treadle.core.draft import Draft
from treadle.core.errors import Failure
from treadle.core.events import Usage
from treadle.core.ids import is_under
from treadle.core.index import budget_at
from treadle.core.records import replace
from treadle.core.state import Outcome, Spent


def own(draft: Draft, path: str, at: str, budget: Budget | None) -> None:
    """Begin to count for an owner. A repeated call changes nothing."""
    if budget is None or path in draft.spent:
        return
    draft.spent[path] = Spent(at=at)
    draft.size_bytes += limits.ENTRY_BYTES
    draft.changed = True
    if budget.wall_ms:
        draft.arm("wall", path, draft.now_ms + budget.wall_ms)


def reserve(draft: Draft, path: str) -> bool:
    """Count a call in every budget above a path; where one is spent nothing is counted, and its owner is stopped.

    What cleans up is counted and never refused: a `finally` that is owed, and all that a run does once it is ending.
    """
    owners = _owners(draft, path)
    for owner, spent in owners if draft.status == "running" and draft.ending is None else ():
        budget = budget_at(draft.definition, spent.at)
        what = _spent_up(budget, spent)
        if what is not None and not spent.over and not is_under(path, f"{owner}.finally"):
            exceed(draft, owner, budget, what)
            shielded = draft.actions.get(path)
            if draft.parked is not None or shielded is None or shielded.status == "stopping":
                return False
    for owner, _ in owners:
        if owner in draft.spent:
            draft.spent[owner] = replace(draft.spent[owner], calls=draft.spent[owner].calls + 1)
    draft.used = replace(draft.used, calls=draft.used.calls + 1)
    return True


def charge(draft: Draft, path: str, usage: Usage | None) -> None:
    """Add what a performer reports to the run, and to every budget above a path."""
    if usage is None:
        return
    for owner, spent in _owners(draft, path):
        usd = str(Decimal(spent.usd) + Decimal(usage.usd))
        draft.spent[owner] = replace(spent, tokens=spent.tokens + usage.tokens, usd=usd, calls=spent.calls + usage.calls)
    usd = str(Decimal(draft.used.usd) + Decimal(usage.usd))
    draft.used = Usage(tokens=draft.used.tokens + usage.tokens, usd=usd, calls=draft.used.calls + usage.calls)
    draft.changed = True


def exceed(draft: Draft, owner: str, budget: Budget, what: str) -> None:
    """Stop the owner of a spent budget, as `on_exceed` says."""
    name = f"`{owner}`" if owner else "the run"
    message = f"the budget of {name} is spent: {what}"
    draft.note("budget_spent", owner, what=what, on_exceed=budget.on_exceed)
    if budget.on_exceed == "ask":
        draft.spent[owner] = replace(draft.spent[owner], asked=True)
        draft.park(f"{message}; `treadle resume {draft.base.run_id}` grants as much again", "treadle")
        return
    draft.spent[owner] = replace(draft.spent[owner], over=True)
    node = draft.nodes[owner]
    if budget.on_exceed == "degrade":
        draft.degraded = True
        begin_closing(draft, node, Outcome(how="done"))
    else:
        begin_closing(draft, node, Outcome(how="fail", failure=Failure(error_class="budget", message=message, step=owner)))


def grant(draft: Draft) -> None:
    """Grant as much again to every owner that a person was asked about."""
    for owner, spent in draft.spent.items():
        if spent.asked:
            draft.spent[owner] = replace(spent, asked=False, more=spent.more + 1)
            draft.note("budget_granted", owner, times=spent.more + 1)
            wall_ms = budget_at(draft.definition, spent.at).wall_ms
            if wall_ms and f"wall:{owner}" not in draft.timers:
                draft.arm("wall", owner, draft.now_ms + wall_ms)


def _owners(draft: Draft, path: str) -> list[tuple[str, Spent]]:
    return [(owner, spent) for owner, spent in draft.spent.items() if is_under(path, owner)]


def _spent_up(budget: Budget, spent: Spent) -> str | None:
    times = 1 + spent.more
    if budget.calls and spent.calls >= budget.calls * times:
        return f"{spent.calls} calls"
    if budget.tokens and spent.tokens >= budget.tokens * times:
        return f"{spent.tokens} tokens"
    if budget.usd and Decimal(spent.usd) >= Decimal(budget.usd) * times:
        return f"{spent.usd} usd"
    return None
