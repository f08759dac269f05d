"""`treadle init`, `trust`, `validate`, `list`, `functions`, `doctor`, `server`, `mcp`, help and version as child processes."""

import json
import os
import subprocess

import pytest
from click.testing import CliRunner

from tests.cli.support import ASK, TREADLE, WORK
from treadle import __version__
from treadle.cli.commands import COMMANDS
from treadle.cli.group import Group, Root


def test_init_makes_a_project_by_additions_alone(make_project):
    project = make_project()
    shown = project.treadle("init")
    assert shown.code == 2
    assert "+++ b/treadle.toml" in shown.out
    assert "--yes" in shown.err
    assert not (project.folder / "treadle.toml").exists()
    assert project.treadle("init", "--yes").code == 0
    servers = json.loads((project.folder / ".mcp.json").read_text())["mcpServers"]
    assert set(servers) == {"treadle", "memory", "web"}
    assert (project.folder / ".gitignore").read_text() == ".treadle/\n"
    assert (project.folder / ".treadle").is_dir()
    again = project.treadle("init", "--yes", "--json").json
    assert again["changed"] == []


def test_init_keeps_what_stands_in_mcp_json_to_the_byte(make_project):
    project = make_project()
    before = '{\n    "mcpServers": {\n        "mine": { "command":"x",   "args": [] },\n        "web": {"command": "own"}\n    },\n    "more": [1,2]\n}\n'
    project.write(".mcp.json", before)
    project.write(".gitignore", "dist")
    done = project.treadle("init", "--yes", "--json").json
    after = (project.folder / ".mcp.json").read_text()
    assert any("'web'" in line for line in done["kept"])
    added = [line for line in after.splitlines() if line not in before.splitlines()]
    assert len(added) == 2
    assert [line for line in after.splitlines() if line not in added] == before.splitlines()
    assert json.loads(after)["mcpServers"]["web"] == {"command": "own"}
    assert (project.folder / ".gitignore").read_text() == "dist\n.treadle/\n"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"other": 1}',
        '{"mcpServers": {}}',
        '{"mcpServers":{"a":{"command":"b"}}}',
        '{"x": "\\"mcpServers\\": {", "mcpServers": {}}',
    ],
)
def test_init_merges_into_any_mcp_json(make_project, text):
    project = make_project()
    project.write(".mcp.json", text)
    assert project.treadle("init", "--yes").code == 0
    data = json.loads((project.folder / ".mcp.json").read_text())
    before = json.loads(text)
    assert {"treadle", "memory", "web", *before.get("mcpServers", {})} == set(data["mcpServers"])
    assert {k: v for k, v in data.items() if k != "mcpServers"} == {k: v for k, v in before.items() if k != "mcpServers"}


def test_init_leaves_a_broken_mcp_json_alone(make_project):
    project = make_project()
    project.write(".mcp.json", "{ // mine\n}")
    done = project.treadle("init", "--yes")
    assert done.code == 2
    assert "error[bad_mcp_file]" in done.err
    assert (project.folder / ".mcp.json").read_text() == "{ // mine\n}"
    assert not (project.folder / "treadle.toml").exists()


def test_trust_shows_each_item_with_its_digest_and_asks(make_project):
    project = make_project(work=WORK)
    project.write(
        "functions/own.py",
        'from treadle.functions import function\n\n@function(version="1", pure=True)\ndef twice(x: str) -> str:\n    return x + x\n',
    )
    project.write(
        ".mcp.json",
        '{"mcpServers": {"s": {"command": "python3", "args": ["-c", "1"]}, "treadle": {"command": "treadle", "args": ["mcp"]}}}',
    )
    asked = project.treadle("trust")
    assert asked.code == 2
    assert "error[not_trusted]" in asked.err
    assert "def twice" in asked.out
    assert "python3" in asked.out
    items = project.treadle("trust", "--list", "--json").json["items"]
    assert [(i["kind"], i["name"], i["state"]) for i in items] == [
        ("functions", "functions/own.py", "new"),
        ("server", "s", "new"),
    ]
    assert all(i["digest"].startswith("sha256:") for i in items)
    terminal = project.terminal("trust")
    terminal.until("run on your account?")
    terminal.type("n")
    assert terminal.end() == 1
    assert project.treadle("trust", "--yes").code == 0
    assert {i["state"] for i in project.treadle("trust", "--list", "--json").json["items"]} == {"trusted"}
    project.write("functions/own.py", "changed = True\n")
    assert [i["state"] for i in project.treadle("trust", "--list", "--json").json["items"]] == ["changed", "trusted"]


