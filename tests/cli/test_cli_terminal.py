"""`treadle` in a terminal: asking in place, leaving, coming back, a second process, kill -9, narrow windows, NO_COLOR."""

import json
import re
import signal

import pytest

from tests.cli.support import EFFECT, WORK

CHOICES = """\
name: choices
steps:
  - {id: drink, type: prompt, message: Which drink?, format: choice, options: [tea, coffee]}
  - {id: sure, type: prompt, message: Sure?, format: confirm}
  - {id: who, type: prompt, message: Who?, format: form, fields: {name: {type: string, required: true}, age: {type: integer, default: 7}}}
  - {id: work, type: delegate, instructions: Count them, output: {type: object, properties: {n: {type: integer}}, required: [n]}}
  - return: [ "{{ steps.drink.result }}", "{{ steps.sure.result }}", "{{ steps.who.result }}", "{{ steps.work.result }}" ]
"""


def test_a_run_asks_in_place_and_ends_with_its_result(project):
    terminal = project.terminal("run", "ask", "-i", "who=Ann")
    assert "What now, Ann?" in terminal.until("> ")
    terminal.type("some tea")
    shown = terminal.until("approve? [y/n]")
    assert "your decision: gate" in shown
    assert "digest sha256:" in shown
    terminal.type("y")
    terminal.until("a note, if you like>")
    terminal.type("fine with me")
    assert terminal.end() == 0
    assert "completed" in terminal.text
    assert "some tea" in terminal.text.rstrip().splitlines()[-1]
    assert project.show()["receipts"][-1]["note"] == "fine with me"


def test_ctrl_c_leaves_the_run_and_says_how_to_come_back(project):
    terminal = project.terminal("run", "ask")
    terminal.until("> ")
    terminal.interrupt()
    assert terminal.end() == 3
    assert "left as it is" in terminal.text
    back = re.search(r"come back: treadle resume (run_\w+)", terminal.text)
    assert back is not None
    # The history says that somebody took the question; but nobody holds it any more.
    assert project.show(back[1])["status"] == "waiting"
    assert project.treadle("runs", "--json").json["runs"][0]["status"] == "waiting"
    again = project.terminal("resume", back[1])
    again.until("going on with")
    again.until("> ")
    again.type("tea")
    again.until("approve? [y/n]")
    again.interrupt()
    assert again.end() == 3


def test_an_unfinished_run_is_offered_again(project):
    first = project.treadle("run", "ask", "--json").json["id"]
    terminal = project.terminal("run", "ask")
    shown = terminal.until("Go on with it? [Y/n]")
    assert first in shown
    terminal.type("")
    shown = terminal.until("> ")
    assert "kept:" in shown
    assert "will run:" in shown
    terminal.interrupt()
    assert terminal.end() == 3
    assert len(project.treadle("runs", "--json").json["runs"]) == 1


def test_answers_that_do_not_fit_are_asked_again_with_the_fault(make_project):
    terminal = make_project(choices=CHOICES).terminal("run", "choices")
    assert "1  tea" in terminal.until("> ")
    terminal.type("wine")
    terminal.until("choose one of 1 to 2")
    terminal.until("> ")
    terminal.type("1")
    terminal.until("[y/n]")
    terminal.type("perhaps")
    terminal.until("answer y or n")
    terminal.until("[y/n]")
    terminal.type("y")
    terminal.until("name> ")
    terminal.type("Ann")
    terminal.until("age [7]> ")
    terminal.type("")
    terminal.until('{"n":0}')
    terminal.until("> ")
    terminal.type('{"n": "many"}')
    terminal.until("n: ")
    terminal.until("> ")
    terminal.type('{"n":')
    terminal.until("…")
    terminal.type("3}")
    assert terminal.end() == 0
    for part in ('"tea"', '"confirmed": true', '"name": "Ann"', '"age": 7', '"n": 3'):
        assert part in terminal.text


