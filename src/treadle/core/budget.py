"""Budgets: what an owner (the run, a task's round, a step) may cost, and what happens when that is spent (language.md §2, §9).

A call is counted before it is dispatched and in every budget above it, so a bound on calls is never passed; tokens and money are known only when
they are reported, so an attempt is refused once they are spent. A spent budget stops its owner, and nothing below the owner catches that:
the owner fails with class `budget` (`stop`), ends with what it has (`degrade`), or the run is set aside until a person grants as much
again by resuming it (`ask`).

A child run makes calls of its own while it lives. As many as it may make are set apart before it is begun: what its own file allows, at most what
is left above it; it is told how many. When it ends, what it made takes their place; where nobody knows what it made, they stay counted.
"""

from decimal import Decimal

from treadle.core import limits
from treadle.core.closing import begin_closing
from treadle.core.definition import Budget
from treadle.core.draft import Draft
from treadle.core.errors import failure_at
from treadle.core.events import Usage
from treadle.core.ids import is_under
from treadle.core.index import budget_at
from treadle.core.records import replace
from treadle.core.state import Outcome, Spent


def own(draft: Draft, path: str, at: str, budget: Budget | None, calls_max: int = 0) -> None:
    """Begin to count for an owner; `calls_max` is what runs above allow. A repeated call changes nothing."""
    if (budget is None and not calls_max) or path in draft.spent:
        return
    draft.spent[path] = Spent(at=at, calls_max=calls_max)
    draft.size_bytes += limits.ENTRY_BYTES
    draft.changed = True
    if budget is not None and budget.wall_ms:
        draft.arm("wall", path, draft.now_ms + budget.wall_ms)


def reserve(draft: Draft, path: str, child: int | None = None) -> int | None:
    """Count a call in every budget above a path, or the calls of a child run, whose own bound is `child` (0: none); give how many.

    Where a budget is spent nothing is counted, and its owner is stopped: None. A child that nothing above bounds counts when it ends: 0.
    What cleans up is counted and never refused: a `finally` that is owed, and all that a run does once it is ending.
    """
    owners, free = _owners(draft, path), list[int]()
    for owner, spent in owners if draft.status == "running" and draft.ending is None else ():
        budget = budget_at(draft.definition, spent.at)
        if spent.over or is_under(path, f"{owner}.finally"):
            continue
        what = _spent_up(budget, spent)
        if what is not None:
            apart = sum(action.reserved for action in draft.actions_under(owner))
            exceed(draft, owner, budget, what + (f", {apart} of them set apart for child runs" if apart and "calls" in what else ""))
            shielded = draft.actions.get(path)
            if draft.parked is not None or shielded is None or shielded.status == "stopping":
                return None
        elif bound := bound_of(budget, spent):
            free.append(bound - spent.calls)
    calls = 1 if child is None else min([*free, child or free[0]]) if free else 0
    for owner, _ in owners:
        if owner in draft.spent:
            draft.spent[owner] = replace(draft.spent[owner], calls=draft.spent[owner].calls + calls)
    draft.used = replace(draft.used, calls=draft.used.calls + (child is None))
    return calls


def charge(draft: Draft, path: str, usage: Usage | None, reserved: int = 0) -> None:
    """Add what a performer reports to the run, and to every budget above a path, in place of what was set apart for it."""
    if usage is None and not reserved:
        return
    usage = usage or Usage()
    for owner, spent in _owners(draft, path):
        usd = str(Decimal(spent.usd) + Decimal(usage.usd))
        draft.spent[owner] = replace(spent, tokens=spent.tokens + usage.tokens, usd=usd, calls=spent.calls + usage.calls - reserved)
    usd = str(Decimal(draft.used.usd) + Decimal(usage.usd))
    draft.used = Usage(tokens=draft.used.tokens + usage.tokens, usd=usd, calls=draft.used.calls + usage.calls)
    draft.changed = True


def exceed(draft: Draft, owner: str, budget: Budget, what: str) -> None:
    """Stop the owner of a spent budget, as `on_exceed` says."""
    message = f"the budget of {f'`{owner}`' if owner else 'the run'} is spent: {what}"
    draft.note("budget_spent", owner, what=what, on_exceed=budget.on_exceed)
    given = 0 < draft.spent[owner].calls_max <= draft.spent[owner].calls  # by a run above, which no person here can grant again
    if budget.on_exceed == "ask" and not given:
        draft.spent[owner] = replace(draft.spent[owner], asked=True)
        draft.park(f"{message}; `treadle resume {draft.base.run_id}` grants as much again", "treadle")
        return
    draft.spent[owner] = replace(draft.spent[owner], over=True)
    node = draft.nodes[owner]
    if budget.on_exceed == "degrade" and not given:
        draft.degraded = True
        begin_closing(draft, node, Outcome(how="done"))
    else:
        begin_closing(draft, node, Outcome(how="fail", failure=failure_at(owner, "budget", message)))


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


def bound_of(budget: Budget, spent: Spent) -> int:
    """Give how many calls an owner may make; 0 is no bound."""
    return min((n for n in (budget.calls * (1 + spent.more), spent.calls_max) if n), default=0)


def _spent_up(budget: Budget, spent: Spent) -> str | None:
    times = 1 + spent.more
    if (bound := bound_of(budget, spent)) and spent.calls >= bound:
        return f"{spent.calls} calls"
    if budget.tokens and spent.tokens >= budget.tokens * times:
        return f"{spent.tokens} tokens"
    if budget.usd and Decimal(spent.usd) >= Decimal(budget.usd) * times:
        return f"{spent.usd} usd"
    return None
