"""Drawings: every step is in each of them, nothing lies over anything else, and text of a workflow is never syntax of the picture."""

import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.authoring import drawn
from tests.authoring.support import load
from treadle.authoring import graph_layout
from treadle.authoring.graph import Graph, Shape, cells, graph_of
from treadle.authoring.graph_layout import Box, Edge, Frame, Label, laid_out
from treadle.authoring.graph_mermaid import mermaid_of
from treadle.authoring.graph_svg import svg_of
from treadle.authoring.graph_text import PLAIN, PRETTY, lines_of

SVG = "{http://www.w3.org/2000/svg}"
# What a character of 12 pixels takes in the widest of the fonts that are asked for.
CELL = 12 * 0.602
EVIL = 'a"]; click n1 "x" <script>&\n%%{init}%% ```1. `b` --> subgraph end #35; \N{RIGHT-TO-LEFT OVERRIDE}x'
every = pytest.mark.parametrize("wanted", drawn.ALL, ids=drawn.named)


def graph(wanted) -> Graph:
    return graph_of(drawn.loaded(wanted))


# Shapes


def test_a_jump_knows_the_address_of_its_target():
    jumps = {shape.address: shape.goto for shape in graph(drawn.JUMPS).walk() if shape.goto}
    assert jumps["outer.then/inner.then/jump-a"] == "start"
    assert jumps["outer.then/inner.else/mid.on_error/jump-b"] == "outer.then/first"
    assert jumps["outer.else/pick.c/loop[]/cond.then/goto_2"] == "outer.else/pick.c/loop[]/go"


def test_branches_that_nobody_wrote_are_drawn_as_ways_on():
    found = graph_of(load('name: x\nsteps:\n  - {if: "{{ true }}", then: [{prompt: a}]}\n'))
    assert [(lane.label, len(lane.shapes)) for lane in found.shapes[0].lanes] == [("then", 1), ("else", 0)]


def test_a_status_goes_to_its_step_alone():
    found = graph_of(drawn.loaded("planning:interactive"), {"create-plan": "running", "research-phase[]/search-web": "completed"})
    assert {s.address: s.status for s in found.walk() if s.status} == {
        "create-plan": "running", "research-phase[]/search-web": "completed",
    }  # fmt: skip
    assert "is-running" in svg_of(found)
    assert "class n" in mermaid_of(found)
    assert "status_running" in mermaid_of(found)


# Text


@every
@pytest.mark.parametrize("width", [40, 72, 160])
@pytest.mark.parametrize("lines", [PRETTY, PLAIN], ids=["pretty", "plain"])
def test_no_line_is_wider_than_the_terminal_and_every_step_has_one(wanted, width, lines):
    shapes = graph(wanted)
    text = [str(line) for line in lines_of(shapes, width, lines)]
    assert max(map(cells, text)) <= width
    titles = [line.title for line in lines_of(shapes, 200, lines)]
    for shape in shapes.walk():
        assert shape.title in titles


def test_the_outline_reads_from_top_to_bottom():
    found = graph_of(load("""
        name: small
        steps:
          - {id: ask, prompt: Go on?}
          - id: check
            if: "{{ steps.ask.result == 'yes' }}"
            then:
              - {id: do-it, mcp_call: a.b}
            else:
              - {id: stop, return: 1}
    """))  # fmt: skip
    assert [str(line) for line in lines_of(found, 60)] == [
        "small 0.0.0",
        "├─? ask    prompt Go on?, by a person",
        "└─◇ check  if steps.ask.result == 'yes'",
        "  then:",
        "    └─○ do-it  mcp_call a.b [write]",
        "  else:",
        "    └─■ stop  return",
    ]


# Mermaid: the syntax that is used of it, written down strictly. The files of `drawn` were also read by Mermaid's own parser once.

_ID = r"[ns]\d+"
_LABEL = r'"(?:[^"\#;<>&`{}\[\]|\\]|\#\d+;|<br/>)*"'
_MERMAID = re.compile(
    rf"""flowchart\ TD
    |\s*(?P<node>n\d+)(?:\[{_LABEL}\]|\(\[{_LABEL}\]\)|\{{{_LABEL}\}}|\{{\{{{_LABEL}\}}\}}|\[\[{_LABEL}\]\]|\[/{_LABEL}/\]|>{_LABEL}\])
    |\s*(?P<open>subgraph)\ s\d+\[{_LABEL}\]
    |\s*(?P<close>end)
    |\ \ (?P<from>n\d+)\ (?:-->|-\.->)(?:\|{_LABEL}\|)?\ (?P<to>n\d+)
    |\ \ classDef\ [a-z_]+\ [a-z:#0-9,-]+;
    |\ \ class\ (?P<classed>n\d+(?:,n\d+)*)\ [a-z_]+;""",
    re.VERBOSE,
)


