"""Secrets, end to end: a real server is given one and tells it everywhere; afterwards it is found nowhere. And `treadle secrets` itself."""

import base64
import json
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cli.support import Project
from tests.core.clauses import clause
from tests.mcpclient.peers import HOSTILE

TOKEN = 'sk-"live"/Ω+?&%~ 9f8e7d6c5b4a'
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhk\niG9w0BAQEFAASCBKcw\n-----END KEY-----"
TELL = """\
name: tell
steps:
{steps}
  - return: "{{{{ [{results}] }}}}"
"""
STEP = """\
  - id: {tool}
    mcp_call: teller.{tool}
    effect: {effect}
    parameters: {{token: "{{{{ secrets.API_TOKEN }}}}", header: "Bearer {{{{ secrets.API_TOKEN }}}}", n: 1}}
    on_error: continue
"""


def telling(project: Project, *tools: str, effect: str = "read") -> Project:
    """A project with a workflow that gives the secret to some tools of the teller."""
    steps = "".join(STEP.format(tool=tool, effect=effect) for tool in tools)
    results = ", ".join(f"steps.{tool}.result" for tool in tools)
    project.write("workflows/tell.yaml", TELL.format(steps=steps, results=results))
    arguments = json.dumps([str(HOSTILE / "teller.py"), str(record(project))])
    project.write("treadle.toml", f"[servers.teller]\ncommand = {json.dumps(sys.executable)}\nargs = {arguments}\n")
    assert project.treadle("trust", "--yes").code == 0
    return project


def record(project: Project) -> Path:
    return project.home / "record.json"


def forms(token: str) -> list[bytes]:
    raw = token.encode()
    parts = [part.encode() for part in (token, json.dumps(token)[1:-1], quote(token), quote(token, safe=""), raw.hex())]
    # What is certain of it in base64, wherever it begins; and pieces of it, which a cut would leave.
    for before in range(3):
        written = base64.b64encode(bytes(before) + raw)
        parts.append(written[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6])
    return [*parts, raw[:12], raw[-12:]]


def assert_nowhere(project: Project, token: str, *outputs: str) -> None:
    """Read every file of the project (database, its log, values set aside, server logs), and what was printed."""
    files = [path for path in project.folder.rglob("*") if path.is_file()]
    assert any(path.name == "treadle.db" for path in files)
    for form in forms(token):
        assert [path.name for path in files if form in path.read_bytes()] == [], form
        assert [text for text in outputs if form.decode() in text] == [], form


def set_token(project: Project, value: str = TOKEN, name: str = "API_TOKEN") -> None:
    assert project.treadle("secrets", "set", name, given=value).code == 0


def test_a_secret_reaches_the_server_and_is_found_nowhere_afterwards(make_project):
    tools = ("echo", "blocks", "fail", "cut", "protest", "spoil", "misfit", "typed", "die")
    project = telling(make_project(), *tools)
    set_token(project)
    done = project.treadle("run", "tell", "--json", LOG_LEVEL="debug")
    assert done.code == 4
    said = json.loads(record(project).read_text())
    assert said == {"token": TOKEN, "header": f"Bearer {TOKEN}", "n": 1}
    result = done.json["result"]
    assert result[0]["header"] == "Bearer ***API_TOKEN***"
    assert result[0]["***API_TOKEN***"] is True
    assert result[0]["told"][:2] == ["***API_TOKEN***", "x***API_TOKEN***y"]
    assert "***API_TOKEN***" in result[1]
    log = "".join(path.read_text() for path in (project.folder / ".treadle" / "logs").rglob("*.log*"))
    assert "stderr ***API_TOKEN***" in log
    shown = [project.treadle(*command).out for command in (
        ("show", "last", "--full"), ("show", "last", "--json"), ("logs", "last", "--all"), ("logs", "last", "--json"), ("why", "last"),
    )]  # fmt: skip
    messages = " ".join(
        note["data"]["message"] for line in shown[3].splitlines() for note in json.loads(line)["notes"] if "message" in note["data"]
    )
    for told in ("no ***API_TOKEN***", "its arguments do not fit", "does not fit its own schema"):
        assert told in messages
    assert_nowhere(project, TOKEN, done.out, done.err, *shown)


