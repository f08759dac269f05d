"""Which fields are there when a step reads them: one pass over a scope's lists, along every path at once.

A path's knowledge is what was surely written and which steps may have run before; None stands for a place that no path reaches. Where paths
meet, what is sure is what was sure on each of them. Loops are walked once, as their first round is; a goto forward adds the path that
skips, one backward adds nothing that the first visit did not know. What is wrong here is a warning: the value may be there after all.
"""

from dataclasses import dataclass, field
from treadle.authoring.reads import Read, reads_of
from treadle.authoring.reporter import Reporter
from treadle.authoring.scopes import Scope
from treadle.authoring.tree import StepTree, Use


@dataclass(frozen=True, slots=True)
class Known:
    """What holds at a place: fields that were written on every path to it, and steps that ran on some."""

    written: frozenset[str]
    ran: frozenset[str]


def check(scope: Scope, reporter: Reporter) -> None:
    """Warn of reads that may find nothing, steps that nothing reaches, and outputs that nobody reads."""
    walk = _Walk(scope, reporter)
    start = Known(frozenset(scope.declared), frozenset())
    end = walk.steps(scope.task.steps, start)
    walk.steps(scope.task.finally_steps, Known(start.written, frozenset(scope.steps)))
    for use in scope.task.uses:
        if use.key == "output":
            walk.reads(use, end or start, "the workflow's `output`")
    _unused(scope, reporter)


@dataclass
class _Walk:
    scope: Scope
    reporter: Reporter
    skips: dict[str, list[Known]] = field(default_factory=dict[str, list[Known]])

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
                self._step(step, Known(frozenset(self.scope.written), frozenset(self.scope.steps)))
                continue
            known = self._step(step, known)
        return known

    def _step(self, step: StepTree, known: Known) -> Known | None:
        own: frozenset[str] = frozenset()
        for use in step.uses:
            if use.key in {"updates", "let"} and own:
                self.reads(use, Known(known.written | own, known.ran), f"`{step.id}`")
            elif not (step.type in {"foreach", "repeat"} and use.key in {"output", "until"}):
                self.reads(use, known, f"`{step.id}`")
            if use.key == "updates":
                own |= {use.field.split(".", 1)[1]}
        done = self._body(step, known)
        after = None if done is None else Known(done.written | _written_by(step), done.ran | {step.id.replace("-", "_")})
        after = self._policies(step, known, after)
        if "when" in step.places and not _is_true(step):
            after = _meet(after, Known(known.written, known.ran | {step.id.replace("-", "_")}))
        return after

    def _policies(self, step: StepTree, before: Known, after: Known | None) -> Known | None:
        """Add the paths on which the step failed or was rejected."""
        failed = Known(before.written, before.ran | {step.id.replace("-", "_")})
        if step.fields.get("on_error") == "continue":
            after = _meet(after, failed)
        if "on_error" in step.lists:
            after = _meet(after, self.steps(step.lists["on_error"], failed))
        if "on_reject" in step.lists:
            after = _meet(after, self.steps(step.lists["on_reject"], failed))
        for name in ("finally", "undo", "read_back"):
            if name in step.lists:
                self.steps(step.lists[name], failed)
        return after

    def _body(self, step: StepTree, known: Known) -> Known | None:
        lists = step.lists
        match step.type:
            case "return" | "fail" | "break" | "continue":
                return None
            case "goto":
                target = step.fields.get("target")
                if isinstance(target, str):
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
        end = self.steps(step.lists.get("do", []), known)
        for use in step.uses:
            if use.key in {"output", "until"} and step.type != "while":
                self.reads(use, end or known, f"`{step.id}`")
        ran = known.ran | (end.ran if end is not None else frozenset())
        sure = end.written if end is not None and step.type == "repeat" else known.written
        return Known(sure, ran)

    def _parallel(self, step: StepTree, known: Known) -> Known:
        ends = [self.steps(below, known) for name, below in step.lists.items() if name.startswith("branches.")]
        there = [end for end in ends if end is not None]
        ran = known.ran.union(*(end.ran for end in there))
        joins_all = step.fields.get("join", "all") == "all"
        return Known(known.written.union(*(end.written for end in there)) if joins_all else known.written, ran)

    def reads(self, use: Use, known: Known, who: str) -> None:
        for read in reads_of(use):
            if read.root == "state" and read.keys and read.keys[0] in self.scope.written and read.keys[0] not in known.written:
                message = f"{who} reads `state.{read.keys[0]}`, which is not written yet on every path to it"
                self._warn("maybe_unset", read, use, message, f"declare it in `initial_state`: `{read.keys[0]}: null`")
            elif read.root == "steps" and read.keys:
                name = read.keys[0].replace("-", "_")
                if name in self.scope.steps and name not in known.ran and not self.scope.steps[name].step.implicit:
                    self._warn(
                        "step_not_yet",
                        read,
                        use,
                        f"{who} reads the step `{read.keys[0]}`, which runs on no path before it",
                    )

    def _warn(self, code: str, read: Read, use: Use, message: str, suggestion: str = "") -> None:
        self.reporter.warning(code, self.reporter.place_of(read, use), message, suggestion)


def _meet(a: Known | None, b: Known | None) -> Known | None:
    if a is None or b is None:
        return a or b
    return Known(a.written & b.written, a.ran | b.ran)


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
