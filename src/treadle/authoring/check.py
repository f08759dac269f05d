"""Checking what a file means: names, state, steps, loops, gates; everything that can be known before anything runs (language.md §5, §8).

`names` here decides what an expression may see at its place; `flow` follows what is written on which path. Both work on the tree of
`parse`, for every step type, also those that nothing carries out yet.
"""

from collections.abc import Iterable
from collections.abc import Mapping as Map
from typing import Final

from treadle.authoring import flow, model
from treadle.authoring.kinds import Value
from treadle.authoring.nodes import Mapping, Node, Sequence
from treadle.authoring.problems import Problem, did_you_mean, listed
from treadle.authoring.reads import Read, place_of, reads_of
from treadle.authoring.scopes import Scope, Site
from treadle.authoring.tree import FileTree, StepTree, Use, walk
from treadle.core.errors import CLASSES
from treadle.core.expr.regex import regex_of
from treadle.core.expr.regex_syntax import RegexError

STEP_KEYS: Final = ("status", "result", "error", "errors", "visits")
RUN_KEYS: Final = ("id", "started_at", "now")
LOOP_KEYS: Final = ("index", "index0", "first", "last", "length")
ERROR_KEYS: Final = ("class", "message", "step")
# A file with more faults than this has other worries than their columns.
PLACES_MAX: Final = 200
_IRREVOCABLE: Final = frozenset({"send", "pay", "destroy"})


def check(tree: FileTree, tool_effects: Map[str, str] | None = None) -> None:
    """Add to a tree's problems what is wrong with its meaning. `tool_effects` are those that the configuration confirms."""
    checker = _Checker(tree, tool_effects or {})
    for task in tree.scopes():
        checker.scope(Scope(task, is_main=task is tree.main, file=tree))


