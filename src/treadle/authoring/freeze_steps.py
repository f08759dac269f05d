"""A checked step to a Step of the core: what every step may say, and one small function for each type."""

from collections.abc import Callable
from collections.abc import Mapping as Map
from typing import Any, Final, cast

from treadle.authoring.check import effect_of, inferred_reads, is_repeatable
from treadle.authoring.tree import StepTree
from treadle.core.definition import (
    Approve,
    Break,
    Budget,
    By,
    Cache,
    Check,
    Condition,
    Continue,
    Delegate,
    Effect,
    Fail,
    FileCheck,
    Foreach,
    Function,
    Goto,
    Http,
    McpCall,
    Merge,
    OnError,
    Parallel,
    Performer,
    Prompt,
    Repeat,
    Requires,
    Retry,
    Return,
    Run,
    SetState,
    Shell,
    Spec,
    Step,
    Switch,
    Wait,
    While,
)  # fmt: skip
from treadle.core.errors import RETRY_DEFAULT
from treadle.core.expr import Call, Expr, Node, Tree, const
from treadle.functions import FunctionInfo

_PERFORMERS: Final[dict[str, Performer]] = {"prompt": "human", "approve": "human", "delegate": "agent"}
Fields = dict[str, Any]


class StepFreezer:
    """Freezes the steps of one task. `key_of` says which task or child a step names, `functions` what a `function` step may call."""

    def __init__(
        self, key_of: Callable[[StepTree], str], effects: Map[str, str], functions: Map[str, FunctionInfo], items_max: int = 10_000
    ) -> None:
        """Keep what steps refer to; `items_max` is the file's own limit of a foreach."""
        self.key_of, self.effects, self.functions, self.items_max = key_of, effects, functions, items_max

    def steps(self, steps: list[StepTree]) -> tuple[Step, ...]:
        """Freeze a list."""
        return tuple(self.step(step) for step in steps)

    def below(self, step: StepTree, name: str) -> tuple[Step, ...]:
        """Freeze one of a step's lists; an absent one is empty."""
        return self.steps(step.lists.get(name, []))

    def named(self, step: StepTree, name: str) -> dict[str, tuple[Step, ...]]:
        """Freeze the lists of a map such as `cases`."""
        prefix = f"{name}."
        return {key.removeprefix(prefix): self.steps(steps) for key, steps in step.lists.items() if key.startswith(prefix)}

    def step(self, step: StepTree) -> Step:
        """Freeze one step."""
        fields: Fields = step.fields
        needs = fields.get("needs_state")
        return Step(
            id=step.id,
            spec=_SPECS[step.type](self, step, fields),
            description=fields.get("description", ""),
            when=fields.get("when"),
            needs_state=tuple(needs) if needs is not None else inferred_reads(step),
            output_to=fields.get("output_to"),
            timeout_ms=fields.get("timeout"),
            within_ms=fields.get("within"),
            retry=_retry(fields.get("retry")),
            on_error=self._on_error(step),
            effect=cast(Effect, effect_of(step, self.effects)),
            repeatable=is_repeatable(step, self.effects),
            performer=fields.get("performer", _PERFORMERS.get(step.type, "server")),
            repair=fields.get("repair", 2),
            key=_key(fields),
            requires=_requires(fields.get("requires")),
            verify=tuple(map(_check, fields.get("verify", ()))),
            cache=_cache(fields.get("cache")),
            budget=budget(fields.get("budget")),
            isolation=fields.get("isolation") == "worktree",
            final_steps=self.below(step, "finally"),
            undo=self.below(step, "undo"),
            read_back=self.below(step, "read_back"),
        )

    def _on_error(self, step: StepTree) -> OnError:
        written = step.fields.get("on_error")
        if written == "continue":
            return OnError(policy="continue")
        if isinstance(written, dict):
            if "do" in written:
                return OnError(policy="do", steps=self.below(step, "on_error"))
            return OnError(policy="fallback", fallback=written["fallback"])
        return OnError()


# What every step may say


def _retry(written: Fields | None) -> Retry | None:
    if written is None:
        return None
    found = Retry(attempts=written["attempts"], on=tuple(written.get("on", RETRY_DEFAULT)))
    backoff_ms = written.get("backoff", found.backoff_ms)
    return Retry(
        attempts=found.attempts, on=found.on, backoff_ms=backoff_ms,
        max_backoff_ms=max(backoff_ms, written.get("max_backoff", max(found.max_backoff_ms, backoff_ms))),
    )  # fmt: skip


