"""What goes together within one step: each type's own fields, and the fields that all have (language.md §1, §2, §9)."""

import re
from collections.abc import Callable
from typing import Final, cast

from treadle.authoring.constants import UNKNOWN, entry_node, field_value, item_nodes, key_node, use_of
from treadle.authoring.nodes import Mapping, Node
from treadle.authoring.problems import did_you_mean, listed
from treadle.authoring.reporter import Reporter
from treadle.authoring.scopes import Scope, Site
from treadle.authoring.tree import StepTree, Use
from treadle.core.regex.matching import regex_of
from treadle.core.regex.syntax import RegexError
from treadle.core.schema import check
from treadle.core.schema_expected import expected_answer
from treadle.core.values import Value, encode

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_FORMAT_FIELDS: Final = {
    "options": ("choice",), "multiple": ("choice",), "fields": ("form",), "pattern": ("text",), "min_length": ("text",),
    "max_length": ("text",), "default": ("text", "confirm", "choice", "form"),
}  # fmt: skip


def check_step(site: Site, scope: Scope, to: Reporter) -> None:
    """Check a step's own fields."""
    step = site.step
    assert step is not None
    _common(step, to)
    own = _BY_TYPE.get(step.type)
    if own is not None:
        own(step, site, scope, to)


def _common(step: StepTree, to: Reporter) -> None:
    timeout, within = step.fields.get("timeout"), step.fields.get("within")
    if isinstance(timeout, int) and isinstance(within, int) and timeout > within:
        message = "`timeout` bounds an attempt and is longer than `within`, which bounds all of them"
        to.warning("no_effect", step.place("timeout"), message, "make it shorter, or delete it")
    retry = step.fields.get("retry")
    place = step.place("retry")
    if isinstance(retry, dict):
        found = cast("dict[str, int]", retry)
        if found["attempts"] == 1:
            to.warning(
                "no_effect",
                entry_node(place, "attempts"),
                "one attempt is what there is without `retry`",
                "`attempts` is the total: write 2 or more",
            )
        if found.get("max_backoff", found.get("backoff", 0)) < found.get("backoff", 0):
            to.error(
                "out_of_range", entry_node(place, "max_backoff"), "`max_backoff` is shorter than `backoff`", "make it at least as long"
            )
    tools = step.fields.get("tools")
    if isinstance(tools, dict):
        both = cast("dict[str, list[str]]", tools)
        for name in both.get("allow", []):
            if name in both.get("deny", []):
                to.error("bad_value", entry_node(step.place("tools"), "deny"), f"`{name}` is both allowed and denied", "keep one of them")


def _prompt(step: StepTree, _: Site, __: Scope, to: Reporter) -> None:
    if "format" in step.places and "format" not in step.fields:
        return
    form = str(step.fields.get("format", "text"))
    for name, formats in _FORMAT_FIELDS.items():
        if name in step.places and form not in formats:
            message = f"`{name}` belongs to `format: {formats[0]}`, and this is `{form}`"
            to.error("field_not_allowed", key_node(step, name), message, f"write `format: {formats[0]}`, or delete `{name}`")
    needed = {"choice": "options", "form": "fields"}.get(form, "")
    if needed and needed not in step.places:
        to.error("missing_field", step.node, f"a prompt of format `{form}` needs `{needed}`", f"write `{needed}`")
    low, high = step.fields.get("min_length"), step.fields.get("max_length")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        to.error("out_of_range", step.place("max_length"), f"`max_length` {high} is below `min_length` {low}", "swap them")
        return
    pattern = step.fields.get("pattern")
    if isinstance(pattern, str) and not _is_pattern(pattern, step.place("pattern"), to):
        return
    _options(step, to)
    _default(step, form, to)


def _is_pattern(pattern: str, node: Node, to: Reporter) -> bool:
    try:
        regex_of(pattern, lambda _: None)
    except RegexError as error:
        to.error("bad_pattern", node, f"this is no regular expression of the language: {error}", "the syntax is in the language reference")
        return False
    return True


def _options(step: StepTree, to: Reporter) -> None:
    options = field_value(step, "options")
    if not isinstance(options, list):
        return
    if not options:
        to.error("wrong_type", step.place("options"), "`options` is empty, so nothing can be chosen", "name at least one")
    seen: set[str] = set()
    for option, node in zip(options, item_nodes(step.place("options")), strict=False):
        if encode(option) in seen:
            to.error("bad_value", node, "the option stands twice", "delete one of them")
        seen.add(encode(option))