class _Checker:
    def __init__(self, tree: FileTree, tool_effects: Map[str, str]) -> None:
        self.tree = tree
        self.tool_effects = tool_effects
        self.scope_ids: set[str] = set()
        self.looked_for = 0
        self.source = tree.document.source

    # Reporting

    def error(self, code: str, node: Node, message: str, suggestion: str = "") -> None:
        self.tree.problems.append(self.tree.document.problem(code, node, message, suggestion))

    def warning(self, code: str, node: Node, message: str, suggestion: str = "") -> None:
        self.tree.problems.append(
            Problem(code=code, severity="warning", file=self.source.file, line=node.line, column=node.column, path=node.path,
                    message=message, suggestion=suggestion)
        )  # fmt: skip

    def read_error(self, code: str, read: Read, use: Use, message: str, suggestion: str = "") -> None:
        self.error(code, self.place_of(read, use), message, suggestion)

    def place_of(self, read: Read, use: Use) -> Node:
        """Find where a read stands; roughly, when so many have been looked for that it would take long."""
        self.looked_for += 1
        return place_of(read, use, self.source) if self.looked_for <= PLACES_MAX else use.node

    # A scope: the file's main part, or a task

    def scope(self, scope: Scope) -> None:
        self.scope_ids = set(scope.steps)
        for use in scope.task.uses:
            self._task_use(use, scope)
        for site in scope.sites:
            self._step(site, scope)
        flow.check(scope, self)

    def _task_use(self, use: Use, scope: Scope) -> None:
        if use.key == "output":
            self._reads(use, scope, Site(step=None, chain=(), names=frozenset({"inputs", "state", "steps", "run"})))
            return
        names = frozenset({"inputs", "item", "loop", "run", "state"})
        before = scope.declared[: scope.declared.index(use.field.split(".", 1)[1])]
        for read in reads_of(use):
            if read.root == "state" and read.keys and read.keys[0] not in before:
                hint = "fields see those above them; move it up" if read.keys[0] in scope.declared else did_you_mean(read.keys[0], before)
                self.read_error("unknown_state", read, use, f"`{read}` is not there yet when `initial_state` is evaluated", hint)
            elif read.root in {"item", "loop"} and scope.is_main and not self._is_task_only(scope):
                self.read_error("item_outside_loop", read, use, f"`{read.root}` is only there when a foreach runs this as a task",
                                "declare an input and read that")  # fmt: skip
            elif read.root != "state":
                self._read(read, use, scope, Site(step=None, chain=(), names=names))

    def _is_task_only(self, scope: Scope) -> bool:
        # Without a required input nothing says that this file is no task; `item` then is what the foreach hands over.
        return not any(rule.get("required") for rule in scope.task.inputs.values())

    # A step

    def _step(self, site: Site, scope: Scope) -> None:
        step = site.step
        assert step is not None
        for use in step.uses:
            self._reads(use, scope, scope.at(site, use))
        self._needs_state(step, scope)
        self._writes(step, site, scope)
        self._effects(step)
        own = _BY_TYPE.get(step.type)
        if own is not None:
            own(self, step, site)

    # Reads

    def _reads(self, use: Use, scope: Scope, site: Site) -> None:
        for read in reads_of(use):
            self._read(read, use, scope, site)

    def _read(self, read: Read, use: Use, scope: Scope, site: Site) -> None:
        if read.root not in site.names:
            self._unseen(read, use, scope, site)
        elif read.root == "inputs":
            self._known(read, use, scope.inputs, "unknown_input", "input")
        elif read.root == "state":
            self._state(read, use, scope, site)
        elif read.root == "steps":
            self._steps(read, use, scope, site)
        elif read.root == "secrets":
            self._secret(read, use, site)
        else:
            keys = {"run": RUN_KEYS, "loop": LOOP_KEYS, "error": ERROR_KEYS}.get(read.root)
            if keys is not None and read.keys:
                self._known(read, use, list(keys), "unknown_name", f"key of `{read.root}`")

    def _known(self, read: Read, use: Use, names: list[str], code: str, what: str) -> None:
        if read.keys and read.keys[0] not in names:
            hint = did_you_mean(read.keys[0], names) or f"there are: {listed(names)}"
            self.read_error(code, read, use, f"there is no {what} `{read.keys[0]}`", hint)

    def _unseen(self, read: Read, use: Use, scope: Scope, site: Site) -> None:
        if read.root in {"item", "loop"}:
            hint = "declare an input for it and read `inputs.…`" if not scope.is_main or scope.inputs else "it stands inside a foreach"
            where = "in the steps of a task" if not scope.is_main else "here"
            self.read_error(
                "item_outside_loop",
                read,
                use,
                f"`{read.root}` is not visible {where}; it belongs to the rounds of a foreach",
                hint,
            )
        elif read.root == "error":
            self.read_error("unknown_name", read, use, "`error` is only there inside `on_error`", "read `steps.<id>.error`")
        else:
            hint = did_you_mean(read.root, site.names)
            for root, names in (("state", scope.written), ("inputs", scope.inputs), ("steps", scope.steps)):
                if read.root in names:
                    hint = f"write `{root}.{read.root}`"
                    break
            self.read_error(
                "unknown_name",
                read,
                use,
                f"there is no name `{read.root}` here",
                hint or f"there are: {listed(sorted(site.names))}",
            )

    def _state(self, read: Read, use: Use, scope: Scope, site: Site) -> None:
        if read.is_open and not read.keys:
            needs = site.step.fields.get("needs_state") if site.step is not None else None
            if isinstance(needs, list) and "*" not in needs:
                message = "any field of the state may be read here, and `needs_state` lists some"
                self.read_error("outside_needs_state", read, use, message, 'read fields by name, or write `needs_state: ["*"]`')
            return
        if read.keys and read.keys[0] not in scope.written:
            hint = did_you_mean(read.keys[0], scope.written) or f"written are: {listed(scope.written)}"
            self.read_error("unknown_state", read, use, f"`state.{read.keys[0]}` is read, and nothing ever writes it", hint)

    def _steps(self, read: Read, use: Use, scope: Scope, site: Site) -> None:
        if not read.keys:
            return
        folded = read.keys[0].replace("-", "_")
        found = scope.steps.get(folded)
        if found is None:
            other = next((s for s in self.tree.scopes() if s is not scope.task and folded in Scope.ids_of(s)), None)
            if other is not None:
                place = f"the task `{other.name}`" if other.name else "the main part"
                self.read_error(
                    "step_not_visible",
                    read,
                    use,
                    f"the step `{read.keys[0]}` is in {place}, which sees and shows nothing of this one",
                )
                return
            names = [name for name, s in scope.steps.items() if not s.step.implicit]
            self.read_error(
                "unknown_step",
                read,
                use,
                f"there is no step `{read.keys[0]}`",
                did_you_mean(folded, names) or f"steps: {listed(names)}",
            )
        elif found.step.implicit:
            self.read_error(
                "implicit_id",
                read,
                use,
                f"the step `{folded}` has no id of its own and cannot be referred to",
                "give it an id",
            )
        elif found.chain != site.chain[: len(found.chain)]:
            loop = found.chain[-1]
            self.read_error(
                "step_not_visible",
                read,
                use,
                f"the step `{read.keys[0]}` is only visible inside `{loop}`",
                f"read `steps.{loop.replace('-', '_')}.result`",
            )
        elif len(read.keys) > 1 and read.keys[1] not in STEP_KEYS:
            hint = did_you_mean(read.keys[1], STEP_KEYS) or f"write `steps.{folded}.result.{read.keys[1]}`"
            self.read_error("unknown_name", read, use, f"a step has {listed(STEP_KEYS)}, and no `{read.keys[1]}`", hint)

    def _secret(self, read: Read, use: Use, site: Site) -> None:
        listed_secrets = self.tree.fields.get("secrets")
        if not _takes_secrets(site.step, use):
            fields = "parameters, headers, json, body, env"
            self.read_error("secret_not_allowed", read, use, f"a secret may not stand in `{use.key}`", f"secrets stand in: {fields}")
        elif isinstance(listed_secrets, list) and read.keys and read.keys[0] not in listed_secrets:
            hint = did_you_mean(read.keys[0], listed_secrets) or "add it there"
            self.read_error("undeclared_secret", read, use, f"`secrets:` at the top does not name `{read.keys[0]}`", hint)
        elif site.step is not None and site.step.fields.get("performer", "server") != "server":
            message = "the step is handed to an agent, which would see the secret"
            self.read_error("secret_for_agent", read, use, message, "write `performer: server`, or let the agent's own tool hold the secret")

    # State

    def _needs_state(self, step: StepTree, scope: Scope) -> None:
        needs = step.fields.get("needs_state")
        if not isinstance(needs, list):
            return
        place = step.place("needs_state")
        items = place.items if isinstance(place, Sequence) else []
        for entry, node in zip(needs, items, strict=False):
            if entry == "*":
                self.warning(
                    "needs_all_state",
                    node,
                    f"`{step.id}` may read all of the state",
                    "list what it reads, or leave `needs_state` out",
                )
            elif entry.startswith("state."):
                self.error(
                    "bad_name",
                    node,
                    "entries of `needs_state` stand without `state.`",
                    f"write `{entry.removeprefix('state.')}`",
                )
            elif entry.split(".")[0] not in scope.written:
                self.error(
                    "unknown_state",
                    node,
                    f"nothing ever writes the field `{entry.split('.')[0]}`",
                    did_you_mean(entry.split(".")[0], scope.written),
                )
        if "*" in needs:
            return
        own: set[str] = set()
        for use in step.uses:
            for read in reads_of(use):
                if read.root == "state" and read.keys and read.keys[0] not in own and not _covered(read.keys, needs):
                    hint = f"add `{'.'.join(read.keys)}` to it" if read.keys[0] in scope.written else ""
                    message = f"`{step.id}` reads `{read}`, which its `needs_state` does not list"
                    self.read_error("outside_needs_state", read, use, message, hint)
            if use.key == "updates":
                own.add(use.field.split(".", 1)[1])

    def _writes(self, step: StepTree, site: Site, scope: Scope) -> None:
        for name, node in scope.writes_of(step):
            if site.parallel_loop:
                loop = site.parallel_loop
                message = f"rounds of `{loop}` run at once and may not write `state.{name}`"
                self.error(
                    "parallel_write",
                    node,
                    message,
                    "give the round an `output`, use a `task`, or write `sequential: true` on the foreach",
                )
            if name in scope.declared or scope.first_writer.get(name) is not node:
                continue
            hint = did_you_mean(name, scope.declared)
            if hint or scope.has_initial_state:
                self.warning(
                    "undeclared_field",
                    node,
                    f"the field `{name}` is not declared in `initial_state`",
                    hint or f"declare it there: `{name}: null`",
                )

    # Effects

    def _effects(self, step: StepTree) -> None:
        effect = effect_of(step, self.tool_effects)
        if step.fields.get("repeatable") is True and effect in _IRREVOCABLE:
            self.error(
                "not_repeatable",
                step.place("repeatable"),
                f"what has the effect `{effect}` is never repeatable",
                "use `idempotency_key` or `read_back`",
            )
        retry = step.fields.get("retry")
        if isinstance(retry, dict):
            self._retry(step, retry, effect)

    def _retry(self, step: StepTree, retry: dict[str, object], effect: str) -> None:
        place = step.place("retry")
        classes = retry.get("on")
        written = place.entries.get("on") if isinstance(place, Mapping) else None
        nodes: Iterable[Node] = written.items if isinstance(written, Sequence) else [written] if written is not None else []
        if isinstance(classes, list):
            for name, node in zip(classes, nodes, strict=False):
                hint = did_you_mean(name, CLASSES)
                if name not in CLASSES and (hint or not self._own_classes()):
                    self.error(
                        "unknown_class",
                        node,
                        f"there is no class of failure `{name}`",
                        hint or f"classes: {listed(CLASSES, most=30)}",
                    )
        safe = ["idempotency_key", "read_back"] + ([] if effect in _IRREVOCABLE else ["repeatable"])
        if (
            effect in {"write", *_IRREVOCABLE}
            and not any(step.fields.get(name) for name in safe)
            and not is_repeatable(step, self.tool_effects)
        ):
            names = ", ".join(f"`{name}`" for name in safe[:-1]) + f" or `{safe[-1]}`"
            message = f"a second try of `{step.id}`, whose effect is `{effect}`, could do it twice"
            self.error("retry_may_repeat", step.node.keys.get("retry", place), message, f"say {names}, or the true `effect`")

    def _own_classes(self) -> bool:
        return any(step.type == "fail" and "class" in step.fields for scope in self.tree.scopes() for step in Scope.steps_of(scope))

    # Types

    def prompt(self, step: StepTree, _: Site) -> None:
        form = step.fields.get("format", "text")
        if "format" in step.places and "format" not in step.fields:
            return
        wants = {
            "choice": ("options", "multiple"),
            "form": ("fields",),
            "text": ("pattern", "min_length", "max_length"),
        }
        for kind, names in wants.items():
            for name in names:
                if name in step.places and kind != form:
                    self.error(
                        "field_not_allowed",
                        step.node.keys.get(name, step.place(name)),
                        f"`{name}` belongs to `format: {kind}`, and this is `{form}`",
                        f"write `format: {kind}`, or delete `{name}`",
                    )
        needed = {"choice": "options", "form": "fields"}.get(str(form), "")
        if needed and needed not in step.places:
            self.error("missing_field", step.node, f"a prompt of format `{form}` needs `{needed}`")
        low, high = step.fields.get("min_length"), step.fields.get("max_length")
        if isinstance(low, int) and isinstance(high, int) and low > high:
            self.error("out_of_range", step.place("max_length"), f"`max_length` {high} is below `min_length` {low}")

        pattern = step.fields.get("pattern")
        if isinstance(pattern, str):
            self._pattern(pattern, step.place("pattern"))

    def _pattern(self, pattern: str, node: Node) -> None:
        try:
            regex_of(pattern, lambda _: None)
        except RegexError as error:
            self.error("bad_pattern", node, f"this is no regular expression of the language: {error}")

    def approve(self, step: StepTree, _: Site) -> None:
        by = step.fields.get("by")
        people = by if isinstance(by, dict) else {}
        users, never = people.get("user", []), people.get("never", [])
        if isinstance(users, list) and isinstance(never, list) and users and set(users) <= set(never):
            message = f"nobody can approve `{step.id}`: everybody under `user` stands under `never` too"
            self.warning(
                "impossible_gate",
                step.place("by"),
                message,
                "name somebody else; as it is, the workflow cannot be started",
            )

    def shell(self, step: StepTree, _: Site) -> None:
        node = step.place("command")
        use = next((use for use in step.uses if use.field == "command"), None)
        if use is not None and use.node is node and use.expr.reads and not _is_quoted(use):
            self.warning(
                "shell_template",
                node,
                "a value stands in a command that a shell reads: what it holds would be run as well",
                'pass it under `env` and write "$NAME", or write `| shell_quote`, or write the command as a list',
            )

    def foreach(self, step: StepTree, _: Site) -> None:
        has_task, has_do = "task" in step.places, "do" in step.places
        if not has_task and not has_do:
            self.error("missing_field", step.node, "`foreach` needs `task` or `do`: what is done with each item")
        elif has_task and has_do:
            self.error(
                "two_bodies",
                step.node.keys["do"],
                "`foreach` has either `task` or `do`; here both stand",
                "delete one of them",
            )
        for name, body, why in (
            ("inputs", "task", "steps in `do` see `item` themselves"),
            ("output", "do", "a task says its result by `return` or its own `output`"),
        ):
            if name in step.places and body not in step.places:
                self.error(
                    "field_not_allowed",
                    step.node.keys[name],
                    f"`{name}` belongs to `{body}`: {why}",
                    f"delete `{name}`",
                )
        alias = step.fields.get("as")
        if isinstance(alias, str) and alias in {"inputs", "state", "steps", "run", "loop", "error", "secrets"}:
            self.error("bad_name", step.place("as"), f"`{alias}` is a name of the language", "choose another")
        if "min_success" in step.places and step.fields.get("on_item_error") != "collect":
            self.error("field_not_allowed", step.node.keys["min_success"], "`min_success` needs `on_item_error: collect`")

    def set_state(self, step: StepTree, site: Site) -> None:
        lets = step.fields.get("let")
        node = step.place("let")
        for name, _ in lets if isinstance(lets, list) else []:
            if name in site.names or name in {"secrets", "error"}:
                at = node.keys[name] if isinstance(node, Mapping) else node
                self.error("hidden_name", at, f"`let` may not hide the name `{name}`", "choose another")

    def wait(self, step: StepTree, _: Site) -> None:
        given = [name for name in ("duration", "until", "signal") if name in step.places]
        if not given:
            self.error("missing_field", step.node, "`wait` needs `duration`, `until` or `signal`")
        for name in given[1:]:
            self.error(
                "bad_value",
                step.node.keys.get(name, step.place(name)),
                f"`wait` has one of `duration`, `until`, `signal`; here is `{given[0]}` too",
            )
        if "payload" in step.places and "signal" not in step.places:
            self.error("field_not_allowed", step.node.keys["payload"], "`payload` belongs to `signal`")

    def loop_control(self, step: StepTree, site: Site) -> None:
        if not site.chain:
            self.error("outside_loop", step.node, f"`{step.type}` stands in no loop")
        elif site.parallel_inside:
            self.error("outside_loop", step.node, f"`{step.type}` may not leave the `parallel` around it")

    def goto(self, step: StepTree, site: Site) -> None:
        target = step.fields.get("target")
        if isinstance(target, str) and target not in site.targets:
            place = step.place("target")
            if target.replace("-", "_") in self.scope_ids:
                self.error(
                    "goto_target",
                    place,
                    f"`{target}` is in a block, a round or a branch that a goto does not enter or leave",
                    f"targets from here: {listed(site.targets)}",
                )
            else:
                self.error(
                    "unknown_step",
                    place,
                    f"there is no step `{target}`",
                    did_you_mean(target, site.targets) or f"targets from here: {listed(site.targets)}",
                )

    def parallel(self, step: StepTree, _: Site) -> None:
        """No branch may write what another writes or reads: which one came first would decide (ruling 12)."""
        branches = {name.removeprefix("branches."): list(walk(below)) for name, below in step.lists.items() if name.startswith("branches.")}
        for branch, steps in branches.items():
            others = {name: found for found, below in branches.items() if found != branch for s in below for name, _ in Scope.writes_of(s)}
            own = [(name, node) for s in steps for name, node in Scope.writes_of(s)]
            for name, node in own:
                if name in others and list(branches).index(others[name]) < list(branches).index(branch):
                    self.error(
                        "parallel_conflict",
                        node,
                        f"the branches `{others[name]}` and `{branch}` both write `state.{name}`",
                        "give each a field of its own",
                    )
            written = {name for name, _ in own}
            for use in (use for s in steps for use in s.uses):
                for read in reads_of(use):
                    if read.root == "state" and read.keys and read.keys[0] in others and read.keys[0] not in written:
                        message = f"the branch `{branch}` reads `state.{read.keys[0]}`, which the branch `{others[read.keys[0]]}` writes at the same time"
                        self.read_error("parallel_conflict", read, use, message, "read it behind the `parallel`")