def read_mermaid(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Read a chart, refusing whatever is not of the syntax above; gives nodes and links."""
    nodes, links, depth = [], [], 0
    for line in text.splitlines():
        found = _MERMAID.fullmatch(line)
        assert found is not None, line
        nodes += [found["node"]] if found["node"] else []
        depth += bool(found["open"]) - bool(found["close"])
        assert depth >= 0
        links += [(found["from"], found["to"])] if found["from"] else []
    assert depth == 0
    assert len(nodes) == len(set(nodes))
    assert {node for link in links for node in link} <= set(nodes)
    return nodes, links


@every
def test_mermaid_has_every_step_and_leads_to_each(wanted):
    shapes = graph(wanted)
    nodes, links = read_mermaid(mermaid_of(shapes))
    assert len(nodes) == 1 + len(list(shapes.walk()))
    reached = {to for _, to in links}
    # The first step of the file's `finally` is led to by nothing: it happens whatever happened.
    assert len(set(nodes[1:]) - reached) <= bool(shapes.finally_shapes)


def test_rounds_lead_back_and_jumps_to_their_target_in_mermaid():
    text = mermaid_of(graph_of(load("""
        name: x
        steps:
          - {id: a, prompt: A}
          - id: each
            foreach: [1]
            do: [{id: b, prompt: B}]
          - {id: again, goto: a, max_visits: 2, when: "{{ steps.a.result == 'no' }}"}
    """)))  # fmt: skip
    _, links = read_mermaid(text)
    assert ("n5", "n3") in links
    assert '  n6 -.->|"go to"| n2' in text.splitlines()


def test_nothing_in_a_text_is_syntax_of_mermaid():
    shape = graph("planning:research_task").shapes[0]
    bad = replace(shape, title=EVIL, detail="1. one", notes=("- two", "_three_", "*four*"))
    text = mermaid_of(Graph(name=EVIL, version="1", description="", shapes=(bad,), finally_shapes=()))
    nodes, _ = read_mermaid(text)
    assert nodes == ["n1", "n2"]
    assert "<br/>1#46; one" in text.replace("#49;", "1") or "#49;. one" in text
    assert "#45; two<br/>#95;three#95;<br/>#42;four#42;" in text


# SVG


@every
def test_svg_is_xml_with_every_step_once_and_no_script_or_reference(wanted):
    shapes = graph(wanted)
    root = ET.fromstring(svg_of(shapes))
    assert [group.get("data-address") for group in root.iter(f"{SVG}g")] == [s.address for s in laid_shapes(shapes)]
    assert sorted(s.address for s in laid_shapes(shapes)) == sorted(s.address for s in shapes.walk())
    assert not {element.tag for element in root.iter()} & {f"{SVG}script", f"{SVG}image", f"{SVG}a", f"{SVG}foreignObject"}
    assert not re.findall(r"url\((?!#)|href|@import|on\w+=", svg_of(shapes))
    assert "prefers-color-scheme: dark" in svg_of(shapes)


def laid_shapes(shapes: Graph) -> list[Shape]:
    return [piece.shape for piece in laid_out(shapes).pieces if isinstance(piece, Box)]


def test_nothing_in_a_text_is_markup():
    shape = graph("planning:research_task").shapes[0]
    bad = Graph(
        name=EVIL + "\0\ud800", version="</style>", description="]]>", shapes=(replace(shape, title=EVIL, address=EVIL),), finally_shapes=()
    )
    root = ET.fromstring(svg_of(bad))
    assert [g.get("data-address") for g in root.iter(f"{SVG}g")] == [EVIL.replace("\n", " ")]
    assert len(list(root.iter(f"{SVG}style"))) == 1


def rectangle(piece: Box | Frame | Label) -> tuple[float, float, float, float]:
    if isinstance(piece, Label):
        width = cells(piece.text) * CELL
        left = piece.x if piece.at_left else piece.x - width / 2
        return left, piece.y - 8, left + width, piece.y + 8
    return piece.x, piece.y, piece.x + piece.width, piece.y + piece.height


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def inside(inner: tuple[float, ...], outer: tuple[float, ...]) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


LONG = """
name: long
steps:
  - id: a-name-that-is-as-long-as-a-name-may-be-which-is-sixty-four-chars
    delegate: "日本語のテキストはとても長いですから、切らなければなりません。そうですよね? Und noch mehr."
  - id: choose
    switch: "{{ inputs.x }}"
    cases:
      "a case whose text is much longer than anything that stands below it": [{prompt: a}]
      b: [{prompt: b}]
inputs: {x: {type: string, required: true}}
"""


@pytest.mark.parametrize("wanted", [*drawn.ALL, LONG], ids=[*map(drawn.named, drawn.ALL), "long"])
def test_nothing_lies_over_anything_else(wanted):
    page = laid_out(graph_of(load(wanted)) if wanted is LONG else graph(wanted))
    boxes = [piece for piece in page.pieces if isinstance(piece, Box)]
    labels = [piece for piece in page.pieces if isinstance(piece, Label)]
    frames = [piece for piece in page.pieces if isinstance(piece, Frame)]
    for one, other in combinations([*boxes, *labels], 2):
        assert not overlap(rectangle(one), rectangle(other)), (one, other)
    for frame, piece in ((frame, piece) for frame in frames for piece in (*boxes, *labels, *frames) if piece is not frame):
        apart = not overlap(rectangle(frame), rectangle(piece))
        assert apart or inside(rectangle(piece), rectangle(frame)) or inside(rectangle(frame), rectangle(piece)), (frame, piece)
    for piece in (*boxes, *labels, *frames):
        assert inside(rectangle(piece), (0, 0, page.width, page.height)), piece


@pytest.mark.parametrize("wanted", [*drawn.ALL, LONG], ids=[*map(drawn.named, drawn.ALL), "long"])
def test_no_line_runs_through_a_box(wanted):
    page = laid_out(graph_of(load(wanted)) if wanted is LONG else graph(wanted))
    boxes = [rectangle(piece) for piece in page.pieces if isinstance(piece, Box)]
    for edge in (piece for piece in page.pieces if isinstance(piece, Edge)):
        for (x1, y1), (x2, y2) in zip(edge.points, edge.points[1:], strict=False):
            line = (min(x1, x2) - 0.1, min(y1, y2) - 0.1, max(x1, x2) + 0.1, max(y1, y2) + 0.1)
            assert x1 == pytest.approx(x2) or y1 == pytest.approx(y2), edge
            for box in boxes:
                # It may touch where it begins or ends.
                assert not overlap(line, (box[0] + 0.5, box[1] + 0.5, box[2] - 0.5, box[3] - 0.5)), (edge, box)


@pytest.mark.parametrize("wanted", [*drawn.ALL, LONG], ids=[*map(drawn.named, drawn.ALL), "long"])
def test_text_stays_in_its_box(wanted):
    for box in (p for p in laid_out(graph_of(load(wanted)) if wanted is LONG else graph(wanted)).pieces if isinstance(p, Box)):
        badge = cells(box.shape.effect) + 3 if box.shape.effect != "none" else 0
        assert cells(box.rows[0]) * CELL * 1.04 + badge * CELL <= box.width - graph_layout.PAD
        assert all(cells(row) * CELL <= box.width - graph_layout.PAD for row in box.rows[1:])


def test_a_drawing_of_300_steps_takes_a_moment():
    steps = "".join(f'  - {{id: s{n}, if: "{{{{ true }}}}", then: [{{prompt: a}}], else: [{{prompt: b}}]}}\n' for n in range(100))
    found = graph_of(load(f"name: big\nsteps:\n{steps}"))
    assert len(list(found.walk())) == 300
    assert svg_of(found) == svg_of(found)


def test_the_picture_in_the_docs_is_what_is_drawn():
    """`treadle graph planning:interactive --out docs/pictures/planning.svg` draws it anew."""
    picture = Path(__file__).resolve().parents[2] / "docs" / "pictures" / "planning.svg"
    assert picture.read_text(encoding="utf-8") == svg_of(graph("planning:interactive"))