def test_a_step_that_cannot_be_done_is_said_so(make_project):
    project = make_project(one="name: one\nsteps:\n  - {id: work, delegate: Do it}\n")
    terminal = project.terminal("run", "one")
    terminal.until("> ")
    terminal.type("/?")
    terminal.until("//…")
    terminal.until("> ")
    terminal.type("/cannot no network here")
    assert terminal.end() == 1
    assert project.show()["failure"]["message"] == "no network here"


def test_a_run_is_parked_from_a_question(project):
    terminal = project.terminal("run", "ask")
    terminal.until("> ")
    terminal.type("/park the shop is closed")
    assert terminal.end() == 7
    assert "the shop is closed" in project.treadle("why", "last").out


def test_several_lines_pasted_at_once_are_one_answer(project):
    terminal = project.terminal("run", "ask")
    terminal.until("> ")
    terminal.child.send("first line\ry\ry\r")
    shown = terminal.until("approve? [y/n]")
    assert "first line" in shown
    assert project.show()["actions"][0]["params"]["show"] == "first line\ny\ny"
    terminal.interrupt()
    terminal.end()


def test_a_line_that_the_terminal_cut_is_refused(project):
    terminal = project.terminal("run", "ask")
    terminal.until("> ")
    terminal.child.send("x" * 5000 + "\r")
    terminal.until("a terminal cuts lines of 4,095 characters")
    assert project.show()["actions"][0]["id"] == "question"
    terminal.interrupt()
    terminal.end()


def test_an_editor_writes_the_answer(project):
    editor = project.write("editor.sh", '#!/bin/sh\nprintf "one\\ntwo\\n" >"$1"\n')
    editor.chmod(0o755)
    terminal = project.terminal("run", "ask", EDITOR=str(editor))
    terminal.until("> ")
    terminal.type("/edit")
    terminal.until("approve? [y/n]")
    assert project.show()["actions"][0]["params"]["show"] == "one\ntwo"
    terminal.interrupt()
    terminal.end()


def test_what_another_process_decides_ends_the_question_here(project):
    terminal = project.terminal("run", "ask")
    terminal.until("> ")
    terminal.type("tea")
    terminal.until("approve? [y/n]")
    assert project.treadle("approve", "last", "--yes").code == 0
    terminal.until("was answered elsewhere")
    assert terminal.end() == 0


def test_answering_from_a_second_process_moves_the_first_on(project):
    terminal = project.terminal("run", "ask")
    terminal.until("> ")
    assert project.treadle("answer", "last", "from elsewhere").code == 0
    shown = terminal.until("approve? [y/n]")
    assert "from elsewhere" in shown
    terminal.interrupt()
    terminal.end()


def test_branches_are_shown_side_by_side_and_asked_one_by_one(make_project):
    project = make_project(work=WORK).with_ledger()
    terminal = project.terminal("run", "work")
    for number, thing in enumerate(("a", "b", "c")):
        terminal.until(f"to be done: each[{number}]/look")
        shown = terminal.until("Look at " + ("one", "two", "three")[number])
        assert "open beside it: each[1]/look, each[2]/look" in shown
        terminal.until("> ")
        terminal.type(json.dumps({"seen": thing}))
    assert terminal.end() == 0
    assert sorted(project.noted()) == ["a", "b", "c"]


def test_while_treadle_works_the_live_view_shows_what_is_in_flight(make_project):
    project = make_project(effect=EFFECT).with_ledger()
    terminal = project.terminal("run", "effect")
    shown = terminal.until("Treadle performs `write`")
    assert "0 of 2 steps" in shown
    assert "Ctrl-C leaves the run as it is" in shown
    project.ledger.with_name("ledger.txt.go").touch()
    assert terminal.end() == 0
    assert "Treadle performs" not in terminal.text
    assert "Ctrl-C leaves" not in terminal.text


