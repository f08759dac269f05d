"""What is seen while a run is carried on: facts above, a line each and for good; below, on a terminal, what is in flight, redrawn.

Without a terminal there are only the facts. While a person is being asked nothing is drawn, and facts wait until the answer was given.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group
from rich.live import Live
from rich.text import Text

from treadle.cli import facts, screen
from treadle.cli.keyboard import Keyboard
from treadle.core.gates import REQUIRES
from treadle.engine.why import Wait
from treadle.view import ActionView, BudgetView, RunView, StepView, WaitView

REDRAWN_PER_S = 4
LINES_BESIDE = 6
ENDING = {"finally": "its `finally` runs", "undo": "what it did is taken back"}


class Show:
    """The view of one run. Made on a terminal if a keyboard is given, else plain; `quiet` shows nothing."""

    def __init__(self, keyboard: Keyboard | None, *, quiet: bool = False, to_errors: bool = False) -> None:
        """Show nothing yet."""
        self._keyboard, self._quiet, self._to_errors = keyboard, quiet, to_errors
        self._view: RunView | None = None
        self._wait: Wait | None = None
        self._live: Live | None = None
        self._waiting_facts: list[Text] = []
        self._asking = False
        self.left_to_agent = False
        self._stack = contextlib.ExitStack()

    @classmethod
    def made(cls, *, quiet: bool, as_json: bool) -> "Show":
        """Make the view that fits where this process stands."""
        return cls(Keyboard() if screen.is_terminal() and not as_json else None, quiet=quiet, to_errors=as_json)

    def tell(self, told: Sequence[facts.Fact]) -> None:
        """Print facts."""
        lines = [facts.line(fact) for fact in told if not fact.minor]
        if self._quiet:
            return
        if self._asking:
            self._waiting_facts += lines
            return
        out = screen.errors() if self._to_errors else screen.console()
        for line in lines:
            out.print(line, soft_wrap=not out.is_terminal)

    def look(self, view: RunView, wait: Wait) -> None:
        """Show how the run is now."""
        self._view, self._wait = view, wait
        if self._keyboard is not None and self._live is None and not self._asking and not self._quiet:
            self._begin()

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Leave the terminal to a question."""
        self._end()
        self._asking = True
        answered = False
        try:
            yield
            answered = True
        finally:
            self._asking = False
            if not answered:
                screen.say()  # the line of the question was left open
            lines, self._waiting_facts = self._waiting_facts, []
            for line in lines:
                screen.console().print(line, soft_wrap=not screen.console().is_terminal)
            if self._view is not None and self._keyboard is not None:
                self._begin()

    def close(self) -> None:
        """Show nothing any more, and give the terminal back."""
        self._end()
        self._keyboard = None

    def _begin(self) -> None:
        if self._keyboard is None:
            return
        self._stack.enter_context(self._keyboard.quiet())
        self._live = Live(
            console=screen.console(), get_renderable=self._frame, refresh_per_second=REDRAWN_PER_S, transient=True, redirect_stdout=False,
            redirect_stderr=False,
        )  # fmt: skip
        self._stack.enter_context(self._live)

    def _end(self) -> None:
        self._live = None
        self._stack.close()

    def _footer(self) -> str:
        agent = "an agent is at work on this run, and its steps are left to it; " if self.left_to_agent else ""
        return f"{agent}Ctrl-C leaves the run as it is"

    def _frame(self) -> Group:
        view, wait = self._view, self._wait
        if view is None or wait is None:
            return Group()
        now_ms = time.time_ns() // 1_000_000
        out = screen.console()
        room = max(3, out.height - LINES_BESIDE)
        done = sum(step.status in {"completed", "skipped", "failed"} for step in view.steps)
        head = Text.assemble(
            (view.workflow, "bold"), "  ", screen.worded(view.status), f"  {done} of {len(view.steps)} steps  ",
            (f"{ENDING[view.ending]}  " if view.ending is not None else "", "yellow"),
            (screen.duration(now_ms - view.started_at_ms), "bright_black"), f"  {view.run_id}",
        )  # fmt: skip
        rows = list(_open_lines(view, view.steps, now_ms))
        if len(rows) > room:
            rows = [*rows[: room - 1], Text(f"  … and {len(rows) - room + 1} more", style="bright_black")]
        waits = Text(f"{wait.message}", style="cyan" if wait.kind in {"answer", "approval", "agent", "outcome", "signal"} else "default")
        waits.append(f", {screen.ago(wait.due_ms, now_ms)}" if wait.kind == "time" and wait.due_ms is not None else "")
        spent = [f"{budget.owner or 'budget'}: {used(budget)}" for budget in view.budgets[:2]]
        waits.append(f"   ({'; '.join(spent)})" if spent else "", style="bright_black")
        lines = [Text(), head, *rows, waits, Text(self._footer(), style="bright_black")]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)