def test_a_function_of_the_project_runs_only_when_trusted(make_project):
    text = "name: fn\nsteps:\n  - return: \"{{ twice('ab') }}\"\n"
    project = make_project(fn=text)
    project.write(
        "functions/own.py",
        'from treadle.functions import function\n\n@function(version="1", pure=True)\ndef twice(x: str) -> str:\n    return x + x\n',
    )
    done = project.treadle("run", "fn")
    assert done.code == 2
    assert "error[not_trusted]" in done.err
    project.treadle("trust", "--yes")
    assert project.treadle("run", "fn", "--json").json["result"] == "abab"


def test_validate_shows_each_fault_with_a_caret_and_exit_code_1(make_project):
    project = make_project(good=ASK, bad="name: bad\nsteps:\n  - {id: a, prmpt: hello}\n  - {id: a, prompt: x}\n")
    assert project.treadle("validate", "ask").code == 0
    done = project.treadle("validate", "workflows/bad.yaml")
    assert done.code == 1
    assert "bad.yaml:3:" in done.out
    assert "   |" in done.out or " | " in done.out
    assert "^" in done.out
    whole = project.treadle("validate", "workflows", "--json")
    assert whole.code == 1
    assert whole.json["ok"] is False
    assert set(whole.json["problems"][0]) == {
        "code",
        "severity",
        "file",
        "line",
        "column",
        "path",
        "message",
        "suggestion",
    }
    assert len(whole.json["files"]) == 2


def test_validate_strict_makes_warnings_errors(make_project):
    project = make_project(warn="name: warn\ninitial_state: {left: null}\nsteps:\n  - {id: a, prompt: x, output_to: left}\n")
    found = project.treadle("validate", "warn", "--json")
    if found.json["problems"]:
        assert found.code == 0
        assert project.treadle("validate", "warn", "--strict").code == 1


def test_validate_names_what_is_not_carried_out_yet(make_project):
    project = make_project(later="name: later\nsteps:\n  - integration: slack\n")
    done = project.treadle("validate", "later")
    assert done.code == 0
    assert "integration" in done.out
    refused = project.treadle("run", "later")
    assert refused.code == 2
    assert "error[not_yet]" in refused.err


def test_list_shows_where_each_workflow_comes_from(project):
    project.write("workflows/broken.yaml", "name: [\n")
    rows = {row["name"]: row for row in project.treadle("list", "--json").json["workflows"]}
    assert rows["ask"]["file"] == "workflows/ask.yaml"
    assert rows["ask"]["status"] == "ready"
    assert rows["planning:interactive"]["origin"] == "library"
    assert rows["broken"]["status"] == "broken"
    assert "planning:interactive" in project.treadle("list").out


def test_functions_lists_signatures_without_executing(make_project):
    project = make_project()
    project.write(
        "functions/own.py",
        'from treadle.functions import function\nopen("executed", "w")\n\n@function(version="2", pure=True)\ndef mine(x: str) -> str:\n    """Do it."""\n    return x\n',
    )
    found = {f["name"]: f for f in project.treadle("functions", "--json").json["functions"]}
    assert found["mine"]["version"] == "2"
    assert found["mine"]["origin"] == "project"
    assert found["generate_research_tasks"]["origin"] == "library"
    assert "mine(x: str) -> str" in project.treadle("functions").out
    assert not (project.folder / "executed").exists()


def test_doctor_starts_trusted_servers_for_real(make_project):
    project = make_project().with_ledger()
    findings = {f["check"]: f for f in project.treadle("doctor", "--json").json["findings"]}
    assert findings["server ledger"]["state"] == "ok"
    assert "note, refuse, slow" in findings["server ledger"]["message"]
    project.treadle("trust", "--revoke")
    findings = {f["check"]: f for f in project.treadle("doctor", "--json").json["findings"]}
    assert findings["server ledger"]["state"] == "skipped"
    assert findings["server ledger"]["code"] == "not_trusted"


