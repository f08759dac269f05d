"""The graph as text: an outline with lines, cut to a width, for a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from treadle.authoring.graph import Graph, Lane, Shape, cells, fitted

TITLE_COLUMNS_MAX: Final = 40
DETAIL_COLUMNS_MIN: Final = 24
WORDS_COLUMNS_MIN: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The characters that lines are drawn with."""

    tee: str
    corner: str
    bar: str
    aside: str
    down: str
    marks: dict[str, str]


_MARKS: Final = {
    "condition": "◇", "switch": "◇", "foreach": "↻", "while": "↻", "repeat": "↻", "parallel": "‖", "prompt": "?", "approve": "!",
    "return": "■", "fail": "✗", "goto": "↩", "break": "■", "continue": "↩", "wait": "◷",
}  # fmt: skip
_ASCII: Final = {
    "condition": "?", "switch": "?", "foreach": "@", "while": "@", "repeat": "@", "parallel": "=", "prompt": ">", "approve": "!",
    "return": "#", "fail": "x", "goto": "^", "break": "#", "continue": "^",
}  # fmt: skip
PRETTY: Final = Lines(tee="├─", corner="└─", bar="│ ", aside="┆ ", down="│", marks=_MARKS)
PLAIN: Final = Lines(tee="|-", corner="`-", bar="| ", aside=": ", down="|", marks=_ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line in pieces: the lines before it, the title, the rest, and the effect or status at its end."""

    lead: str
    title: str = ""
    rest: str = ""
    effect: str = ""
    status: str = ""

    def __str__(self) -> str:
        """Join the pieces."""
        return f"{self.lead}{self.title}{self.rest}{self.effect}".rstrip()


def lines_of(graph: Graph, width: int, lines: Lines = PRETTY) -> list[Line]:
    """Draw a graph, no line wider than `width` columns (which must be at least 40)."""
    head = Line(lead="", title=fitted(f"{graph.name} {graph.version}", width))
    found = [head, *_list(graph.shapes, "", width, lines)]
    if graph.finally_shapes:
        found += [Line(lead=lines.down), Line(lead="", title="finally", rest=" (whatever happened)")]
        found += _list(graph.finally_shapes, "", width, lines)
    return found


def _list(shapes: Sequence[Shape], lead: str, width: int, lines: Lines) -> Iterator[Line]:
    room = max((cells(shape.title) for shape in shapes), default=0)
    for number, shape in enumerate(shapes):
        is_last = number == len(shapes) - 1
        yield _line(shape, lead + (lines.corner if is_last else lines.tee), min(room, TITLE_COLUMNS_MAX), width, lines)
        inner = lead + ("  " if is_last else lines.bar)
        own = [lane for lane in shape.lanes if lane.shapes]
        for lane in own:
            yield from _lane(lane, inner, width, lines, alone=_is_alone(lane, own))


def _is_alone(lane: Lane, lanes: Sequence[Lane]) -> bool:
    return lane.kind == "round" and lane.label in {"each item", "each round"} and len(lanes) == 1


def _lane(lane: Lane, lead: str, width: int, lines: Lines, *, alone: bool) -> Iterator[Line]:
    if not alone:
        yield Line(lead=lead, title=fitted(f"{lane.label}:", width - cells(lead)))
    yield from _list(lane.shapes, lead + ("" if alone else lines.aside if lane.kind == "aside" else "  "), width, lines)


def _line(shape: Shape, lead: str, room: int, width: int, lines: Lines) -> Line:
    lead = f"{lead}{lines.marks.get(shape.type, '○' if lines is PRETTY else 'o')} "
    left = max(8, width - cells(lead))
    effect = f" [{shape.effect}]" if shape.effect not in {"none", ""} else ""
    title = fitted(shape.title, min(left - cells(effect), TITLE_COLUMNS_MAX))
    left -= cells(title) + cells(effect)
    gap = " " * (2 + max(0, min(room, left - 12) - cells(title)))
    left -= len(gap)
    # What an author wrote at length gives way to who does it, and when.
    notes = ", ".join(shape.notes)
    detail = fitted(shape.detail, max(DETAIL_COLUMNS_MIN, left - cells(notes) - 2))
    rest = gap + fitted(", ".join(filter(None, (detail, notes))), left) if left >= WORDS_COLUMNS_MIN else ""
    return Line(lead=lead, title=title, rest=rest, effect=effect, status=shape.status)
