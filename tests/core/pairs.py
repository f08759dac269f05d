"""Pairs of {timeout, retry, on_error, finally, undo, cancel, join, goto, budget}: what happens where two of them meet.

A row is a definition, what is done to the run, and what must follow, in order. The deeds are words: `a*` claims the action, `a+` does it, `a!` fails
it, `t500` lets time pass, `X` cancels. What follows is told in notes, `kind path`, those of the middle kinds left out.
"""

from itertools import combinations

from tests.core.build import call, condition, delegate, goto, parallel, prompt, workflow
from tests.core.play import Play
from treadle.core.definition import Definition, Retry

FEATURES = ("timeout", "retry", "on_error", "finally", "undo", "cancel", "join", "goto", "budget")
PAIRS = [" ".join(pair) for pair in combinations(FEATURES, 2)]
TOLD = {
    "timer_fired": "timer", "attempt_failed": "attempt!", "retry_planned": "again", "step_failed": "failed", "step_completed": "done",
    "step_handled": "handled", "finally_begun": "finally", "undo_begun": "undo", "undone": "undone", "action_stopping": "stopping",
    "action_stopped": "stopped", "action_dropped": "dropped", "branch_completed": "branch", "branch_failed": "branch!", "goto_taken": "goto",
    "budget_spent": "spent", "cancel_requested": "cancel", "finally_failed": "finally!", "cancel_hastened": "hasten",
}  # fmt: skip
TWICE = Retry(attempts=2, backoff_ms=1_000, on=("failed", "timeout"))


def _a(**fields):
    return delegate("a", **fields)


H, F, U = [prompt("h")], [prompt("f")], [prompt("u")]
Z = call("z", effect="read")
TIME = {"timeout_ms": 500}
BACK = condition("if", "{{ steps.a.visits < 2 }}", then=[goto("g", "a", 1)])


def _any(step, **fields) -> Definition:
    return workflow(parallel("p", {"l": [step], "r": [prompt("b")]}, need=1, **fields), prompt("c"))


SPEC: dict[str, tuple[Definition, str]] = {
    "timeout retry": (workflow(_a(**TIME, retry=TWICE)), "a* t500 t1000 a* t500"),
    "timeout on_error": (workflow(_a(**TIME, on_error=H), prompt("b")), "a* t500 h+ b+"),
    "timeout finally": (workflow(_a(**TIME, final=F)), "a* t500 f+"),
    "timeout undo": (workflow(call("c", undo=U), _a(**TIME, undo=U)), "c+ a* t500 u+"),
    "timeout cancel": (workflow(_a(**TIME)), "a* X t500 t10000"),
    "timeout join": (_any(_a(**TIME)), "a* t500 b+ c+"),
    "timeout goto": (workflow(_a(**TIME, on_error="continue"), BACK), "a* t500 a~2* t500"),
    "timeout budget": (workflow(_a(**TIME, retry=TWICE, budget={"calls": 1})), "a* t500 t1000"),
    "retry on_error": (workflow(_a(retry=TWICE, on_error=H)), "a! t1000 a! h+"),
    "retry finally": (workflow(_a(retry=TWICE, final=F)), "a! t1000 a! f+"),
    "retry undo": (workflow(_a(retry=TWICE, undo=U), Z), "a! t1000 a+ z! u+"),
    "retry cancel": (workflow(_a(retry=TWICE)), "a! X"),
    "retry join": (_any(_a(retry=TWICE)), "a! b+ c+"),
    "retry goto": (workflow(_a(retry=TWICE), BACK), "a! t1000 a+ a~2! t1000 a~2+"),
    "retry budget": (workflow(_a(retry=TWICE), budget={"calls": 1}), "a! t1000"),
    "on_error finally": (workflow(_a(on_error=H, final=F), prompt("b")), "a! h+ f+ b+"),
    "on_error undo": (workflow(_a(on_error=H, undo=U), Z), "a! h+ z!"),
    "on_error cancel": (workflow(_a(on_error=H)), "a! X"),
    "on_error join": (_any(_a(on_error=H)), "a! h+ c+"),
    "on_error goto": (workflow(_a(on_error=[prompt("h"), goto("g", "a", 1)])), "a! h+ a~2! h+"),
    "on_error budget": (workflow(_a(retry=TWICE, on_error=[delegate("h")], budget={"calls": 1}), prompt("b")), "a! t1000 h+ b+"),
    "finally undo": (workflow(_a(final=[call("f", undo=[prompt("v")])], undo=U), Z), "a+ f+ z! v+ u+"),
    "finally cancel": (workflow(_a(final=F)), "a* X t10000 f+"),
    "finally join": (_any(_a(final=F)), "a* b+ t10000 f+ c+"),
    "finally goto": (workflow(_a(final=F), BACK), "a+ f+ a~2+ f+"),
    "finally budget": (workflow(_a(retry=TWICE, final=[delegate("f")], budget={"calls": 1})), "a! t1000 f+"),
    "undo cancel": (workflow(_a(undo=U), prompt("b")), "a+ X u+"),
    "undo join": (workflow(parallel("p", {"l": [_a(undo=U)], "r": [prompt("b", undo=[prompt("v")])]}), Z), "b+ a+ z! u+ v+"),
    "undo goto": (workflow(_a(undo=U), BACK, Z), "a+ a~2+ z! u+ u+"),
    "undo budget": (workflow(_a(undo=[delegate("u")]), delegate("z"), budget={"calls": 1}), "a+ u+"),
    "cancel join": (_any(_a(), undo=U), "a* b+ X t10000"),
    "cancel goto": (workflow(_a(), BACK, undo_on=()), "a+ X"),
    "cancel budget": (workflow(_a(final=[delegate("f")]), budget={"calls": 1}), "a* X t10000 f+"),
    "join goto": (workflow(parallel("p", {"l": [_a(), prompt("d"), goto("g", "a", 1)], "r": [prompt("b")]}, need=1)), "a+ d+ b+"),
    "join budget": (_any(_a(retry=TWICE, budget={"calls": 1})), "a! t1000 b+ c+"),
    "goto budget": (workflow(_a(budget={"calls": 1}), BACK, budget={"calls": 3}), "a+ a~2+"),
}