def _default(step: StepTree, form: str, to: Reporter) -> None:
    default = field_value(step, "default")
    if default is UNKNOWN or default is None or form == "info":
        return
    params: dict[str, object] = {"format": form}
    for name in ("options", "multiple", "fields", "pattern", "min_length", "max_length"):
        if name in step.places:
            value = field_value(step, name) if name == "options" else step.fields.get(name)
            if value is UNKNOWN or value is None:
                return
            params[name] = value
    if form == "confirm" and isinstance(default, bool):
        return
    for fault in check(expected_answer("prompt", cast("dict[str, Value]", params)), cast(Value, default)):
        to.error(
            "bad_default", step.place("default"), f"the default is no answer that could be given: {fault.message}", "offer one that fits"
        )
        return


def _shell(step: StepTree, _: Site, __: Scope, to: Reporter) -> None:
    node, use = step.place("command"), use_of(step, "command")
    if use is not None and use.node is node:
        if use.expr.reads and not _is_quoted(use):
            message = "a value stands in a command that a shell reads: what it holds would be run as well"
            hint = 'pass it under `env` and write "$NAME", or write `| shell_quote`, or write the command as a list'
            to.warning("shell_template", node, message, hint)
        elif str(field_value(step, "command")).strip() == "":
            to.error("bad_value", node, "`command` is empty", "write what is to be run")
    env = step.place("env")
    for name, at in env.keys.items() if isinstance(env, Mapping) else ():
        if not _VARIABLE.match(name):
            to.error("bad_name", at, f"`{name}` is no name of an environment variable", "letters, digits and `_`")
    folder = field_value(step, "working_dir")
    if isinstance(folder, str) and (folder.startswith(("/", "~")) or ".." in re.split(r"[/\\]", folder)):
        to.error(
            "bad_value",
            step.place("working_dir"),
            "`working_dir` is a folder below the project",
            "write it from the project's root, such as `services/api`",
        )


def _is_quoted(use: Use) -> bool:
    """Tell whether every value in a command goes through `shell_quote`."""
    tree = use.expr.tree
    parts = [part for part in tree[1:] if isinstance(part, tuple)] if tree[0] in {"text", "cat"} else [tree]
    return all(part[:2] == ("filter", "shell_quote") or part[0] in {"const", "json"} for part in parts)


def _http(step: StepTree, _: Site, __: Scope, to: Reporter) -> None:
    url = field_value(step, "url")
    if isinstance(url, str) and not re.match(r"https?://[^/\s]+", url):
        to.error(
            "bad_value",
            step.place("url"),
            "`url` begins with http:// or https:// and a host",
            "write it whole, such as https://example.org/page",
        )
    if "json" in step.places and "body" in step.places:
        to.error("bad_value", key_node(step, "body"), "a request has one body; here are `json` and `body`", "delete one of them")
    method = step.fields.get("method", "GET" if "method" not in step.places else None)
    for name in ("json", "body"):
        if name in step.places and method in {"GET", "HEAD"}:
            to.warning(
                "no_effect",
                key_node(step, name),
                f"servers do not look at the body of a `{method}`",
                "write `method: POST`, or pass it under `query`",
            )


def _delegate(step: StepTree, _: Site, __: Scope, to: Reporter) -> None:
    if "repair" in step.node.entries and not {"output", "verify"} & step.places.keys():
        message = "`repair` counts refused answers, and without `output` or `verify` none is refused"
        to.warning("no_effect", key_node(step, "repair"), message, "write `output`, or delete `repair`")


def _function(step: StepTree, _: Site, __: Scope, to: Reporter) -> None:
    name, known = step.fields.get("function"), to.tree.visible
    if not isinstance(name, str):
        return
    info = known.get(name)
    if info is None:
        hint = did_you_mean(name, known) or f"there are: {listed(sorted(known))}; `treadle functions` shows them"
        to.error("unknown_function", step.place("function"), f"there is no function `{name}`", hint)
        return
    given = step.place("parameters")
    if isinstance(given, Mapping) or "parameters" not in step.places:
        _arguments(step, info.signature, given, to)


