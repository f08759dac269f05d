"""`treadle run` as a child process: scripts, exit codes (ruling 61), `--json`, resuming."""

import json

from tests.cli.support import ASK, WORK

ANSWERS = "- {match: question, answer: tea}\n- {match: gate, approve: true}\n"


def test_a_script_answers_everything_and_the_run_completes(project):
    script = project.write("answers.yaml", ANSWERS)
    done = project.treadle("run", "ask", "--script", str(script))
    assert done.code == 0, done.err
    assert "✓ question  answered by" in done.out
    assert "by the script answers.yaml" in done.out
    assert done.out.rstrip().endswith("tea")
    assert "\x1b" not in done.out


def test_json_of_a_run_has_the_documented_keys(project):
    script = project.write("answers.yaml", ANSWERS)
    run = project.treadle("run", "ask", "--script", str(script), "--json").json
    assert set(run) == {
        "id", "workflow", "version", "status", "exit_code", "revision", "started_at", "started_by", "degraded", "parked", "next_due_at",
        "inputs", "state", "result", "failure", "steps", "actions", "ending", "undo", "parent", "forked_from", "waits", "signals", "budgets",
    }  # fmt: skip
    assert (run["status"], run["exit_code"], run["result"]) == ("completed", 0, "tea")
    assert [(s["path"], s["type"], s["status"]) for s in run["steps"]] == [
        ("question", "prompt", "completed"), ("gate", "approve", "completed"), ("return_0", "return", "completed"),
    ]  # fmt: skip


def test_without_anybody_it_waits_with_exit_code_3_and_names_the_command(project):
    done = project.treadle("run", "ask")
    assert done.code == 3
    assert "treadle answer run_" in done.out
    assert "treadle resume run_" in done.out
    run = project.show()
    assert run["status"] == "waiting"
    assert run["actions"][0]["expected"] == {"type": "string"}


def test_a_rejection_fails_the_run_with_exit_code_1(project):
    script = project.write("no.yaml", "- {match: question, answer: tea}\n- {match: gate, reject: too hot}\n")
    done = project.treadle("run", "ask", "--script", str(script))
    assert done.code == 1
    assert "rejected" in done.out
    assert project.show()["failure"]["class"] == "rejected"


def test_a_run_that_passed_over_a_failure_ends_degraded_with_exit_code_4(make_project):
    project = make_project(soft="name: soft\nsteps:\n  - {id: a, delegate: try, on_error: continue}\n  - return: 1\n")
    script = project.write("s.yaml", "- {match: a, cannot: no way}\n")
    assert project.treadle("run", "soft", "--script", str(script)).code == 4
    assert project.show()["status"] == "completed_degraded"


def test_an_unmatched_action_stops_the_script_and_is_not_answered(project):
    script = project.write("half.yaml", "- {match: question, answer: tea}\n")
    done = project.treadle("run", "ask", "--script", str(script))
    assert done.code == 3
    assert "error[script_has_no_answer]" in done.err
    assert "`gate`" in done.err
    assert project.show()["status"] == "waiting"


def test_an_entry_that_nothing_asked_for_is_named(project):
    script = project.write("more.yaml", ANSWERS + "- {match: kuestion, answer: typo}\n")
    assert "kuestion" in project.treadle("run", "ask", "--script", str(script)).err


def test_an_unknown_workflow_starts_nothing_and_is_a_usage_error(project):
    done = project.treadle("run", "asl")
    assert done.code == 2
    assert "error[unknown_workflow]" in done.err
    assert "did you mean `ask`?" in done.err
    assert not (project.folder / ".treadle" / "treadle.db").exists() or not project.treadle("runs", "--all", "--json").json["runs"]


def test_a_broken_workflow_is_shown_with_its_line_and_nothing_starts(make_project):
    project = make_project(bad="name: bad\nsteps:\n  - {id: a, prmpt: hello}\n")
    done = project.treadle("run", "bad")
    assert done.code == 2
    assert "workflows/bad.yaml:3:" in done.err
    assert "^" in done.err
    assert "prompt" in done.err


def test_inputs_are_read_by_their_declared_type(project):
    run = project.treadle("run", "ask", "-i", "who=42", "-i", "times=3", "--json").json
    assert run["inputs"] == {"who": "42", "times": 3}
    assert run["actions"][0]["params"]["message"] == "What now, 42?"


def test_an_input_that_does_not_fit_starts_nothing(project):
    for value in ("times=many", "times", "unknown=1"):
        done = project.treadle("run", "ask", "-i", value)
        assert done.code == 2, value
        assert "error[" in done.err
    assert not project.treadle("runs", "--all", "--json").json["runs"]


def test_inputs_come_from_a_file_or_standard_input_too(project):
    project.write("inputs.yaml", "who: file\n")
    assert project.treadle("run", "ask", "--inputs", "inputs.yaml", "--json").json["inputs"]["who"] == "file"
    piped = project.treadle("run", "ask", "--inputs", "-", "--json", given='{"who": "pipe"}')
    assert piped.json["inputs"]["who"] == "pipe"


