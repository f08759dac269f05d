"""Every modifier on every step type: a generated row with what must follow, where the type takes the modifier at all (test_pairs.py says where not).

A row is made of two rules: how a type of step ends well, and how it fails, both with what is told meanwhile (`KINDS`); and what a modifier adds to
that (`EXPECTED`). So what must follow is computed from the clauses that are named, never recorded. Deeds and words are those of pairs.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.core.build import (
    approve,
    break_,
    call,
    condition,
    continue_,
    delegate,
    fail,
    foreach,
    function,
    goto,
    http,
    merge,
    parallel,
    prompt,
    put,
    repeat,
    ret,
    run,
    shell,
    switch,
    wait,
    while_,
    workflow,
)
from tests.core.pairs import TOLD, done
from tests.core.play import Play
from treadle.core.definition import Definition, Retry, Step

MORE = {
    "step_skipped": "skipped",
    "action_offered": "offered",
    "outcome_unknown": "unknown",
    "read_back_begun": "reading",
    "verified": "verified",
}
WORDS = TOLD | MORE


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A type of step: `made` ends well after the deeds `does`, `fails` fails after `failing`; `told` and `failed` are what is said meanwhile.

    `path` is where it stands in `around`; `rest` is what follows behind it, `late` what is dropped when its time is up, None where none passes.
    """

    made: Callable[..., Step]
    does: str = ""
    told: Sequence[str] = ()
    fails: Callable[..., Step] | None = None
    failing: str = ""
    failed: Sequence[str] = ()
    path: str = "s"
    around: Callable[[Step], Sequence[Step]] = lambda step: [step]
    behind: Sequence[Step] = ()
    rest: Sequence[str] = ()
    rest_does: str = ""
    late: Sequence[str] | None = None
    trees: int = 0
    status: str = "completed"
    fields: dict = field(default_factory=dict)


def _performed(make, **fields) -> Kind:
    return Kind(made=make, does="s+", fails=make, failing="s* s!", failed=["attempt! s", "failed s"], late=[], trees=1, fields=fields)


def _block(make, place: str, told: Sequence[str] = (), failed: Sequence[str] = (), trees: int = 1) -> Kind:
    inner = f"s{place}/i"
    return Kind(
        made=make, does="i+", told=[f"done {inner}", *told], fails=make, failing="i!",
        failed=[f"attempt! {inner}", f"failed {inner}", *failed, "failed s"], late=[f"dropped {inner}"], trees=trees,
    )  # fmt: skip


I = [prompt("i")]  # noqa: E741
WRITE = {"effect": "write", "repeatable": False}
LOOP = {"path": "l[0]/s", "around": lambda step: [foreach("l", [1], do=[step])], "rest": ["done l"]}

