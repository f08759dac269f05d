"""Reading test files and scripts: every fault at its line, as for workflows; what was read keeps its places for messages of later.

Only the form is read here. Whether a name exists in the workflow is asked by `fitting.py`.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, cast

from treadle.authoring import kinds as k
from treadle.authoring.nodes import Document, Mapping, Node, Sequence
from treadle.authoring.problems import Problem, has_errors, ordered
from treadle.authoring.reading import Owner, Reader, Unread
from treadle.authoring.tree import TaskTree
from treadle.authoring.yaml_reader import read_file
from treadle.core.values import Json
from treadle.testing import fields
from treadle.testing.script import Entry, Place, Script, Signal, entry_of, verbs_of

SUFFIXES: Final = (".test.yaml", ".test.yml", ".test.json")
_ANSWERING: Final = frozenset({"answer", "answers", "approve", "reject", "fail", "cannot", "lost", "outcome"})
_BY_PERSON: Final = frozenset({"answer", "answers", "approve", "reject", "outcome", "cancel"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must hold at the end: the fields of `expect`, and their nodes for places."""

    fields: Map[str, object] = field(default_factory=dict[str, object])
    nodes: Map[str, Node] = field(default_factory=dict[str, Node])

    @property
    def status(self) -> str:
        """Give the status that is expected."""
        return str(self.fields.get("status") or ("failed" if "failure" in self.fields else "completed"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case of a test file. `shown` names the file in messages; `workflow` is as written, empty for the file beside this one."""

    name: str
    path: Path
    shown: str
    place: Place
    description: str = ""
    workflow: str = ""
    inputs: Map[str, Json] = field(default_factory=dict[str, Json])
    user: str = "tester"
    clock_ms: int = 0
    script: Script
    expected: Expected
    signals: tuple[Signal, ...] = ()
    nodes: tuple[Mapping, ...] = ()

    def __str__(self) -> str:
        """Name it as the command line does."""
        return f"{self.shown}::{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestFile:
    """A test file as read. Where it is `broken`, `cases` are those that could be read all the same; `shared` are the entries that stand beside `cases`."""

    __test__ = False

    path: Path
    shown: str
    document: Document
    cases: tuple[Case, ...] = ()
    shared: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def broken(self) -> bool:
        """Tell whether it cannot be used."""
        return has_errors(self.problems)


def stem_of(path: Path) -> str:
    """Give a test file's name without its endings."""
    return re.sub(r"\.test\.(ya?ml|json)\Z", "", path.name)


def read_tests(path: Path, shown: str) -> TestFile:
    """Read a test file; never raises for what it holds."""
    document = read_file(path, shown)
    return _TestReader(document).file(path, shown)


def read_answers(document: Document, shown: str) -> tuple[Script, tuple[Problem, ...]]:
    """Read a bare list of answers, or the short form that maps patterns to answers."""
    reader = _TestReader(document)
    root = document.root
    if isinstance(root, Mapping) and "answers" in root.entries:
        root = root.entries["answers"]
    entries = reader.script(root, shown)
    if root is not None and not entries and not reader.problems:
        reader.error("not_a_test", root, "there is no list of answers here", "write `- {match: …, answer: …}`")
    return Script(name=shown, entries=entries), ordered(reader.problems)


class _TestReader(Reader):
    """Reads by the tables of `fields.py`."""

    def __init__(self, document: Document) -> None:
        super().__init__(document, {})

    def steps(self, node: Node, owner: Owner, name: str) -> object:  # noqa: ARG002 - the signature of Reader
        """Never asked for: no field here holds steps."""
        raise TypeError(name)

    def task(self, name: str, node: Mapping) -> TaskTree:  # noqa: ARG002 - the signature of Reader
        """Never asked for: no field here holds tasks."""
        raise TypeError(name)

    def later(self, feature: str, node: Node) -> None:
        """Never asked for: no field here is marked so."""
        self.error("not_yet", node, f"{feature} is read, but this version does not carry it out")

    def file(self, path: Path, shown: str) -> TestFile:
        root = self.document.root
        if not isinstance(root, Mapping):
            if root is not None:
                self.error("not_a_test", root, "a test file is a map with `workflow`, `answers` and `expect`, or with `cases`")
            return self._told(path, shown)
        top = TaskTree(name="", node=root)
        self.read_fields(root, fields.FILE, top, "a test file")
        shared = self.script(root.entries["answers"], shown) if isinstance(top.fields.get("answers"), list | dict) else ()
        self._clock(root, root, top.fields)
        rows = self._rows(root) if "cases" in root.entries else [(root, top.fields)]
        cases = [self._case(path, shown, node, row, root, top.fields, shared) for node, row in rows]
        self._check_names(cases)
        return self._told(path, shown, tuple(cases), shared if "cases" in root.entries else ())

    def _rows(self, root: Mapping) -> list[tuple[Mapping, Map[str, object]]]:
        """Read each case by itself, so that the faults of one hide none of another."""
        if "name" in root.entries:
            self.error("field_not_allowed", root.keys["name"], "beside `cases` each case has its own name", "delete `name`")
        listed = root.entries["cases"]
        found: list[tuple[Mapping, Map[str, object]]] = []
        for node in listed.items if isinstance(listed, Sequence) else ():
            with contextlib.suppress(Unread):
                row = self.value(fields.CASE_KIND, node, TaskTree(name="", node=root), "cases")
                assert isinstance(node, Mapping)
                found.append((node, cast("dict[str, object]", row)))
        return found

    def _told(self, path: Path, shown: str, cases: tuple[Case, ...] = (), shared: tuple[Entry, ...] = ()) -> TestFile:
        return TestFile(path=path, shown=shown, document=self.document, cases=cases, shared=shared, problems=ordered(self.problems))

    def _case(
        self, path: Path, shown: str, node: Mapping, row: Map[str, object], root: Mapping, top: Map[str, object], shared: tuple[Entry, ...],
    ) -> Case:  # fmt: skip
        is_own = node is not root
        self._check_fields(node, row)
        name = str(row.get("name", "")) or stem_of(path)
        own = self.script(node.entries["answers"], shown) if is_own and "answers" in row else ()
        inputs = {**cast("dict[str, Json]", top.get("inputs", {})), **cast("dict[str, Json]", row.get("inputs", {}))}
        both: dict[str, object] = {**top, **row}
        return Case(
            name=name, path=path, shown=shown, place=self._place(node, shown), inputs=inputs, description=str(row.get("description", "")),
            workflow=str(both.get("workflow", "")), user=str(both.get("user", "tester")), clock_ms=self._clock(node, root, both),
            script=Script(name=shown, entries=(*own, *shared)), nodes=(node, root) if is_own else (node,),
            expected=self._expected(node, row, root, top), signals=tuple(self._signals(node, root, both, shown)),
        )  # fmt: skip

    def _signals(self, node: Mapping, root: Mapping, row: Map[str, object], shown: str) -> Iterator[Signal]:
        at = node.entries.get("signals") or root.entries.get("signals")
        rows = cast("list[dict[str, object]]", row.get("signals") or [])
        for item, each in zip(at.items if isinstance(at, Sequence) else (), rows, strict=False):
            yield Signal(
                name=str(each["name"]), payload=cast(Json, each.get("payload")), after_ms=cast(int, each.get("after", 0)),
                place=self._place(item, shown),
            )  # fmt: skip

    def _check_fields(self, node: Mapping, row: Map[str, object]) -> None:
        expect = row.get("expect")
        at = node.entries.get("expect")
        if not isinstance(expect, dict) or not isinstance(at, Mapping):
            return
        for one, other in (("result", "result_includes"), *(("refused", name) for name in fields.EXPECT if name != "refused")):
            if one in expect and other in expect:
                self.error("bad_value", at.keys[other], f"`{other}` cannot stand beside `{one}`", "delete one of them")
        calls = at.entries.get("calls")
        for call in calls.items if isinstance(calls, Sequence) else ():
            if isinstance(call, Mapping) and {"parameters", "parameters_include"} <= set(call.entries):
                self.error(
                    "bad_value",
                    call.keys["parameters_include"],
                    "`parameters_include` cannot stand beside `parameters`",
                    "delete one of them",
                )

    def _check_names(self, cases: Iterable[Case]) -> None:
        seen: dict[str, Case] = {}
        for case in cases:
            first = seen.setdefault(case.name, case)
            if first is not case:
                node = case.nodes[0].entries["name"]
                self.error("duplicate_id", node, f"two cases are called {case.name!r}: first at line {first.place.line}", "rename one")

    def _expected(self, node: Mapping, row: Map[str, object], root: Mapping, top: Map[str, object]) -> Expected:
        found: dict[str, object] = {}
        nodes: dict[str, Node] = {}
        for holder, values in ((root, top), (node, row)):
            expect, at = values.get("expect"), holder.entries.get("expect")
            if isinstance(expect, dict) and isinstance(at, Mapping):
                found |= expect
                nodes |= at.entries
        return Expected(fields=found, nodes=nodes)

    def _clock(self, node: Mapping, root: Mapping, row: Map[str, object]) -> int:
        text = str(row.get("clock", "2026-01-01T00:00:00Z"))
        at = node.entries.get("clock") or root.entries.get("clock") or node
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            self.error("bad_value", at, f"`clock` is an instant, not {k.form_of(text)}", "write it like 2026-01-31T09:00:00Z")
            return 0
        if instant.tzinfo is None:
            self.error("bad_value", at, "`clock` is an instant with its zone", f"write `{text}Z`")
            return 0
        return round(instant.timestamp() * 1000)

    # Answers

    def script(self, node: Node | None, shown: str) -> tuple[Entry, ...]:
        """Read the entries of a list, or of the short form."""
        if isinstance(node, Mapping):
            return tuple(
                Entry(match=key, verb="answer", given=cast(Json, self.value(k.Anything(), child, TaskTree(name="", node=node), key)),
                      place=self._place(node.keys[key], shown))
                for key, child in node.entries.items()
            )  # fmt: skip
        if not isinstance(node, Sequence):
            return ()
        return tuple(entry for item in node.items if (entry := self._entry(item, shown)) is not None)

    def _entry(self, node: Node, shown: str) -> Entry | None:
        try:
            # What is wrong may have been told already, with the list as a whole: `ordered` tells it once.
            row = self.value(fields.ENTRY, node, TaskTree(name="", node=Mapping(1, 1, 0)), "answers")
        except Unread:
            return None
        assert isinstance(row, dict)
        assert isinstance(node, Mapping)
        return entry_of(row, self._place(node, shown)) if self._check_entry(node, row) else None

    def _check_entry(self, node: Mapping, row: dict[str, object]) -> bool:
        verbs = verbs_of(row)
        before = len(self.problems)
        if len(verbs) != 1:
            told = f"has {', '.join(f'`{verb}`' for verb in verbs)}" if verbs else "says nothing beside `match`"
            self.error("bad_value" if verbs else "missing_field", node.keys[verbs[1]] if verbs else node, f"the entry {told}",
                       f"an entry has one of {', '.join(fields.VERBS)}")  # fmt: skip
            return False
        verb = verbs[0]
        if verb in {"approve", "reject", "lost", "hold"} and row[verb] is False:
            self.error("bad_value", node.entries[verb], f"`{verb}` is never `false`: the entry says what happens", "delete the entry")
        allowed = {"value": verb == "outcome", "after": verb in _ANSWERING, "times": verb != "answers", "by": verb in _BY_PERSON}
        for name, is_allowed in allowed.items():
            if name in row and not is_allowed:
                self.error("field_not_allowed", node.keys[name], f"`{name}` makes no sense beside `{verb}`", f"delete `{name}`")
        return len(self.problems) == before

    def _place(self, node: Node, shown: str) -> Place:
        return Place(file=shown, line=node.line, column=node.column)


def below(node: Node | None, path: str) -> Iterator[Node]:
    """Give the nodes on the way that a path of data (`plan.steps[2].name`) leads, as far as there are any."""
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(node, Mapping) and part in node.entries:
            node = node.entries[part]
        elif isinstance(node, Sequence) and part.isdigit() and int(part) < len(node.items):
            node = node.items[int(part)]
        else:
            return
        yield node


def place_of(node: Node | None, shown: str, path: str = "", *, fallback: Place) -> Place:
    """Give the place of what a path leads to below a node, or of the last that is there."""
    last = node
    for each in below(node, path):
        last = each
    return Place(file=shown, line=last.line, column=last.column) if last is not None else fallback


__all__ = ["SUFFIXES", "Case", "Expected", "TestFile", "below", "place_of", "read_answers", "read_tests", "stem_of"]
