"""`treadle answer`, `approve`, `park`, `resume`, `cancel`, `why`, `logs`, `runs`, `show` as child processes."""

import json

import pytest

from tests.cli.support import EFFECT, WORK, Project

FORMS = """\
name: forms
steps:
  - {id: sure, type: prompt, message: Sure?, format: confirm}
  - {id: drink, type: prompt, message: Which?, format: choice, options: [tea, coffee, 7]}
  - {id: several, type: prompt, message: Which ones?, format: choice, multiple: true, options: [a, b, c]}
  - id: who
    type: prompt
    message: Who?
    format: form
    fields: {name: {type: string, required: true}, age: {type: integer}}
  - {id: info, type: prompt, message: Read this, format: info}
  - {id: work, type: delegate, instructions: Do it, output: {type: object, properties: {n: {type: integer}}, required: [n]}}
  - return: [ "{{ steps.sure.result }}", "{{ steps.drink.result }}", "{{ steps.several.result }}", "{{ steps.who.result }}", "{{ steps.work.result }}" ]
"""


def started(project: Project, workflow: str = "ask") -> str:
    return project.treadle("run", workflow, "--new", "--json").json["id"]


def test_an_answer_is_taken_and_the_next_command_is_named(project):
    run = started(project)
    done = project.treadle("answer", run, "question", "some tea")
    assert done.code == 0
    assert "question is answered" in done.out
    assert f"treadle approve {run} gate" in done.out
    assert project.show(run)["actions"][0]["params"]["show"] == "some tea"


def test_with_one_open_action_the_only_word_is_the_answer(project):
    started(project)
    data = project.treadle("answer", "last", "some tea", "--json").json
    assert set(data) == {"run", "action", "attempt", "duplicate", "status", "next"}
    assert (data["action"], data["next"]["kind"]) == ("question", "approval")


def test_answers_of_every_format_are_read_from_words(make_project):
    project = make_project(forms=FORMS)
    run = started(project, "forms")
    words = [["yes"], ["2"], ["a, c"], ["--json-value", '{"name": "Ann", "age": 7}'], [], ["--json-value", '{"n": 3}']]
    for given in words:
        done = project.treadle("answer", run, *given)
        assert done.code == 0, (given, done.err)
    assert project.treadle("resume", run, "--json").json["result"] == [
        {"confirmed": True}, "coffee", ["a", "c"], {"name": "Ann", "age": 7}, {"n": 3},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "answers,given,told",
    [
        ([], ["maybe"], "answer y or n"),
        (["yes"], ["water"], "choose one of 1 to 3"),
        (["yes", "tea"], ["a, x"], "choose one of 1 to 3"),
        (["yes", "tea", "a"], ["--json-value", '{"age": 7}'], "name"),
        (["yes", "tea", "a"], ["--json-value", '{"age": 7'], "not JSON"),
    ],
)
def test_an_answer_that_does_not_fit_is_told_and_nothing_is_sent(make_project, answers, given, told):
    project = make_project(forms=FORMS)
    run = started(project, "forms")
    for text in answers:
        assert project.treadle("answer", run, text).code == 0
    before = project.show(run)
    done = project.treadle("answer", run, *given)
    assert done.code == 2
    assert told in done.err
    assert "nothing was sent" in done.err or "not JSON" in done.err
    after = project.show(run)
    assert [a["id"] for a in after["actions"]] == [a["id"] for a in before["actions"]]
    assert after["actions"][0]["attempt"] == 1
    assert after["actions"][0]["holder"] is None


def test_who_cannot_do_a_step_says_so_and_it_fails_with_that_reason(make_project):
    project = make_project(one="name: one\nsteps:\n  - {id: work, delegate: Do it}\n")
    run = started(project, "one")
    assert project.treadle("answer", run, "--cannot", "there is no network").code == 0
    shown = project.show(run)
    assert shown["status"] == "failed"
    assert shown["failure"] == {"class": "failed", "message": "there is no network", "step": "work"}


def test_an_answer_comes_from_a_file(project):
    run = started(project)
    project.write("answer.txt", "two\nlines\n")
    assert project.treadle("answer", run, "--file", "answer.txt").code == 0
    assert project.show(run)["actions"][0]["params"]["show"] == "two\nlines"


def test_several_open_actions_must_be_named(make_project):
    project = make_project(work=WORK).with_ledger()
    run = started(project, "work")
    done = project.treadle("answer", run, "--json-value", '{"seen": "x"}')
    assert done.code == 2
    assert "each[0]/look, each[1]/look, each[2]/look" in done.err