def test_an_unfinished_step_shows_the_name_only(make_project):
    """While the action is open its parameters stand in the state: as names."""
    project = telling(make_project(), "die", effect="write")
    set_token(project)
    assert project.treadle("run", "tell", "--detach").code in {3, 7}
    data = project.show()
    assert data["actions"][0]["params"]["parameters"] == {
        "token": {"$treadle.secret": "API_TOKEN"}, "header": "Bearer ***API_TOKEN***", "n": 1,
    }  # fmt: skip
    assert_nowhere(project, TOKEN, json.dumps(data), project.treadle("why", "last").out, project.treadle("show", "last").out)


@pytest.mark.slow
def test_a_secret_of_several_lines_is_taken_out_line_by_line(make_project):
    project = telling(make_project(), "echo", "fail")
    set_token(project, PEM + "\n")
    done = project.treadle("run", "tell", "--json")
    assert json.loads(record(project).read_text())["token"] == PEM
    assert_nowhere(project, "MIIEvQIBADANBgkqhk", done.out, done.err)


@clause("S76")
def test_a_run_is_not_started_without_its_secret(make_project):
    project = telling(make_project(), "echo")
    done = project.treadle("run", "tell", "--json")
    assert done.code == 2
    assert done.error["code"] == "secret_missing"
    assert "API_TOKEN" in done.error["message"]
    assert "treadle secrets set API_TOKEN" in done.error["hint"]
    assert project.treadle("runs", "--all", "--json").json["runs"] == []
    assert not record(project).exists()


@clause("S76")
@pytest.mark.slow
def test_a_run_is_not_taken_up_again_without_its_secret(make_project):
    project = telling(make_project(), "echo")
    text = (project.folder / "workflows/tell.yaml").read_text()
    project.write("workflows/tell.yaml", text.replace("steps:\n", "steps:\n  - prompt: Go on?\n", 1))
    set_token(project)
    assert project.treadle("run", "tell").code == 3
    assert project.treadle("secrets", "set", "API_TOKEN", "--from", "env:NOT_THERE").out.count("no value yet") == 1
    assert project.treadle("answer", "last", "yes").code == 0
    resumed = project.treadle("resume", "last", "--json")
    assert (resumed.code, resumed.error["code"]) == (2, "secret_missing")
    assert not record(project).exists()
    assert project.treadle("resume", "last", NOT_THERE="given-in-the-variable").code == 0
    assert json.loads(record(project).read_text())["token"] == "given-in-the-variable"


def test_doctor_tells_of_secrets_that_are_missing_and_of_files_that_are_open(make_project):
    project = telling(make_project(), "echo")
    file = project.home / "token"
    file.write_text("a-long-token\n")
    file.chmod(0o600)
    assert project.treadle("secrets", "set", "OTHER", "--from", f"file:{file}").code == 0
    file.chmod(0o640)
    done = project.treadle("doctor", "--json")
    found = {row["code"]: row for row in done.json["findings"] if row["check"] == "secrets"}
    assert found["secret_missing"]["state"] == "warning"
    assert "used by tell" in found["secret_missing"]["message"]
    assert found["secret_file_open"]["state"] == "failed"
    assert "0640" in found["secret_file_open"]["message"]


# The command


def rows(project: Project, **environment: str) -> dict[str, dict]:
    done = project.treadle("secrets", "list", "--json", **environment)
    assert done.code == 0
    return {row.pop("name"): row for row in done.json["secrets"]}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def test_a_value_is_kept_privately_listed_without_it_and_removed_without_a_trace(make_project):
    project = telling(make_project(), "echo")
    before = files(project.home), files(project.folder)
    done = project.treadle("secrets", "set", "API_TOKEN", "--json", given=TOKEN + "\n")
    assert done.json == {
        "name": "API_TOKEN",
        "from": "kept for this account",
        "origin": "this account",
        "replaced": False,
        "present": True,
        "hides": None,
    }
    (kept,) = (path for path in project.home.rglob("API_TOKEN-*.json"))
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert json.loads(kept.read_text())["value"] == TOKEN  # without the line end
    assert files(project.folder) == before[1]
    assert rows(project)["API_TOKEN"] == {
        "from": "kept for this account", "origin": "this account", "hides": None, "present": True, "problem": None, "workflows": ["tell"],
    }  # fmt: skip
    plain = project.treadle("secrets", "list").out
    assert TOKEN not in plain
    assert project.treadle("secrets", "set", "API_TOKEN", "--json", given="another-one").json["replaced"] is True
    assert project.treadle("secrets", "remove", "API_TOKEN").code == 0
    assert (files(project.home), files(project.folder)) == before
    gone = project.treadle("secrets", "remove", "API_TOKEN", "--json")
    assert (gone.code, gone.error["code"]) == (2, "unknown_secret")