def told(row: tuple[Definition, str]) -> str:
    """Carry a row out, and tell what followed."""
    play = Play(row[0])
    for deed in row[1].split():
        done(play, deed)
    if play.state.ended:
        play.ended_properly()
    else:
        play.check_log()
    said = [f"{TOLD[note.kind]} {note.path}".rstrip() for note in play.every_note if note.kind in TOLD]
    undo = f" {play.state.undo_status}" if play.state.undo_status else ""
    return ", ".join([*said, play.status + undo])


def done(play: Play, deed: str) -> None:
    """Do a deed. Besides those above: `a=y` and `a=n` decide a gate, `a?` loses the performer, `w` gives every worktree that is asked for."""
    if deed == "X":
        play.cancel()
    elif deed == "w":
        for name in [action.id for action in play.state.actions.values() if action.kind.startswith("worktree")]:
            play.answer(name, {"path": "/tree", "commit": "c0ffee"})
    elif deed[-2:] in {"=y", "=n"}:
        play.decide(deed[:-2], deed.endswith("y"))
    elif deed[0] == "t" and deed[1:].isdigit():
        play.pass_ms(int(deed[1:]))
    else:
        # The name of a step is enough: only one of that name is open.
        name = next(action for action in play.open if action.rpartition("/")[2] == deed[:-1])
        {
            "*": lambda: play.claim(name, by=play.holder(name)),
            "+": lambda: play.done(name, "x"),
            "!": lambda: play.answer(name, fails="failed"),
            "?": lambda: play.lost(name),
        }[deed[-1]]()


