"""What an expression may see at its place: names, inputs, steps, secrets (language.md §3, §4, ruling 13)."""

from collections.abc import Iterable
from typing import Final

from treadle.authoring import model
from treadle.authoring.kinds import Value
from treadle.authoring.nodes import Sequence
from treadle.authoring.problems import did_you_mean, listed
from treadle.authoring.reads import Read, reads_of
from treadle.authoring.reporter import Reporter
from treadle.authoring.scopes import Scope, Site
from treadle.authoring.tree import StepTree, Use

STEP_KEYS: Final = ("status", "result", "error", "errors", "visits", "worktree")
RUN_KEYS: Final = ("id", "started_at", "now")
LOOP_KEYS: Final = ("index", "index0", "first", "last", "length")
ERROR_KEYS: Final = ("class", "message", "step")
WORKTREE_KEYS: Final = ("path", "base", "ref")
_KEYS: Final = {"run": RUN_KEYS, "loop": LOOP_KEYS, "error": ERROR_KEYS, "worktree": WORKTREE_KEYS}
_OF_OUTPUT: Final = frozenset({"inputs", "state", "steps", "run"})
_OF_INITIAL_STATE: Final = frozenset({"inputs", "item", "loop", "run", "state"})


def check_step(site: Site, scope: Scope, to: Reporter) -> None:
    """Check what the fields of a step read."""
    assert site.step is not None
    for use in site.step.uses:
        seen = scope.at(site, use)
        for read in reads_of(use):
            _read(read, use, scope, seen, to)


def check_task(scope: Scope, to: Reporter) -> None:
    """Check what a task's `initial_state` and `output` read."""
    for use in scope.task.uses:
        if use.key == "output":
            site = Site(step=None, chain=(), names=_OF_OUTPUT)
            for read in reads_of(use):
                _read(read, use, scope, site, to)
        else:
            _initial(use, scope, to)


def _initial(use: Use, scope: Scope, to: Reporter) -> None:
    before = scope.declared[: scope.declared.index(use.field.split(".", 1)[1])]
    for read in reads_of(use):
        if read.root == "state" and read.keys and read.keys[0] not in before:
            hint = "fields see those above them; move it up" if read.keys[0] in scope.declared else did_you_mean(read.keys[0], before)
            to.read_error("unknown_state", read, use, f"`{read}` is not there yet when `initial_state` is evaluated", hint)
        elif read.root in {"item", "loop"} and scope.is_main and any(rule.get("required") for rule in scope.task.inputs.values()):
            # Without a required input nothing says that this file is no task; `item` then is what the foreach hands over.
            message = f"`{read.root}` is only there when a foreach runs this as a task"
            to.read_error("item_outside_loop", read, use, message, "declare an input and read that")
        elif read.root != "state":
            _read(read, use, scope, Site(step=None, chain=(), names=_OF_INITIAL_STATE), to)


def _read(read: Read, use: Use, scope: Scope, site: Site, to: Reporter) -> None:
    if read.root not in site.names:
        _unseen(read, use, scope, site, to)
    elif read.root == "inputs":
        _known(read, use, scope.inputs, "unknown_input", "input", to)
    elif read.root == "state":
        _state(read, use, scope, site, to)
    elif read.root == "steps":
        _steps(read, use, scope, site, to)
    elif read.root == "secrets":
        _secret(read, use, site, to)
    elif read.root in _KEYS:
        _known(read, use, _KEYS[read.root], "unknown_name", f"key of `{read.root}`", to)


def _known(read: Read, use: Use, names: Iterable[str], code: str, what: str, to: Reporter) -> None:
    if read.keys and read.keys[0] not in names:
        hint = did_you_mean(read.keys[0], names) or f"there are: {listed(names)}"
        to.read_error(code, read, use, f"there is no {what} `{read.keys[0]}`", hint)


def _unseen(read: Read, use: Use, scope: Scope, site: Site, to: Reporter) -> None:
    if read.root in {"item", "loop"}:
        hint = "declare an input for it and read `inputs.…`" if not scope.is_main or scope.inputs else "it stands inside a foreach"
        where = "in the steps of a task" if not scope.is_main else "here"
        message = f"`{read.root}` is not visible {where}; it belongs to the rounds of a foreach"
        to.read_error("item_outside_loop", read, use, message, hint)
    elif read.root == "worktree":
        hint = "write `isolation: worktree` on a step around it; a task gets it by an input: `inputs: {dir: '{{ worktree.path }}'}`"
        to.read_error("unknown_name", read, use, "`worktree` is only there inside of one", hint)
    elif read.root == "error":
        to.read_error("unknown_name", read, use, "`error` is only there inside `on_error`", "read `steps.<id>.error`")
    elif read.root == "result" and use.key == "verify":
        message = "there is no `result` yet: the path of a file is read when the step opens"
        to.read_error("unknown_name", read, use, message, "check the file by `shell`, where `result` can be read")
    elif read.root == "secrets":
        _secret(read, use, site, to)
    else:
        hint = did_you_mean(read.root, site.names)
        for root, names in (("state", scope.written), ("inputs", scope.inputs), ("steps", scope.steps)):
            if read.root in names and root in site.names:
                hint = f"write `{root}.{read.root}`"
                break
        message = f"there is no name `{read.root}` here"
        if read.root == "steps":
            message = "no step has run yet when `initial_state` is evaluated"
            hint = "write the field by `output_to` or `set_state`, later"
        to.read_error("unknown_name", read, use, message, hint or f"there are: {listed(sorted(site.names))}")


