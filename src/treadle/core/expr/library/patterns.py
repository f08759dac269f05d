"""Filters on regular expressions, over the automaton of `regex.py`."""

from typing import cast

from treadle.core.expr.evaluation import Evaluation, ExprError, V
from treadle.core.expr.given import int_given, text_given
from treadle.core.expr.look import MOVE_BITS, opened, shown, truth
from treadle.core.regex.matching import Regex, Spans, regex_of
from treadle.core.regex.syntax import RegexError


def pattern_given(ev: Evaluation, who: str, pattern: V, ignorecase: V) -> Regex:
    """Compile a pattern, charged once for each evaluation. Raises ExprError `bad_regex`."""
    text, ignore_case = text_given(ev, who, pattern), truth(ev, ignorecase)
    known = ev.patterns.get((text, ignore_case))
    if known is not None:
        return known
    try:
        regex = ev.patterns[text, ignore_case] = regex_of(text, ev.charge, ignore_case=ignore_case)
    except RegexError as error:
        raise ExprError(
            "bad_regex", f"`{who}` cannot use the pattern {shown(text)}: {error}", suggestion="the syntax is in the language reference"
        ) from error
    return regex


def found_in(ev: Evaluation, who: str, value: V, pattern: V, ignorecase: V) -> Spans | None:
    """Find the first match of a pattern in a text."""
    regex = pattern_given(ev, who, pattern, ignorecase)
    return regex.search(text_given(ev, who, value), 0, ev.charge)


def _group_given(who: str, regex: Regex, group: V) -> int:
    number = regex.group(group) if isinstance(group, str) or type(group) is int else None
    if number is None:
        named = f", named {', '.join(regex.names)}" if regex.names else ""
        raise ExprError("types", f"`{who}` has no group {shown(group)}; the pattern has {regex.groups}{named}")
    return number


def _text_of_group(text: str, spans: Spans, group: int) -> V:
    return text[spans[2 * group] : spans[2 * group + 1]] if spans[2 * group] >= 0 else None


def regex_search(ev: Evaluation, value: V, pattern: V, group: V = 0, ignorecase: V = False) -> V:  # noqa: FBT002
    """Give the text of the first match, or of one of its groups; null where nothing matches."""
    text = text_given(ev, "regex_search", value)
    regex = pattern_given(ev, "regex_search", pattern, ignorecase)
    number = _group_given("regex_search", regex, group)
    spans = regex.search(text, 0, ev.charge)
    return None if spans is None else _text_of_group(text, spans, number)


def regex_findall(ev: Evaluation, value: V, pattern: V, group: V = 0, ignorecase: V = False) -> V:  # noqa: FBT002
    """Give the texts of all matches, or of one group of each."""
    text = text_given(ev, "regex_findall", value)
    regex = pattern_given(ev, "regex_findall", pattern, ignorecase)
    number = _group_given("regex_findall", regex, group)
    return [_text_of_group(text, spans, number) for spans in regex.matches(text, ev.charge)]


def regex_replace(ev: Evaluation, value: V, pattern: V, replacement: V, count: V = 0, ignorecase: V = False) -> V:  # noqa: FBT002
    """Replace matches; in the replacement `\\1` and `\\g<name>` stand for groups, `\\0` for the whole match."""
    text = text_given(ev, "regex_replace", value)
    regex = pattern_given(ev, "regex_replace", pattern, ignorecase)
    template = _template(regex, text_given(ev, "regex_replace", replacement))
    limit = int_given("regex_replace", "count", count, 0)
    out: list[str] = []
    size = at = 0
    for done, spans in enumerate(regex.matches(text, ev.charge), 1):
        pieces = [
            text[at : spans[0]],
            *(part if isinstance(part, str) else cast(str, _text_of_group(text, spans, part) or "") for part in template),
        ]
        out += pieces
        grown = sum(map(len, pieces))
        size += grown
        ev.charge(len(pieces) + (grown >> MOVE_BITS))
        ev.check_size(size)
        at = spans[1]
        if done == limit:
            break
    return "".join([*out, text[at:]])


def _template(regex: Regex, replacement: str) -> list[str | int]:
    first, *others = replacement.split("\\")
    parts: list[str | int] = [first]
    position = 0
    while position < len(others):
        piece = others[position]
        position += 1
        if not piece:  # two backslashes: one
            follower = others[position] if position < len(others) else ""
            position += 1
            parts.append("\\" + follower)
            continue
        name, rest = (piece[2:].partition(">")[0], piece[2:].partition(">")[2]) if piece.startswith("g<") else (piece[:1], piece[1:])
        number = int(name) if name.isascii() and name.isdigit() and len(name) < 4 else regex.names.get(name, -1)
        if not 0 <= number <= regex.groups:
            raise ExprError(
                "types",
                f"the replacement names a group `\\{piece[:20]}` that the pattern has not",
                suggestion="write `\\\\` for a backslash",
            )
        parts += [number, rest]
    return parts


def matching(ev: Evaluation, value: V, pattern: V, ignorecase: V = False) -> V:  # noqa: FBT002
    """Of a text, tell whether it holds a match; of a list of texts, give those that do."""
    value = opened(ev, value)
    if not isinstance(value, list):
        return found_in(ev, "matching", value, pattern, ignorecase) is not None
    regex = pattern_given(ev, "matching", pattern, ignorecase)
    return [item for item in value if regex.search(text_given(ev, "matching", item), 0, ev.charge) is not None]