FOLLOWS: dict[str, str] = {
    "timeout retry": "timer a, attempt! a, again a, timer a, timer a, attempt! a, failed a, failed",
    "timeout on_error": "timer a, attempt! a, failed a, done a.on_error/h, handled a, done b, completed",
    "timeout finally": "timer a, attempt! a, failed a, finally a, done a.finally/f, failed",
    "timeout undo": "done c, timer a, attempt! a, failed a, undo c, done c.undo/u, undone c, failed done",
    "timeout cancel": "cancel, stopping a, timer a, stopped a, cancelled",
    "timeout join": "timer p.l/a, attempt! p.l/a, failed p.l/a, branch! p.l, done p.r/b, branch p.r, done p, done c, completed",
    "timeout goto": "timer a, attempt! a, failed a, goto if.then/g, done if.then/g, done if, timer a~2, attempt! a~2, failed a~2, done if~2, completed_degraded",
    "timeout budget": "timer a, attempt! a, again a, timer a, spent a, dropped a, failed a, failed",
    "retry on_error": "attempt! a, again a, timer a, attempt! a, failed a, done a.on_error/h, handled a, completed",
    "retry finally": "attempt! a, again a, timer a, attempt! a, failed a, finally a, done a.finally/f, failed",
    "retry undo": "attempt! a, again a, timer a, done a, attempt! z, failed z, undo a, done a.undo/u, undone a, failed done",
    "retry cancel": "attempt! a, again a, cancel, dropped a, cancelled",
    "retry join": "attempt! p.l/a, again p.l/a, done p.r/b, branch p.r, dropped p.l/a, done p, done c, completed",
    "retry goto": "attempt! a, again a, timer a, done a, goto if.then/g, done if.then/g, done if, attempt! a~2, again a~2, timer a~2, done a~2, done if~2, completed",
    "retry budget": "attempt! a, again a, timer a, spent, dropped a, failed",
    "on_error finally": "attempt! a, failed a, done a.on_error/h, handled a, finally a, done a.finally/f, done b, completed",
    "on_error undo": "attempt! a, failed a, done a.on_error/h, handled a, attempt! z, failed z, failed",
    "on_error cancel": "attempt! a, failed a, cancel, dropped a.on_error/h, cancelled",
    "on_error join": "attempt! p.l/a, failed p.l/a, done p.l/a.on_error/h, handled p.l/a, branch p.l, dropped p.r/b, done p, done c, completed",
    "on_error goto": "attempt! a, failed a, done a.on_error/h, goto a.on_error/g, done a.on_error/g, handled a, attempt! a~2, failed a~2, done a~2.on_error/h, failed a~2.on_error/g, failed a~2, failed",
    "on_error budget": "attempt! a, again a, timer a, spent a, dropped a, failed a, done a.on_error/h, handled a, done b, completed",
    "finally undo": "done a, finally a, done a.finally/f, attempt! z, failed z, undo a.finally/f, done a.finally/f.undo/v, undone a.finally/f, undo a, done a.undo/u, undone a, failed done",
    "finally cancel": "cancel, stopping a, timer a, stopped a, finally a, done a.finally/f, cancelled",
    "finally join": "done p.r/b, branch p.r, stopping p.l/a, timer p.l/a, stopped p.l/a, finally p.l/a, done p.l/a.finally/f, done p, done c, completed",
    "finally goto": "done a, finally a, done a.finally/f, goto if.then/g, done if.then/g, done if, done a~2, finally a~2, done a~2.finally/f, done if~2, completed",
    "finally budget": "attempt! a, again a, timer a, spent a, dropped a, failed a, finally a, done a.finally/f, failed",
    "undo cancel": "done a, cancel, dropped b, undo a, done a.undo/u, undone a, cancelled done",
    "undo join": "done p.r/b, branch p.r, done p.l/a, branch p.l, done p, attempt! z, failed z, undo p.l/a, done p.l/a.undo/u, undone p.l/a, undo p.r/b, done p.r/b.undo/v, undone p.r/b, failed done",
    "undo goto": "done a, goto if.then/g, done if.then/g, done if, done a~2, done if~2, attempt! z, failed z, undo a~2, done a~2.undo/u, undone a~2, undo a, done a.undo/u, undone a, failed done",
    "undo budget": "done a, spent, dropped z, undo a, done a.undo/u, undone a, failed done",
    "cancel join": "done p.r/b, branch p.r, stopping p.l/a, cancel, timer p.l/a, stopped p.l/a, cancelled",
    "cancel goto": "done a, goto if.then/g, done if.then/g, done if, cancel, dropped a~2, cancelled",
    "cancel budget": "cancel, stopping a, timer a, stopped a, finally a, done a.finally/f, cancelled",
    "join goto": "done p.l/a, done p.l/d, goto p.l/g, done p.l/g, done p.r/b, branch p.r, dropped p.l/a~2, done p, completed",
    "join budget": "attempt! p.l/a, again p.l/a, timer p.l/a, spent p.l/a, dropped p.l/a, failed p.l/a, branch! p.l, done p.r/b, branch p.r, done p, done c, completed",
    "goto budget": "done a, goto if.then/g, done if.then/g, done if, done a~2, done if~2, completed",
}
