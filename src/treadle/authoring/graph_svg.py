"""The graph as SVG: what `graph_layout` placed, with the colours of light and dark pages, in one file that needs nothing else.

Text stands in a font of fixed width, so that its extent is known. Nothing of a workflow can become markup, and the file holds no script.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from treadle.authoring.graph import Graph, Shape, cells
from treadle.authoring.graph_layout import CELL, LINE, PAD, Box, Edge, Frame, Label, Point, laid_out
from treadle.core.definition import EFFECTS

_LIGHT: Final = {
    "page": "#ffffff", "ink": "#1c2128", "dim": "#57606a", "line": "#8c959f", "box": "#f6f8fa", "edge": "#6e7781", "jump": "#8250df",
    "read": "#1a7f37", "write": "#9a6700", "send": "#a0268f", "pay": "#cf222e", "destroy": "#cf222e", "ask": "#ddf4ff", "block": "#fff8c5",
    "completed": "#dafbe1", "failed": "#ffd8d3", "running": "#cfe4ff", "waiting": "#cdf3f7", "handling": "#ffe8b8", "skipped": "#eaeef2",
}  # fmt: skip
_DARK: Final = {
    "page": "#0d1117", "ink": "#e6edf3", "dim": "#9aa4af", "line": "#57606a", "box": "#161b22", "edge": "#8b949e", "jump": "#d2a8ff",
    "read": "#3fb950", "write": "#d29922", "send": "#e67ad6", "pay": "#ff7b72", "destroy": "#ff7b72", "ask": "#10283c", "block": "#2b2410",
    "completed": "#12351d", "failed": "#4c1513", "running": "#0c2d5c", "waiting": "#0b3238", "handling": "#412d05", "skipped": "#21262d",
}  # fmt: skip
_MARKS: Final = {
    "completed": "✓", "failed": "✗", "running": "●", "waiting": "?", "pending": "○", "skipped": "-", "handling": "!",
}  # fmt: skip
_SLANTED: Final = frozenset({"condition", "switch"})
_ASKS: Final = frozenset({"prompt", "approve"})
_ROUND: Final = frozenset({"return", "fail", "goto", "break", "continue"})
_ILLEGAL: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)), 0xFFFD)


def svg_of(graph: Graph) -> str:
    """Write a graph as an SVG document."""
    page = laid_out(graph)
    width, height = round(page.width), round(page.height)
    # Frames below lines, lines below boxes, words on top of all.
    order = (Frame, Edge, Box, Label)
    pieces = [line for kind in order for piece in page.pieces if isinstance(piece, kind) for line in _piece(piece)]
    about = graph.description or f"The steps of {graph.name}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
            f"<title>{escaped(f'{graph.name} {graph.version}')}</title>",
            f"<desc>{escaped(about)}</desc>",
            f"<style>{_style()}</style>",
            f"<defs>{_tip('tip')}{_tip('jump-tip')}</defs>",
            f'<rect class="page" width="{width}" height="{height}"/>',
            *pieces,
            "</svg>\n",
        ]
    )


def _tip(name: str) -> str:
    size = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"'
    return f'<marker id="{name}" {size}><path class="{name}" d="M0 0L8 4L0 8z"/></marker>'


def escaped(text: str) -> str:
    """Write a text so that XML reads it as text."""
    text = text.translate(_ILLEGAL)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;").replace("'", "&#39;")


def _style() -> str:
    return f"{_colours(_LIGHT)}{_FIXED}@media (prefers-color-scheme: dark){{{_colours(_DARK)}}}"


_FIXED: Final = (
    "text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}"
    ".title{font-weight:600}.head{font-size:13px;font-weight:600}.badge{font-size:11px;font-weight:600}.middle{text-anchor:middle}"
    ".end{text-anchor:end}.edge,.frame{fill:none;stroke-width:1.4}.dashed{stroke-dasharray:5 4}.box{stroke-width:1.4}"
    ".stripe{stroke:none}"
)


def _colours(of: dict[str, str]) -> str:
    rules = [
        f".page,.cover{{fill:{of['page']}}}text{{fill:{of['ink']}}}.dim{{fill:{of['dim']}}}.box{{fill:{of['box']};stroke:{of['line']}}}",
        f".ask{{fill:{of['ask']}}}.block{{fill:{of['block']}}}.frame{{stroke:{of['line']}}}.edge{{stroke:{of['edge']}}}",
        f".tip{{fill:{of['edge']}}}.jump{{stroke:{of['jump']}}}.jump-tip{{fill:{of['jump']}}}",
    ]
    rules += [f".fx-{effect}{{fill:{of[effect]}}}" for effect in EFFECTS[1:]]
    rules += [f".is-{status}{{fill:{of[status]}}}" for status in _MARKS if status in of]
    return "".join(rules)


def _piece(piece: object) -> Iterator[str]:
    match piece:
        case Frame():
            dashed = " dashed" if piece.dashed else ""
            size = f'width="{piece.width:.1f}" height="{piece.height:.1f}"'
            yield f'<rect class="frame{dashed}" x="{piece.x:.1f}" y="{piece.y:.1f}" {size} rx="8"/>'
        case Edge():
            yield _edge(piece)
        case Box():
            yield from _box(piece)
        case Label():
            yield from _label(piece)
        case _:
            raise TypeError(type(piece).__name__)


def _edge(edge: Edge) -> str:
    name = "edge" + (" dashed" if edge.dashed else "") + (" jump" if edge.jump else "")
    tip = f' marker-end="url(#{"jump-tip" if edge.jump else "tip"})"' if edge.tip else ""
    return f'<path class="{name}" d="{_way(edge.points)}"{tip}/>'


def _way(points: Sequence[Point]) -> str:
    """Draw a line through points with rounded corners."""
    kept = [point for number, point in enumerate(points) if number == 0 or point != points[number - 1]]
    parts = [f"M{kept[0][0]:.1f} {kept[0][1]:.1f}"]
    for before, here, after in zip(kept, kept[1:], kept[2:], strict=False):
        near, far = _towards(here, before), _towards(here, after)
        parts.append(f"L{near[0]:.1f} {near[1]:.1f}Q{here[0]:.1f} {here[1]:.1f} {far[0]:.1f} {far[1]:.1f}")
    parts.append(f"L{kept[-1][0]:.1f} {kept[-1][1]:.1f}")
    return "".join(parts)


def _towards(here: Point, there: Point, most: float = 7.0) -> Point:
    length = abs(there[0] - here[0]) + abs(there[1] - here[1])
    share = min(most, length / 2) / length if length else 0
    return here[0] + (there[0] - here[0]) * share, here[1] + (there[1] - here[1]) * share


def _box(box: Box) -> Iterator[str]:
    shape = box.shape
    x, y, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    look = "box" + (" ask" if shape.type in _ASKS else " block" if shape.lanes and shape.type not in _ASKS and _is_block(shape) else "")
    look += f" is-{shape.status}" if shape.status else ""
    yield f'<g data-address="{escaped(shape.address)}" data-type="{shape.type}"><title>{escaped(_tooltip(shape))}</title>'
    left = x + PAD
    if shape.type in _SLANTED:
        middle = (y + bottom) / 2
        corners = ((x + PAD, y), (right - PAD, y), (right, middle), (right - PAD, bottom), (x + PAD, bottom), (x, middle))
        yield f'<polygon class="{look}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}"/>'
        left += PAD
    else:
        radius = min(box.height / 2, 14) if shape.type in _ROUND else 4
        size = f'width="{box.width:.1f}" height="{box.height:.1f}"'
        yield f'<rect class="{look}" x="{x:.1f}" y="{y:.1f}" {size} rx="{radius:.1f}"/>'
    has_effect = shape.effect not in {"none", ""}
    if has_effect and shape.type not in _SLANTED:
        yield f'<rect class="stripe fx-{shape.effect}" x="{x:.1f}" y="{y + 4:.1f}" width="4" height="{box.height - 8:.1f}" rx="2"/>'
    for number, row in enumerate(box.rows):
        at = y + PAD / 2 + LINE * (number + 0.72)
        mark = f"{_MARKS.get(shape.status, '·')} " if shape.status and number == 0 else ""
        name = "title" if number == 0 else "dim"
        yield f'<text class="{name}" x="{left + 2:.1f}" y="{at:.1f}">{escaped(mark + row)}</text>'
    if has_effect:
        at = y + PAD / 2 + LINE * 0.72
        yield f'<text class="badge end fx-{shape.effect}" x="{right - PAD:.1f}" y="{at:.1f}">{shape.effect}</text>'
    yield "</g>"


def _is_block(shape: Shape) -> bool:
    return any(lane.kind != "aside" for lane in shape.lanes)


def _tooltip(shape: Shape) -> str:
    effect = f"effect {shape.effect}" if shape.effect not in {"none", ""} else ""
    return "\n".join(filter(None, (f"{shape.address} ({shape.type})", shape.detail, *shape.notes, effect, shape.status)))


def _label(label: Label) -> Iterator[str]:
    if label.at_left:
        name = "dim" if label.y > 2 * LINE else "head"
        yield f'<text class="{name}" x="{label.x:.1f}" y="{label.y + 4:.1f}">{escaped(label.text)}</text>'
        return
    width = cells(label.text) * CELL + 8
    if label.covers:
        yield f'<rect class="cover" x="{label.x - width / 2:.1f}" y="{label.y - 9:.1f}" width="{width:.1f}" height="18"/>'
    yield f'<text class="dim middle" x="{label.x:.1f}" y="{label.y + 4:.1f}">{escaped(label.text)}</text>'