KINDS: dict[str, Kind] = {
    "prompt": _performed(lambda **f: prompt("s", **f)),
    "delegate": _performed(lambda **f: delegate("s", **f)),
    "mcp_call": _performed(lambda **f: call("s", **f)),
    "http": _performed(lambda **f: http("s", **f)),
    "shell": _performed(lambda **f: shell("s", **f)),
    "function": _performed(lambda **f: function("s", "double", {"value": 1}, **f)),
    "run": _performed(lambda **f: run("s", "child", **f)),
    "merge": _performed(lambda **f: merge("s", "first", **f)),
    "approve": Kind(
        made=lambda **f: approve("s", **f), does="s=y", fails=lambda **f: approve("s", **f), failing="s=n", failed=["failed s"], late=[],
    ),
    "wait": Kind(
        made=lambda **f: wait("s", **{"ms": 5_000, **f}), does="t5000", told=["timer s"], fails=lambda **f: wait("s", until="soon", **f),
        failed=["failed s"], late=[],
    ),
    "set_state": Kind(
        made=lambda **f: put("s", {"y": 1}, **f), fails=lambda **f: put("s", {"y": "{{ broken(1) }}"}, **f), failed=["failed s"],
    ),
    "condition": _block(lambda **f: condition("s", "{{ true }}", I, **f), ".then"),
    "switch": _block(lambda **f: switch("s", "a", {"a": I}, **f), ".a"),
    "foreach": _block(lambda **f: foreach("s", [1], do=I, **f), "[0]"),
    "parallel": _block(lambda **f: parallel("s", {"l": I}, **f), ".l", ["branch s.l"], ["branch! s.l"]),
    "while": _block(lambda **f: while_("s", "{{ state.y == 0 }}", [prompt("i", output_to="y")], **f), "[0]"),
    "repeat": _block(lambda **f: repeat("s", "{{ true }}", I, **f), "[0]"),
    "break": Kind(made=lambda **f: break_("s", **f), **LOOP),
    "continue": Kind(made=lambda **f: continue_("s", **f), **LOOP),
    "goto": Kind(
        made=lambda **f: goto("s", "end", 1, **f), told=["goto s"], behind=[prompt("over"), prompt("end")], rest=["done end"], rest_does="end+",
        fails=lambda **f: goto("s", "first", 1, **f), failing="first~2+", failed=["goto s", "done s", "done first~2", "failed s~2"],
    ),
    "return": Kind(made=lambda **f: ret("s", 1, **f), fails=lambda **f: ret("s", "{{ broken(1) }}", **f), failed=["failed s"]),
    "fail": Kind(made=lambda **f: fail("s", **f), fails=lambda **f: fail("s", **f), failed=["failed s"], status="failed"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is carried out, and what must be told."""

    definition: Definition
    deeds: str
    told: str


def row(kind: str, modifier: str) -> Row:
    return EXPECTED[modifier](KINDS[kind])


def said(play_row: Row) -> tuple[str, Play]:
    """Carry a row out: what was told, and the run."""
    play = Play(play_row.definition)
    for deed in play_row.deeds.split():
        done(play, deed)
    play.ended_properly()
    words = [f"{WORDS[note.kind]} {note.path}".rstrip() for note in play.every_note if note.kind in WORDS]
    undo = f" {play.state.undo_status}" if play.state.undo_status else ""
    return ", ".join([*words, play.status + undo]), play


def _row(kind: Kind, step: Step, deeds: str, told: Sequence[str], status: str, *after: Step, before: Sequence[Step] = ()) -> Row:
    """The step with a prompt before it; what is told of that is left out of `told` here."""
    steps = [prompt("first"), *before, *kind.around(step), *kind.behind, *after]
    definition = workflow(*steps, initial_state={"x": 0, "y": 0}, children={"child": workflow()})
    return Row(definition=definition, deeds=f"first+ {deeds}", told=", ".join(["done first", *told, status]))


def _ends(kind: Kind, **fields) -> Row:
    """A modifier that changes nothing where all goes well."""
    return _well(kind, kind.made(**fields))


def _well(kind: Kind, step: Step, *, deeds: str | None = None, told: Sequence[str] = (), final: Sequence[str] = ()) -> Row:
    end = [*told, *kind.told, *(["done " + kind.path] if kind.status == "completed" else kind.failed), *final]
    rest = kind.rest if kind.status == "completed" else ()
    return _row(kind, step, f"{kind.does if deeds is None else deeds} {kind.rest_does}", [*end, *rest], kind.status)


def _when(kind: Kind) -> Row:
    """S31."""
    rest = kind.rest if not kind.behind else ["done over", "done end"]
    deeds = "over+ end+" if kind.behind else ""
    return _row(kind, kind.made(when="{{ false }}"), deeds, [f"skipped {kind.path}", *rest], "completed")


def _output_to(kind: Kind) -> Row:
    """S25, S26."""
    return _ends(kind, output_to="x")


def _within(kind: Kind) -> Row:
    """S55, S61; no time passes in a `set_state`."""
    if kind.late is None:
        return _ends(kind, within_ms=1_000)
    return _row(kind, kind.made(within_ms=1_000), "t1000", ["timer s", *kind.late, "failed s"], "failed")


def _on_error(kind: Kind) -> Row:
    """S56; `break` and `continue` cannot fail."""
    if kind.fails is None:
        return _ends(kind, on_error="continue")
    return _row(Kind(made=kind.made), kind.fails(on_error="continue"), kind.failing, kind.failed, "completed_degraded")


def _budget(kind: Kind) -> Row:
    """S105: one call is within a budget of one."""
    return _ends(kind, budget={"calls": 1})


def _finally(kind: Kind) -> Row:
    """S92."""
    deeds = f"{kind.does} f+"
    return _well(kind, kind.made(final=[prompt("f")]), deeds=deeds, final=[f"finally {kind.path}", f"done {kind.path}.finally/f"])


def _undo(kind: Kind) -> Row:
    """S95: what had completed is taken back; a `return` ends the run well, and what failed is not taken back."""
    step = kind.made(undo=[prompt("u")])
    if kind.status == "failed" or kind.made().spec == ret("s", 1).spec:
        return _well(kind, step)
    told = [*kind.told, f"done {kind.path}", *kind.rest, "attempt! z", "failed z", f"undo {kind.path}", f"done {kind.path}.undo/u"]
    deeds = f"{kind.does} {kind.rest_does} z! u+"
    return _row(kind, step, deeds, [*told, f"undone {kind.path}"], "failed done", call("z", effect="read"))


def _timeout(kind: Kind) -> Row:
    """S54."""
    return _row(kind, kind.made(timeout_ms=1_000), "s* t1000", ["timer s", "attempt! s", "failed s"], "failed")


def _retry(kind: Kind) -> Row:
    """S53."""
    again = Retry(attempts=2, backoff_ms=1_000, on=("failed",))
    return _well(kind, kind.made(retry=again), deeds="s* s! t1000 s+", told=["attempt! s", "again s", "timer s", "offered s"])


def _effect(kind: Kind) -> Row:
    """S42: what only reads needs no claim."""
    return _ends(kind, effect="read", repeatable=False)


def _repeatable(kind: Kind) -> Row:
    """S48."""
    return _well(kind, kind.made(effect="write", repeatable=True), deeds="s* s? s+", told=["offered s"])


def _key(kind: Kind) -> Row:
    """S108."""
    return _well(kind, kind.made(**WRITE, key="k"), deeds="s* s? s+", told=["offered s"])


def _read_back(kind: Kind) -> Row:
    """S107."""
    back = [call("r", effect="read")]
    return _well(kind, kind.made(**WRITE, read_back=back), deeds="s* s? r+", told=["unknown s", "reading s", "done s.read_back/r"])


def _requires(kind: Kind) -> Row:
    """S101."""
    return _row(kind, kind.made(requires="gate"), "gate=y s+", ["done gate", "done s"], "completed", before=[approve("gate")])


def _verify(kind: Kind) -> Row:
    """S102."""
    return _well(kind, kind.made(verify=[{"expression": "{{ result == 'x' }}"}]), told=["verified s"])


def _cache(kind: Kind) -> Row:
    """S104: the second round uses what the first one found."""
    loop = Kind(made=kind.made, around=lambda step: [foreach("l", [1, 2], do=[step], sequential=True)])
    step = kind.made(effect="read", repeatable=False, cache=True)
    return _row(loop, step, "s+", ["done l[0]/s", "done l[1]/s", "done l"], "completed")


def _isolation(kind: Kind) -> Row:
    """A worktree is made before, and what was changed is kept after."""
    return _well(kind, kind.made(isolation=True), deeds=f"w {kind.does} w")


EXPECTED: dict[str, Callable[[Kind], Row]] = {
    "when": _when, "output_to": _output_to, "within": _within, "on_error": _on_error, "budget": _budget, "finally": _finally, "undo": _undo,
    "timeout": _timeout, "retry": _retry, "effect": _effect, "repeatable": _repeatable, "idempotency_key": _key, "read_back": _read_back,
    "requires": _requires, "verify": _verify, "cache": _cache, "isolation": _isolation,
}  # fmt: skip