def _open_lines(view: RunView, steps: Sequence[StepView], now_ms: int, depth: int = 1) -> Iterator[Text]:
    actions = {action.id: action for action in view.actions}
    waits = {wait.path: wait for wait in view.waits}
    for step in steps:
        if step.status not in {"running", "waiting", "handling"}:
            continue
        names, step = _only_child(step)  # noqa: PLW2901 - a round with one open step is shown on one line
        action, wait = open_at(step.path, actions), waits.get(step.path)
        line = Text("  " * depth)
        line.append_text(screen.mark("unknown" if action is not None and action.status == "unknown" else step.status))
        line.append(f" {names}", style="bold" if depth == 1 else "default")
        line.append(counted(step))
        if action is not None:
            line.append(f"  {doing(action)}  ", style=screen.STYLES["waiting"] if action.waits_for != "server" else "default")
            line.append(screen.duration(now_ms - action.opened_at_ms), style="bright_black")
        elif wait is not None:
            line.append(f"  {awaited(wait, now_ms)}")
        yield line
        yield from _open_lines(view, step.children, now_ms, depth + 1)


def _only_child(step: StepView) -> tuple[str, StepView]:
    """Give the names to show for a step, and the step itself, or the only one that is open in it."""
    names = own_name(step.path)
    while step.total is None and len(open_below := [c for c in step.children if c.status in {"running", "waiting", "handling"}]) == 1:
        step = open_below[0]
        names += f" {own_name(step.path)}"
    return names, step


def own_name(path: str) -> str:
    """Give the last part of a path: a step's id, or the number of a round."""
    last = path.rpartition("/")[2]
    return last[last.rfind("[") :] if last.endswith("]") else last


def counted(step: StepView) -> str:
    """Say how far a block is."""
    if step.total is not None:
        return f"  {step.done} of {step.total} done" + (f", {step.failed} failed" if step.failed else "")
    return f"  round {step.rounds}" if step.rounds else ""


def open_at(path: str, actions: Mapping[str, ActionView]) -> ActionView | None:
    """Give what is open at a step: its action, or the gate that it waits for."""
    return actions.get(path) or actions.get(path + REQUIRES)


def awaited(wait: WaitView, now_ms: int) -> str:
    """Say what a step waits for, and how long still."""
    if wait.signal is None:
        return f"goes on {screen.ago(wait.due_ms, now_ms)}" if wait.due_ms is not None else "lets time pass"
    until = f", at the longest {screen.duration(max(0, wait.due_ms - now_ms))} more" if wait.due_ms is not None else ""
    return f"waits for the signal `{wait.signal}`{until}"


def used(budget: BudgetView) -> str:
    """Say what of a budget is used; only what is bounded, and what was used all the same."""
    rows = [
        (str(budget.calls), str(budget.calls_max or ""), "calls"), (f"{budget.tokens:,}", f"{budget.tokens_max:,}" if budget.tokens_max else "", "tokens"),
        (budget.usd, budget.usd_max, "usd"),
    ]  # fmt: skip
    said = [f"{amount} of {bound} {what}" if bound else f"{amount} {what}" for amount, bound, what in rows if bound or amount != "0"]
    return ", ".join(said) or "nothing used yet"


def doing(action: ActionView) -> str:
    """Say in a few words who an open action waits for."""
    if action.status == "verifying":
        return "claimed done; Treadle looks whether it is"
    if action.kind == "approve":
        needed = action.params.get("count")
        votes = f" ({len(action.votes)} of {needed} have approved: {', '.join(action.votes) or 'nobody yet'})" if needed is not None else ""
        return f"needs a decision{votes}" if votes else "needs you"
    tried = f", attempt {action.attempt}" if action.attempt > 1 else ""
    match action.waits_for:
        case "outcome":
            return "nobody knows whether it was done: you decide"
        case "person":
            return "needs you"
        case "time" if action.status == "backoff":
            now_ms = time.time_ns() // 1_000_000
            return f"attempt {action.attempt} failed, the next {screen.ago(action.due_ms or now_ms, now_ms)}"
        case "time":
            return "is being stopped"
        case "server" if action.child is not None:
            return f"runs {action.child}"
        case "server":
            return f"Treadle performs it{tried}"
        case "agent":
            return (
                f"held by {facts.holder_name(action.holder)}{tried}" if action.holder is not None else f"waits for an agent, or you{tried}"
            )
