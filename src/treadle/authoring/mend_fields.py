"""Fixes of fields: names that were misspelled or are old, values that lack quotes or brackets, and what `needs_state` forgot.

What to write is taken from the problem's own suggestion, so that an author who mends by hand and `--fix` do the same.
"""

import re
from collections.abc import Callable
from typing import Final

from treadle.authoring import model
from treadle.authoring.kinds import NAME
from treadle.authoring.mend_ground import Edit, Ground, Mend
from treadle.authoring.nodes import Mapping, Node, Scalar, Sequence
from treadle.authoring.old_names import CERTAIN_TYPES, INPUT_TYPES, WITH_UNIT
from treadle.authoring.problems import Problem, nearest

NOTHING: Final = frozenset[str]()
# A template that was no template before may name what is not there; that is the author's to mend, and the braces are right all the same.
OF_NAMES: Final = frozenset({
    "unknown_state", "unknown_input", "unknown_step", "outside_needs_state", "item_outside_loop", "maybe_unset", "step_not_yet",
    "step_not_visible", "implicit_id",
})  # fmt: skip
_MEANT = re.compile(r"did you mean `([^`]+)`\?\Z")
_BARE = re.compile(r"write `?([^`,]+)`?, without quotes\Z")
_VERSION = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?\Z")
_LOOSE_DURATION = re.compile(
    r"\s*(\d+)\s*(?:(ms|msecs?|milliseconds?)|(s|secs?|seconds?)|(min|mins|minutes?)|(h|hrs?|hours?)|(d|days?))(?![a-zA-Z])", re.IGNORECASE
)
_OTHER_OPERATORS = re.compile(r"\b(?:state|inputs|steps)\.\w.*(?:&&|\|\||===|!==|[^=!<>]=[^=])|(?:&&|\|\|).*\b(?:state|inputs|steps)\.\w")
_READ_ROOT = re.compile(r"(?:state|inputs|steps)\.[A-Za-z_][\w.]*\Z")
_JSON_TYPES: Final = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
_CERTAIN_KEYS: Final = CERTAIN_TYPES - {"user_message"} | {"tool", "command"}


def meant(problem: Problem) -> str:
    """Give the name that the problem's suggestion asks about."""
    found = _MEANT.search(problem.suggestion)
    return found[1] if found else ""


def is_slip(word: str, other: str) -> bool:
    """Tell whether a name is another one mistyped, rather than one of a family (`plan_a`, `plan_b`)."""
    ours, theirs = re.split(r"[_-]", word.lower()), re.split(r"[_-]", other.lower())
    if "".join(ours) == "".join(theirs):
        return True
    if len(ours) != len(theirs):
        joined = sorted(("".join(ours), "".join(theirs)), key=len)
        return len(joined[0]) >= 6 and len(joined[1]) - len(joined[0]) <= 1
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    return len(pairs) == 1 and min(map(len, pairs[0])) >= 3 and not any(c.isdigit() for part in pairs[0] for c in part)


# Values


def condition_braces(ground: Ground, problem: Problem) -> Mend | None:
    """Put braces around a condition that lacks them."""
    node = ground.inside(problem)
    if node is None or "{%" in node.text:
        return None
    # Operators of other languages are the next round's.
    uncovers = OF_NAMES | {"syntax"} if _OTHER_OPERATORS.search(node.text) else OF_NAMES
    written = ground.written(node)
    if node.style == "plain":
        inner = f"{{{{ {written} }}}}"
        quoted = f'"{inner}"' if '"' not in inner and "\\" not in inner else "'" + inner.replace("'", "''") + "'"
        return Mend(edits=(Edit(node.start, node.end, quoted),), uncovers=uncovers)
    first, last = node.start + 1, node.end - 1
    if node.style in {"literal", "folded"}:
        first = node.start + written.find(node.text.strip()[:1], written.find("\n"))
        last = node.start + len(written.rstrip())
    return Mend(edits=(Edit(first, first, "{{ "), Edit(last, last, " }}")), uncovers=uncovers)


def wrong_type(ground: Ground, problem: Problem) -> Mend | None:
    """Write a value as the text, flag, number, list or map that it must be, where it is plain which one is meant."""
    spot = ground.values.get(ground.at(problem))
    if spot is None:
        return None
    if isinstance(spot.node, Mapping):
        return _one_step(ground, problem, spot.node)
    node = ground.inside(problem)
    if node is None or node.style in {"literal", "folded"}:
        return None
    for fix in (_version, _quoted, _bare, _in_list, _input_type, _read, _retry, _control, _no_agent):
        found = fix(ground, problem, node)
        if found is not None:
            return found
    return None