def test_an_approval_shows_exactly_what_is_decided_with_its_digest(project):
    run = started(project)
    project.treadle("answer", run, "a nice\ncup of tea")
    done = project.treadle("approve", run, "--yes", "--note", "fine")
    assert done.code == 0
    assert "a nice\ncup of tea" in done.out
    digest = project.show(run)["receipts"][-1]
    assert digest["standing"] == "approved"
    assert digest["note"] == "fine"
    logs = [json.loads(line) for line in project.treadle("logs", run, "--json").out.splitlines()]
    decided = next(note for line in logs for note in line["notes"] if note["kind"] == "gate_decided")
    assert decided["data"]["digest"] in done.out
    assert decided["data"]["assurance"] == "local"


def test_an_approval_without_a_word_and_without_a_terminal_decides_nothing(project):
    run = started(project)
    project.treadle("answer", run, "tea")
    done = project.treadle("approve", run)
    assert done.code == 2
    assert "error[no_decision]" in done.err
    assert "tea" in done.out
    assert project.show(run)["status"] == "waiting"


def test_a_question_is_not_approved_and_a_gate_is_not_answered(project):
    run = started(project)
    assert "error[not_open]" in project.treadle("approve", run, "--yes").err
    project.treadle("answer", run, "tea")
    done = project.treadle("answer", run, "gate", "yes")
    assert "error[needs_decision]" in done.err
    assert "treadle approve" in done.err


def test_rejecting_keeps_the_note(project):
    run = started(project)
    project.treadle("answer", run, "tea")
    assert project.treadle("approve", run, "--reject", "--note", "coffee, please").code == 0
    assert project.show(run)["status"] == "failed"
    assert "coffee, please" in project.treadle("logs", run).out


@pytest.mark.slow
def test_runs_are_named_by_any_beginning_and_last(project):
    run = started(project)
    short = run.removeprefix("run_")[:6]
    assert project.treadle("why", short, "--json").json["run"] == run
    assert project.treadle("why", run[:8], "--json").json["run"] == run
    assert project.treadle("why", "last", "--json").json["run"] == run
    started(project)
    done = project.treadle("why", "run_")
    assert "error[ambiguous_run]" in done.err
    assert run in done.err


@pytest.mark.slow
def test_why_names_the_one_thing_and_the_command(project):
    run = started(project)
    data = project.treadle("why", run, "--json").json
    assert set(data) == {"run", "status", "kind", "message", "action", "command", "due_at", "others", "child"}
    assert (data["kind"], data["action"], data["command"]) == ("answer", "question", f"treadle answer {run} question")
    project.treadle("answer", run, "tea")
    assert project.treadle("why", run, "--json").json["kind"] == "approval"
    project.treadle("approve", run, "--yes")
    assert project.treadle("why", run, "--json").json["kind"] == "ended"


def test_a_parked_run_waits_with_its_reason_and_goes_on_after_resume(project):
    run = started(project)
    assert project.treadle("park", run, "--reason", "no quota today").code == 0
    assert "no quota today" in project.treadle("why", run).out
    assert project.treadle("answer", run, "tea").code == 2
    assert project.treadle("run", "ask", "--resume", "--detach").code == 3
    assert project.show(run)["status"] == "waiting"
    project.treadle("park", run, "--reason", "again")
    script = project.write("s.yaml", "- {match: question, answer: tea}\n- {match: gate, approve: true}\n")
    assert project.treadle("resume", run, "--script", str(script)).code == 0


def test_a_parked_run_that_nobody_takes_up_tells_exit_code_7(make_project):
    project = make_project(ask="name: ask\nsteps:\n  - {id: q, prompt: Well?}\n")
    run = started(project, "ask")
    project.treadle("park", run, "--reason", "later")
    assert project.show(run)["exit_code"] == 7


def test_cancelling_ends_a_run_and_says_so_once_more_refused(project):
    run = started(project)
    done = project.treadle("cancel", run, "--reason", "a mistake")
    assert done.code == 0
    assert project.show(run)["status"] == "cancelled"
    assert "a mistake" in project.treadle("logs", run).out
    again = project.treadle("cancel", run)
    assert again.code == 2
    assert "error[run_ended]" in again.err
    assert project.treadle("resume", run).code == 6


