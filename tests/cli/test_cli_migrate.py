"""`treadle migrate`: what is shown is what happens; nothing gets past the checks that a start makes."""

import contextlib
import io
import json
import os
import sys

import pytest

from tests.cli.support import Done, Project
from treadle.cli.main import main

ONE = """\
name: note
version: 1.0.0
initial_state: {found: ""}
steps:
  - {id: ask, prompt: What about?, output_to: found}
  - {id: write, delegate: "Write about {{ state.found }}."}
  - return: "{{ steps.write.result }}"
"""
TWO = (
    ONE.replace("1.0.0", "1.1.0").replace("Write about", "Mend it:").replace("  - return", "  - {id: check, delegate: Look again.}\n  - return")
)  # fmt: skip


class Here(Project):
    """A project whose commands are carried out in this process."""

    def treadle(self, *arguments, **_):
        out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with pytest.MonkeyPatch.context() as patch, contextlib.chdir(self.folder):
            for name in set(os.environ) - set(self.environment):
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["treadle", *arguments])
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            try:
                code = main()
            except SystemExit as end:
                code = end.code or 0
            out.flush(), err.flush()
        return Done(code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())


@pytest.fixture
def here(tmp_path):
    project = Here(tmp_path, note=ONE)
    project.treadle("run", "note", "--detach")
    project.treadle("answer", "last", "bees")
    return project


def test_a_dry_run_shows_the_plan_and_writes_nothing(here):
    here.write("workflows/note.yaml", TWO)
    before = here.treadle("logs", "last", "--json").out
    done = here.treadle("migrate", "last", "--to", "note", "--dry-run")
    assert done.code == 0
    for said in (
        "note 1.0.0",
        "note 1.1.0",
        "handed out anew",
        "will run",
        "check",
        "-instructions: Write about",
        "+instructions: Mend it:",
    ):
        assert said in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())
    told = here.treadle("migrate", "last", "--to", "workflows/note.yaml", "--dry-run", "--json").json
    assert (told["migrated"], told["added"], told["troubles"], told["blocked"]) == (False, ["check"], [], None)
    assert [(move["path"], move["becomes"]) for move in told["moves"]] == [("write", "handed out anew")]
    assert here.treadle("logs", "last", "--json").out == before


def test_a_run_is_moved_and_goes_on_and_says_so_everywhere(here):
    here.write("workflows/note.yaml", TWO)
    done = here.treadle("migrate", "last", "--to", "note", "--yes", "--json").json
    assert (done["migrated"], done["status"]) == (True, "waiting")
    assert "moved by" in here.treadle("logs", "last").out
    shown = here.treadle("show", "last", "--json").json
    assert (shown["definition"], shown["version"]) == (done["to"], "1.1.0")
    assert [(each["was"], each["to"]) for each in shown["moved"]] == [(done["was"], done["to"])]
    assert here.treadle("receipt", "last", "--json").json["moved"] == shown["moved"]
    assert here.treadle("verify", "last").code == 0
    here.treadle("answer", "last", "write", "done")
    assert here.treadle("answer", "last", "check", "fine").code == 0
    assert here.treadle("show", "last", "--json").json["result"] == "done"


def test_a_place_that_is_gone_is_told_with_what_may_be_meant_and_may_be_named(here):
    here.write("workflows/note.yaml", TWO.replace("id: write", "id: writing").replace("steps.write", "steps.writing"))
    done = here.treadle("migrate", "last", "--to", "note", "--yes")
    assert (done.code, "cannot_migrate" in done.err) == (2, True)
    assert "--map write=writing" in " ".join(done.out.split())
    assert here.treadle("migrate", "last", "--to", "note", "--dry-run").code == 1
    assert here.treadle("migrate", "last", "--to", "note", "--map", "write=writing", "--yes").code == 0
    assert here.treadle("migrate", "last", "--back", "--yes").code == 0
    assert here.treadle("show", "last", "--json").json["version"] == "1.0.0"


def test_a_file_with_faults_shows_them_first(here):
    here.write("workflows/note.yaml", TWO.replace("delegate: Look", "delegat: Look"))
    done = here.treadle("migrate", "last", "--to", "note", "--yes")
    assert done.code == 2
    assert "did you mean `delegate`" in done.err


def test_commands_that_nobody_allowed_do_not_come_in_by_a_migration(here):
    here.write("workflows/note.yaml", TWO.replace("delegate: Look again.", "shell: touch made"))
    told = here.treadle("migrate", "last", "--to", "note", "--dry-run", "--json")
    assert (told.code, told.json["blocked"]["code"]) == (1, "not_trusted")
    done = here.treadle("migrate", "last", "--to", "note", "--yes", "--json")
    assert (done.code, done.error["code"]) == (2, "not_trusted")
    assert here.treadle("show", "last", "--json").json["version"] == "1.0.0"
    here.treadle("trust", "--yes")
    assert here.treadle("migrate", "last", "--to", "note", "--yes").code == 0


def test_a_gate_that_nobody_can_pass_does_not_come_in_by_a_migration(here):
    here.write("workflows/note.yaml", TWO.replace("delegate: Look again.", "approve: Ship it?, by: {role: nobody-has}"))
    done = here.treadle("migrate", "last", "--to", "note", "--yes", "--json")
    assert (done.code, done.error["code"]) == (2, "impossible_gate")


def test_nobody_is_there_to_be_asked(here):
    here.write("workflows/note.yaml", TWO)
    done = here.treadle("migrate", "last", "--to", "note", "--json")
    assert (done.code, done.error["code"]) == (2, "not_confirmed")
    assert here.treadle("migrate", "last", "--json").error["code"] == "usage"
    assert here.treadle("migrate", "last", "--back", "--json").error["code"] == "never_migrated"
    assert json.loads(here.treadle("show", "last", "--json").out)["version"] == "1.0.0"