def _quoted(ground: Ground, problem: Problem, node: Scalar) -> Mend | None:
    if not problem.suggestion.startswith("quote it") or node.style != "plain" or not node.text:
        return None
    return Mend(edits=(Edit(node.start, node.end, ground.quoted(node.text)),), uncovers=NOTHING)


def _version(ground: Ground, problem: Problem, node: Scalar) -> Mend | None:
    found = _VERSION.match(node.text)
    if problem.path != "version" or found is None:
        return None
    return Mend(edits=(ground.replaced(node, ".".join(part or "0" for part in found.groups())),), uncovers=NOTHING)


def _bare(_: Ground, problem: Problem, node: Scalar) -> Mend | None:
    found = _BARE.match(problem.suggestion)
    if found is None:
        return None
    return Mend(edits=(Edit(node.start, node.end, found[1]),), uncovers=NOTHING)


def _in_list(ground: Ground, problem: Problem, node: Scalar) -> Mend | None:
    written = ground.written(node)
    if problem.suggestion != "write `[…]`" or not written or "\n" in written or (node.style == "plain" and set(written) & set(",[]{}")):
        return None
    return Mend(edits=(Edit(node.start, node.end, f"[{written}]"),), uncovers=OF_NAMES | {"needs_all_state", "bad_name"})


def _input_type(ground: Ground, problem: Problem, node: Scalar) -> Mend | None:
    name = INPUT_TYPES.get(node.text, node.text)
    if not problem.suggestion.startswith("write `{type: ") or name not in _JSON_TYPES:
        return None
    new = f'{{"type": "{name}"}}' if ground.is_json else f"{{type: {name}}}"
    return Mend(edits=(Edit(node.start, node.end, new),), uncovers=NOTHING)


def _read(ground: Ground, problem: Problem, node: Scalar) -> Mend | None:
    if not problem.suggestion.startswith("to read it from the state") or not _READ_ROOT.match(node.text):
        return None
    return Mend(edits=(Edit(node.start, node.end, ground.quoted(f"{{{{ {node.text} }}}}")),), uncovers=OF_NAMES)


def _retry(ground: Ground, problem: Problem, node: Scalar) -> Mend | None:
    """`retry: 3` names the tries."""
    number = isinstance(node.value, int) and not isinstance(node.value, bool) and 1 <= node.value <= 100
    if not number or not problem.path.endswith(".retry"):
        return None
    new = f'{{"attempts": {node.text}}}' if ground.is_json else f"{{attempts: {node.text}}}"
    return Mend(edits=(Edit(node.start, node.end, new),), uncovers=frozenset({"retry_may_repeat", "field_not_allowed"}))


def _control(_: Ground, problem: Problem, node: Scalar) -> Mend | None:
    """`- break` is a step that lacks its colon."""
    if problem.message != "a step is a map" or node.text not in {"break", "continue"} or node.style != "plain":
        return None
    return Mend(edits=(Edit(node.end, node.end, ":"),), uncovers=None)


def _no_agent(ground: Ground, problem: Problem, node: Scalar) -> Mend | None:
    """`agent: null` meant the agent that drives the run, as no `agent` does."""
    spot = ground.values.get(node.start)
    if node.value is not None or spot is None or spot.key is None or spot.key.text != "agent" or not isinstance(spot.parent, Mapping):
        return None
    edits = ground.removed(spot.parent, "agent") if problem.path.endswith(".agent") else None
    return None if edits is None else Mend(edits=edits, uncovers=NOTHING)


def _one_step(ground: Ground, problem: Problem, node: Mapping) -> Mend | None:
    """A single step under a key that takes a list."""
    if problem.suggestion != "put `- ` before the step" or ground.is_flow(node):
        return None
    edits, end = [Edit(node.start, node.start, "- ")], ground.end(node)
    at = ground.text.find("\n", node.start, end) + 1
    while 0 < at < end:
        if ground.line(at)[1].strip():
            edits.append(Edit(at, at, "  "))
        at = ground.text.find("\n", at, end) + 1
    return Mend(edits=tuple(edits), uncovers=None)


