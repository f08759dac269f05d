"""Where workflows live, and loading one: the file, the closure of its tasks, every problem, and the Definition where there is none.

Names resolve as ruling 16 says: a declared name before a file's stem, an earlier place before a later one; two files of one place, or a file
and an entry under `tasks:`, are an error that lists both. A file that cannot be read is still listed, as broken. Nothing of a project
is executed here.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as Map
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from treadle.authoring.check import check
from treadle.authoring.closure import Closure
from treadle.authoring.freeze import Part, freeze
from treadle.authoring.functions_check import check_functions
from treadle.authoring.nodes import Document, Mapping, Scalar
from treadle.authoring.parse import parse
from treadle.authoring.people_check import check_people
from treadle.authoring.problems import DefinitionError, Problem, did_you_mean, has_errors, listed, ordered
from treadle.authoring.tree import FileTree, NotYet
from treadle.authoring.yaml_reader import read_bytes, read_file, read_text
from treadle.config.people import People
from treadle.config.project import Project
from treadle.core.codec import digest_of
from treadle.core.definition import Definition
from treadle.core.errors import RequestError
from treadle.functions import Catalog, catalog

Origin = Literal["project", "user", "library", "path"]
LIBRARY_DIR: Final = Path(__file__).resolve().parent.parent / "library" / "workflows"
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_TOP_NAME = re.compile(r"^(?:name|\"name\"|'name')[ \t]*:[ \t]*(?:\"([^\"\n]*)\"|'([^'\n]*)'|([^\s#\"'{\[][^\n#]*))", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory that is searched. `label` is how its files are shown; `foreign` files are of another format, which is not read yet."""

    directory: Path
    origin: Origin
    label: str
    pattern: str = "*"
    foreign: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file in a place. `name` is declared, or the file's stem where none can be read; `shown` names the file in messages."""

    name: str
    path: Path
    origin: Origin
    shown: str
    place: Path
    foreign: str = ""

    @property
    def stem(self) -> str:
        """Give the file's name without its ending."""
        return self.path.name.removesuffix(self.path.suffix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A workflow in a list. `status` says whether it can be started; `hidden_by` names what its name means instead, or as well.

    Of two files of one place with one name neither is taken, so each hides the other.
    """

    name: str
    version: str
    description: str
    origin: Origin
    shown: str
    path: Path
    status: Literal["ready", "broken", "not_yet"]
    problem: str = ""
    hidden_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """What a `run` step starts: its parts as those of a workflow of its own, and what it starts itself, by key."""

    parts: tuple[Part, ...]
    children: "Map[str, Child]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A workflow as loaded. `definition` and `digest` are there when it has no errors and uses nothing that is still to be built.

    `sources` maps each file that has problems or tasks to its text, for `problems.render`. `parts` are the main part and every task that it
    leads to, `children` what its `run` steps start; `tool_effects` is what the configuration said when it was loaded. `foreign` names another format, which is not read.
    `impossible` are the gates that nobody could pass: no errors, because people come and go, and no run is started with one (ruling 26).
    """

    name: str
    definition: Definition | None
    digest: str
    source_path: Path
    origin: Origin
    shown: str
    problems: tuple[Problem, ...]
    not_yet: tuple[NotYet, ...]
    source_text: str
    source_digest: str
    tree: FileTree
    sources: Map[str, str]
    impossible: tuple[Problem, ...] = ()
    foreign: str = ""
    parts: tuple[Part, ...]
    tool_effects: Map[str, str]
    children: Map[str, Child] = field(default_factory=dict[str, Child])

    def require(self) -> Definition:
        """Give the definition. Raises DefinitionError with every problem, RequestError `not_yet` or `impossible_gate`."""
        if self.foreign:
            raise RequestError(
                f"{self.shown} is {self.foreign}: this version of Treadle lists such files, and does not carry them out",
                code="not_yet",
                hint="write it as a workflow with `steps` in workflows/, or wait for the version that converts it",
                details={"not_yet": [{"feature": r.feature, "path": r.path, "line": r.line, "file": r.file} for r in self.not_yet]},
            )
        for problem in self.impossible:
            raise RequestError(f"{problem.file}:{problem.line}: {problem.message}", code=problem.code, hint=problem.suggestion)
        if self.definition is not None:
            return self.definition
        if has_errors(self.problems):
            raise DefinitionError(self.problems, name=self.name or self.shown)
        rows = [f"{row.feature} ({row.file}:{row.line})" for row in self.not_yet]
        raise RequestError(
            f"the workflow {self.name!r} cannot be started yet: this version of Treadle does not carry out {listed(rows, most=20)}",
            code="not_yet",
            hint="it is checked and can be shown; remove what is named, or wait for the version that has it",
            details={"not_yet": [{"feature": r.feature, "path": r.path, "line": r.line, "file": r.file} for r in self.not_yet]},
        )


def places(project: Project, paths: Sequence[Path] = (), user_home: Path | None = None) -> list[Place]:
    """List where workflows are looked for, first things first. `paths` are the configured further directories."""
    root = project.root
    found = [
        Place(directory=root / "workflows", origin="project", label="workflows/"),
        Place(directory=root / ".treadle" / "workflows", origin="project", label=".treadle/workflows/"),
        *(Place(directory=path, origin="project", label=_label(path, root)) for path in paths),
        Place(
            directory=root / ".claude" / "workflows",
            origin="project",
            label=".claude/workflows/",
            pattern="*.json",
            foreign="a JSON pattern",
        ),
        Place(
            directory=root / ".claude" / "pipelines",
            origin="project",
            label=".claude/pipelines/",
            pattern="*-graph.yaml",
            foreign="a graph pipeline",
        ),
        *([Place(directory=user_home / ".treadle" / "workflows", origin="user", label="~/.treadle/workflows/")] if user_home else []),
        Place(directory=LIBRARY_DIR, origin="library", label="library/"),
    ]
    return list({place.directory.resolve(): place for place in reversed(found)}.values())[::-1]


def list_workflows(
    project: Project, *, paths: Sequence[Path] = (), user_home: Path | None = None, people: People | None = None
) -> list[Listed]:
    """List every workflow file with its source; broken ones too, with the first thing that is wrong. Executes nothing."""
    finder = Finder(project, paths, user_home, people=people)
    found: list[Listed] = []
    for entry in finder.entries():
        row = finder.listed(entry)
        meant = finder.candidates(row.name)
        others = meant if row.shown not in meant else [shown for shown in meant if shown != row.shown]
        found.append(replace(row, hidden_by=listed(others) if others else ""))
    return found


def load(
    project: Project, name_or_path: str | Path, *, paths: Sequence[Path] = (), user_home: Path | None = None,
    tool_effects: Map[str, str] | None = None, people: People | None = None,
) -> Loaded:  # fmt: skip
    """Load a workflow by name or path: read, check, freeze. Raises RequestError `unknown_workflow`, `ambiguous_name`; never for its content.

    `tool_effects` says, by `server.tool`, what tools do as the configuration confirms it.
    """
    return Finder(project, paths, user_home, tool_effects, people).load_named(name_or_path)


def load_text(
    project: Project, text: str, shown: str, *, paths: Sequence[Path] = (), user_home: Path | None = None, people: People | None = None
) -> Loaded:
    """Load a workflow from a text that is in no file yet, as an editor or a test has it."""
    finder = Finder(project, paths, user_home, people=people)
    entry = Entry(name="", path=project.root / shown, origin="path", shown=shown, place=project.root)
    return finder.load(entry, read_text(text, shown))


class Finder:
    """Finds, reads and loads the files of one project; each is read once."""

    def __init__(
        self,
        project: Project,
        paths: Sequence[Path] = (),
        user_home: Path | None = None,
        tool_effects: Map[str, str] | None = None,
        people: People | None = None,
    ) -> None:
        """Look in the project's places."""
        self.project = project
        self.tool_effects = tool_effects or {}
        self.people = people
        self.places = places(project, paths, user_home)
        self._entries: list[Entry] | None = None
        self._called: tuple[dict[str, list[Entry]], ...] | None = None
        self._trees: dict[str, FileTree] = {}
        self._catalog: Catalog | None = None
        self._impossible: dict[str, tuple[Problem, ...]] = {}

    def entries(self) -> list[Entry]:
        """Give every file, in the order of the places."""
        if self._entries is None:
            self._entries = [entry for place in self.places for entry in _files(place)]
        return self._entries

    def entry(self, name_or_path: str | Path) -> Entry:
        """Find the file that a name or path means. Raises RequestError."""
        written = str(name_or_path)
        if isinstance(name_or_path, Path) or "/" in written or written.endswith(_SUFFIXES):
            return self._by_path(Path(name_or_path))
        found = self._candidates(written)
        if len(found) == 1:
            return found[0]
        if found:
            raise RequestError(
                f"{written!r} could be: {listed(entry.shown for entry in found)}",
                code="ambiguous_name",
                hint="rename one, or give its path",
            )
        names = list(self.names())
        raise RequestError(
            f"there is no workflow {written!r}", code="unknown_workflow",
            hint=did_you_mean(written, names) or f"there are: {listed(names)}",
        )  # fmt: skip

    def _by_path(self, path: Path) -> Entry:
        full = (
            path
            if path.is_absolute()
            else next((p for p in (Path.cwd() / path, self.project.root / path) if p.is_file()), self.project.root / path)
        )
        if not full.is_file():
            raise RequestError(
                f"there is no file {path}",
                code="unknown_workflow",
                hint="`treadle list` shows the workflows that were found",
            )
        for entry in self.entries():
            if entry.path.resolve() == full.resolve():
                return entry
        return Entry(name="", path=full, origin="path", shown=_label(full, self.project.root).rstrip("/"), place=full.parent)

    def _candidates(self, name: str) -> list[Entry]:
        if self._called is None:
            self._called = _by_what_they_are_called(self.entries())
        for called in self._called:
            found = called.get(name, [])
            if found:
                return [entry for entry in found if entry.place == found[0].place]
        return []

    def candidates(self, name: str) -> list[str]:
        """Give the shown names of the files that a name could mean."""
        return [entry.shown for entry in self._candidates(name)]

    def names(self) -> Iterable[str]:
        """Give the declared name of every file."""
        return dict.fromkeys(entry.name for entry in self.entries() if not entry.foreign)

    def is_own(self, shown: str) -> bool:
        """Tell whether a file belongs to the project, not to the user's home or the library."""
        return all(entry.origin not in {"user", "library"} for entry in self.entries() if entry.shown == shown)

    def document(self, entry: Entry) -> Document:
        """Read a file's text."""
        return read_file(entry.path, entry.shown)

    def tree(self, shown: str) -> FileTree:
        """Read and check a file that was found before."""
        if shown not in self._trees:
            entry = next(entry for entry in self.entries() if entry.shown == shown)
            self._trees[shown] = self._checked(entry, self.document(entry))
        return self._trees[shown]

    def _checked(self, entry: Entry, document: Document) -> FileTree:
        if self._catalog is None:
            self._catalog = catalog(self.project)
        visible = self._catalog.visible(library_only=entry.origin == "library")
        tree = parse(document, visible)
        if document.root is not None:
            check(tree, self.tool_effects)
            check_functions(tree)
            gates = check_people(tree, self.people) if self.people is not None else ()
            self._impossible[entry.shown] = gates or tuple(p for p in tree.problems if p.code == "impossible_gate")
        return tree

    def load(self, entry: Entry, document: Document) -> Loaded:
        """Check a file and freeze it with its closure where it can be frozen."""
        tree = self._trees[entry.shown] = self._checked(entry, document)
        closure = Closure(tree, self)
        main, parts = closure.resolve()
        trees = _files_of((main, *parts))
        problems = ordered([] if entry.foreign else [p for found in trees for p in found.problems])
        # Circles and depth have been checked where there are no errors.
        children = {} if has_errors(problems) else self._children(closure)
        below = _files_of([*all_parts((main, *parts), children)])
        not_yet = _foreign(entry) + [row for found in below for row in found.not_yet]
        definition = None
        if not has_errors(problems) and not not_yet:
            definition = freeze(main, parts, self.tool_effects, self._frozen(children))
        text = document.source.text
        return Loaded(
            name=tree.name or entry.name, definition=definition, digest=digest_of(definition) if definition else "",
            source_path=entry.path, origin=entry.origin, shown=entry.shown, problems=problems, not_yet=tuple(not_yet),
            source_text=text, source_digest="sha256:" + hashlib.sha256(text.encode()).hexdigest(), tree=tree,
            sources={found.document.source.file: found.document.source.text for found in trees},
            impossible=() if entry.foreign else ordered(p for found in below for p in self._impossible.get(found.document.source.file, ())),
            foreign=entry.foreign,
            parts=(main, *parts), tool_effects=self.tool_effects, children=children,
        )  # fmt: skip

    def _children(self, closure: Closure) -> dict[str, Child]:
        """Resolve what the `run` steps start."""
        found: dict[str, Child] = {}
        for key, target in closure.children.items():
            inner = Closure(target.file, self)
            main, parts = inner.resolve_child(target)
            found[key] = Child(parts=(main, *parts), children=self._children(inner))
        return found

    def _frozen(self, children: Map[str, Child]) -> dict[str, Definition]:
        return {
            key: freeze(child.parts[0], list(child.parts[1:]), self.tool_effects, self._frozen(child.children))
            for key, child in children.items()
        }

    def load_named(self, name_or_path: str | Path) -> Loaded:
        """Find a file and load it; raises as `entry` does."""
        entry = self.entry(name_or_path)
        return self.load(entry, self.document(entry))

    def load_bytes(self, data: bytes, shown: str) -> Loaded:
        """Load the content of a file that is not where the others are."""
        entry = Entry(name="", path=self.project.root / shown, origin="path", shown=shown, place=self.project.root)
        return self.load(entry, read_bytes(data, shown))

    def listed(self, entry: Entry) -> Listed:
        """Describe a file for a list."""
        loaded = self.load(entry, self.document(entry))
        error = next((p for p in loaded.problems if p.severity == "error"), next(iter(loaded.impossible), None))
        fields = loaded.tree.fields
        description = fields.get("description", "")
        version = fields.get("version", "0.0.0")
        return Listed(
            name=loaded.name or entry.name,
            version=version if isinstance(version, str) else "",
            description=description if isinstance(description, str) else "",
            origin=entry.origin, shown=entry.shown, path=entry.path,
            status="broken" if error else "not_yet" if loaded.not_yet else "ready",
            problem=str(error) if error else listed(row.feature for row in loaded.not_yet) if loaded.not_yet else "",
        )  # fmt: skip


def _by_what_they_are_called(entries: Iterable[Entry]) -> tuple[dict[str, list[Entry]], ...]:
    """Give the files by declared name, by stem, and those of other formats by stem: in the order in which a name is looked up."""
    names: dict[str, list[Entry]] = {}
    stems: dict[str, list[Entry]] = {}
    others: dict[str, list[Entry]] = {}
    for entry in entries:
        if not entry.foreign:
            names.setdefault(entry.name, []).append(entry)
        (others if entry.foreign else stems).setdefault(entry.stem, []).append(entry)
    return names, stems, others


def all_parts(parts: Iterable[Part], children: Map[str, Child]) -> Iterator[Part]:
    """Give the parts of a workflow and of all that it starts."""
    yield from parts
    for child in children.values():
        yield from all_parts(child.parts, child.children)


def _files_of(parts: Iterable[Part]) -> list[FileTree]:
    return list({id(part.file): part.file for part in parts}.values())


def _foreign(entry: Entry) -> list[NotYet]:
    return [NotYet(feature=entry.foreign, path="", line=1, file=entry.shown)] if entry.foreign else []


def _files(place: Place) -> Iterator[Entry]:
    if not place.directory.is_dir():
        return
    for path in sorted(place.directory.rglob(place.pattern)):
        relative = path.relative_to(place.directory)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.suffix not in _SUFFIXES or hidden or path.stem.endswith(".test") or not path.is_file():
            continue
        yield Entry(
            name=path.stem if place.foreign else _declared_name(path) or path.stem, path=path, origin=place.origin,
            shown=f"{place.label}{relative.as_posix()}", place=place.directory, foreign=place.foreign,
        )  # fmt: skip


def _declared_name(path: Path) -> str:
    """Read the declared name of a file; empty where there is none that can be read."""
    try:
        text = path.read_text(encoding="utf-8-sig") if path.stat().st_size <= (4 << 20) else ""
    except (OSError, UnicodeDecodeError):
        return ""
    found = _TOP_NAME.search(text)
    if found is not None:
        return (found[1] or found[2] or found[3] or "").strip()
    root = read_text(text, path.name).root if text.lstrip().startswith("{") else None
    name = root.entries.get("name") if isinstance(root, Mapping) else None
    return name.text if isinstance(name, Scalar) and isinstance(name.value, str) else ""


def _label(path: Path, root: Path) -> str:
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return f"{shown}/"
