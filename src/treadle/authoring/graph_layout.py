"""Where everything of a graph stands: a small layout of our own, from top to bottom, in pixels.

Theory of operation
-------------------
A workflow is made of lists in lists, so there is nothing to search for: a list is a column, one shape below the other on a common axis; what is
below a step stands below it (branches side by side, rounds in a frame) or to its right (what happens only aside, dashed). Each piece is laid
out by itself as a `Block` and moved as a whole, so that two pieces can never lie over one another.

A jump leaves its box to the left. At the left of each list a gutter is kept free, as wide as there are jumps in it: in it the line goes up or
down to its target. A jump that leads out of its list goes down the gutter, through a channel kept free below the branches, to the gutter of the
list around it. So it crosses lines, but no box.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from treadle.authoring.graph import Graph, Lane, Shape, cells, fitted

CELL: Final = 7.3
LINE: Final = 17.0
PAD: Final = 10.0
GAP: Final = 30.0
LANE_GAP: Final = 26.0
GUTTER: Final = 14.0
CHANNEL: Final = 12.0
BUS: Final = 22.0
LABEL: Final = 26.0
EMPTY_WIDTH: Final = 44.0
TEXT_COLUMNS_MAX: Final = 46
TEXT_COLUMNS_MIN: Final = 12
MARGIN: Final = 20.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A step; `rows` are its lines of text, the first one its title."""

    x: float
    y: float
    width: float
    height: float
    shape: Shape
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame around a list; dashed where it only happens aside."""

    x: float
    y: float
    width: float
    height: float
    dashed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A word on a line or frame, centred on `x` unless it stands `at_left`."""

    x: float
    y: float
    text: str
    at_left: bool = False
    covers: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A line through points, with a tip at its end where it leads to something."""

    points: tuple[Point, ...]
    dashed: bool = False
    tip: bool = False
    jump: bool = False


Piece = Box | Frame | Label | Edge


@dataclass(slots=True)
class Jump:
    """A jump on its way: where its line has come to, and the points so far."""

    target: str
    points: list[Point]


@dataclass(slots=True)
class Block:
    """Something laid out, from (0, 0): `axis` is where lines enter and leave it, `entry` how far down a jump comes in at its `left`."""

    width: float
    height: float
    axis: float
    pieces: list[Piece] = field(default_factory=list[Piece])
    jumps: list[Jump] = field(default_factory=list[Jump])
    entry: float = 0.0
    left: float = 0.0
    goes_on: bool = True

    def put(self, other: "Block", x: float, y: float) -> None:
        """Take over the pieces of another block at a place; its jumps stay its own."""
        self.pieces += [_moved(piece, x, y) for piece in other.pieces]


def laid_out(graph: Graph) -> Block:
    """Lay a whole graph out."""
    main = _list(graph.shapes)
    title = f"{graph.name} {graph.version}"
    page = Block(width=0, height=MARGIN + LINE * 2, axis=0)
    page.pieces.append(Label(x=MARGIN, y=MARGIN + LINE * 0.7, text=title, at_left=True, covers=False))
    blocks = [main]
    if graph.finally_shapes:
        blocks.append(_framed(Lane(label="finally, whatever happened", kind="aside", shapes=graph.finally_shapes)))
    for block in blocks:
        page.put(block, MARGIN, page.height)
        page.height += block.height + GAP
        page.width = max(page.width, block.width + 2 * MARGIN)
    page.height += MARGIN - GAP
    page.width = max(page.width, cells(title) * (CELL + 1) + 2 * MARGIN)
    return page


def _moved(piece: Piece, x: float, y: float) -> Piece:
    match piece:
        case Box():
            return Box(x=piece.x + x, y=piece.y + y, width=piece.width, height=piece.height, shape=piece.shape, rows=piece.rows)
        case Frame():
            return Frame(x=piece.x + x, y=piece.y + y, width=piece.width, height=piece.height, dashed=piece.dashed)
        case Label():
            return Label(x=piece.x + x, y=piece.y + y, text=piece.text, at_left=piece.at_left, covers=piece.covers)
        case Edge():
            return Edge(points=_shifted(piece.points, x, y), dashed=piece.dashed, tip=piece.tip, jump=piece.jump)


def _shifted(points: Iterable[Point], x: float, y: float) -> tuple[Point, ...]:
    return tuple((px + x, py + y) for px, py in points)


# A list


def _list(shapes: Sequence[Shape]) -> Block:
    """Lay a list out as a column."""
    blocks = [_shape(shape) for shape in shapes]
    gutter = GUTTER * sum(len(block.jumps) for block in blocks)
    axis = gutter + max((block.axis for block in blocks), default=EMPTY_WIDTH / 2)
    column = Block(width=0, height=0, axis=axis)
    places: dict[str, Point] = {}
    jumps: list[Jump] = []
    before: Block | None = None
    for shape, block in zip(shapes, blocks, strict=True):
        if before is not None:
            if before.goes_on:
                column.pieces.append(Edge(points=((axis, column.height), (axis, column.height + GAP)), tip=True))
            column.height += GAP
        x, y = axis - block.axis, column.height
        column.put(block, x, y)
        places[shape.address] = (x + block.left, y + block.entry)
        jumps += [Jump(target=jump.target, points=list(_shifted(jump.points, x, y))) for jump in block.jumps]
        column.width = max(column.width, x + block.width)
        column.height += block.height
        before = block
    column.width = max(column.width, axis + EMPTY_WIDTH / 2)
    column.goes_on = before is None or before.goes_on
    _route(column, jumps, places)
    return column


def _route(column: Block, jumps: list[Jump], places: dict[str, Point]) -> None:
    """Lead jumps through the gutter of a list: to their target, or to the bottom."""
    for number, jump in enumerate(jumps):
        x = GUTTER * number + GUTTER / 2
        jump.points.append((x, jump.points[-1][1]))
        target = places.get(jump.target)
        if target is None:
            jump.points.append((x, column.height))
            column.jumps.append(jump)
        else:
            jump.points += [(x, target[1]), target]
            column.pieces.append(Edge(points=tuple(jump.points), dashed=True, tip=True, jump=True))


# A step


def _shape(shape: Shape) -> Block:
    lanes = [lane for lane in shape.lanes if lane.kind != "aside"]
    asides = [lane for lane in shape.lanes if lane.kind == "aside" and lane.shapes]
    head = _head(shape)
    if not lanes:
        block = head
    elif lanes[0].kind == "round":
        block = _loop(head, lanes[0])
    else:
        block = _fork(head, lanes)
        if lanes[0].kind == "together":
            block = _in_frame(block)
    return _with_asides(block, asides) if asides else block


def _head(shape: Shape) -> Block:
    rows = tuple(fitted(row, TEXT_COLUMNS_MAX) for row in (shape.title, shape.detail, *shape.notes) if row)
    badge = cells(shape.effect) + 3 if shape.effect not in {"none", ""} else 0
    mark = 2 if shape.status else 0
    columns = max(cells(rows[0]) * 1.05 + badge + mark, *(cells(row) for row in rows), TEXT_COLUMNS_MIN)
    # A condition's sides are slanted, so that it needs room for them.
    slant = PAD if shape.type in {"condition", "switch"} else 0
    width = columns * CELL + 2 * PAD + 2 * slant + 4
    height = len(rows) * LINE + PAD
    block = Block(width=width, height=height, axis=width / 2, entry=height / 2, goes_on=not shape.ends)
    block.pieces.append(Box(x=0, y=0, width=width, height=height, shape=shape, rows=rows))
    if shape.goto:
        block.jumps.append(Jump(target=shape.goto, points=[(0, height / 2)]))
    return block


def _loop(head: Block, lane: Lane) -> Block:
    """A frame with the step on top and its rounds below, and a line back."""
    inner = _list(lane.shapes)
    label = cells(lane.label) * CELL
    left = max(head.axis, inner.axis, label / 2) + PAD
    right = max(head.width - head.axis, inner.width - inner.axis + BUS, label / 2) + PAD
    block = Block(width=left + right, height=0, axis=left)
    block.pieces.append(Frame(x=0, y=0, width=0, height=0, dashed=False))
    top = PAD + head.height
    start = top + LABEL + GAP / 2
    block.put(head, left - head.axis, PAD)
    block.pieces.append(Edge(points=((left, top), (left, start)), tip=True))
    block.put(inner, left - inner.axis, start)
    block.pieces.append(Label(x=left, y=top + LABEL / 2, text=lane.label))
    bottom = start + inner.height
    if inner.goes_on or lane.ends_in_a_round:
        x, top = block.width - PAD, PAD + head.height / 2
        back = ((left, bottom), (left, bottom + PAD), (x, bottom + PAD), (x, top), (left + head.width - head.axis, top))
        block.pieces.append(Edge(points=back, tip=True))
    block.height = bottom + 2 * PAD
    block.pieces[0] = Frame(x=0, y=0, width=block.width, height=block.height, dashed=False)
    block.entry = PAD + head.entry
    return block


def _fork(head: Block, lanes: Sequence[Lane]) -> Block:
    """A step with its branches side by side below it, which meet again."""
    blocks = [_list(lane.shapes) for lane in lanes]
    lefts = [max(block.axis, cells(lane.label) * CELL / 2 + 4) for block, lane in zip(blocks, lanes, strict=True)]
    rights = [max(block.width - block.axis, cells(lane.label) * CELL / 2 + 4) for block, lane in zip(blocks, lanes, strict=True)]
    axes: list[float] = []
    x = 0.0
    for left, right in zip(lefts, rights, strict=True):
        axes.append(x + left)
        x += left + right + LANE_GAP
    width = x - LANE_GAP
    axis = (axes[0] + axes[-1]) / 2
    shift = max(0.0, head.axis - axis)
    axes = [each + shift for each in axes]
    axis += shift
    block = Block(width=max(width + shift, axis + head.width - head.axis), height=0, axis=axis, entry=head.entry, left=axis - head.axis)
    block.put(head, axis - head.axis, 0)
    split = head.height + GAP / 2
    start = split + LABEL + GAP / 2
    drops = [(axes[n] - each.axis, jump) for n, each in enumerate(blocks) for jump in each.jumps]
    tallest = max(each.height for each in blocks)
    channels = start + tallest + (CHANNEL if drops else 0)
    meet = channels + CHANNEL * len(drops) + GAP / 2
    block.pieces.append(Edge(points=((axis, head.height), (axis, split))))
    for lane, each, at in zip(lanes, blocks, axes, strict=True):
        end = start if each.pieces else meet
        block.pieces.append(Edge(points=((axis, split), (at, split), (at, end)), tip=bool(each.pieces)))
        block.put(each, at - each.axis, start)
        block.pieces.append(Label(x=at, y=split + LABEL / 2 + 4, text=lane.label))
        if each.goes_on:
            block.pieces.append(Edge(points=((at, start + each.height), (at, meet), (axis, meet))))
    for number, (x, jump) in enumerate(drops):
        y = channels + CHANNEL * number
        points = list(_shifted(jump.points, x, start))
        points += [(points[-1][0], y), (0.0, y)]
        block.jumps.append(Jump(target=jump.target, points=points))
    block.goes_on = any(each.goes_on for each in blocks)
    block.height = meet
    return block


def _in_frame(inner: Block) -> Block:
    """A frame around what happens at the same time. Jumps may not leave it."""
    block = Block(width=inner.width + 2 * PAD, height=inner.height + 2 * PAD, axis=inner.axis + PAD, goes_on=inner.goes_on)
    block.entry = inner.entry + PAD
    block.pieces.append(Frame(x=0, y=0, width=block.width, height=block.height, dashed=False))
    block.pieces.append(Edge(points=((block.axis, block.height - PAD), (block.axis, block.height))))
    block.put(inner, PAD, PAD)
    return block


def _framed(lane: Lane) -> Block:
    """A dashed frame around what happens only aside."""
    inner = _list(lane.shapes)
    width = max(inner.width, cells(lane.label) * CELL) + 2 * PAD
    block = Block(width=width, height=inner.height + LABEL + PAD, axis=inner.axis + PAD, goes_on=inner.goes_on)
    block.pieces.append(Frame(x=0, y=0, width=width, height=block.height, dashed=True))
    block.pieces.append(Label(x=PAD, y=LABEL / 2, text=lane.label, at_left=True, covers=False))
    block.put(inner, PAD, LABEL)
    block.jumps = [Jump(target=jump.target, points=list(_shifted(jump.points, PAD, LABEL))) for jump in inner.jumps]
    return block


def _with_asides(main: Block, lanes: Sequence[Lane]) -> Block:
    """A step with what happens only aside to its right, one frame below the other."""
    frames = [_framed(lane) for lane in lanes]
    x = main.width + BUS * 2
    block = Block(width=x, height=main.height, axis=main.axis, entry=main.entry, left=main.left, goes_on=main.goes_on)
    block.put(main, 0, 0)
    right = _right_of_head(main)
    y = 0.0
    backs: list[tuple[Point, ...]] = []
    drops: list[Jump] = []
    for lane, frame in zip(lanes, frames, strict=True):
        at = y + LABEL / 2
        bus = main.width + BUS
        way = ((right, main.entry), (bus, main.entry), (bus, at), (x, at)) if at != main.entry else ((right, main.entry), (x, at))
        block.pieces.append(Edge(points=way, dashed=True, tip=True))
        block.put(frame, x, y)
        drops += [Jump(target=jump.target, points=list(_shifted(jump.points, x, y))) for jump in frame.jumps]
        if lane.label in {"on error", "on reject"} and frame.goes_on:
            end = y + frame.height
            out = x - BUS / 2
            backs.append(((x + frame.axis, end - PAD), (x + frame.axis, end - PAD / 2), (out, end - PAD / 2)))
        block.width = max(block.width, x + frame.width)
        y += frame.height + PAD
    block.height = max(main.height, y - PAD)
    _lead_back(block, main, backs, drops)
    block.jumps += main.jumps
    return block


def _lead_back(block: Block, main: Block, backs: Sequence[tuple[Point, ...]], drops: Sequence[Jump]) -> None:
    """Draw from the end of what was done instead back to the axis, and lead jumps out below."""
    bottom = block.height
    for jump in drops:
        bottom += CHANNEL
        jump.points += [(jump.points[-1][0], bottom), (0.0, bottom)]
        block.jumps.append(jump)
    if backs:
        bottom += CHANNEL
        for way in backs:
            block.pieces.append(Edge(points=(*way, (way[-1][0], bottom), (block.axis, bottom)), dashed=True))
        block.goes_on = True
    if bottom > main.height and main.goes_on:
        block.pieces.append(Edge(points=((main.axis, main.height), (main.axis, bottom))))
    block.height = bottom


def _right_of_head(block: Block) -> float:
    """Give where the first box or frame of a block ends on the right."""
    first = next(piece for piece in block.pieces if isinstance(piece, Box | Frame))
    return first.x + first.width