def bad_duration(ground: Ground, problem: Problem) -> Mend | None:
    """Write `5 minutes` as `5m`; a number without unit is not guessed at."""
    node = ground.value(problem)
    if node is None:
        return None
    at, parts = 0, list[str]()
    while at < len(node.text.rstrip()):
        found = _LOOSE_DURATION.match(node.text, at)
        if found is None:
            return None
        unit = next(unit for unit, text in zip(("ms", "s", "m", "h", "d"), found.groups()[1:], strict=True) if text)
        parts.append(f"{found[1]}{unit}")
        at = found.end()
    return Mend(edits=(ground.replaced(node, "".join(parts)),), uncovers=NOTHING) if parts else None


def bad_schema(ground: Ground, problem: Problem) -> Mend | None:
    """Write JSON Schema's names of types."""
    spot = ground.values.get(ground.at(problem))
    node = spot.node if spot is not None else None
    if isinstance(node, Mapping):
        node = node.entries.get("type")
    if not isinstance(node, Scalar) or node.text not in INPUT_TYPES:
        return None
    return Mend(
        edits=(ground.replaced(node, INPUT_TYPES[node.text]),), uncovers=frozenset({"bad_default", "bad_schema", "required_with_default"})
    )


# Names


def unknown_field(ground: Ground, problem: Problem) -> Mend | None:
    """Rename a field that is misspelled or old; unfold what old files put under `validation`."""
    spot = ground.key(problem)
    if spot is None or spot.key is None or not isinstance(spot.parent, Mapping):
        return None
    name = spot.key.text
    if name in WITH_UNIT:
        return _with_unit(ground, spot.key, spot.node)
    if name == "validation":
        return _unfolded(ground, spot.parent, name)
    if name == "item_type" and isinstance(spot.node, Scalar):
        kind = INPUT_TYPES.get(spot.node.text, spot.node.text)
        new = f'"items": {{"type": "{kind}"}}' if ground.is_json else f"items: {{type: {kind}}}"
        return Mend(edits=(Edit(spot.key.start, spot.node.end, new),), uncovers=NOTHING)
    new_name = meant(problem)
    if not new_name or new_name in spot.parent.entries:
        return None
    return Mend(edits=(ground.replaced(spot.key, new_name),), uncovers=None)


def _with_unit(ground: Ground, key: Scalar, value: Node) -> Mend | None:
    name, unit = WITH_UNIT[key.text]
    if not isinstance(value, Scalar) or not isinstance(value.value, int) or isinstance(value.value, bool) or value.value < 0:
        return None
    new = ground.quoted(f"{value.value}{unit}") if ground.is_json else f"{value.value}{unit}"
    return Mend(edits=(ground.replaced(key, name), Edit(value.start, value.end, new)), uncovers=NOTHING)


def _unfolded(ground: Ground, parent: Mapping, name: str) -> Mend | None:
    """Put the entries of a map in its place."""
    key, value = parent.keys[name], parent.entries[name]
    if not isinstance(value, Mapping) or not value.entries or set(value.entries) & set(parent.entries):
        return None
    last = max(child.end for child in value.entries.values())
    rows = [ground.text[value.keys[inner].start : child.end] for inner, child in value.entries.items()]
    end = value.end if ground.is_flow(value) else last
    if any("\n" in row or "#" in row for row in rows) or "#" in ground.text[key.start : value.start]:
        return None
    between = ", " if ground.is_flow(parent) else f"{ground.newline}{' ' * (key.column - 1)}"
    return Mend(edits=(Edit(key.start, end, between.join(rows)),), uncovers=None)


def unknown_step_type(ground: Ground, problem: Problem) -> Mend | None:
    """Write the type that a misspelled or old name means."""
    node, new = ground.value(problem), meant(problem)
    if node is None:
        spot = ground.key(problem)
        return Mend(edits=(ground.replaced(spot.key, new),)) if new and spot is not None and spot.key is not None else None
    if not new or (node.text not in CERTAIN_TYPES and nearest(node.text, model.TYPES) != new):
        return None
    spot = ground.values[node.start]
    if node.text == "user_message" and isinstance(spot.parent, Mapping):
        # It showed a text and asked nothing; where it says how the text looks, that word is taken by the form of the answer.
        if "format" in spot.parent.entries or spot.key is None or ground.is_json:
            return None
        between = ", " if ground.is_flow(spot.parent) else f"{ground.newline}{' ' * (spot.key.column - 1)}"
        return Mend(edits=(Edit(node.start, node.end, f"{new}{between}format: info"),), uncovers=None)
    return Mend(edits=(ground.replaced(node, new),), uncovers=None)


