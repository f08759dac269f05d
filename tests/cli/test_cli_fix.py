"""`treadle validate --fix` and `--diff`: what is written, what is only shown, and what is refused."""

import io
import stat
import subprocess
from pathlib import Path

import pytest

from tests.cli.here import Here
from tests.cli.support import Project
from treadle.authoring.mend_files import mend_file
from treadle.compose import locate, workflow_finder
from treadle.core.errors import RequestError

BROKEN = """\
# kept
name: broken
initial_state: {plan: null}
steps:
  - id: ask
    type: prompt
    message: {{ state.plan }}?  # kept too
    type: confirm
  - id: go
    delegate: Go on
    timeout: 90
    if: state.plan
"""
MENDED = (
    BROKEN.replace("{{ state.plan }}?", '"{{ state.plan }}?"')
    .replace("type: confirm", "format: confirm")
    .replace("if: state.plan", 'when: "{{ state.plan }}"')
)
CODES = ["unquoted_template", "duplicate_key", "two_types", "condition_braces"]


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    here = Here(tmp_path, monkeypatch, capfdbinary)
    here.write("workflows/broken.yaml", BROKEN)
    return here


def path_of(project: Here) -> Path:
    return project.folder / "workflows" / "broken.yaml"


def test_fix_mends_the_file_and_tells_what_is_left(broken: Here) -> None:
    done = broken.treadle("validate", "broken", "--fix")
    assert path_of(broken).read_text() == MENDED
    assert [line.split()[2] for line in done.out.splitlines()[:4]] == CODES
    assert "workflows/broken.yaml:7:14 unquoted_template {{ state.plan }}? → " in done.out
    assert "4 problems in 1 file mended" in done.out
    assert "broken.yaml:11:14: error[bad_duration]" in done.out
    assert done.code == 1


def test_fix_ends_well_where_nothing_is_left_and_a_second_time_changes_nothing(broken: Here) -> None:
    path_of(broken).write_text(BROKEN.replace("90", "90 s"))
    assert broken.treadle("validate", str(path_of(broken)), "--fix").code == 0
    before = path_of(broken).stat()
    again = broken.treadle("validate", str(path_of(broken)), "--fix")
    assert "There is nothing to mend." in again.out
    assert (path_of(broken).stat().st_mtime_ns, path_of(broken).stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_diff_writes_nothing_and_is_what_git_applies(broken: Here) -> None:
    done = broken.treadle("validate", "workflows", "--diff")
    assert done.code == 1
    assert path_of(broken).read_text() == BROKEN
    assert done.out.startswith("--- a/workflows/broken.yaml\n+++ b/workflows/broken.yaml\n@@ ")
    assert "4 problems in 1 file could be mended by --fix" in done.err
    subprocess.run(["git", "apply", "-"], input=done.out, text=True, cwd=broken.folder, check=True)
    assert path_of(broken).read_text() == MENDED


def test_diff_wins_over_fix(broken: Here) -> None:
    broken.treadle("validate", "broken", "--fix", "--diff")
    assert path_of(broken).read_text() == BROKEN


def test_diff_tells_of_a_last_line_without_its_end(broken: Here) -> None:
    path_of(broken).write_text(BROKEN.removesuffix("\n"))
    out = broken.treadle("validate", "broken", "--diff").out
    subprocess.run(["git", "apply", "-"], input=out, text=True, cwd=broken.folder, check=True)
    assert path_of(broken).read_text() == MENDED.removesuffix("\n")


def test_diff_is_coloured_on_a_terminal_alone(tmp_path: Path) -> None:
    project = Project(tmp_path, broken=BROKEN)
    terminal = project.terminal("validate", "broken", "--diff")
    assert terminal.end() == 1
    assert b"\x1b[32m+    format: confirm" in terminal.raw
    plain = project.terminal("validate", "broken", "--diff", NO_COLOR="1")
    plain.end()
    assert b"\x1b[32m" not in plain.raw


def test_json_lists_what_was_mended_and_what_is_left(broken: Here) -> None:
    done = broken.treadle("validate", "broken", "--fix", "--json").json
    assert [fixed["code"] for fixed in done["fixed"]] == CODES
    assert done["fixed"][1] == {
        "code": "duplicate_key", "file": "workflows/broken.yaml", "line": 8, "column": 5, "before": "    type: confirm",
        "after": "    format: confirm",
    }  # fmt: skip
    assert [problem["code"] for problem in done["problems"]] == ["bad_duration"]
    assert done["ok"] is False
    assert done["diff"].count("\n+") == 4  # with the head


def test_mode_link_mark_and_line_ends_are_kept(broken: Here) -> None:
    path = path_of(broken)
    path.write_bytes(b"\xef\xbb\xbf" + BROKEN.replace("\n", "\r\n").encode())
    path.chmod(0o640)
    link = broken.folder / "workflows" / "link.yaml"
    link.symlink_to(path.name)
    broken.treadle("validate", str(link), "--fix")
    assert link.is_symlink()
    assert path.read_bytes() == b"\xef\xbb\xbf" + MENDED.replace("\n", "\r\n").encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(p.name for p in path.parent.iterdir()) == ["broken.yaml", "link.yaml"]


def test_what_may_not_be_written_is_refused_and_stays(broken: Here) -> None:
    path_of(broken).chmod(0o444)
    assert "error[read_only_file]" in broken.treadle("validate", "broken", "--fix").err
    assert path_of(broken).read_text() == BROKEN


def test_a_file_that_somebody_else_changes_meanwhile_is_not_overwritten(broken: Here) -> None:
    file = mend_file(workflow_finder(locate(broken.folder, {})), path_of(broken))
    path_of(broken).write_text("name: other\n")
    with pytest.raises(RequestError) as refused:
        file.write()
    assert refused.value.code == "file_changed"
    assert path_of(broken).read_text() == "name: other\n"
    assert [path.name for path in path_of(broken).parent.iterdir()] == ["broken.yaml"]


def test_standard_input_and_the_library_are_not_mended(broken: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(BROKEN.encode())))
    assert "error[not_a_file]" in broken.treadle("validate", "-", "--fix").err
    assert "error[library_file]" in broken.treadle("validate", "planning:interactive", "--fix").err
    assert "error[library_file]" in broken.treadle("validate", "broken", "planning:interactive", "--fix").err
    assert path_of(broken).read_text() == BROKEN


def test_what_is_no_text_is_left_as_it_is(broken: Here) -> None:
    path_of(broken).write_bytes(b"name: \xff\n")
    done = broken.treadle("validate", str(path_of(broken)), "--fix")
    assert done.code == 1
    assert path_of(broken).read_bytes() == b"name: \xff\n"


def test_all_files_of_a_folder_are_mended(broken: Here) -> None:
    broken.write("workflows/sub.yaml", "name: sub\nsteps:\n  - agent_task: Hello\n")
    done = broken.treadle("validate", str(broken.folder / "workflows"), "--fix")
    assert "5 problems in 2 files mended" in done.out
    assert (broken.folder / "workflows/sub.yaml").read_text() == "name: sub\nsteps:\n  - delegate: Hello\n"