def test_a_value_is_typed_unseen_in_a_terminal(make_project):
    project = make_project()
    terminal = project.terminal("secrets", "set", "API_TOKEN")
    terminal.until("Value of API_TOKEN (not shown): ")
    terminal.type("typed-and-unseen")
    terminal.until("API_TOKEN is set")
    assert terminal.end() == 0
    assert "typed-and" not in terminal.text
    assert b"typed" not in terminal.raw
    (kept,) = project.home.rglob("API_TOKEN-*.json")
    assert json.loads(kept.read_text())["value"] == "typed-and-unseen"


def test_giving_up_in_the_terminal_sets_nothing(make_project):
    project = make_project()
    terminal = project.terminal("secrets", "set", "API_TOKEN")
    terminal.until("(not shown): ")
    terminal.interrupt()
    assert terminal.end() == 130
    assert not list(project.home.rglob("*.json"))


@pytest.mark.parametrize(
    "given, code",
    [
        ("xyzzy", "secret_too_short"), ("", "secret_missing"), ("\n", "secret_missing"), ("   \n", "secret_missing"),
        ("abc\0defgh", "bad_secret"), ("x" * 32_769, "secret_too_long"),
    ],
    ids=["short", "empty", "line", "blank", "nul", "long"],
)  # fmt: skip
def test_a_value_that_cannot_be_kept_is_refused_without_being_shown(make_project, given, code):
    done = make_project().treadle("secrets", "set", "API_TOKEN", "--json", given=given)
    assert (done.code, done.error["code"]) == (2, code)
    assert not given.strip() or given.strip("\0") not in done.err


def test_a_value_as_argument_is_refused_without_being_repeated(make_project):
    done = make_project().treadle("secrets", "set", "API_TOKEN", "sk-12345678")
    assert done.code == 2
    assert "never an argument" in done.err
    assert "sk-12345678" not in done.err + done.out


@pytest.mark.parametrize("name", ["1A", "A-B", "Ä", "A" * 65, "../x"])
def test_a_name_is_checked(make_project, name):
    done = make_project().treadle("secrets", "set", "--json", "--", name, given="long-enough")
    assert (done.code, done.error["code"]) == (2, "bad_secret")


def test_a_variable_a_file_and_treadle_toml_say_where_a_value_is(make_project):
    project = make_project()
    (project.home / "private").write_text("from-the-file\r\n")
    (project.home / "private").chmod(0o600)
    project.write("treadle.toml", '[secrets]\nA = {env = "VALUE_OF_A"}\nB = {file = "~/private"}\n[secrets.C]\nenv = "VALUE_OF_C"\n')
    found = rows(project, VALUE_OF_A="from-the-variable")
    assert {name: (row["from"], row["origin"], row["present"]) for name, row in found.items()} == {
        "A": ("variable VALUE_OF_A", "treadle.toml:2", True), "B": ("file ~/private", "treadle.toml:3", True),
        "C": ("variable VALUE_OF_C", "treadle.toml:4", False),
    }  # fmt: skip
    assert found["C"]["problem"]["code"] == "secret_missing"
    assert project.treadle("secrets", "set", "A", given="my-own-value").code == 0
    assert rows(project)["A"]["hides"] == "treadle.toml:2"
    removed = project.treadle("secrets", "remove", "A", "--json").json
    assert removed == {"name": "A", "removed": True, "left": "variable VALUE_OF_A"}
    done = project.treadle("secrets", "remove", "A", "--json")
    assert (done.code, done.error["code"]) == (2, "secret_in_file")
    assert "treadle.toml:2" in done.error["hint"]


def test_a_file_in_the_repository_is_taken_only_if_git_ignores_it(make_project):
    project = make_project()
    subprocess.run(["git", "init", "-q", str(project.folder)], check=True)
    project.write("token.txt", "in-the-repository\n").chmod(0o600)
    place = ("secrets", "set", "T", "--json", "--from", "file:token.txt")
    assert project.treadle(*place).error["code"] == "secret_in_repository"
    project.write(".gitignore", "token.txt\n")
    assert project.treadle(*place).code == 0
    subprocess.run(["git", "-C", str(project.folder), "add", "-f", "token.txt"], check=True)
    assert rows(project)["T"]["problem"]["code"] == "secret_in_repository"
    (project.home / "link").symlink_to(project.folder / "token.txt")
    assert project.treadle("secrets", "set", "T", "--json", "--from", f"file:{project.home}/link").error["code"] == "secret_in_repository"


