"""A workflow as shapes to be drawn: boxes, lists of boxes, and the jumps between them; text, Mermaid and SVG are made from this alone.

Every step type can be drawn, also those that nothing carries out yet. With `status` (a word per address, as `treadle.view` gives it) the same
drawing shows a run.
"""

import re
import unicodedata
from collections.abc import Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Final

from treadle.authoring import outline
from treadle.authoring.describe import does
from treadle.authoring.find import Loaded
from treadle.authoring.freeze import Part
from treadle.authoring.outline import Below, ListKind, Outline, Row
from treadle.authoring.tree import StepTree
from treadle.core.ids import join

DETAIL_CHARS_MAX: Final = 80
_ENDS: Final = frozenset({"return", "fail", "goto", "break", "continue"})
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A list of shapes below another: `kind` says when it is taken (`outline.ListKind`). Of a task, `return` ends the round."""

    label: str
    kind: ListKind
    shapes: tuple["Shape", ...]
    is_task: bool = False

    @property
    def ends_in_a_round(self) -> bool:
        """Tell whether its last shape leads to the next round."""
        last = self.shapes[-1].type if self.shapes and self.shapes[-1].ends else ""
        return last == "continue" or (last == "return" and self.is_task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A step. `title` and `detail` are what it is called and does, `notes` what else matters; nothing follows one that `ends`.

    `goto` is the address that a jump leads to; `status` the word of a run, empty without one.
    """

    address: str
    type: str
    title: str
    detail: str
    notes: tuple[str, ...]
    effect: str
    ends: bool
    lanes: tuple[Lane, ...]
    goto: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A workflow to be drawn."""

    name: str
    version: str
    description: str
    shapes: tuple[Shape, ...]
    finally_shapes: tuple[Shape, ...]

    def walk(self) -> Iterator[Shape]:
        """Give every shape."""
        yield from _walk(self.shapes)
        yield from _walk(self.finally_shapes)


def graph_of(loaded: Loaded, status: Map[str, str] | None = None) -> Graph:
    """Make the graph of a workflow without errors."""
    fields = loaded.tree.fields
    version, description = fields.get("version"), fields.get("description")
    maker = _Maker(Outline(loaded), status or {})
    main = maker.outline.main
    return Graph(
        name=loaded.name,
        version=version if isinstance(version, str) else "0.0.0",
        description=description if isinstance(description, str) else "",
        shapes=maker.shapes(tuple(main.task.steps), main, "", outline.DRIVER, {}),
        finally_shapes=maker.shapes(tuple(main.task.finally_steps), main, "finally", outline.DRIVER, {}),
    )


def cells(text: str) -> int:
    """Give how many columns of fixed width a text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in {"W", "F"} else 1 for c in text)


def fitted(text: str, width: int) -> str:
    """Cut a text to so many columns, between words where that leaves most of it."""
    if cells(text) <= width:
        return text
    cut = text
    while cut and cells(cut) > width - 1:
        cut = cut[:-1]
    whole = re.sub(r"\w+$", "", cut) if re.match(r"\w", text[len(cut) :]) else cut
    cut = whole if cells(whole) > width // 2 else cut
    return cut.rstrip() + "…" if width > 0 else ""


