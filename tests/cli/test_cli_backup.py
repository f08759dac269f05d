"""`treadle backup` and `treadle restore`: what a person is told and asked, and who stands in the way."""

import pytest

from tests.cli.support import Project

NOTE = 'name: note\ninputs: {text: {type: string}}\nsteps:\n  - return: "{{ inputs.text * 40000 }}"\n'
ASK = "name: ask\nsteps:\n  - prompt: What now?\n    id: question\n"


def ids(project):
    return [row["id"] for row in project.treadle("runs", "--all", "--json").json["runs"]]


@pytest.mark.slow
def test_a_project_is_backed_up_while_a_run_goes_on_and_put_back(tmp_path):
    project = Project(tmp_path, note=NOTE, ask=ASK)
    assert project.treadle("run", "note", "--input", "text=abc", "--quiet").code == 0
    asking = project.terminal("run", "ask")
    asking.until("What now?")
    made = project.treadle("backup", "b", "--json").json
    assert (made["runs"], made["values"]) == (2, 1)

    in_use = project.treadle("restore", "b", "--yes", "--json")
    assert (in_use.code, in_use.error["code"]) == (2, "store_in_use")
    assert f"pid {asking.child.pid}" in in_use.error["message"]
    asking.type("later")
    assert asking.end() == 0
    then = ids(project)
    assert project.treadle("run", "note", "--input", "text=x", "--quiet").code == 0

    assert project.treadle("restore", "b", "--json").error["code"] == "not_confirmed"
    checked = project.treadle("restore", "b", "--dry-run", "--json").json
    assert (checked["restored"], checked["aside"], checked["last_seq"]) == (False, None, made["last_seq"])
    done = project.treadle("restore", "b", "--yes")
    assert done.code == 0, done.err
    assert "2 runs, as of" in done.out
    assert "What was here stands in" in done.out
    assert ids(project) == then
    # The question is open again, and its answer counts.
    assert project.show()["status"] == "waiting"
    assert project.treadle("answer", "last", "question", "now").code == 0
    assert project.treadle("verify", "--all").code == 0


def test_a_backup_goes_into_another_project_and_what_is_none_is_refused(tmp_path):
    project = Project(tmp_path, note=NOTE)
    assert project.treadle("backup", "b", "--json").error["code"] == "unknown_run"
    assert project.treadle("run", "note", "--input", "text=abc", "--quiet").code == 0
    assert project.treadle("backup", "b").code == 0
    (project.folder / "elsewhere" / "workflows").mkdir(parents=True)
    put = project.treadle("restore", "b", "--to", "elsewhere", "--json").json
    assert put["restored"] is True
    assert put["aside"] is None
    shown = project.treadle("runs", "--all", "--json", "--project", "elsewhere")
    assert [row["id"] for row in shown.json["runs"]] == ids(project)
    (project.folder / "bad").write_bytes(b"no zip")
    assert project.treadle("backup", "b", "--json").error["code"] == "file_exists"
    refused = project.treadle("restore", "bad", "--yes", "--json")
    assert (refused.code, refused.error["code"]) == (2, "backup_damaged")
