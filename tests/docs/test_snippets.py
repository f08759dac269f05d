"""Every snippet in the documentation is run or checked (house style §2.3).

A fenced block of `sh` is run line by line in one fresh project per page and must succeed; one of `yaml` that holds a workflow must be free of
problems. A block that cannot be run here is preceded by `<!-- not run: REASON -->`. Each line of a `text` block after `<!-- shown -->` must be printed by
the page's commands; `…` stands for what differs from time to time.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from treadle.authoring import find
from treadle.authoring.problems import has_errors
from treadle.config.project import Project

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?P<skip><!-- not run: [^>]+ -->\n)?```(?P<kind>sh|yaml)\n(?P<body>.*?)```", re.DOTALL)


SHOWN = re.compile(r"<!-- shown -->\n```text\n(.*?)```", re.DOTALL)


def shown_lines(page: Path) -> list[str]:
    return [line for block in SHOWN.findall(page.read_text(encoding="utf-8")) for line in block.splitlines() if line.strip()]


def blocks(kind: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for page in PAGES:
        if not page.exists():
            continue
        text = page.read_text(encoding="utf-8")
        bodies = [m["body"] for m in BLOCK.finditer(text) if m["kind"] == kind and not m["skip"]]
        name = str(page.relative_to(ROOT))
        found += [(name, "\n".join(bodies))] if kind == "sh" and bodies else []
        found += [(f"{name}#{n}", body) for n, body in enumerate(bodies)] if kind == "yaml" else []
    return found


# Many processes, one after the other: run in CI.
SLOW = {
    "docs/tutorial.md",
    *(
        f"docs/how-to/{name}.md"
        for name in ("test-a-workflow", "look-before-you-run", "first-run", "secrets", "wait-undo-account", "fork-a-run", "keep-and-move")
    ),
}


@pytest.mark.parametrize(
    "name, script",
    [pytest.param(name, script, id=name, marks=[pytest.mark.slow] if name in SLOW else []) for name, script in blocks("sh")],
)
def test_commands_of_a_page_succeed(name: str, script: str, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    environment = os.environ | {
        "HOME": str(tmp_path / "home"),
        "XDG_DATA_HOME": str(tmp_path / "home" / "data"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NO_COLOR": "1",
    }
    project = tmp_path / "project"
    project.mkdir()
    done = subprocess.run(
        ["sh", "-eu", "-c", script], cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=50,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{name}: {done.stdout}\n{done.stderr}"
    printed = " ".join((done.stdout + done.stderr).split())
    for line in shown_lines(ROOT / name):
        wanted = ".{1,80}?".join(re.escape(" ".join(part.split())) for part in line.split("…"))
        assert re.search(wanted, printed), f"{name} shows what is not printed: {line}\n{printed}"


@pytest.mark.parametrize("name, text", blocks("yaml"), ids=lambda value: value if len(value) < 60 else "")
def test_workflows_in_pages_have_no_problems(name: str, text: str) -> None:
    nowhere = Project(root=Path("/nonexistent"), home=Path("/nonexistent"))
    loaded = find.load_text(nowhere, text, "workflow.yaml")
    assert not has_errors(loaded.problems), "\n".join([name, *map(str, loaded.problems)])
