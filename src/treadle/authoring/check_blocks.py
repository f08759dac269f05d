"""Blocks and moves between steps: loops and their bounds, branches that run at once, goto, and lists that run when it is over.

Language.md §2, rulings 12 and 13.
"""

from collections.abc import Callable
from typing import Final

from treadle.authoring.constants import field_value, key_node, use_of
from treadle.authoring.nodes import Node
from treadle.authoring.problems import did_you_mean, listed
from treadle.authoring.reads import Read, reads_of
from treadle.authoring.reporter import Reporter
from treadle.authoring.scopes import Scope, Site
from treadle.authoring.tree import StepTree, Use, walk

ITEMS_MAX: Final = 10_000
_NAMES: Final = frozenset({"inputs", "state", "steps", "run", "loop", "error", "secrets", "worktree"})
# What a round may find changed although no step writes it.
_CHANGING: Final = ("now", "random", "uuid", "env")


def check_step(site: Site, scope: Scope, to: Reporter) -> None:
    """Check what a block or a move does to the steps around it."""
    step = site.step
    assert step is not None
    if "undo" in step.lists and site.after == "undo":
        to.error("field_not_allowed", key_node(step, "undo"), "what takes a step back is not taken back itself", "delete `undo`")
    own = _BY_TYPE.get(step.type)
    if own is not None:
        own(step, site, scope, to)


def _foreach(step: StepTree, site: Site, _: Scope, to: Reporter) -> None:
    has_task, has_do = "task" in step.places, "do" in step.places
    if not has_task and not has_do:
        to.error(
            "missing_field", step.node, "`foreach` needs `task` or `do`: what is done with each item", "write `do:` with steps, or `task:`"
        )
    elif has_task and has_do:
        to.error("two_bodies", step.node.keys["do"], "`foreach` has either `task` or `do`; here both stand", "delete one of them")
    for name, body, why in (
        ("inputs", "task", "steps in `do` see `item` themselves"),
        ("output", "do", "a task says its result by `return` or its own `output`"),
    ):
        if name in step.places and body not in step.places and (has_task or has_do):
            to.error("field_not_allowed", key_node(step, name), f"`{name}` belongs to `{body}`: {why}", f"delete `{name}`")
    alias = step.fields.get("as")
    if isinstance(alias, str) and alias in _NAMES:
        to.error("bad_name", step.place("as"), f"`{alias}` is a name of the language", "choose another")
    elif isinstance(alias, str) and alias != "item" and alias in site.names:
        to.warning("hidden_name", step.place("as"), f"`{alias}` hides the item of the loop around it", "choose another name")
    _items(step, to)
    _empty(step, "do", to)


def _items(step: StepTree, to: Reporter) -> None:
    items = field_value(step, "items")
    many = len(items) if isinstance(items, list) else None
    limits = to.tree.fields.get("limits")
    most = limits.get("max_items", ITEMS_MAX) if isinstance(limits, dict) else ITEMS_MAX
    if many is not None and isinstance(most, int) and many > most:
        to.error(
            "out_of_range",
            step.place("items"),
            f"a foreach has at most {most:,} items, not {many:,}",
            "raise `limits.max_items`, or divide the list",
        )
    if step.fields.get("sequential") is True and "max_parallel" in step.node.entries:
        message = "`max_parallel` says how many items run at once, and with `sequential` one does"
        to.warning("no_effect", key_node(step, "max_parallel"), message, "delete one of them")
    least = step.fields.get("min_success")
    if "min_success" in step.places and step.fields.get("on_item_error") != "collect":
        to.error(
            "field_not_allowed",
            key_node(step, "min_success"),
            "`min_success` needs `on_item_error: collect`",
            "write it, or delete `min_success`",
        )
    elif isinstance(least, int) and many is not None and least > many:
        to.error("out_of_range", step.place("min_success"), f"there are {many} items, so {least} cannot succeed", "ask for fewer")


def _condition(step: StepTree, _: Site, __: Scope, to: Reporter) -> None:
    if not step.broken and not any(step.lists.get(name) for name in ("then", "else")):
        to.warning(
            "empty_block",
            step.node,
            "neither `then` nor `else` has a step, so nothing follows from the condition",
            "write `then:` with steps",
        )


def _switch(step: StepTree, _: Site, __: Scope, to: Reporter) -> None:
    if not step.broken and not any(step.lists.values()):
        to.warning("empty_block", step.node, "no case has a step, so nothing follows from the value", "write steps below a case")


def _empty(step: StepTree, name: str, to: Reporter) -> None:
    if name in step.places and name in step.lists and not step.lists[name]:
        to.warning("empty_block", key_node(step, name), f"`{name}` has no steps, so a round does nothing", "write what a round does")


