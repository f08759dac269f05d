"""`treadle run --dry-run`: real branches, answers from stubs, reading for real, and nothing done or left behind."""

import pytest

from tests.cli.here import Here
from treadle.authoring.yaml_reader import read_text
from treadle.cli.script import read_script

ORDER = """\
name: order
inputs: {what: {type: string, default: tea}, gift: {type: boolean, default: false}}
steps:
  - {id: who, prompt: "For whom?", default: me}
  - id: choose
    prompt: "Which?"
    format: choice
    options: [green, black]
  - id: wrap
    if: "{{ inputs.gift }}"
    then:
      - {id: paper, delegate: "Wrap {{ inputs.what }}", agent: "@task", output: {type: object, properties: {colour: {type: string, minLength: 2}}, required: [colour]}}
    else:
      - {id: bag, delegate: "Bag {{ inputs.what }}"}
  - {id: gate, approve: "{{ steps.choose.result }}", within: 2d}
  - {id: send, mcp_call: ledger.note, parameters: {text: "sent"}}
  - return: "{{ steps.choose.result }} for {{ steps.who.result }}"
"""
STUBS = """\
- {match: choose, answer: black}
- {match: "**/bag", answer: done}
- {match: gate, approve: true}
- {match: send, answer: {count: 1}}
"""
LOOK = """\
name: look
steps:
  - {id: read, mcp_call: ledger.note, parameters: {text: looked}, effect: read}
  - {id: write, mcp_call: ledger.note, parameters: {text: written}}
  - return: "{{ steps.read.result.count }}"
"""


@pytest.fixture
def here(tmp_path, monkeypatch, capfdbinary):
    found = Here(tmp_path, monkeypatch, capfdbinary)
    found.write("workflows/order.yaml", ORDER)
    found.write("stubs.yaml", STUBS)
    return found


def test_each_step_says_who_does_it_and_where_its_value_came_from(here):
    done = here.treadle("run", "order", "-i", "what=coffee", "--dry-run", "--stubs", "stubs.yaml")
    assert done.code == 0
    for said in (
        'what = "coffee"  (input)',
        "gift = false  (default)",
        'who  prompt  a person\n    default of the step: "me"',
        'choose  prompt  a person\n    stubs.yaml:1: "black"',
        "wrap  chose `else`",
        "bag  delegate  an agent, the agent's own model  [write]",
        "gate  approve  a person\n    stubs.yaml:3: approve true",
        "send  mcp_call ledger.note  treadle  [write]",
        "a run would end: ",
        '"black for me"',
    ):
        assert said in done.out
    lines = done.out.splitlines()
    assert lines[0] == lines[-1] == "dry run: nothing above `read` is done, and nothing is stored"


def test_nothing_is_stored(here):
    before = sorted(path.name for path in here.folder.rglob("*"))
    here.treadle("run", "order", "--dry-run", "--stubs", "stubs.yaml")
    assert sorted(path.name for path in here.folder.rglob("*")) == before


def test_json_has_the_documented_keys(here):
    found = here.treadle("run", "order", "--dry-run", "--stubs", "stubs.yaml", "--json").json
    assert list(found) == [
        "dry_run", "workflow", "version", "definition", "inputs", "steps", "story", "status", "exit_code", "result", "state", "failure",
        "missing", "unused",
    ]  # fmt: skip
    assert [(step["action"], step["from"], step["line"]) for step in found["steps"]] == [
        ("who", "default of the step", None), ("choose", "stub", 1), ("wrap.else/bag", "stub", 2), ("gate", "stub", 3), ("send", "stub", 4),
    ]  # fmt: skip
    assert set(found["steps"][0]) == {
        "action", "attempt", "kind", "performer", "agent", "model", "effect", "tool", "params", "from", "file", "line", "verb", "value",
    }  # fmt: skip


