"""The state: what a step may read of it (`needs_state`), what it writes, and whether that is declared (language.md §5)."""

from treadle.authoring.nodes import Node, Sequence
from treadle.authoring.problems import did_you_mean
from treadle.authoring.reads import reads_of
from treadle.authoring.reporter import Reporter
from treadle.authoring.scopes import Scope, Site
from treadle.authoring.tree import StepTree


def check_step(site: Site, scope: Scope, to: Reporter) -> None:
    """Check what a step says that it reads, and what it writes."""
    assert site.step is not None
    _needs_state(site.step, scope, to)
    _writes(site.step, site, scope, to)


def inferred_reads(step: StepTree) -> tuple[str, ...]:
    """List what a step's own fields read of the state, as `needs_state` would say it (language.md §5)."""
    found: set[str] = set()
    own: set[str] = set()
    for use in step.uses:
        for read in reads_of(use):
            if read.root == "state":
                found.add(".".join(read.keys) if read.keys else "*") if not (read.keys and read.keys[0] in own) else None
        if use.key == "updates":
            own.add(use.field.split(".", 1)[1])
    if "*" in found:
        return ("*",)
    return tuple(sorted(f for f in found if not any(f.startswith(f"{other}.") for other in found)))


def _needs_state(step: StepTree, scope: Scope, to: Reporter) -> None:
    needs = step.fields.get("needs_state")
    if not isinstance(needs, list):
        return
    place = step.place("needs_state")
    for entry, node in zip(needs, place.items if isinstance(place, Sequence) else [], strict=False):
        _needed(str(entry), node, step, scope, to)
    if "*" in needs:
        return
    own: set[str] = set()
    for use in step.uses:
        for read in reads_of(use):
            # A field that nothing writes is told as that.
            if (
                read.root == "state"
                and read.keys
                and read.keys[0] not in own
                and read.keys[0] in scope.written
                and not _covered(read.keys, needs)
            ):
                message = f"`{step.id}` reads `{read}`, which its `needs_state` does not list"
                to.read_error("outside_needs_state", read, use, message, f"add `{'.'.join(read.keys)}` to it")
        if use.key == "updates":
            own.add(use.field.split(".", 1)[1])


def _needed(entry: str, node: Node, step: StepTree, scope: Scope, to: Reporter) -> None:
    name = entry.split(".", maxsplit=1)[0]
    if entry == "*":
        to.warning("needs_all_state", node, f"`{step.id}` may read all of the state", "list what it reads, or leave `needs_state` out")
    elif entry.startswith("state."):
        to.error("bad_name", node, "entries of `needs_state` stand without `state.`", f"write `{entry.removeprefix('state.')}`")
    elif name not in scope.written:
        to.error("unknown_state", node, f"nothing ever writes the field `{name}`", did_you_mean(name, scope.written))


def _covered(keys: tuple[str, ...], needs: list[str]) -> bool:
    bare = (entry.removeprefix("state.") for entry in needs)
    return any(keys[: len(parts)] == tuple(parts) for entry in bare for parts in (entry.split("."),))


def _writes(step: StepTree, site: Site, scope: Scope, to: Reporter) -> None:
    for name, node in scope.writes_of(step):
        if site.parallel_loop:
            message = f"rounds of `{site.parallel_loop}` run at once and may not write `state.{name}`"
            hint = "give the round an `output`, use a `task`, or write `sequential: true` on the foreach"
            to.error("parallel_write", node, message, hint)
        if name in scope.declared or scope.first_writer.get(name) is not node:
            continue
        hint = did_you_mean(name, scope.declared)
        if hint or scope.has_initial_state:
            message = f"the field `{name}` is not declared in `initial_state`"
            to.warning("undeclared_field", node, message, hint or f"declare it there: `{name}: null`")