def _loop(step: StepTree, _: Site, __: Scope, to: Reporter) -> None:
    _empty(step, "do", to)
    field = "condition" if step.type == "while" else "until"
    use = use_of(step, field)
    if use is None or step.broken or not step.lists.get("do"):
        return
    steps = list(walk(step.lists["do"]))
    if any(below.broken or below.type in {"break", "return", "fail", "goto", ""} for below in steps):
        return
    value = field_value(step, field)
    goes_on = value is (step.type == "while")
    if isinstance(value, bool) and not goes_on:
        return
    if goes_on or not _may_change(use, steps):
        message = f"nothing in a round changes what `{field}` asks, so the loop runs to its limit"
        to.warning("endless_loop", step.place(field), message, "write in `do` what it reads, or leave by `break`")


def _may_change(use: Use, steps: list[StepTree]) -> bool:
    reads = list(reads_of(use))
    written = {name for step in steps for name, _ in Scope.writes_of(step)}
    inside = {step.id.replace("-", "_") for step in steps}
    changing = any(part in str(use.expr.tree) for name in _CHANGING for part in (f"('fn', '{name}'",)) or bool(use.expr.calls)
    return changing or any(_changes(read, written, inside) for read in reads)


def _changes(read: Read, written: set[str], inside: set[str]) -> bool:
    if read.root == "state":
        return not read.keys or read.keys[0] in written
    if read.root == "steps":
        return not read.keys or read.keys[0] in inside
    return read.root in {"loop", "run"} and read.keys != ("id",)


def _leave_loop(step: StepTree, site: Site, _: Scope, to: Reporter) -> None:
    if not site.loop:
        where = f"the `{site.after}` list" if site.after and site.chain else ""
        message = f"`{step.type}` may not leave {where} it stands in" if where else f"`{step.type}` stands in no loop"
        to.error("outside_loop", step.node, message, "put it into the `do` of a loop; to end a task or run, write `return`")
    elif site.parallel_inside:
        message = f"`{step.type}` may not leave the `parallel` around it"
        to.error("outside_loop", step.node, message, "put it behind the `parallel`, and let a branch write what decides")


def _goto(step: StepTree, site: Site, scope: Scope, to: Reporter) -> None:
    target = step.fields.get("target")
    if not isinstance(target, str) or target in site.targets:
        return
    place = step.place("target")
    found = scope.steps.get(target.replace("-", "_"))
    there = f"targets from here: {listed(site.targets)}"
    if found is None:
        to.error("unknown_step", place, f"there is no step `{target}`", did_you_mean(target, site.targets) or there)
    elif found.step.id != target:
        to.error("unknown_step", place, f"there is no step `{target}`", f"did you mean `{found.step.id}`?")
    elif found.step.implicit:
        to.error("implicit_id", place, f"the step `{target}` has no id of its own and cannot be referred to", "give it an id")
    else:
        to.error("goto_target", place, f"`{target}` is in a block, a round or a branch that a goto does not enter or leave", there)


def _return(step: StepTree, site: Site, _: Scope, to: Reporter) -> None:
    if site.after:
        message = f"`{step.type}` ends what has ended already: a `{site.after}` list runs behind it"
        hint = "the result of its last step is what it gives" if site.after == "read_back" else "delete it, or move it out of the list"
        to.error("step_not_allowed", step.node, message, hint)


def _parallel(step: StepTree, _: Site, __: Scope, to: Reporter) -> None:
    """No branch may write what another writes or reads: which one came first would decide (ruling 12)."""
    branches = {name.removeprefix("branches."): list(walk(below)) for name, below in step.lists.items() if name.startswith("branches.")}
    join = step.fields.get("join")
    if isinstance(join, int) and "branches" in step.fields and join > len(branches):
        message = f"`join` waits for {join} branches, and there {'is' if len(branches) == 1 else 'are'} {len(branches)}"
        to.error("out_of_range", step.place("join"), message, f"write a number up to {len(branches)}, or `all`")
    writers: dict[str, list[str]] = {}
    for branch, steps in branches.items():
        for name, node in (pair for below in steps for pair in Scope.writes_of(below)):
            others = writers.setdefault(name, [])
            if branch not in others:
                others.append(branch)
                if len(others) > 1:
                    _conflict(others[0], branch, name, node, to)
    for branch, steps in branches.items():
        told: set[str] = set()
        for use in (use for below in steps for use in below.uses):
            for read in reads_of(use):
                name = read.keys[0] if read.root == "state" and read.keys else ""
                if name in writers and branch not in writers[name] and name not in told:
                    told.add(name)
                    message = f"the branch `{branch}` reads `state.{name}`, which the branch `{writers[name][0]}` writes at the same time"
                    to.read_error("parallel_conflict", read, use, message, "read it behind the `parallel`")


def _conflict(first: str, second: str, name: str, node: Node, to: Reporter) -> None:
    to.error("parallel_conflict", node, f"the branches `{first}` and `{second}` both write `state.{name}`", "give each a field of its own")


_BY_TYPE: Final[dict[str, Callable[[StepTree, Site, Scope, Reporter], None]]] = {
    "foreach": _foreach, "parallel": _parallel, "condition": _condition, "switch": _switch, "while": _loop, "repeat": _loop,
    "break": _leave_loop, "continue": _leave_loop, "goto": _goto, "return": _return, "fail": _return,
}  # fmt: skip