_BY_TYPE: Final = {
    "approve": _Checker.approve,
    "shell": _Checker.shell,
    "prompt": _Checker.prompt, "foreach": _Checker.foreach, "set_state": _Checker.set_state, "wait": _Checker.wait,
    "parallel": _Checker.parallel, "break": _Checker.loop_control, "continue": _Checker.loop_control, "goto": _Checker.goto,
}  # fmt: skip


def _is_quoted(use: Use) -> bool:
    """Tell whether every value in a command goes through `shell_quote`."""
    tree = use.expr.tree
    parts = [part for part in tree[1:] if isinstance(part, tuple)] if tree[0] in {"text", "cat"} else [tree]
    return all(part[:2] == ("filter", "shell_quote") or part[0] in {"const", "json"} for part in parts)


def effect_of(step: StepTree, tool_effects: Map[str, str]) -> str:
    """Give the effect of a step: as written, else as the configuration confirms it of a tool, else of its type (ruling 20)."""
    written = step.fields.get("effect")
    if isinstance(written, str):
        return written
    if step.type == "mcp_call":
        return tool_effects.get(str(step.fields.get("tool")), "write")
    if step.type == "http":
        return "read" if step.fields.get("method", "GET") in {"GET", "HEAD"} else "write"
    return "write" if step.type in {"delegate", "shell", "integration", "flow", "run", "merge"} else "none"


def is_repeatable(step: StepTree, tool_effects: Map[str, str]) -> bool:
    """Tell whether doing a step again at worst wastes work: as written, else of delegates alone (ruling 20)."""
    written = step.fields.get("repeatable")
    return written if isinstance(written, bool) else step.type == "delegate" and effect_of(step, tool_effects) not in _IRREVOCABLE


def _takes_secrets(step: StepTree | None, use: Use) -> bool:
    if step is None:
        return False
    spec = model.TYPES[step.type].fields.get(use.key)
    return spec is not None and isinstance(spec.kind, Value) and spec.kind.secrets


def _covered(keys: tuple[str, ...], needs: list[str]) -> bool:
    return any(keys[: len(parts)] == tuple(parts) for entry in needs for parts in (entry.split("."),))


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