@pytest.mark.kill
def test_an_unknown_outcome_waits_for_a_person_who_says_done(make_project):
    project = lost_in_the_middle(make_project)
    run = project.show()["id"]
    data = project.treadle("why", run, "--json").json
    assert data["kind"] == "outcome"
    assert "--done" in data["command"]
    assert "error[outcome_unknown]" in project.treadle("answer", run, "write").err
    assert project.treadle("answer", run, "write", '{"count": 1}', "--done").code == 0
    assert project.treadle("resume", run, "--json").json["result"] == {"count": 1}
    assert project.noted() == ["once"]


@pytest.mark.slow
def test_an_unknown_outcome_that_was_not_done_is_begun_again(make_project):
    project = lost_in_the_middle(make_project)
    project.ledger.with_name("ledger.txt.go").touch()
    assert project.treadle("answer", "last", "write", "--not-done").code == 0
    assert project.treadle("resume", "last").code == 0
    assert project.noted() == ["once", "once"]
    assert project.show()["receipts"][0]["attempts"] == 2


@pytest.mark.slow
def test_an_unknown_outcome_may_fail_the_step(make_project):
    project = lost_in_the_middle(make_project)
    assert project.treadle("answer", "last", "write", "--failed").code == 0
    assert project.show()["failure"]["class"] == "outcome_unknown"


def lost_in_the_middle(make_project) -> Project:
    """A project whose only run has begun to write, and whose process was killed before the tool answered."""
    project = make_project(effect=EFFECT).with_ledger()
    child = project.start("run", "effect")
    while not project.noted():
        assert child.poll() is None, child.communicate()
    child.kill()
    child.communicate()
    done = project.treadle("resume", "last")
    assert done.code == 3
    assert "nobody knows whether" in done.out
    return project


def test_logs_tell_times_who_and_what(project):
    script = project.write("s.yaml", "- {match: question, answer: tea}\n- {match: gate, approve: true}\n")
    project.treadle("run", "ask", "--script", str(script))
    lines = project.treadle("logs", "last").out.splitlines()
    assert all(line[2] == line[5] == ":" for line in lines)
    assert any("question" in line and "answered by" in line for line in lines)
    assert any("gate" in line and "approved by" in line and "sha256:" in line for line in lines)
    assert lines[-1].endswith("the run ended: completed")
    every = project.treadle("logs", "last", "--all").out.splitlines()
    assert len(every) > len(lines)


def test_logs_in_json_are_the_events_with_their_notes(project):
    started(project)
    rows = [json.loads(line) for line in project.treadle("logs", "last", "--json").out.splitlines()]
    assert [row["rev"] for row in rows] == list(range(1, len(rows) + 1))
    assert set(rows[0]) == {"seq", "rev", "at", "event", "by", "by_kind", "notes"}
    assert rows[0]["event"] == "RunStarted"


def test_following_logs_ends_with_the_run(project):
    run = started(project)
    child = project.start("logs", run, "--follow")
    project.treadle("answer", run, "tea")
    project.treadle("approve", run, "--yes")
    out, _ = child.communicate(timeout=20)
    assert child.returncode == 0
    assert out.splitlines()[-1].endswith("the run ended: completed")


def test_runs_lists_what_is_unfinished_with_what_it_waits_for(project):
    assert "No runs yet" in project.treadle("runs").out
    run = started(project)
    out = project.treadle("runs").out
    assert run in out
    assert "waiting" in out
    assert "`question` asks a person" in out
    project.treadle("cancel", run)
    rows = project.treadle("runs", "--all", "--json").json["runs"]
    assert set(rows[0]) == {
        "id", "workflow", "title", "status", "exit_code", "revision", "created_at", "updated_at", "next_due_at", "started_by", "directory",
        "branch", "definition", "parent", "forked_from",
    }  # fmt: skip
    assert rows[0]["status"] == "cancelled"
    assert project.treadle("runs", "--status", "failed").out.startswith("No runs like that")


@pytest.mark.slow
def test_looking_writes_nothing(project):
    run = started(project)
    before = project.show(run)["revision"]
    for command in (["show", run], ["why", run], ["logs", run], ["runs"], ["doctor"]):
        assert project.treadle(*command).code == 0
    assert project.show(run)["revision"] == before


def test_looking_at_a_project_without_a_file_makes_none(project):
    for command in (["runs"], ["list"], ["validate", "ask"], ["functions"]):
        assert project.treadle(*command).code == 0
    assert not (project.folder / ".treadle").exists()
