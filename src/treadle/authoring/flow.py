"""Which fields are there when a step reads them: one pass over a scope's lists, along every path at once.

A path's knowledge is what was surely written, which steps surely ran and which may have; None stands for a place that no path reaches. Where
paths meet, what is sure is what was sure on each of them. Loops are walked once, as their first round is; a goto forward adds the path that
skips, one backward adds nothing that the first visit did not know. What is wrong here is a warning: the value may be there after all.
"""

from dataclasses import dataclass, field, replace

from treadle.authoring.nodes import Node
from treadle.authoring.reads import Read, asks_for, reads_of
from treadle.authoring.reporter import Reporter
from treadle.authoring.scopes import Scope
from treadle.authoring.tree import StepTree, Use, walk


@dataclass(frozen=True, slots=True)
class Known:
    """What holds at a place: fields that were written and steps that ran on every path to it, and steps that ran on some."""

    written: frozenset[str]
    ran: frozenset[str]
    sure: frozenset[str] = frozenset()

    def after(self, step: StepTree, written: frozenset[str] = frozenset()) -> "Known":
        """Give what holds when a step has run, whatever became of it."""
        name = frozenset({step.id.replace("-", "_")})
        return Known(self.written | written, self.ran | name, self.sure | name)


def check(scope: Scope, reporter: Reporter) -> None:
    """Warn of reads that may find nothing, steps that nothing reaches, and outputs that nobody reads."""
    paths = _Walk(scope, reporter)
    start = Known(frozenset(scope.declared), frozenset())
    end = paths.steps(scope.task.steps, start)
    paths.steps(scope.task.finally_steps, Known(start.written, frozenset(scope.steps)))
    if end is None and "output" in scope.task.fields and scope.task.steps:
        message = "every path ends by `return` or `fail` before, so `output` is never evaluated"
        reporter.warning("unreachable_output", key_of(scope), message, "delete it, or the `return` at the end")
    for use in scope.task.uses:
        if use.key == "output":
            paths.reads(
                use, end or Known(frozenset(scope.written), frozenset(scope.steps), frozenset(scope.steps)), "the workflow's `output`"
            )
    _unused(scope, reporter)


