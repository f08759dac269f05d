import json
import stat
from pathlib import Path

import pytest

from treadle import trust
from treadle.config import servers
from treadle.config.project import Project
from treadle.core.errors import RequestError


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    (root / "functions").mkdir(parents=True)
    (root / "functions" / "plan.py").write_text("def plan(): ...\n")
    (root / "server.py").write_text("print('v1')\n")
    entries = {
        "own": {"command": "treadle", "args": ["mcp"]},
        "script": {
            "command": "python3",
            "args": ["server.py", "--config=conf.json"],
            "env": {"API_TOKEN": "s3cret", "MODE": "fast"},
        },
        "off": {"command": "rm", "args": ["-rf", "x"], "disabled": True},
    }
    (root / ".mcp.json").write_text(json.dumps({"mcpServers": entries}))
    return Project(root=root, home=root)


@pytest.fixture
def store(tmp_path: Path) -> trust.TrustStore:
    return trust.TrustStore(tmp_path / "data")


def items(project: Project, tables: dict | None = None) -> dict[str, trust.TrustItem]:
    return {item.key: item for item in trust.collect(project, servers.load(project.root, tables or {}))}


def test_what_can_run_is_listed_and_what_never_runs_is_not(project: Project):
    assert list(items(project)) == ["functions:functions/plan.py", "server:script"]


def test_a_person_sees_the_exact_command_and_no_credential(project: Project):
    text = items(project)["server:script"].text
    assert "command: python3 server.py --config=conf.json" in text
    assert "environment: MODE=fast" in text
    assert "environment: API_TOKEN=***" in text
    assert "s3cret" not in text
    assert "file: server.py" in text
    assert items(project)["functions:functions/plan.py"].text == "def plan(): ...\n"


def test_everything_is_pending_until_it_was_accepted(project: Project, store: trust.TrustStore):
    listed = list(items(project).values())
    assert store.pending(project, listed) == listed
    store.accept(project, listed[:1])
    assert store.pending(project, listed) == listed[1:]
    store.accept(project, listed[1:])
    assert store.pending(project, listed) == []
    assert store.allows(project, listed[0])


@pytest.mark.parametrize(
    "file, text, key",
    [
        ("functions/plan.py", "def plan(): steal()\n", "functions:functions/plan.py"),
        ("server.py", "print('v2')\n", "server:script"),
        ("conf.json", "{}", "server:script"),
    ],
)
def test_a_changed_file_asks_again(project: Project, store: trust.TrustStore, file: str, text: str, key: str):
    store.accept(project, items(project).values())
    (project.root / file).write_text(text)
    after = items(project)
    assert [item.key for item in store.pending(project, after.values())] == [key]
    assert store.changed(project, after[key])


def test_a_changed_environment_or_effect_asks_again(project: Project, store: trust.TrustStore):
    store.accept(project, items(project).values())
    hidden = project.root / ".mcp.json"
    hidden.write_text(hidden.read_text().replace("s3cret", "other"))
    assert [item.key for item in store.pending(project, items(project).values())] == ["server:script"]
    store.accept(project, items(project).values())
    claims = items(project, {"script": {"effects": {"wipe": "read"}, "line": 1}})
    assert [item.key for item in store.pending(project, claims.values())] == ["server:script"]
    assert "effect: wipe = read" in claims["server:script"].text


def test_a_new_file_is_pending_and_a_removed_one_is_not(project: Project, store: trust.TrustStore):
    store.accept(project, items(project).values())
    (project.root / "functions" / "plan.py").rename(project.root / "functions" / "other.py")
    assert [item.key for item in store.pending(project, items(project).values())] == ["functions:functions/other.py"]


def test_what_was_shown_is_accepted_and_not_what_is_there_by_then(project: Project, store: trust.TrustStore):
    shown = items(project).values()
    (project.root / "server.py").write_text("print('swapped')\n")
    store.accept(project, shown)
    assert [item.key for item in store.pending(project, items(project).values())] == ["server:script"]


def test_acceptance_is_the_user_s_alone_and_outside_the_project(project: Project, store: trust.TrustStore, tmp_path: Path):
    store.accept(project, items(project).values())
    (file,) = (tmp_path / "data" / "trust").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert not (project.root / ".treadle").exists()
    assert "s3cret" not in file.read_text()


def test_another_project_with_the_same_files_is_not_trusted(project: Project, store: trust.TrustStore, tmp_path: Path):
    store.accept(project, items(project).values())
    twin = Project(root=project.root, home=tmp_path / "elsewhere")
    assert len(store.pending(twin, items(project).values())) == 2


def test_revoking_forgets_everything(project: Project, store: trust.TrustStore):
    assert not store.revoke(project)
    store.accept(project, items(project).values())
    assert store.revoke(project)
    assert len(store.pending(project, items(project).values())) == 2


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 99, "accepted": {}}', '{"version": 1, "accepted": {"a": 5}}'])
def test_a_record_that_cannot_be_read_trusts_nothing_and_says_so(project: Project, store: trust.TrustStore, tmp_path: Path, content: str):
    store.accept(project, items(project).values())
    (file,) = (tmp_path / "data" / "trust").iterdir()
    file.write_text(content)
    with pytest.raises(RequestError) as caught:
        store.pending(project, items(project).values())
    assert caught.value.code == "trust_unreadable"


def test_what_cannot_be_shown_cannot_be_trusted(project: Project):
    (project.root / "functions" / "big.py").write_bytes(b"#" * (trust.FILE_BYTES_MAX + 1))
    with pytest.raises(RequestError) as caught:
        items(project)
    assert caught.value.code == "unreadable"


def test_the_gate_of_a_pool_refuses_what_is_pending_and_tells_a_change_from_a_novelty(project: Project, store: trust.TrustStore):
    check = trust.gate(store, project)
    spec = servers.load(project.root, {}).get("script")
    with pytest.raises(RequestError, match="not trusted yet") as caught:
        check(spec)
    assert caught.value.code == "not_trusted"
    store.accept(project, items(project).values())
    check(spec)
    (project.root / "server.py").write_text("print('v2')\n")
    with pytest.raises(RequestError, match="has changed since"):
        check(spec)


def test_a_function_file_is_bound_to_the_bytes_that_will_run(project: Project, store: trust.TrustStore):
    store.accept(project, items(project).values())
    source = (project.root / "functions" / "plan.py").read_bytes()
    name = "functions/plan.py"
    assert store.allows_digest(project, "functions", name, trust.function_digest(name, source))
    assert not store.allows_digest(project, "functions", name, trust.function_digest(name, source + b" "))


def test_nothing_is_executed_while_collecting(project: Project, tmp_path: Path):
    mark = tmp_path / "mark"
    (project.root / "functions" / "evil.py").write_text(f"open({str(mark)!r}, 'w')\n")
    items(project)
    assert not mark.exists()


def test_only_files_are_code(project: Project):
    (project.root / "functions" / "folder.py").mkdir()
    (project.root / "functions" / "gone.py").symlink_to("nowhere.py")
    assert list(items(project)) == ["functions:functions/plan.py", "server:script"]
