"""`treadle validate`: what it takes (files, folders, names, standard input), how it shows problems, and what it says to programs."""

import os
import re

import pytest

BAD = "name: bad\nsteps:\n  - {id: a, prmpt: hello}\n"
GOOD = "name: {name}\nsteps: [{{prompt: hi}}]\n"
WARN = "name: warn\nsteps:\n  - {id: p, prompt: hi, output_to: left}\n"


@pytest.fixture
def here(make_project):
    return make_project(good=GOOD.format(name="good"), bad=BAD, warn=WARN)


def test_several_files_folders_and_names_are_checked_at_once(here):
    here.write("more/deep/er.yml", GOOD.format(name="er"))
    here.write("more/no.json", '{"openapi": "3"}')
    here.write("more/deep/er.test.yaml", "workflow: er\n")
    here.write("more/.hidden/x.yaml", BAD)
    here.write("more/node_modules/x.yaml", BAD)
    done = here.treadle("validate", "workflows/good.yaml", "warn", "more", "planning:interactive", "--json")
    assert done.code == 0
    assert done.json["ok"] is True
    assert done.json["files"] == ["workflows/good.yaml", "workflows/warn.yaml", "more/deep/er.yml", "library/planning-interactive.yaml"]
    assert done.json["skipped"] == ["more/deep/er.test.yaml", "more/no.json"]
    assert [(p["code"], p["severity"]) for p in done.json["problems"]] == [("unused_output", "warning")]
    strict = here.treadle("validate", "workflows/good.yaml", "warn", "--strict", "--json")
    assert (strict.code, strict.json["ok"]) == (1, False)


def test_a_problem_in_json_has_its_eight_keys_and_no_more(here):
    done = here.treadle("validate", "bad", "--json")
    assert done.code == 1
    assert done.json["problems"] == [
        {
            "code": "missing_type", "severity": "error", "file": "workflows/bad.yaml", "line": 3, "column": 13, "path": "steps[0].prmpt",
            "message": "this step has no `type`, and `prmpt` is none", "suggestion": "did you mean `prompt`?",
        }
    ]  # fmt: skip


def test_standard_input_is_checked_like_a_file(here):
    done = here.treadle("validate", "-", given=BAD)
    assert done.code == 1
    assert done.out.startswith("<stdin>:3:13: error[missing_type]")
    assert here.treadle("validate", "-", "--json", given=GOOD.format(name="x")).json["files"] == ["<stdin>"]


def test_a_folder_without_workflows_a_pipe_and_a_dead_link_are_refused_by_name(here):
    here.write("docs/other.yaml", "openapi: 3\n")
    assert "error[unknown_workflow]: there is no workflow file below docs" in here.treadle("validate", "docs").err
    os.mkfifo(here.folder / "pipe.yaml")
    assert "error[unreadable]: pipe.yaml is no regular file" in here.treadle("validate", "pipe.yaml").err
    (here.folder / "loop.yaml").symlink_to("loop.yaml")
    refused = here.treadle("validate", "loop.yaml")
    assert (refused.code, "error[unreadable]" in refused.err) == (2, True)


def test_quiet_is_one_line_per_problem_and_nothing_else(here):
    done = here.treadle("validate", "workflows", "--quiet")
    assert [line.split(": ")[:2] for line in done.out.splitlines()] == [
        ["workflows/bad.yaml:3:13", "error"],
        ["workflows/warn.yaml:3:36", "warning"],
    ]
    assert here.treadle("validate", "good", "-q").out == ""


def test_of_very_many_problems_the_first_are_shown_and_all_are_counted(here):
    here.write("workflows/many.yaml", "name: many\nsteps:\n" + "  - {prompt: hi, colour: red}\n" * 150)
    out = here.treadle("validate", "many").out
    assert out.count("error[unknown_field]") == 100
    assert "… and 50 more; `--all` shows them" in out
    assert "1 file: 150 errors, 0 warnings" in out
    assert here.treadle("validate", "many", "--all").out.count("error[unknown_field]") == 150


def test_colours_are_for_terminals_and_what_the_environment_says(here):
    assert "\x1b" not in here.treadle("validate", "bad").out
    coloured = here.treadle("validate", "bad", FORCE_COLOR="1").out
    assert re.search(r"\x1b\[1;31m\^+\x1b", coloured), "marks have the colour of their severity"
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", here.treadle("validate", "bad", FORCE_COLOR="1", NO_COLOR="1").out)


def test_nothing_in_a_file_reaches_the_terminal_as_more_than_text(here):
    here.write("workflows/evil.yaml", 'name: evil\nsteps:\n  - {prompt: hi, "\\e[31mred\\u202e\\a": 1}\n')
    for arguments in (("evil",), ("evil", "-q"), ("evil", "--all")):
        out = here.treadle("validate", *arguments).out
        assert "\\u{1b}[31mred" in out
        assert all(char.isprintable() or char == "\n" for char in out)


def test_on_a_narrow_terminal_a_line_is_cut_so_that_its_mark_stays_below(here):
    here.write("workflows/wide.yaml", f"name: wide\nsteps:\n  - {{description: {'long ' * 30}, prompt: hi, colour: red}}\n")
    terminal = here.terminal("validate", "wide", columns=60)
    terminal.end()
    rows = terminal.text.splitlines()
    mark = next(number for number, row in enumerate(rows) if row.strip(" |").startswith("^"))
    assert rows[mark - 1][rows[mark].index("^") :].startswith("colour")
    assert all(len(row) <= 60 for row in rows)