RING = """
    import json, os
    from pathlib import Path
    from keyring.backend import KeyringBackend

    class FileRing(KeyringBackend):
        priority = 9
        place = Path(os.environ["RING"])

        def _all(self):
            return json.loads(self.place.read_text()) if self.place.exists() else {}

        def get_password(self, service, username):
            return self._all().get(f"{service}|{username}")

        def set_password(self, service, username, password):
            self.place.write_text(json.dumps(self._all() | {f"{service}|{username}": password}))

        def delete_password(self, service, username):
            left = self._all()
            del left[f"{service}|{username}"]
            self.place.write_text(json.dumps(left))
"""


@pytest.mark.slow
def test_the_keyring_keeps_a_value_or_has_one_already(make_project):
    project = telling(make_project(), "echo")
    (project.home / "filering.py").write_text(textwrap.dedent(RING))
    ring = project.home / "ring.json"
    project.environment |= {"PYTHONPATH": str(project.home), "PYTHON_KEYRING_BACKEND": "filering.FileRing", "RING": str(ring)}
    done = project.treadle("secrets", "set", "API_TOKEN", "--from", "keyring", given=TOKEN)
    assert done.code == 0, done.err
    assert list(json.loads(ring.read_text()).values()) == [TOKEN]
    (kept,) = project.home.rglob("API_TOKEN-*.json")
    assert TOKEN not in kept.read_text()
    assert project.treadle("run", "tell").code == 0
    assert json.loads(record(project).read_text())["token"] == TOKEN
    assert project.treadle("secrets", "remove", "API_TOKEN").code == 0
    assert json.loads(ring.read_text()) == {}
    ring.write_text(json.dumps({"api.example.org/v1|me": "theirs-already"}))
    assert project.treadle("secrets", "set", "API_TOKEN", "--from", "keyring:api.example.org/v1/me").code == 0
    assert rows(project)["API_TOKEN"]["present"] is True
    assert project.treadle("secrets", "remove", "API_TOKEN").code == 0
    assert "theirs-already" in ring.read_text()


@pytest.mark.parametrize("backend", ["keyring.backends.fail.Keyring", "keyring.backends.null.Keyring"])
def test_without_a_keyring_that_is_said_before_anything_is_typed(make_project, backend):
    done = make_project().treadle("secrets", "set", "A", "--json", "--from", "keyring", given="long-enough", PYTHON_KEYRING_BACKEND=backend)
    assert (done.code, done.error["code"]) == (2, "no_keyring")


def test_without_the_package_the_extra_is_named(make_project):
    project = make_project()
    (project.home / "keyring.py").write_text("raise ImportError('not installed')\n")
    done = project.treadle("secrets", "set", "A", "--json", "--from", "keyring", given="long-enough", PYTHONPATH=str(project.home))
    assert done.error["code"] == "no_keyring"
    assert "treadle[keyring]" in done.error["hint"]


def test_treadle_toml_holds_no_value(make_project):
    project = make_project()
    project.write(
        "treadle.toml", '[secrets]\nA = "sk-literal-1"\nB = {env = "sk literal 2"}\nC = {}\nD = {env = "X", file = "y"}\n1E = {env = "X"}\n'
    )
    done = project.treadle("secrets", "list")
    assert done.code == 2
    assert "sk" not in done.err.replace("task", "")
    for part in (
        "treadle.toml:2: secrets.A: a secret's value never stands here",
        "treadle.toml:3: secrets.B.env must be",
        "treadle.toml:4",
        "treadle.toml:5",
        "treadle.toml:6",
    ):
        assert part in done.err


@pytest.mark.slow
def test_a_dry_run_and_the_playground_show_names_only(make_project):
    project = telling(make_project(), "echo")
    set_token(project)
    done = project.treadle("run", "tell", "--dry-run")
    assert json.loads(record(project).read_text())["token"] == TOKEN  # a `read` is really done
    assert "***API_TOKEN***" in done.out + done.err
    assert not [form for form in forms(TOKEN) if form.decode() in done.out + done.err]
    assert project.treadle("eval", "--json", "{{ secrets.A }}").json["value"] == {"$treadle.secret": "A"}
    assert project.treadle("eval", "--json", "a {{ secrets.A }}").json["value"] == "a ***A***"