def test_resume_goes_on_with_the_unfinished_run_of_the_same_inputs(project):
    script = project.write("answers.yaml", ANSWERS)
    first = project.treadle("run", "ask", "-i", "who=ann", "--json").json
    project.treadle("run", "ask", "-i", "who=bob")
    resumed = project.treadle("run", "ask", "-i", "who=ann", "--resume", "--script", str(script))
    assert resumed.code == 0
    assert f"going on with {first['id']}" in resumed.out
    assert "kept:     nothing" in resumed.out
    assert "will run: question, gate, return_0" in resumed.out
    assert project.show(first["id"])["status"] == "completed"


def test_without_a_word_an_unfinished_run_is_named_and_a_new_one_started(project):
    first = project.treadle("run", "ask", "--json").json["id"]
    second = project.treadle("run", "ask", "--json")
    assert first in second.err
    assert "--resume" in second.err
    assert second.json["id"] != first
    assert first not in project.treadle("run", "ask", "--new").err


def test_detach_starts_and_leaves(project):
    done = project.treadle("run", "ask", "--detach", "--title", "the first one")
    assert done.code == 3
    assert "left as it is" in done.out
    assert project.treadle("runs", "--json").json["runs"][0]["title"] == "the first one"


def test_branches_are_worked_by_performers_of_their_own_at_the_same_time(make_project):
    project = make_project(work=WORK).with_ledger()
    script = project.write("s.yaml", "".join(f'- {{match: "each[{n}]/look", answer: {{seen: thing{n}}}}}\n' for n in range(3)))
    done = project.treadle("run", "work", "--script", str(script), "--json")
    assert done.code == 0, done.err
    assert done.json["result"] == ["thing0", "thing1", "thing2"]
    assert sorted(project.noted()) == ["thing0", "thing1", "thing2"]
    receipts = {receipt["action"]: receipt for receipt in project.show()["receipts"]}
    holders = {receipts[f"each[{n}]/look"]["by"] for n in range(3)}
    assert len(holders) == 3
    assert {r["standing"] for a, r in receipts.items() if a.endswith("look")} == {"claimed"}
    assert {r["standing"] for a, r in receipts.items() if a.endswith("keep")} == {"done"}


def test_an_answer_that_does_not_fit_stops_the_script_with_the_reason(make_project):
    project = make_project(work=WORK).with_ledger()
    script = project.write("s.yaml", '- {match: "each[*]/look", answer: {seen: ""}}\n')
    done = project.treadle("run", "work", "--script", str(script))
    assert done.code == 2
    assert "error[bad_output]" in done.err


def test_a_server_that_is_not_configured_is_told_before_anything_starts(make_project):
    project = make_project(work=WORK)
    done = project.treadle("run", "work")
    assert done.code == 2
    assert "error[unknown_server]" in done.err
    assert not project.treadle("runs", "--all", "--json").json["runs"]


def test_a_server_that_is_not_trusted_is_never_started(make_project):
    project = make_project(work=WORK).with_ledger()
    assert project.treadle("trust", "--revoke").code == 0
    done = project.treadle("run", "work")
    assert done.code == 2
    assert "error[not_trusted]" in done.err
    assert "treadle trust" in done.err


def test_errors_are_one_json_object_where_json_was_asked_for(project):
    done = project.treadle("show", "run_none", "--json")
    assert done.code == 2
    assert done.out == ""
    assert set(done.error) == {"code", "message", "hint", "details"}
    assert done.error["code"] == "unknown_run"


def test_the_record_holds_a_line_for_each_acknowledged_reply(project):
    script = project.write("answers.yaml", ANSWERS)
    project.treadle("run", "ask", "--script", str(script), "--record", "acks.jsonl")
    rows = [json.loads(line) for line in (project.folder / "acks.jsonl").read_text().splitlines()]
    assert [(row["ack"], row["action"]) for row in rows] == [("start", ""), ("answer", "question"), ("approve", "gate")]
    assert len({row["run"] for row in rows}) == 1


def test_run_and_new_exclude_each_other(project):
    done = project.treadle("run", "ask", "--new", "--resume")
    assert done.code == 2
    assert "exclude each other" in done.err


def test_a_definition_changed_in_between_leaves_a_run_alone(project):
    script = project.write("answers.yaml", ANSWERS)
    run = project.treadle("run", "ask", "--json").json["id"]
    project.write("workflows/ask.yaml", ASK.replace("What now", "What else"))
    assert project.treadle("resume", run, "--script", str(script), "--json").json["result"] == "tea"


def test_env_reads_what_the_configuration_allows_and_nothing_else(make_project):
    project = make_project(where="name: where\nsteps:\n  - return: \"{{ env('REGION') }} {{ env('HOME', 'nothing') }}\"\n")
    project.write("treadle.toml", '[expressions]\nenv = ["REGION", "ABSENT"]\n')
    done = project.treadle("run", "where", "--json", REGION="north")
    assert done.json["result"] == "north nothing"
    refused = project.treadle("run", "where", "--json")
    assert refused.json["failure"]["class"] == "expression"
    assert "`REGION` is not set or not allowed" in refused.json["failure"]["message"].replace("'", "`")
