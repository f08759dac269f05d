"""The graph as Mermaid: a flowchart that shows in Markdown where Mermaid does.

Text is written so that nothing in it can be syntax: every character but letters, digits and a few marks stands as its number.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from treadle.authoring.graph import Graph, Shape, fitted

LABEL_COLUMNS_MAX: Final = 48
_PLAIN: Final = frozenset(" .,:/?!+=-_()'")
_EFFECTS: Final = {
    "read": "stroke:#2e7d32", "write": "stroke:#b26a00", "send": "stroke:#a21caf", "pay": "stroke:#c62828", "destroy": "stroke:#c62828",
}  # fmt: skip
_STATUS: Final = {
    "completed": "fill:#d8f0da,color:#10240f", "failed": "fill:#f8d5d5,color:#300", "running": "fill:#d6e6fb,color:#0b1f3a",
    "waiting": "fill:#d4f1f4,color:#06282c", "skipped": "fill:#eeeeee,color:#555", "handling": "fill:#fbe9c6,color:#332300",
}  # fmt: skip
_FORMS: Final = {
    "condition": ("{", "}"), "switch": ("{", "}"), "foreach": ("{{", "}}"), "while": ("{{", "}}"), "repeat": ("{{", "}}"),
    "parallel": ("[[", "]]"), "prompt": ("[/", "/]"), "approve": ("[/", "/]"), "return": ("([", "])"), "fail": ("([", "])"),
    "goto": (">", "]"), "break": (">", "]"), "continue": (">", "]"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """Where a way comes from that leads to whatever is drawn next."""

    node: str
    label: str = ""
    dashed: bool = False


@dataclass(slots=True)
class _Chart:
    lines: list[str] = field(default_factory=list[str])
    links: list[str] = field(default_factory=list[str])
    classes: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    nodes: dict[str, str] = field(default_factory=dict[str, str])
    jumps: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    count: int = 0

    def name(self, kind: str = "n") -> str:
        self.count += 1
        return f"{kind}{self.count}"


def mermaid_of(graph: Graph) -> str:
    """Write a graph as Mermaid's text."""
    chart = _Chart()
    first = chart.name()
    chart.lines.append(f'  {first}(["{escaped(f"{graph.name} {graph.version}")}"])')
    _list(chart, graph.shapes, [_End(node=first)], "  ", [])
    if graph.finally_shapes:
        _frame(chart, "finally, whatever happened", graph.finally_shapes, [], "  ", [])
    for node, target in chart.jumps:
        _link(chart, _End(node=node, dashed=True, label="go to"), chart.nodes[target])
    styles = {**{f"effect_{k}": v for k, v in _EFFECTS.items()}, **{f"status_{k}": v for k, v in _STATUS.items()}}
    defined = [f"  classDef {name} {styles[name]},stroke-width:2px;" for name in chart.classes]
    used = [f"  class {','.join(nodes)} {name};" for name, nodes in chart.classes.items()]
    return "\n".join(["flowchart TD", *chart.lines, *chart.links, *defined, *used]) + "\n"


def escaped(text: str) -> str:
    """Write a text so that Mermaid reads it as text, and not as Markdown either."""
    marked = "".join(c if c.isalnum() or c in _PLAIN else f"#{ord(c)};" for c in text)
    # A list or an emphasis in Markdown: Mermaid would say that it cannot show one, or eat the mark.
    marked = re.sub(r"^([-+=]|\d+(?=[.)]))", lambda found: "".join(f"#{ord(c)};" for c in found[0]), marked)
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", "#95;", marked)


def _label(shape: Shape) -> str:
    rows = [shape.title, shape.detail, *shape.notes]
    rows += [f"effect: {shape.effect}"] if shape.effect not in {"none", ""} else []
    return "<br/>".join(escaped(fitted(row, LABEL_COLUMNS_MAX)) for row in rows if row)


def _list(chart: _Chart, shapes: Sequence[Shape], ends: list[_End], lead: str, loops: list[tuple[str, list[_End]]]) -> list[_End]:
    """Draw a list behind `ends`; gives where it ends. `loops` are the heads of the loops around it, and where their `break` leads from."""
    for shape in shapes:
        ends = _shape(chart, shape, ends, lead, loops)
    return ends


def _shape(chart: _Chart, shape: Shape, ends: list[_End], lead: str, loops: list[tuple[str, list[_End]]]) -> list[_End]:
    node = chart.nodes[shape.address] = chart.name()
    rounds = [lane for lane in shape.lanes if lane.kind == "round"]
    if rounds:
        chart.lines.append(f'{lead}subgraph {chart.name("s")}["{escaped(shape.title)}"]')
    opening, closing = _FORMS.get(shape.type, ("[", "]"))
    chart.lines.append(f'{lead}{"  " if rounds else ""}{node}{opening}"{_label(shape)}"{closing}')
    if shape.effect in _EFFECTS:
        chart.classes.setdefault(f"effect_{shape.effect}", []).append(node)
    if shape.status in _STATUS:
        chart.classes.setdefault(f"status_{shape.status}", []).append(node)
    for end in ends:
        _link(chart, end, node)
    return _lanes(chart, shape, node, lead, loops, is_loop=bool(rounds))


def _lanes(chart: _Chart, shape: Shape, node: str, lead: str, loops: list[tuple[str, list[_End]]], *, is_loop: bool) -> list[_End]:
    found: list[_End] = []
    left: list[_End] = []
    for lane in shape.lanes:
        if lane.kind == "round":
            inner = _list(chart, lane.shapes, [_End(node=node, label=lane.label)], lead + "  ", [*loops, (node, left)])
            for end in inner:
                _link(chart, end, node)
            chart.lines.append(f"{lead}end")
        elif lane.kind == "aside":
            after = _frame(chart, lane.label, lane.shapes, [_End(node=node, label=lane.label, dashed=True)], lead, loops)
            found += [_End(node=end.node, label=end.label, dashed=True) for end in after] if lane.label in {"on error", "on reject"} else []
        elif lane.kind == "together":
            found += _frame(chart, lane.label, lane.shapes, [_End(node=node)], lead, loops)
        else:
            found += _list(chart, lane.shapes, [_End(node=node, label=lane.label)], lead, loops)
    if shape.type == "goto" and shape.goto:
        chart.jumps.append((node, shape.goto))
    if shape.type == "continue" and loops:
        _link(chart, _End(node=node, dashed=True), loops[-1][0])
    if shape.type == "break" and loops:
        loops[-1][1].append(_End(node=node, label="break", dashed=True))
    goes_on = not shape.ends and not any(lane.kind in {"branch", "together"} for lane in shape.lanes)
    return [*([_End(node=node, label="done" if is_loop else "")] if goes_on else []), *left, *found]


def _frame(
    chart: _Chart, label: str, shapes: Sequence[Shape], ends: list[_End], lead: str, loops: list[tuple[str, list[_End]]]
) -> list[_End]:
    if not shapes:
        return ends
    chart.lines.append(f'{lead}subgraph {chart.name("s")}["{escaped(fitted(label, LABEL_COLUMNS_MAX))}"]')
    found = _list(chart, shapes, ends, lead + "  ", loops)
    chart.lines.append(f"{lead}end")
    return found


def _link(chart: _Chart, end: _End, node: str) -> None:
    arrow = "-.->" if end.dashed else "-->"
    label = f'|"{escaped(fitted(end.label, LABEL_COLUMNS_MAX))}"|' if end.label else ""
    chart.links.append(f"  {end.node} {arrow}{label} {node}")