def missing_type(ground: Ground, problem: Problem) -> Mend | None:
    """Rename a key that is a misspelled shorthand."""
    spot, new = ground.key(problem), meant(problem)
    if spot is None or spot.key is None or not new:
        return None
    if spot.key.text not in _CERTAIN_KEYS and nearest(spot.key.text, model.SHORTHANDS) != new:
        return None
    return Mend(edits=(ground.replaced(spot.key, new),), uncovers=None)


def key_renamed(ground: Ground, problem: Problem) -> Mend | None:
    """Write the field that the problem names instead: `within` for `timeout` on a block, `when` for `if` beside a type."""
    spot, found = ground.key(problem), re.search(r"write `(within|when)`\Z", problem.suggestion)
    new = found[1] if found else meant(problem)
    if spot is None or spot.key is None or not new or not isinstance(spot.parent, Mapping) or new in spot.parent.entries:
        return None
    return Mend(edits=(ground.replaced(spot.key, new),), uncovers=None)


def bad_name(ground: Ground, problem: Problem) -> Mend | None:
    """Take `state.` from a name of a state field; give a version its three parts."""
    node = ground.value(problem)
    spot = ground.key(problem) if node is None else None
    node = node or (spot.key if spot is not None else None)
    if node is None:
        return None
    version = _version(ground, problem, node)
    bare = re.sub(r"\A(?:state|this)\.", "", node.text)
    if version is not None or bare == node.text or not re.fullmatch(NAME, bare):
        return version
    return Mend(edits=(ground.replaced(node, bare),), uncovers=OF_NAMES)


def value_meant(ground: Ground, problem: Problem) -> Mend | None:
    """Write the word or name that is one slip away."""
    node, new = ground.value(problem), meant(problem)
    if node is None or not new or not is_slip(node.text, new):
        return None
    return Mend(edits=(ground.replaced(node, new),), uncovers=None)


# What belongs together


def required_with_default(ground: Ground, problem: Problem) -> Mend | None:
    """Drop `required`: with its default the input may be left out, and whoever gives it is served as before."""
    spot = ground.values.get(ground.at(problem))
    if spot is None or not isinstance(spot.parent, Mapping) or "required" not in spot.parent.entries:
        return None
    edits = ground.removed(spot.parent, "required")
    return None if edits is None else Mend(edits=edits, uncovers=NOTHING)


def outside_needs_state(ground: Ground, problem: Problem) -> Mend | None:
    """Add what the step reads to its list."""
    found = re.fullmatch(r"add `([^`]+)` to it", problem.suggestion)
    step = ground.step(problem.path)
    spot = ground.paths.get(f"{step}.needs_state") if step and found else None
    if spot is None or found is None or not isinstance(spot.node, Sequence) or not ground.written(spot.node):
        return None
    items = spot.node.items
    # Whole fields where the list names whole fields.
    name = found[1] if any(isinstance(item, Scalar) and "." in item.text for item in items) else found[1].split(".")[0]
    name = ground.quoted(name) if ground.is_json else name
    if ground.is_flow(spot.node):
        end = items[-1].end if items else spot.node.start + 1
        return Mend(edits=(Edit(end, end, f", {name}" if items else name),), uncovers=NOTHING)
    start, line = ground.line(items[-1].start)
    lead = line[: items[-1].start - start]
    if lead.strip() != "-":
        return None
    end = start + len(line)
    return Mend(edits=(Edit(end, end, f"{ground.newline}{lead}{name}"),), uncovers=NOTHING)


FIXES: Final[dict[str, Callable[[Ground, Problem], Mend | None]]] = {
    "condition_braces": condition_braces, "wrong_type": wrong_type, "bad_duration": bad_duration, "bad_schema": bad_schema,
    "unknown_field": unknown_field, "unknown_step_type": unknown_step_type, "missing_type": missing_type, "two_types": key_renamed,
    "field_not_allowed": key_renamed, "bad_name": bad_name, "bad_value": value_meant, "unknown_class": value_meant,
    "undefined_reference": value_meant, "required_with_default": required_with_default, "outside_needs_state": outside_needs_state,
}  # fmt: skip
