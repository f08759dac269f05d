"""`treadle test`: what is run, what is told, exit codes, JSON and JUnit; and writing a test from a run."""

import xml.etree.ElementTree as ET

import pytest

from tests.cli.support import ASK
from treadle.testing.fields import EXPECT

TEST = """\
answers:
  - {match: question, answer: tea}
  - {match: gate, approve: true}
cases:
  - {name: tea is liked, expect: {result: tea}}
  - {name: coffee is not, answers: [{match: question, answer: coffee}], expect: {result: tea}}
"""


@pytest.fixture
def asked(here):
    """A project with the workflow `ask` and two tests of it, of which one fails."""
    here.write("treadle.toml", "")
    here.write("workflows/ask.yaml", ASK)
    here.write("workflows/ask.test.yaml", TEST)
    return here


def test_a_line_per_case_what_differs_and_a_summary(asked):
    done = asked.treadle("test")
    assert done.code == 1
    lines = [line.split("  ")[0 if not line.startswith(" ") else 1] for line in done.out.splitlines()]
    assert lines[:3] == ["workflows/ask.test.yaml", "✓ tea is liked", "✗ coffee is not"]
    assert "workflows/ask.test.yaml:6: the result differs [result]" in done.out
    assert '  expected  "tea"' in done.out
    assert '  came      "coffee"' in done.out
    assert "what happened until then:" in done.out
    assert "gate      approved by tester" in done.out
    assert "1 passed, 1 failed in" in done.out


def test_json_says_the_same(asked):
    done = asked.treadle("test", "--json")
    assert (done.code, done.json["ok"], done.json["passed"], done.json["failed"], done.json["broken"]) == (1, False, 1, 1, 0)
    good, bad = done.json["cases"]
    assert (good["ok"], good["status"], good["order"]) == (True, "completed", ["question", "gate"])
    assert bad["misses"][0]["differences"] == [{"path": "result", "expected": '"tea"', "came": '"coffee"', "hint": ""}]


@pytest.mark.parametrize(
    "arguments,names",
    [
        (["-k", "liked"], ["tea is liked"]),
        (["-k", "ASK*Coffee"], ["coffee is not"]),
        (["workflows/ask.test.yaml::tea is liked"], ["tea is liked"]),
        (["workflows", "ask"], ["tea is liked", "coffee is not"]),
        (["ask"], ["tea is liked", "coffee is not"]),
    ],
)
def test_files_folders_workflows_and_cases_are_chosen(asked, arguments, names):
    assert [case["name"] for case in asked.treadle("test", *arguments, "--json").json["cases"]] == names


def test_x_stops_at_the_first_that_fails(asked):
    asked.write("tests/again.test.yaml", "workflow: ask\n" + TEST.replace("tea is liked, expect: {result: tea}", "x, expect: {result: no}"))
    cases = asked.treadle("test", "tests", "workflows", "-x", "--json").json["cases"]
    assert [case["name"] for case in cases] == ["x"]


@pytest.mark.parametrize(
    "arguments,told",
    [
        (["nothing"], "no test of a workflow of that name"),
        (["workflows/ask.yaml"], "its test is workflows/ask.test.yaml"),
        (["workflows/ask.test.yaml::te is liked"], "did you mean 'tea is liked'?"),
        (["-k", "milk"], "no case has 'milk'"),
        ([".treadle"], "no file or folder"),
    ],
)
def test_what_is_not_there_is_told(asked, arguments, told):
    done = asked.treadle("test", *arguments, "--json")
    assert (done.code, done.error["code"]) == (2, "no_tests")
    assert told in done.error["message"] + done.error["hint"]


def test_a_project_without_tests_says_how_to_make_one(here):
    here.write("treadle.toml", "")
    done = here.treadle("test")
    assert done.code == 2
    assert "workflows/NAME.test.yaml" in done.err
    assert "treadle test --init last" in done.err


def test_a_broken_file_is_shown_like_a_broken_workflow_and_fails(asked):
    asked.write("workflows/bad.test.yaml", "workflow: ask\nexpcet: {}\n")
    done = asked.treadle("test", "-k", "liked")
    assert done.code == 0
    done = asked.treadle("test", "workflows/bad.test.yaml")
    assert done.code == 1
    assert "workflows/bad.test.yaml:2:1: error[unknown_field]" in done.out
    assert "help: did you mean `expect`?" in done.out
    assert asked.treadle("test", "workflows/bad.test.yaml", "--json").json["problems"][0]["line"] == 2


def test_a_shared_answer_that_no_case_uses_fails_the_file(asked):
    asked.write("workflows/ask.test.yaml", TEST.replace("cases:", "  - {match: gate, reject: true}\ncases:").split("  - {name: coffee")[0])
    done = asked.treadle("test")
    assert done.code == 1
    assert "workflows/ask.test.yaml:4: the entry for `gate` (reject) was never used by any case" in done.out
    assert "1 passed, 1 file with problems" in done.out


