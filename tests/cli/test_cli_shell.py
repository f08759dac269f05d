"""Commands in a real project: trusted first, run once whatever dies, proven by checks (rulings 25, 58, 59)."""

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.cli.support import PATIENCE_S

BUILD = """\
name: build
initial_state: {got: null}
steps:
  - id: make
    shell: "echo $WORD > made; echo made"
    env: {WORD: hello}
    verify:
      - shell: test -f made
      - files: [{path: made, changed: true}]
  - id: look
    shell: [cat, made]
    effect: read
    parse: lines
    output_to: got
  - return: "{{ state.got.value }}"
"""

SLOW = """\
name: slow
steps:
  - id: work
    shell: "echo $$ >> begun; until test -e go; do sleep 0.02; done; echo end >> ended"
    effect: %s
  - return: "{{ steps.work.result.exit_code }}"
"""

CACHED = """\
name: cached
steps:
  - id: count
    shell: "echo x >> times; wc -l < times | tr -d ' '"
    effect: read
    cache: {ttl: 1h}
  - return: "{{ steps.count.result.stdout | trim }}"
"""


def until(test: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not test():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_nothing_is_run_before_it_was_shown_and_a_change_asks_again(make_project):
    project = make_project(build=BUILD)
    refused = project.treadle("run", "build")
    assert (refused.code, "not_trusted" in refused.err) == (2, True)
    assert not (project.folder / "made").exists()
    listed = project.treadle("trust", "--list", "--json").json["items"]
    assert [(item["kind"], item["name"], item["state"]) for item in listed] == [("commands", "build", "new")]
    assert "workflows/build.yaml:5 make: echo $WORD > made; echo made  WORD=hello" in listed[0]["text"]
    assert "make, to verify: test -f made" in listed[0]["text"]
    assert project.treadle("trust", "--yes").code == 0
    done = project.treadle("run", "build", "--json")
    assert (done.code, done.json["status"], done.json["result"]) == (0, "completed", ["hello"])
    project.write("workflows/build.yaml", BUILD.replace("hello", "other"))
    again = project.treadle("run", "build", "--new")
    assert (again.code, "not_trusted" in again.err) == (2, True)
    assert project.treadle("trust", "--list", "--json").json["items"][0]["state"] == "changed"


def test_a_workflow_of_another_place_is_trusted_by_its_path(make_project, tmp_path):
    project = make_project()
    (tmp_path / "far.yaml").write_text(BUILD)
    assert project.treadle("run", str(tmp_path / "far.yaml")).code == 2
    assert project.treadle("trust", str(tmp_path / "far.yaml"), "--yes").code == 0
    assert project.treadle("run", str(tmp_path / "far.yaml"), "--json").json["result"] == ["hello"]


@pytest.mark.kill
@pytest.mark.parametrize("effect", ["write", "read"])
def test_a_command_goes_on_when_its_process_is_killed_and_is_not_run_twice(make_project, effect):
    project = make_project(slow=SLOW % effect)
    assert project.treadle("trust", "--yes").code == 0
    first = project.start("run", "slow", "--json")
    until((project.folder / "begun").exists)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = project.start("resume", "last", "--json")
    (project.folder / "go").touch()
    out, err = second.communicate(timeout=PATIENCE_S)
    assert (second.returncode, err) == (0, err)
    shown = project.show()
    assert (shown["status"], shown["result"]) == ("completed", 0)
    assert len((project.folder / "begun").read_text().split()) == 1
    assert (project.folder / "ended").read_text() == "end\n"
    assert not list((project.folder / ".treadle/commands").iterdir())
    assert out


@pytest.mark.kill
def test_a_client_that_is_closed_finds_its_command_finished(make_project):
    project = make_project(slow=SLOW % "write")
    assert project.treadle("trust", "--yes").code == 0
    first = project.start("run", "slow")
    until((project.folder / "begun").exists)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=PATIENCE_S)
    (project.folder / "go").touch()
    until((project.folder / "ended").exists)
    done = project.treadle("resume", "last", "--json")
    assert (done.code, done.json["status"]) == (0, "completed")
    assert len((project.folder / "begun").read_text().split()) == 1


@pytest.mark.kill
def test_cancelling_stops_a_command_whose_process_is_gone(make_project):
    project = make_project(slow=SLOW % "write")
    assert project.treadle("trust", "--yes").code == 0
    first = project.start("run", "slow")
    until(lambda: (project.folder / "begun").exists() and (project.folder / "begun").read_text().endswith("\n"))
    first.kill()
    first.communicate()
    command = int((project.folder / "begun").read_text())
    project.treadle("cancel", "last", "--yes", "--detach")
    until(lambda: not is_running(command))
    assert not (project.folder / "ended").exists()


def test_the_result_of_a_step_without_effect_is_used_again(make_project):
    project = make_project(cached=CACHED)
    assert project.treadle("trust", "--yes").code == 0
    assert [project.treadle("run", "cached", "--new", "--json").json["result"] for _ in range(2)] == ["1", "1"]


def test_a_cached_result_of_a_commit_is_not_used_at_another(make_project):
    project = make_project(cached=CACHED.replace("{ttl: 1h}", "{commit: true}"))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q", "."], cwd=project.folder, check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], cwd=project.folder, check=True)
    assert project.treadle("trust", "--yes").code == 0
    results = [project.treadle("run", "cached", "--new", "--json").json["result"] for _ in range(2)]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "two"], cwd=project.folder, check=True)
    results.append(project.treadle("run", "cached", "--new", "--json").json["result"])
    assert results == ["1", "1", "2"]


def test_a_secret_reaches_the_command_and_nothing_that_comes_back(make_project):
    project = make_project(
        told="name: told\nsteps:\n  - {id: a, shell: 'echo $T; echo $T >&2; test \"$T\" != short && exit 4', env: {T: '{{ secrets.T }}'}, ok_exit: 4}\n"
        "  - return: '{{ steps.a.result }}'\n"
    )
    assert project.treadle("trust", "--yes").code == 0
    assert project.treadle("secrets", "set", "T", given="dear-and-long").code == 0
    result = project.treadle("run", "told", "--json").json["result"]
    assert (result["stdout"], result["stderr"]) == ("***T***\n", "***T***\n")
    kept = b"".join(path.read_bytes() for path in (project.folder / ".treadle").rglob("*") if path.is_file())
    assert b"dear-and-long" not in kept


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