def _state(read: Read, use: Use, scope: Scope, site: Site, to: Reporter) -> None:
    if read.is_open and not read.keys:
        needs = site.step.fields.get("needs_state") if site.step is not None else None
        if isinstance(needs, list) and "*" not in needs:
            message = "any field of the state may be read here, and `needs_state` lists some"
            to.read_error("outside_needs_state", read, use, message, 'read fields by name, or write `needs_state: ["*"]`')
    elif read.keys and read.keys[0] not in scope.written:
        name = read.keys[0]
        hint = did_you_mean(name, scope.written) or _other_state(name, scope, to) or f"written are: {listed(scope.written)}"
        to.read_error("unknown_state", read, use, f"`state.{name}` is read, and nothing ever writes it", hint)


def _other_state(name: str, scope: Scope, to: Reporter) -> str:
    """Say that a field is there in another task, which has a state of its own (ruling 13)."""
    other = next(
        (s for s in to.tree.scopes() if s is not scope.task and name in Scope(s, is_main=s is to.tree.main, file=to.tree).written), None
    )
    if other is None:
        return ""
    if other is to.tree.main:
        return f"the main part has it, and a task has a state of its own: declare an input `{name}` and pass it by `inputs`"
    return f"the task `{other.name}` has it, and each has a state of its own: let it `return` what is wanted"


def _steps(read: Read, use: Use, scope: Scope, site: Site, to: Reporter) -> None:
    if not read.keys:
        return
    written = read.keys[0]
    folded = written.replace("-", "_")
    found = scope.steps.get(folded)
    if found is None:
        _no_step(read, use, scope, to)
    elif found.step.implicit:
        to.read_error("implicit_id", read, use, f"the step `{folded}` has no id of its own and cannot be referred to", "give it an id")
    elif found.chain != site.chain[: len(found.chain)]:
        loop = next(own for depth, own in enumerate(found.chain) if site.chain[depth : depth + 1] != (own,))
        message = f"the step `{written}` is only visible inside `{loop}`"
        to.read_error("step_not_visible", read, use, message, f"read `steps.{loop.replace('-', '_')}.result`")
    elif len(read.keys) > 1 and read.keys[1] not in STEP_KEYS:
        hint = did_you_mean(read.keys[1], STEP_KEYS) or f"write `steps.{folded}.result.{read.keys[1]}`"
        to.read_error("unknown_name", read, use, f"a step has {listed(STEP_KEYS)}, and no `{read.keys[1]}`", hint)
    elif read.keys[1:2] == ("worktree",) and found.step.fields.get("isolation") != "worktree" and found.step.type:
        to.read_error("not_a_worktree", read, use, f"`{written}` has no worktree of its own", f"write `isolation: worktree` on `{written}`")


def _no_step(read: Read, use: Use, scope: Scope, to: Reporter) -> None:
    folded = read.keys[0].replace("-", "_")
    other = next((s for s in to.tree.scopes() if s is not scope.task and folded in Scope.ids_of(s)), None)
    if other is not None:
        place = f"the task `{other.name}`" if other.name else "the main part"
        message = f"the step `{read.keys[0]}` is in {place}, which sees and shows nothing of this one"
        to.read_error("step_not_visible", read, use, message, "pass values by `inputs`, and take them back by `return`")
        return
    names = [name for name, s in scope.steps.items() if not s.step.implicit]
    hint = did_you_mean(folded, names) or f"steps: {listed(names)}"
    to.read_error("unknown_step", read, use, f"there is no step `{read.keys[0]}`", hint)


def _secret(read: Read, use: Use, site: Site, to: Reporter) -> None:
    named = to.tree.fields.get("secrets")
    if not _takes_secrets(site.step, use):
        fields = "parameters, headers, json, body, env"
        to.read_error("secret_not_allowed", read, use, f"a secret may not stand in `{use.key}`", f"secrets stand in: {fields}")
    elif isinstance(named, list) and read.keys and read.keys[0] not in named:
        hint = did_you_mean(read.keys[0], named) or "add it there"
        to.read_error("undeclared_secret", read, use, f"`secrets:` at the top does not name `{read.keys[0]}`", hint)
    elif site.step is not None and site.step.fields.get("performer", "server") != "server":
        message = "the step is handed to an agent, which would see the secret"
        to.read_error("secret_for_agent", read, use, message, "write `performer: server`, or let the agent's own tool hold the secret")


def check_secrets(to: Reporter) -> None:
    """Warn of secrets that `secrets:` names and nothing uses."""
    node = to.tree.places.get("secrets")
    named = to.tree.fields.get("secrets")
    if not isinstance(node, Sequence) or not isinstance(named, list):
        return
    steps = [step for task in to.tree.scopes() for step in Scope.steps_of(task)]
    used = {read.keys[:1] for step in steps for use in step.uses for read in reads_of(use) if read.root == "secrets"}
    # One that is used and not named may be the one that is meant.
    if used - {(name,) for name in named} or any(step.broken for step in steps):
        return
    for name, item in zip(named, node.items, strict=False):
        if (name,) not in used:
            to.warning("unused_secret", item, f"nothing uses the secret `{name}`", "delete it here, or read `secrets." + str(name) + "`")


def _takes_secrets(step: StepTree | None, use: Use) -> bool:
    spec = model.TYPES[step.type].fields.get(use.key) if step is not None else None
    return spec is not None and isinstance(spec.kind, Value) and spec.kind.secrets