@pytest.mark.kill
def test_a_killed_terminal_loses_nothing_and_the_next_one_goes_on(make_project):
    project = make_project(work=WORK).with_ledger()
    terminal = project.terminal("run", "work", "--record", "acks.jsonl")
    terminal.until("> ")
    terminal.type('{"seen": "a"}')
    terminal.until("Look at two")
    while project.show()["steps"][0]["done"] < 1:
        pass
    terminal.child.kill(signal.SIGKILL)
    assert terminal.end() == -signal.SIGKILL
    again = project.terminal("resume", "last")
    assert "kept:     nothing" in again.until("Look at two")
    again.until("> ")
    again.type(json.dumps({"seen": "b"}))
    again.until("Look at three")
    again.until("> ")
    again.type(json.dumps({"seen": "c"}))
    assert again.end() == 0
    assert sorted(project.noted()) == ["a", "b", "c"]
    assert project.show()["result"] == ["a", "b", "c"]


def test_a_narrow_window_holds_every_line(make_project):
    project = make_project(effect=EFFECT, ask="name: ask\nsteps:\n  - {id: question, prompt: What now?}\n").with_ledger()
    terminal = project.terminal("run", "effect", columns=60, rows=20)
    terminal.until("Treadle performs `write`")
    project.ledger.with_name("ledger.txt.go").touch()
    assert terminal.end() == 0
    for command in (["runs", "--all"], ["show", "last"], ["list"]):
        shown = project.terminal(*command, columns=60)
        assert shown.end() == 0
        plain = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", shown.raw).decode()
        assert max(len(line.rstrip()) for line in plain.splitlines()) <= 60, plain


def test_no_color_is_honoured(project):
    coloured = project.terminal("list")
    assert coloured.end() == 0
    assert re.search(rb"\x1b\[[0-9;]*3[0-9]m", coloured.raw)
    plain = project.terminal("list", NO_COLOR="1")
    assert plain.end() == 0
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", plain.raw)


def test_what_others_wrote_cannot_forge_the_screen(make_project):
    project = make_project(bad='name: bad\nsteps:\n  - {id: q, prompt: "Hello\\e[2J\\e[31mred\\u202e[bold]x[/bold]"}\n')
    terminal = project.terminal("run", "bad")
    shown = terminal.until("> ")
    assert b"\x1b[2J" not in terminal.raw
    assert "[bold]x[/bold]" in shown
    assert "\\u{1b}" in shown
    terminal.interrupt()
    terminal.end()


def test_answer_and_approve_ask_on_a_terminal(project):
    run = project.treadle("run", "ask", "--json").json["id"]
    asked = project.terminal("answer", run)
    asked.until("> ")
    asked.type("tea")
    assert asked.end() == 0
    assert "question is answered" in asked.text
    gate = project.terminal("approve", run)
    assert "tea" in gate.until("approve? [y/n]")
    gate.type("what?")
    gate.until("answer y or n")
    gate.until("[y/n]")
    gate.type("n")
    gate.until("a note, if you like>")
    gate.type("")
    assert gate.end() == 0
    assert project.show(run)["status"] == "failed"


def test_a_decision_that_is_left_open_decides_nothing(project):
    run = project.treadle("run", "ask", "--json").json["id"]
    project.treadle("answer", run, "tea")
    gate = project.terminal("approve", run)
    gate.until("approve? [y/n]")
    gate.interrupt()
    assert gate.end() != 0
    assert project.show(run)["status"] == "waiting"


def test_init_asks_before_it_writes(make_project):
    project = make_project()
    terminal = project.terminal("init")
    terminal.until("Write this? [Y/n]")
    terminal.type("n")
    assert terminal.end() == 1
    assert not (project.folder / "treadle.toml").exists()
    terminal = project.terminal("init")
    terminal.until("Write this? [Y/n]")
    terminal.type("")
    assert terminal.end() == 0
    assert (project.folder / "treadle.toml").exists()


def test_a_stranger_is_told_that_the_decision_is_somebody_elses_and_is_not_asked(project):
    project.write("treadle.toml", "[people.bob]\nuser = 'nobody-of-that-name'\n")
    terminal = project.terminal("run", "ask")
    terminal.until("> ")
    terminal.type("tea")
    assert "approve? [y/n]" not in terminal.until("not_a_person")
    assert "not yours to make" in terminal.text
    terminal.interrupt()
    assert terminal.end() == 3
    assert project.show()["actions"][0]["kind"] == "approve"