def test_a_missing_stub_stops_with_the_entry_to_add_and_exit_code_3(here):
    here.write("stubs.yaml", STUBS.replace('- {match: "**/bag", answer: done}\n', ""))
    done = here.treadle("run", "order", "--dry-run", "--stubs", "stubs.yaml")
    assert done.code == 3
    assert "error[missing_stub]: `wrap.else/bag` (delegate) has no answer" in done.err
    assert "add to the stubs:\n  - {match: wrap.else/bag, answer:" in done.out
    assert "send" not in done.out
    assert done.out.splitlines()[-1].startswith("dry run:")


def test_a_stub_that_does_not_fit_is_refused_as_it_would_be(here):
    here.write("stubs.yaml", STUBS.replace("black", "blue"))
    found = here.treadle("run", "order", "--dry-run", "--stubs", "stubs.yaml", "--json")
    assert (found.code, found.json["missing"]["code"], found.json["missing"]["action"]) == (3, "stub_refused", "choose")


def test_a_rejection_ends_as_a_run_would(here):
    here.write("stubs.yaml", STUBS.replace("approve: true", 'reject: "no money"'))
    done = here.treadle("run", "order", "--dry-run", "--stubs", "stubs.yaml")
    assert (done.code, "rejected in `gate`" in done.out) == (1, True)


def test_made_up_stubs_carry_a_dry_run_to_its_end(here):
    done = here.treadle("run", "order", "--dry-run", "--stubs-init", "made.yaml")
    assert done.code == 0
    text = (here.folder / "made.yaml").read_text()
    assert "# delegate [write]: made up from its schema\n- {match: wrap.then/paper, answer: {colour: made up}}" in text
    assert [entry.match for entry in read_script("made.yaml").entries] == [
        "who",
        "choose",
        "wrap.then/paper",
        "wrap.else/bag",
        "gate",
        "send",
    ]
    for gift in ("true", "false"):
        assert here.treadle("run", "order", "-i", f"gift={gift}", "--dry-run", "--stubs", "made.yaml").code == 0
    again = here.treadle("run", "order", "--dry-run", "--stubs-init", "made.yaml", "--json")
    assert (again.code, again.error["code"]) == (2, "bad_file")


def test_stubs_of_the_library_are_a_script(here):
    here.treadle("run", "planning:interactive", "--dry-run", "--stubs-init", "made.yaml")
    text = (here.folder / "made.yaml").read_text()
    assert '# - {match: "research-phase[*]/search-web", answer: null}' in text
    assert not read_text(text, "made.yaml").problems
    assert '- {match: "research-phase[*]/read-sources", answer: {findings: [], confidence: low}}' in text


@pytest.mark.parametrize(
    "options",
    [
        ("--stubs", "stubs.yaml"),
        ("--dry-run", "--detach"),
        ("--dry-run", "--script", "stubs.yaml"),
        ("--dry-run", "--stubs", "a", "--stubs-init", "b"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(here, options):
    done = here.treadle("run", "order", *options, "--json")
    assert (done.code, done.error["code"]) == (2, "usage")


def test_what_only_reads_is_called_for_real_and_what_writes_never(make_project):
    project = make_project(look=LOOK).with_ledger()
    project.write("stubs.yaml", "- {match: write, answer: {count: 99}}\n")
    done = project.treadle("run", "look", "--dry-run", "--stubs", "stubs.yaml", "--json")
    assert (done.code, project.noted()) == (0, ["looked"])
    assert [(step["action"], step["from"], step["value"]) for step in done.json["steps"]] == [
        ("read", "called for real", {"count": 1}), ("write", "stub", {"count": 99}),
    ]  # fmt: skip
    assert done.json["result"] == 1
    assert not list(project.folder.rglob("*.db"))


def test_what_is_not_trusted_is_not_called_and_says_so(make_project):
    project = make_project(look=LOOK).with_ledger()
    assert project.treadle("trust", "--revoke", "--yes").code == 0
    done = project.treadle("run", "look", "--dry-run")
    assert (done.code, project.noted()) == (3, [])
    assert "treadle trust" in done.err