@dataclass
class _Walk:
    scope: Scope
    reporter: Reporter
    skips: dict[str, list[Known]] = field(default_factory=dict[str, list[Known]])
    # The loops around the place that is looked at: what is in another loop is not visible, which is told with the name.
    chain: tuple[str, ...] = ()

    def steps(self, steps: list[StepTree], known: Known | None) -> Known | None:
        told = False
        for step in steps:
            for skip in self.skips.pop(step.id, []) if step.id else []:
                known = _meet(known, skip)
            if known is None:
                if not told:
                    self.reporter.warning(
                        "unreachable_step",
                        step.node,
                        f"nothing leads to the step `{step.id}`",
                        "move it up, or delete it",
                    )
                told = True
                # It is followed all the same, so that one mistake hides no other.
                everything = frozenset(self.scope.steps)
                self._step(step, Known(frozenset(self.scope.written), everything, everything))
                continue
            known = self._step(step, known)
        return known

    def _step(self, step: StepTree, known: Known) -> Known | None:
        own: frozenset[str] = frozenset()
        for use in step.uses:
            if use.key in {"updates", "let"} and own:
                self.reads(use, replace(known, written=known.written | own), f"`{step.id}`")
            elif not (step.type in {"foreach", "repeat"} and use.key in {"output", "until"}):
                self.reads(use, known, f"`{step.id}`")
            if use.key == "updates":
                own |= {use.field.split(".", 1)[1]}
        done = self._body(step, known)
        after = None if done is None else done.after(step, _written_by(step))
        after = self._policies(step, known, after)
        if "when" in step.places and not _is_true(step):
            after = _meet(after, known.after(step))
        return after

    def _policies(self, step: StepTree, before: Known, after: Known | None) -> Known | None:
        """Add the paths on which the step failed or was rejected."""
        failed = before.after(step)
        # Of a block that failed, some steps may have run.
        failed = replace(failed, ran=failed.ran | {below.id.replace("-", "_") for steps in step.lists.values() for below in walk(steps)})
        completed = after or before.after(step, _written_by(step))
        if step.fields.get("on_error") == "continue":
            after = _meet(after, failed)
        if "on_error" in step.lists:
            after = _meet(after, self.steps(step.lists["on_error"], failed))
        if "on_reject" in step.lists:
            after = _meet(after, self.steps(step.lists["on_reject"], failed))
        for name in ("finally", "read_back"):
            if name in step.lists:
                self.steps(step.lists[name], failed)
        if "undo" in step.lists:
            self.steps(step.lists["undo"], completed)
        return after

    def _body(self, step: StepTree, known: Known) -> Known | None:
        lists = step.lists
        match step.type:
            case "return" | "fail" | "break" | "continue":
                return None
            case "goto":
                target = step.fields.get("target")
                if not isinstance(target, str) or target.replace("-", "_") not in self.scope.steps:
                    return known
                self.skips.setdefault(target, []).append(known)
                return None
            case "condition":
                return _meet(self.steps(lists.get("then", []), known), self.steps(lists.get("else", []), known))
            case "switch":
                end = self.steps(lists.get("default", []), known)
                for name, below in lists.items():
                    end = _meet(end, self.steps(below, known)) if name.startswith("cases.") else end
                return end
            case "parallel":
                return self._parallel(step, known)
            case "foreach" | "while" | "repeat":
                return self._loop(step, known)
            case _:
                return known

    def _loop(self, step: StepTree, known: Known) -> Known:
        self.chain = (*self.chain, step.id)
        end = self.steps(step.lists.get("do", []), known)
        for use in step.uses:
            if use.key in {"output", "until"} and step.type != "while":
                self.reads(use, end or known, f"`{step.id}`")
        self.chain = self.chain[:-1]
        ran = known.ran | {below.id.replace("-", "_") for below in walk(step.lists.get("do", []))}
        if end is not None and step.type == "repeat":
            return Known(end.written, ran, end.sure)
        return replace(known, ran=ran)

    def _parallel(self, step: StepTree, known: Known) -> Known:
        ends = [self.steps(below, known) for name, below in step.lists.items() if name.startswith("branches.")]
        there = [end for end in ends if end is not None]
        ran = known.ran.union(*(end.ran for end in there))
        joins_all = step.fields.get("join", "all") == "all"
        if not joins_all:
            return replace(known, ran=ran)
        return Known(known.written.union(*(end.written for end in there)), ran, known.sure.union(*(end.sure for end in there)))

    def reads(self, use: Use, known: Known, who: str) -> None:
        for read in reads_of(use):
            if not read.keys:
                continue
            name = read.keys[0]
            if read.root == "state" and name in self.scope.written and name not in known.written:
                if not asks_for(use, read):
                    message = f"{who} reads `state.{name}`, which is not written yet on every path to it"
                    self.reporter.read_warning("maybe_unset", read, use, message, f"declare it in `initial_state`: `{name}: null`")
            elif read.root == "steps" and name in self.scope.steps and not self.scope.steps[name].step.implicit:
                self._step_read(read, use, known, who)

    def _step_read(self, read: Read, use: Use, known: Known, who: str) -> None:
        found = self.scope.steps[read.keys[0]]
        name = found.step.id
        if found.chain != self.chain[: len(found.chain)] or read.keys[0] in known.sure or asks_for(use, read):
            return
        if read.keys[0] not in known.ran:
            message = f"{who} reads the step `{name}`, which runs on no path before it"
            self.reporter.read_warning("step_not_yet", read, use, message, "move one of them")
        else:
            message = f"{who} reads the step `{name}`, which does not run on every path to it"
            self.reporter.read_warning(
                "maybe_unset", read, use, message, f"read it where it has run, or ask `steps.{read.keys[0]} is defined` first"
            )


def _meet(a: Known | None, b: Known | None) -> Known | None:
    if a is None or b is None:
        return a or b
    return Known(a.written & b.written, a.ran | b.ran, a.sure & b.sure)


def key_of(scope: Scope) -> Node:
    """Give the place of the name `output` of a scope."""
    return scope.task.node.keys.get("output", scope.task.node)


def _written_by(step: StepTree) -> frozenset[str]:
    return frozenset(name for name, _ in Scope.writes_of(step))


def _is_true(step: StepTree) -> bool:
    use = next((use for use in step.uses if use.field == "when"), None)
    return use is not None and use.expr.tree == ("const", True)


def _unused(scope: Scope, reporter: Reporter) -> None:
    read: set[str] = set()
    for use in (*scope.task.uses, *(use for site in scope.sites if site.step is not None for use in site.step.uses)):
        for found in reads_of(use):
            if found.root == "state" and found.is_open and not found.keys:
                return
            if found.root == "state" and found.keys:
                read.add(found.keys[0])
    for site in scope.sites:
        step = site.step
        if step is None or "output_to" not in step.fields or step.broken:
            continue
        name = step.fields["output_to"]
        if name not in read:
            reporter.warning(
                "unused_output",
                step.place("output_to"),
                f"nobody reads `state.{name}`, which `{step.id}` writes",
                "delete `output_to`, or return it",
            )