def shown(text: str) -> str:
    """Give a text on one line, without what could hide or forge something."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _HIDDEN else c for c in " ".join(text.split()))


class _Maker:
    def __init__(self, walked: Outline, status: Map[str, str]) -> None:
        self.outline, self.status = walked, status

    def shapes(self, steps: tuple[StepTree, ...], part: Part, at: str, agent: str, targets: Map[str, str]) -> tuple[Shape, ...]:
        here = {**targets, **{step.id: join(at, step.id) for step in steps}}
        return tuple(self._shape(step, part, join(at, step.id), agent, here) for step in steps)

    def _shape(self, step: StepTree, part: Part, address: str, agent: str, targets: Map[str, str]) -> Shape:
        row = Row(
            step=step, address=address, part=part, depth=0, label="", agent=agent, rounds=(), seen_at=self.outline.seen(step, part)
        )  # fmt: skip
        lanes = tuple(self._lane(step, below, address, agent, targets) for below in self.outline.lists(step, part, address))
        target = step.fields.get("target") if step.type == "goto" else None
        return Shape(
            address=address,
            type=step.type,
            title=step.type if step.implicit else step.id,
            detail=shown(_detail(step)),
            notes=tuple(shown(note) for note in _notes(row)),
            effect=self.outline.effect(step),
            ends=step.type in _ENDS and "when" not in step.fields,
            lanes=_completed(step, lanes),
            goto=targets.get(target, "") if isinstance(target, str) else "",
            status=self.status.get(address, ""),
        )

    def _lane(self, step: StepTree, below: Below, address: str, agent: str, targets: Map[str, str]) -> Lane:
        own = outline.SUB_AGENT if below.kind == "round" and "agent" in step.fields else agent
        inner = {} if below.kind in {"round", "together"} else targets
        shapes = self.shapes(below.steps, below.part, address + below.suffix, own, inner)
        return Lane(label=shown(below.label), kind=below.kind, shapes=shapes, is_task=bool(below.task))


def _completed(step: StepTree, lanes: tuple[Lane, ...]) -> tuple[Lane, ...]:
    """Add the ways that nobody wrote: a condition without `else` goes on all the same."""
    labels = {"condition": ("then", "else"), "switch": ("default",)}.get(step.type, ())
    found = list(lanes)
    for label in labels:
        if all(lane.label != label for lane in lanes):
            at = 0 if label == "then" else next((n for n, lane in enumerate(found) if lane.kind == "aside"), len(found))
            found.insert(at, Lane(label=label, kind="branch", shapes=()))
    # What is taken stands before what only happens aside.
    return tuple(sorted(found, key=lambda lane: lane.kind == "aside"))


def _detail(step: StepTree) -> str:
    text = does(step, DETAIL_CHARS_MAX)
    match step.type:
        case "condition":
            return f"if {text}"
        case "foreach":
            return f"for each item of {text}"
        case "while":
            return f"while {text}"
        case "repeat":
            return f"repeat until {text}"
        case "parallel":
            join_word = step.fields.get("join", "all")
            wanted = {"all": "all must succeed", "any": "the first success wins"}.get(str(join_word), f"{join_word} must succeed")
            return f"at the same time; {wanted}"
        case "goto":
            return f"go to {text}, at most {step.fields.get('max_visits', '?')} times"
        case _:
            own = "" if step.implicit else f"{step.type} "
            return f"{own}{text}".strip()


def _notes(row: Row) -> Iterator[str]:
    step, fields = row.step, row.step.fields
    if step.type in {"while", "repeat"}:
        yield f"at most {fields.get('max_iterations', '?')} rounds"
    if step.type == "foreach":
        most = fields.get("max_parallel", 10)
        yield "one after the other" if fields.get("sequential") is True else f"{most} at once"
    by = outline.who(row)
    if by != "treadle" and step.type not in {"goto", "return"}:
        yield f"by {by}"
    if "when" in fields:
        yield f"only when {outline.condition_of(step, 'when')}"
    requires = fields.get("requires")
    if requires is not None:
        yield "needs an approval"
    retry = fields.get("retry")
    if isinstance(retry, dict):
        yield f"{retry.get('attempts')} tries"
    on_error = fields.get("on_error")
    if on_error == "continue":
        yield "goes on after an error"
    elif isinstance(on_error, dict) and "fallback" in on_error:
        yield "with a fallback after an error"
    if row.seen_at:
        yield f"steps as under {row.seen_at}"


def _walk(shapes: tuple[Shape, ...]) -> Iterator[Shape]:
    for shape in shapes:
        yield shape
        for lane in shape.lanes:
            yield from _walk(lane.shapes)