def budget(written: object) -> Budget | None:
    """Freeze a budget."""
    if not isinstance(written, dict):
        return None
    given = cast(Fields, written)
    return Budget(
        calls=given.get("calls", 0), tokens=given.get("tokens", 0), usd=given.get("usd", ""), wall_ms=given.get("wall", 0),
        on_exceed=given.get("on_exceed", "stop"),
    )  # fmt: skip


def _cache(written: object) -> Cache | None:
    if isinstance(written, dict):
        given = cast(Fields, written)
        return Cache(ttl_ms=given.get("ttl", 0), commit=given.get("commit", False))
    return Cache() if written is True else None


def _key(fields: Fields) -> Expr | None:
    return fields.get("idempotency_key")


def _by(written: Fields | None) -> By:
    given = written or {}
    either = cast(list[dict[str, str]], given.get("any_of", []))
    return By(
        users=(*given.get("user", ()), *(each["user"] for each in either if "user" in each)),
        roles=(*given.get("role", ()), *(each["role"] for each in either if "role" in each)),
        never=tuple(given.get("never", ())), distinct_from=tuple(given.get("distinct_from", ())), count=given.get("count", 1),
    )  # fmt: skip


def _requires(written: object) -> Requires | None:
    if isinstance(written, dict):
        given = cast(Fields, written)
        return Requires(by=_by(given["by"]), assurance=given.get("assurance", "local"), within_ms=given.get("within"))
    return Requires(gates=tuple(cast(list[str], written))) if isinstance(written, list) else None


def _check(written: Fields) -> Check:
    files = tuple(
        FileCheck(path=each)
        if isinstance(each, Expr)
        else FileCheck(path=each["path"], changed=each.get("changed", False), sha256=each.get("sha256", ""))
        for each in written.get("files", ())
    )
    shell = written.get("shell")
    return Check(
        shell=_as_list(shell) if isinstance(shell, list) else shell, files=files, schema=written.get("schema"),
        expression=written.get("expression"), message=written.get("message"),
    )  # fmt: skip


def _as_list(exprs: list[Expr]) -> Expr:
    """Make one expression of several: their list. Calls are numbered through."""
    calls: list[Call] = []
    trees: list[Node] = []
    for expr in exprs:
        first = len(calls)
        calls += [
            Call(
                function=call.function, version=call.version, args=tuple(_moved(arg, first) for arg in call.args),
                kwargs=tuple((name, _moved(arg, first)) for name, arg in call.kwargs),
            )
            for call in expr.calls
        ]  # fmt: skip
        trees.append(_moved(expr.tree, first))
    return Expr(("list", *trees), tuple(calls))


def _moved(tree: Node, first: int) -> Node:
    if tree and tree[0] == "call" and isinstance(tree[1], int):
        return ("call", tree[1] + first)
    return tuple(_moved_part(part, first) for part in tree)


def _moved_part(part: Tree, first: int) -> Tree:
    return _moved(part, first) if isinstance(part, tuple) else part


# One function for each type


def _prompt(_: StepFreezer, _step: StepTree, fields: Fields) -> Spec:
    names = ("format", "options", "multiple", "fields", "default", "pattern", "min_length", "max_length")
    return Prompt(message=fields["message"], **_some(fields, names))


def _approve(freezer: StepFreezer, step: StepTree, fields: Fields) -> Spec:
    written = fields.get("on_reject", "fail")
    return Approve(
        show=fields["show"],
        by=_by(fields.get("by")),
        assurance=fields.get("assurance", "local"),
        on_reject="do" if isinstance(written, dict) else written,
        reject_steps=freezer.below(step, "on_reject"),
    )


def _delegate(_: StepFreezer, _step: StepTree, fields: Fields) -> Spec:
    return Delegate(instructions=fields["instructions"], agent=fields.get("agent"), output=fields.get("output"))


def _mcp_call(_: StepFreezer, _step: StepTree, fields: Fields) -> Spec:
    return McpCall(tool=fields["tool"], parameters=fields.get("parameters", const({})))


def _http(_: StepFreezer, _step: StepTree, fields: Fields) -> Spec:
    return Http(
        url=fields["url"], ok_status=tuple(fields.get("ok_status", ())), **_some(fields, ("method", "headers", "query", "json", "body"))
    )


def _shell(_: StepFreezer, _step: StepTree, fields: Fields) -> Spec:
    command = fields["command"]
    return Shell(
        command=_as_list(command) if isinstance(command, list) else command, ok_exit=tuple(fields.get("ok_exit", (0,))),
        **_some(fields, ("env", "working_dir", "parse")),
    )  # fmt: skip


