"""Faulty files as text with a mark: `«` stands where the problem must be told."""

from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from treadle.authoring import find
from treadle.config.project import Project

MARK = "«"
NOWHERE = Project(root=Path("/nonexistent"), home=Path("/nonexistent"))


@dataclass(frozen=True, kw_only=True)
class Case:
    """`bad` gives exactly one problem, `code`, at the mark; `near` looks much like it and gives none."""

    code: str
    bad: str
    near: str
    severity: str = "error"
    says: str = ""

    def __str__(self) -> str:
        return f"{self.code}-{abs(hash(self.bad)) % 10_000}"


def corpus(name: str) -> list[Case]:
    """Read the cases of `faulty/NAME.txt`; its head says how they are written."""
    parts = (Path(__file__).parent / "faulty" / f"{name}.txt").read_text(encoding="utf-8").split("\n### ")[1:]
    return [_case(bad, near) for bad, near in zip(parts[::2], parts[1::2], strict=True)]


def corpora() -> list[Case]:
    """Read the cases of every `faulty/*.txt`."""
    return [case for path in sorted((Path(__file__).parent / "faulty").glob("*.txt")) for case in corpus(path.stem)]


def _case(bad: str, near: str) -> Case:
    head, _, text = bad.partition("\n\n")
    first, _, says = head.partition("\nsays: ")
    code, _, severity = first.partition(" ")
    assert near.startswith("near\n\n"), near
    return Case(code=code, bad=text, near=near.removeprefix("near\n\n"), severity=severity or "error", says=says)


def unmarked(text: str) -> tuple[str, int, int]:
    """Give the text without its mark, and the line and column that it marked."""
    clean = dedent(text).lstrip("\n")
    at = clean.index(MARK)
    before = clean[:at]
    return clean.replace(MARK, ""), before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1


def load(text: str, project: Project = NOWHERE) -> find.Loaded:
    return find.load_text(project, dedent(text).lstrip("\n"), "test.yaml")


def found(loaded: find.Loaded) -> list[tuple[str, int, int]]:
    return [(p.code, p.line, p.column) for p in loaded.problems]


def codes(text: str, project: Project = NOWHERE) -> list[str]:
    return [p.code for p in load(text, project).problems]


def assert_case(case: Case, project: Project = NOWHERE) -> None:
    text, line, column = unmarked(case.bad)
    loaded = load(text, project)
    assert found(loaded) == [(case.code, line, column)], "\n".join(map(str, loaded.problems))
    problem = loaded.problems[0]
    assert problem.severity == case.severity
    said = f"{problem.message} {problem.suggestion}"
    assert case.says in said, said
    assert loaded.definition is None or case.severity == "warning"
    near = load(case.near, project)
    assert found(near) == [], "\n".join(map(str, near.problems))


def project_at(root: Path, **files: str) -> Project:
    """Make a project's files, named by path with `/` written `__` and the ending `_yaml` or `_py`."""
    for name, text in files.items():
        stem, _, suffix = name.replace("__", "/").rpartition("_")
        path = root / f"{stem}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return Project(root=root, home=root)
