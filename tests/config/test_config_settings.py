import subprocess
import sys
from pathlib import Path

import pytest

from treadle.config import settings
from treadle.config.origin import ConfigError
from treadle.config.project import Project, find


def project(folder: Path, toml: str | None = None) -> Project:
    if toml is not None:
        (folder / "treadle.toml").write_text(toml)
    return Project(root=folder, home=folder)


def test_without_a_file_everything_has_its_default(tmp_path: Path):
    found = settings.load(project(tmp_path), environ={})
    assert (found.log_level, found.log_format, found.mcp_line_bytes_max) == ("info", "json", 4 << 20)
    assert found.path(found.files_root) == tmp_path
    assert {str(origin) for _, _, origin in found.shown()} == {"default"}


def test_file_gives_way_to_environment_and_environment_to_flags(tmp_path: Path):
    here = project(tmp_path, '[log]\nlevel = "error"\nformat = "text"\n\n[mcp]\ntimeout = "2s"\n')
    environ = {
        "LOG_FORMAT": "json",
        "TREADLE_MCP_TIMEOUT": "3s",
        "WORKFLOW_DEFINITIONS_PATH": "a:/b",
        "MCP_FILE_ROOT": "sub",
    }
    found = settings.load(here, environ=environ, flags={"mcp.timeout": "4s", "log.level": None})
    assert (found.log_level, found.log_format, found.mcp_timeout_ms) == ("error", "json", 4_000)
    assert (found.workflows_paths, found.path(found.files_root)) == (("a", "/b"), tmp_path / "sub")
    assert {name: str(origin) for name, _, origin in found.shown() if origin.kind != "default"} == {
        "workflows.paths": "environment WORKFLOW_DEFINITIONS_PATH",
        "files.root": "environment MCP_FILE_ROOT",
        "log.level": "file treadle.toml:2",
        "log.format": "environment LOG_FORMAT",
        "mcp.timeout": "flag --timeout",
    }


def test_our_own_variable_goes_before_the_shared_name(tmp_path: Path):
    found = settings.load(project(tmp_path), environ={"TREADLE_LOG_LEVEL": "debug", "LOG_LEVEL": "ERROR"})
    assert (found.log_level, str(found.origins["log.level"])) == ("debug", "environment TREADLE_LOG_LEVEL")
    assert settings.load(project(tmp_path), environ={"LOG_LEVEL": "ERROR"}).log_level == "error"


def test_every_fault_is_reported_at_once_with_its_line_and_the_nearest_name(tmp_path: Path):
    toml = """
[log]
lefel = "debug"

[mcp]
timeout = 90
max_line = "much"

[severs.x]
command = "x"

[servers.web]
komand = "treadle"
effects = { search = "reads" }
"""
    with pytest.raises(ConfigError) as caught:
        settings.load(project(tmp_path, toml), environ={"LOG_FORMAT": "yaml"})
    found = {(problem.code, problem.line, problem.suggestion) for problem in caught.value.problems}
    assert found == {
        ("unknown_key", 3, "did you mean 'level'?"),
        ("bad_value", 6, ""),
        ("bad_value", 7, ""),
        ("unknown_key", 9, "did you mean 'servers'?"),
        ("unknown_key", 13, "did you mean 'command'?"),
        ("bad_value", 14, ""),
        ("bad_value", 0, ""),
    }
    assert "treadle.toml:3: [log] has no key 'lefel' (did you mean 'level'?)" in caught.value.message


@pytest.mark.parametrize(
    "raw, line, words",
    [
        (b"[log\n", 1, "not TOML"),
        (b"[log]\nlevel = \n", 2, "not TOML"),
        (b"\xff\xfe", 0, "cannot be read"),
        (b"a = " + b"[" * 100_000, 0, "cannot be read"),
        (b"#" * ((1 << 20) + 1), 0, "larger than"),
        (b"log = 5\n", 1, "must be a table"),
    ],
)
def test_an_unreadable_file_is_one_clear_error(tmp_path: Path, raw: bytes, line: int, words: str):
    (tmp_path / "treadle.toml").write_bytes(raw)
    with pytest.raises(ConfigError, match=words) as caught:
        settings.load(project(tmp_path), environ={})
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].line == line


def test_a_stray_variable_is_a_warning_with_the_nearest_name(tmp_path: Path):
    found = settings.load(project(tmp_path), environ={"TREADLE_LOG_LEVLE": "debug", "TREADLE_VENV": "x", "PATH": "y"})
    assert found.warnings == ("the environment variable TREADLE_LOG_LEVLE is not known; did you mean 'TREADLE_LOG_LEVEL'?",)


@pytest.mark.parametrize("url", ["ftp://x", "http://user:pw@x/", "http://x/?q=1", "x", "http://x y/"])
def test_an_address_is_plain_http_without_credentials(tmp_path: Path, url: str):
    with pytest.raises(ConfigError):
        settings.load(project(tmp_path, f'[web_search]\nurl = "{url}"\n'), environ={})


def test_every_setting_has_words_and_a_variable_of_its_own():
    names = [variable for key in settings.KEYS for variable in key.variables]
    assert len(names) == len(set(names))
    assert all(key.doc and key.variables[0].startswith("TREADLE_") for key in settings.KEYS)


def test_configuration_and_trust_import_nothing_heavy():
    code = (
        "import sys, treadle.config.settings, treadle.config.servers, treadle.trust\n"
        "print([m for m in ('mcp', 'pydantic', 'yaml', 'jinja2', 'asyncio') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


# ---- project


def test_the_nearest_marker_decides(tmp_path: Path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "packages" / "one" / "src").mkdir(parents=True)
    (tmp_path / "packages" / "one" / "treadle.toml").touch()
    assert find(tmp_path / "packages" / "one" / "src").root == tmp_path / "packages" / "one"
    assert find(tmp_path / "packages").root == tmp_path


def test_without_a_marker_the_directory_itself_is_the_project(tmp_path: Path):
    found = find(tmp_path / "nowhere")
    assert found.marker in {"", ".git", ".treadle", "treadle.toml"}
    if not found.marker:
        assert (found.root, found.home) == (tmp_path / "nowhere", tmp_path / "nowhere")


def test_the_user_s_own_treadle_folder_marks_no_project(tmp_path: Path):
    (tmp_path / ".treadle").mkdir()
    (tmp_path / "work").mkdir()
    assert find(tmp_path / "work", user_home=tmp_path).root != tmp_path
    assert find(tmp_path / "work").root == tmp_path


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_linked_worktree_reads_its_own_files_and_shares_the_store_of_the_main_tree(tmp_path: Path):
    main, linked = tmp_path / "main", tmp_path / "linked"
    (main / "sub").mkdir(parents=True)
    (main / "sub" / "treadle.toml").touch()
    git(main, "init")
    git(main, "add", ".")
    git(main, "commit", "-m", "x")
    git(main, "worktree", "add", str(linked), "-b", "other")
    assert find(linked).root == linked
    assert find(linked).home == main
    assert find(linked / "sub").root == linked / "sub"
    assert find(linked / "sub").store_dir == main / "sub" / ".treadle"


def test_a_submodule_is_a_project_of_its_own(tmp_path: Path):
    (tmp_path / ".git" / "modules" / "lib").mkdir(parents=True)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / ".git").write_text("gitdir: ../.git/modules/lib\n")
    assert find(tmp_path / "lib").home == tmp_path / "lib"


def test_a_broken_worktree_link_is_no_error(tmp_path: Path):
    (tmp_path / ".git").write_text("gitdir: /no/such/place\n")
    assert find(tmp_path).home == tmp_path