def _function(freezer: StepFreezer, _step: StepTree, fields: Fields) -> Spec:
    name = cast(str, fields["function"])
    version = freezer.functions[name].version if name in freezer.functions else ""
    return Function(function=name, version=version, parameters=fields.get("parameters", const({})))


def _run(freezer: StepFreezer, step: StepTree, fields: Fields) -> Spec:
    return Run(workflow=freezer.key_of(step), inputs=tuple(fields.get("inputs", ())), **_some(fields, ("close_policy", "detach")))


def _merge(_: StepFreezer, _step: StepTree, fields: Fields) -> Spec:
    return Merge(source=fields["from"], **_some(fields, ("strategy",)))


def _set_state(_: StepFreezer, _step: StepTree, fields: Fields) -> Spec:
    return SetState(updates=tuple(fields["updates"]), let=tuple(fields.get("let", ())))


def _condition(freezer: StepFreezer, step: StepTree, fields: Fields) -> Spec:
    return Condition(test=fields["if"], then=freezer.below(step, "then"), otherwise=freezer.below(step, "else"))


def _switch(freezer: StepFreezer, step: StepTree, fields: Fields) -> Spec:
    return Switch(value=fields["value"], cases=freezer.named(step, "cases"), default=freezer.below(step, "default"))


def _parallel(freezer: StepFreezer, step: StepTree, fields: Fields) -> Spec:
    join = fields.get("join", "all")
    return Parallel(branches=freezer.named(step, "branches"), need=join if isinstance(join, int) else int(join == "any"))


def _while(freezer: StepFreezer, step: StepTree, fields: Fields) -> Spec:
    return While(
        condition=fields["condition"], do=freezer.below(step, "do"), max_iterations=fields["max_iterations"], **_some(fields, ("on_limit",))
    )


def _repeat(freezer: StepFreezer, step: StepTree, fields: Fields) -> Spec:
    return Repeat(
        until=fields["until"], do=freezer.below(step, "do"), max_iterations=fields["max_iterations"], **_some(fields, ("on_limit",))
    )


def _foreach(freezer: StepFreezer, step: StepTree, fields: Fields) -> Spec:
    least = fields.get("min_success", 0)
    return Foreach(
        items=fields["items"],
        task=freezer.key_of(step) if "task" in fields else None,
        do=freezer.below(step, "do"),
        inputs=tuple(fields["inputs"]) if "inputs" in fields else None,
        item_name=fields.get("as"),
        items_max=freezer.items_max,
        min_success=least if isinstance(least, int) else 0,
        min_success_percent=int(least.rstrip("%")) if isinstance(least, str) else 0,
        **_some(fields, ("agent", "max_parallel", "sequential", "on_item_error", "output")),
    )


def _goto(_: StepFreezer, _step: StepTree, fields: Fields) -> Spec:
    return Goto(target=fields["target"], max_visits=fields["max_visits"])


def _wait(_: StepFreezer, _step: StepTree, fields: Fields) -> Spec:
    return Wait(duration_ms=fields.get("duration"), until=fields.get("until"), signal=fields.get("signal"), payload=fields.get("payload"))


def _return(_: StepFreezer, _step: StepTree, fields: Fields) -> Spec:
    return Return(value=fields["value"])


def _fail(_: StepFreezer, _step: StepTree, fields: Fields) -> Spec:
    return Fail(message=fields["message"], error_class=fields.get("class", "failed"), status=fields.get("status", "failed"))


def _break(_: StepFreezer, _step: StepTree, _fields: Fields) -> Spec:
    return Break()


def _continue(_: StepFreezer, _step: StepTree, _fields: Fields) -> Spec:
    return Continue()


def _some(fields: Fields, names: tuple[str, ...]) -> Fields:
    return {name: fields[name] for name in names if name in fields}


_SPECS: Final[dict[str, Callable[[StepFreezer, StepTree, Fields], Spec]]] = {
    "prompt": _prompt, "approve": _approve, "delegate": _delegate, "mcp_call": _mcp_call, "http": _http, "shell": _shell,
    "function": _function, "run": _run, "merge": _merge, "set_state": _set_state, "condition": _condition, "switch": _switch, "parallel": _parallel,
    "while": _while, "repeat": _repeat, "foreach": _foreach, "break": _break, "continue": _continue, "goto": _goto, "wait": _wait,
    "return": _return, "fail": _fail,
}  # fmt: skip