def test_doctor_finds_a_changed_history(project):
    project.treadle("run", "ask")
    assert project.treadle("doctor").code == 0
    file = project.folder / ".treadle" / "treadle.db"
    subprocess.run([*TREADLE, "doctor"], cwd=project.folder, env=project.environment, check=True, capture_output=True)
    data = bytearray(file.read_bytes())
    at = data.find(b"RunStarted")
    assert at > 0
    data[at : at + 3] = b"Xun"
    file.write_bytes(data)
    done = project.treadle("doctor", "--json")
    assert done.code == 1
    assert any(f["state"] == "failed" for f in done.json["findings"])


def test_doctor_finds_a_server_that_does_not_start(make_project):
    project = make_project()
    project.write("treadle.toml", '[servers.gone]\ncommand = "/no/such/program"\n')
    project.treadle("trust", "--yes")
    done = project.treadle("doctor")
    assert done.code == 1
    assert "server gone" in done.out


def test_a_bad_setting_is_told_with_its_line(project):
    project.write("treadle.toml", "[log]\nlevl = 1\n")
    done = project.treadle("runs")
    assert done.code == 2
    assert "treadle.toml:2" in done.err
    assert "'level'" in done.err


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_with_examples_first_and_its_json_keys(name):
    found = Root(name="treadle").get_command(None, name)
    for path in [[name], *([name, below] for below in found.commands)] if isinstance(found, Group) else [[name]]:
        done = CliRunner().invoke(Root(name="treadle"), [*path, "--help"])
        assert done.exit_code == 0
        assert "Examples:\n  treadle " in done.output
        if path == [name] and isinstance(found, Group):
            continue
        assert done.output.index("Examples:") < done.output.index("Options:")
        if name not in {"mcp", "server"}:
            assert "--json" in done.output
            assert "With --json:\n" in done.output


def test_help_lists_every_command_and_the_exit_codes(project):
    for arguments in ([], ["--help"], ["help"], ["-h"]):
        out = project.treadle(*arguments).out
        assert all(f"\n  {name} " in out for name in COMMANDS)
        assert "3 waiting for a person or agent" in out


def test_an_unknown_command_is_a_usage_error(project):
    done = project.treadle("rnu")
    assert done.code == 2
    assert "error[usage]" in done.err
    assert project.treadle("run", "ask", "--colour", "red").code == 2


def test_version_tells_what_it_stands_on(project):
    assert project.treadle("--version").out == f"treadle {__version__}\n"
    found = project.treadle("version", "--json").json
    assert found["treadle"] == __version__
    assert set(found) == {"treadle", "python", "platform", "apsw", "mcp", "language", "semantics", "schema"}


def test_a_reader_that_stops_reading_is_no_bug(project):
    done = subprocess.run(
        ["sh", "-c", f"{' '.join(TREADLE)} list | head -1"], cwd=project.folder, env=project.environment | {"PYTHONUNBUFFERED": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "bug" not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_own_servers_answer_over_stdio(project):
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }
    for arguments, name in (
        (["server", "memory"], "treadle-memory"),
        (["server", "web"], "treadle-web"),
        (["mcp"], "treadle"),
    ):
        child = subprocess.Popen(
            [*TREADLE, *arguments], cwd=project.folder, env=project.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(hello) + "\n")
        child.stdin.flush()
        reply = json.loads(child.stdout.readline())
        assert reply["result"]["serverInfo"]["name"] == name
        child.stdin.close()
        assert child.wait(20) == 0
        child.stdout.close()
        assert child.stderr is not None
        child.stderr.close()


def test_the_environment_names_the_project(project, tmp_path):
    environment = project.environment | {"TREADLE_PROJECT": str(project.folder)}
    done = subprocess.run([*TREADLE, "list", "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "ask" in {row["name"] for row in json.loads(done.stdout)["workflows"]}


def test_the_person_is_the_account_of_the_system_not_what_the_environment_says(project):
    import pwd

    project.treadle("run", "ask", LOGNAME="boss", USER="boss", USERNAME="boss")
    assert project.show()["started_by"] == pwd.getpwuid(os.getuid()).pw_name
