"""Files of the older format, with each of its contradictions as it would stand in them: mended, or explained at their place.

The head of a file says what is to come of it: `fixed` and `left` list codes with line and column in the file as it is, `says` is what the
explanation says. Where nothing is listed the file is right as it is.
"""

import re
from pathlib import Path

import pytest

from tests.authoring.mending import assert_promises, mended
from treadle.authoring import find
from treadle.authoring.mend_files import mend_file
from treadle.config.project import Project

OLD = sorted((Path(__file__).parent / "old").glob("*.yaml"))


def expected(text: str, name: str) -> str:
    found = re.search(rf"^# {name}: (.+)$", text, re.MULTILINE)
    return found[1] if found else ""


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_an_old_file_is_mended_or_explained(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    done = mended(text)
    assert ", ".join(f"{f.problem.code} {f.line}:{f.column}" for f in done.fixed) == expected(text, "fixed")
    left = done.ground.problems
    assert ", ".join(f"{p.code} {p.line}:{p.column}" for p in left) == expected(text, "left"), "\n".join(map(str, left))
    assert expected(text, "says") in " ".join(f"{p.message} {p.suggestion}" for p in left)
    assert_promises(done)


def test_the_old_files_are_twenty() -> None:
    assert [int(path.name[:2]) for path in OLD] == list(range(1, 21))


def test_the_older_planning_workflow_can_be_started_once_it_is_mended(tmp_path: Path) -> None:
    places = [tmp_path / "workflows" / path.name for path in sorted((Path(__file__).parent / "old" / "whole").glob("*.yaml"))]
    places[0].parent.mkdir()
    for place in places:
        place.write_text((Path(__file__).parent / "old" / "whole" / place.name).read_text(encoding="utf-8"), encoding="utf-8")
    finder = find.Finder(Project(root=tmp_path, home=tmp_path))
    told = [f.problem.code for place in places for file in [mend_file(finder, place)] if file.mended for f in file.mended.fixed]
    assert told == ["duplicate_key", "duplicate_key", "method_call", "outside_needs_state", "outside_needs_state"]
    for place in places:
        mend_file(finder, place).write()
    loaded = find.load(Project(root=tmp_path, home=tmp_path), "planning:interactive")
    assert loaded.require() is loaded.definition
    assert {problem.code for problem in loaded.problems} == {"unheeded_answer", "undeclared_field", "unused_output"}
