import json
import pickle
from pathlib import Path

import pytest

from treadle.config import servers, settings
from treadle.config.project import Project
from treadle.config.secret import Secret
from treadle.config.servers import Catalog, ServerSpec
from treadle.core.errors import RequestError


def catalog(folder: Path, mcp: object = None, toml: str = "") -> Catalog:
    if mcp is not None:
        (folder / ".mcp.json").write_text(mcp if isinstance(mcp, str) else json.dumps(mcp, indent=2))
    (folder / "treadle.toml").write_text(toml)
    return settings.load(Project(root=folder, home=folder), environ={}).servers()


def test_servers_come_from_both_files(tmp_path: Path):
    mcp = {"mcpServers": {"files": {"command": "npx", "args": ["-y", "x"], "env": {"A": "1"}, "timeout": 5000, "alwaysLoad": True}}}
    toml = '[servers.memory]\ncommand = "treadle"\nargs = ["server", "memory"]\ntimeout = "5s"\neffects = {get = "read"}\n'
    found = catalog(tmp_path, mcp, toml)
    assert not found.problems
    files, memory = found.get("files"), found.get("memory")
    assert (files.argv, files.timeout_ms, files.file, files.line) == (("npx", "-y", "x"), 5_000, ".mcp.json", 3)
    assert (memory.argv, memory.timeout_ms, memory.effects, memory.line) == (
        ("treadle", "server", "memory"),
        5_000,
        {"get": "read"},
        1,
    )


def test_a_table_without_command_configures_the_entry_of_the_other_file(tmp_path: Path):
    mcp = {"mcpServers": {"files": {"command": "npx"}}}
    toml = '[servers.files]\ntrust_annotations = true\nperformer = "agent"\nstart_timeout = "1m"\nmax_output = "1 MiB"\n'
    spec = catalog(tmp_path, mcp, toml).get("files")
    assert (spec.command, spec.annotations_confirmed, spec.performer) == ("npx", True, "agent")
    assert (spec.start_timeout_ms, spec.output_bytes_max) == (60_000, 1 << 20)


def test_a_server_defined_in_both_files_is_a_problem_that_names_both(tmp_path: Path):
    found = catalog(tmp_path, {"mcpServers": {"x": {"command": "a"}, "y": {"command": "b"}}}, '[servers.x]\ncommand = "c"\n')
    assert [problem.code for problem in found.problems] == ["server_defined_twice"]
    assert ".mcp.json:3" in found.problems[0].message
    assert found.get("y").command == "b"
    with pytest.raises(RequestError, match="defined twice"):
        found.get("x")


@pytest.mark.parametrize(
    "mcp, words",
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"mcpServers": []}', "must be an object"),
        ({"mcpServers": {"a.b": {"command": "x"}}}, "letters, digits"),
        ({"mcpServers": {"a": {"args": []}}}, "has no `command`"),
        ({"mcpServers": {"a": {"command": "x", "args": "y"}}}, "list of texts"),
        ({"mcpServers": {"a": {"command": "x\0y"}}}, "must be text"),
        ({"mcpServers": {"a": {"command": "x", "timeout": "5s"}}}, "milliseconds"),
        ({"mcpServers": {"a": {"command": "x", "type": "carrier-pigeon"}}}, "not known"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_what_is_wrong_with_one_entry_is_said_when_it_is_wanted(tmp_path: Path, mcp: object, words: str):
    found = catalog(tmp_path, mcp, '[servers.fine]\ncommand = "x"\n')
    assert words in found.problems[0].message
    assert found.get("fine").command == "x"
    with pytest.raises(RequestError, match="no MCP server 'a'"):
        found.get("a")


def test_a_table_for_no_server_is_a_problem(tmp_path: Path):
    assert [problem.code for problem in catalog(tmp_path, toml='[servers.x]\ntimeout = "1s"\n').problems] == ["server_without_command"]


def test_variables_are_expanded_at_the_last_moment_and_a_missing_one_is_named(tmp_path: Path):
    spec = ServerSpec(
        name="x",
        file="f",
        command="${TOOL}",
        args=("--key=${KEY:-none}",),
        env={"A": Secret("${B}/c")},
        cwd="${DIR:-sub}",
    )
    launch = spec.launch({"TOOL": "run", "B": "b", "PATH": "/bin"}, tmp_path)
    assert (launch.argv, launch.cwd) == (("run", "--key=none"), tmp_path / "sub")
    assert launch.env["A"] == "b/c"
    assert launch.env["PATH"] == "/bin"
    with pytest.raises(RequestError) as caught:
        spec.launch({"B": "b"}, tmp_path)
    assert caught.value.code == "variable_missing"
    assert "TOOL" in caught.value.message


def test_values_of_the_environment_are_never_shown():
    spec = ServerSpec(name="x", file="f", command="c", env={"API_KEY": Secret("sk-very-secret")})
    launch = spec.launch({}, Path.cwd())
    for shown in (repr(spec), str(spec), f"{spec.env['API_KEY']:>20}", str(spec.env), repr(launch)):
        assert "very-secret" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(spec.env["API_KEY"])
    assert spec.env["API_KEY"].reveal() == "sk-very-secret"


def test_every_key_of_a_server_s_table_sets_a_field_and_has_words():
    fields = set(ServerSpec.__dataclass_fields__)
    assert all(key.field in fields and key.doc for key in servers.TABLE_KEYS.values())