def test_junit_holds_cases_failures_and_broken_files(asked):
    asked.write("workflows/bad.test.yaml", "workflow: ask\nexpcet: {}\n")
    assert asked.treadle("test", "--junit", "out/report.xml").code == 1
    root = ET.parse(asked.folder / "out/report.xml").getroot()
    suites = {suite.get("name"): suite for suite in root}
    ask, bad = suites["workflows/ask.test.yaml"], suites["workflows/bad.test.yaml"]
    assert (ask.get("tests"), ask.get("failures"), ask.get("errors")) == ("2", "1", "0")
    assert (bad.get("tests"), bad.get("failures"), bad.get("errors")) == ("1", "0", "1")
    failure = ask.findall("testcase")[1].find("failure")
    assert failure is not None
    assert (failure.get("type"), '"coffee"' in (failure.text or "")) == ("result", True)


def test_verbose_tells_what_happened_in_each_case(asked):
    done = asked.treadle("test", "-v", "-k", "liked")
    assert (done.code, "question  prompt was answered" in done.out) == (0, True)


# From a run

STORY = """\
name: story
initial_state: {note: null, at: null}
inputs: {who: {type: string, required: true}}
steps:
  - {id: ask, prompt: "What, {{ inputs.who }}?", output_to: note}
  - id: each
    foreach: [one, "two: 2"]
    on_item_error: collect
    do:
      - {id: work, delegate: "do {{ item }}", output: {type: object, required: [n]}}
    output: "{{ steps.work.result.n }}"
  - {id: gate, approve: "{{ state.note }}", on_reject: continue}
  - set_state: {at: "{{ now() }}"}
  - return: {note: "{{ state.note }}", id: "{{ uuid() }}", each: "{{ steps.each.result }}", approved: "{{ steps.gate.result.approved }}"}
"""
SAID = """\
- {match: ask, answer: "line one\\n  line: two\\n\\n- three # x\\n"}
- {match: "each[0]/work", answers: [{m: 1}, {n: "no"}]}
- {match: "each[1]/work", cannot: "# not"}
- {match: gate, reject: "not: this"}
"""


def test_a_test_written_from_a_run_passes_at_once(make_project):
    project = make_project(story=STORY)
    project.write("said.yaml", SAID)
    assert project.treadle("run", "story", "-i", "who=me: you", "--script", "said.yaml", "--json").code == 4
    done = project.treadle("test", "--init", "last", "--out", "workflows/story.test.yaml")
    assert done.code == 0, done.err
    text = (project.folder / "workflows/story.test.yaml").read_text()
    assert "# Of the result this hangs on time or chance and is left out: id" in text
    assert "# Of the state this hangs on time or chance and is left out: at" in text
    done = project.treadle("test", "story", "--json")
    assert (done.code, done.json["passed"]) == (0, 1), done.out
    # It would fail if the workflow behaved otherwise.
    project.write("workflows/story.yaml", STORY.replace("on_reject: continue", "on_reject: fail"))
    assert project.treadle("test", "story", "--json").json["cases"][0]["misses"][0]["code"] == "status"
    again = project.treadle("test", "--init", "last", "--out", "workflows/story.test.yaml", "--json")
    assert (again.code, again.error["code"]) == (2, "file_exists")
    assert "workflows/story-2.test.yaml" in again.error["hint"]


def test_a_run_that_goes_on_gives_no_test(project):
    assert project.treadle("run", "ask", "--detach").code == 3
    done = project.treadle("test", "--init", "last", "--json")
    assert (done.code, done.error["code"]) == (2, "run_not_ended")


def test_no_secret_reaches_a_written_test(make_project):
    project = make_project(story=STORY)
    project.write("treadle.toml", '[secrets]\nTOKEN = {env = "THE_TOKEN"}\n')
    project.write("said.yaml", SAID.replace("line one", "my token is hunter2hunter2"))
    assert project.treadle("run", "story", "-i", "who=hunter2hunter2", "--script", "said.yaml", "--json").code == 4
    done = project.treadle("test", "--init", "last", THE_TOKEN="hunter2hunter2")
    assert done.code == 0, done.err
    assert "hunter2" not in done.out
    assert 'who: "***TOKEN***"' in done.out


def test_the_help_names_every_part_of_a_test(here):
    done = here.treadle("test", "--help")
    assert done.code == 0
    assert {"status", "order"} <= set(EXPECT)
    for part in ("inputs:", "answers:", "expect:", "status:", "order:", "treadle test --init"):
        assert part in done.out


def test_a_test_file_is_a_script_for_a_real_run(make_project):
    project = make_project(story=STORY)
    project.write(
        "workflows/story.test.yaml",
        "inputs: {who: me}\nanswers:\n" + SAID.replace("- {", "  - {") + "cases:\n"
        '  - {name: failing, answers: [{match: "each[0]/work", fail: {class: timeout, message: gone}}]}\n'
        "  - {name: ended, answers: [{match: gate, cancel: enough}]}\n"
        "  - {name: foreign, answers: [{match: gate, approve: true, by: somebody-else}]}\n",
    )

    def run(case):
        return project.treadle("run", "story", "--new", "-i", "who=me", "--script", f"workflows/story.test.yaml::{case}", "--json")

    failing = run("failing")
    assert (failing.code, failing.json["result"]["each"]) == (4, [None, None])
    assert run("ended").json["status"] == "cancelled"
    foreign = run("foreign")
    assert (foreign.code, foreign.json["status"]) == (3, "waiting")
    assert "speaks for somebody-else" in foreign.err