def _arguments(step: StepTree, signature: str, given: Node, to: Reporter) -> None:
    takes = parameters_of(signature)
    if takes is None:
        return
    entries = given.keys if isinstance(given, Mapping) and "parameters" in step.places else {}
    for name, node in entries.items():
        if name not in takes:
            to.error(
                "unknown_input", node, f"`{signature}` has no argument `{name}`", did_you_mean(name, takes) or f"arguments: {listed(takes)}"
            )
    for name, needed in takes.items():
        if needed and name not in entries:
            to.error("missing_input", given if entries else step.node, f"`{signature}` needs `{name}`", f"add `{name}:` to `parameters`")


def parameters_of(signature: str) -> dict[str, bool] | None:
    """Give the arguments that a function's signature takes by name, and which of them must be given; None where it takes any."""
    # Only where a workflow has such a step.
    import ast

    try:
        (node,) = ast.parse(f"def {signature}: ...").body
    except SyntaxError:
        return None
    if not isinstance(node, ast.FunctionDef) or node.args.kwarg is not None:
        return None
    plain = [*node.args.posonlyargs, *node.args.args]
    optional = len(plain) - len(node.args.defaults)
    found = {arg.arg: index < optional for index, arg in enumerate(plain)}
    return found | {arg.arg: default is None for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)}


def _set_state(step: StepTree, site: Site, _: Scope, to: Reporter) -> None:
    node = step.place("let")
    for name, at in node.keys.items() if isinstance(node, Mapping) and "let" in step.places else ():
        if name in site.names or name in {"secrets", "error"}:
            to.error("hidden_name", at, f"`let` may not hide the name `{name}`", "choose another")


def _wait(step: StepTree, _: Site, __: Scope, to: Reporter) -> None:
    given = [name for name in ("duration", "until", "signal") if name in step.places]
    if not given:
        to.error("missing_field", step.node, "`wait` needs `duration`, `until` or `signal`", "write one of them")
    for name in given[1:]:
        message = f"`wait` has one of `duration`, `until`, `signal`; here is `{given[0]}` too"
        to.error("bad_value", key_node(step, name), message, "delete one of them; to bound the wait for a signal, write `within`")
    if "payload" in step.places and "signal" not in step.places:
        to.error("field_not_allowed", key_node(step, "payload"), "`payload` belongs to `signal`", "write `signal`, or delete `payload`")
    until = field_value(step, "until")
    for fault in check({"type": "string", "format": "instant"}, until) if isinstance(until, str) else ():
        to.error(
            "bad_instant",
            step.place("until"),
            f"`until` is an instant with its zone: {fault.message}",
            "write it like 2026-11-20T09:00:00Z",
        )
        return


def _run(step: StepTree, _: Site, __: Scope, to: Reporter) -> None:
    if step.fields.get("detach") is True and "isolation" in step.places:
        message = "the worktree goes when the step is done, and a detached run lives on"
        to.error("bad_value", key_node(step, "isolation"), message, "delete `detach`, or isolate the steps of that workflow")


def _merge(step: StepTree, site: Site, scope: Scope, to: Reporter) -> None:
    name = step.fields.get("from")
    found = scope.steps.get(str(name).replace("-", "_"))
    if not isinstance(name, str):
        return
    if found is None:
        isolated = [name for name, at in scope.steps.items() if "isolation" in at.step.places]
        hint = did_you_mean(name, isolated) or f"steps with a worktree: {listed(isolated)}"
        to.error("unknown_step", step.place("from"), f"there is no step `{name}`", hint)
    elif found.chain != site.chain[: len(found.chain)]:
        message = f"the step `{name}` is only visible inside `{found.chain[-1]}`"
        to.error("step_not_visible", step.place("from"), message, "merge it in there")
    elif "isolation" not in found.step.node.entries and found.step.type:
        to.error("not_a_worktree", step.place("from"), f"`{name}` has no worktree of its own", f"write `isolation: worktree` on `{name}`")


_BY_TYPE: Final[dict[str, Callable[[StepTree, Site, Scope, Reporter], None]]] = {
    "prompt": _prompt, "shell": _shell, "http": _http, "delegate": _delegate, "function": _function, "set_state": _set_state,
    "wait": _wait, "merge": _merge, "run": _run,
}  # fmt: skip
