"""./dev: the one entry point (issue 3 §1)."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def dev(*arguments, root=ROOT, **environment):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TREADLE_", "VIRTUAL_ENV"))}
    return subprocess.run([root / "dev", *arguments], env=inherited | environment, capture_output=True, text=True, check=False)


def test_help_names_every_command_and_changes_nothing(tmp_path):
    done = dev("help", TREADLE_VENV=str(tmp_path / "none"))
    assert done.returncode == 0
    for command in ("demo", "test", "lint", "fix", "sim", "bench", "docs", "setup"):
        assert f"\n  {command} " in done.stdout
    assert not (tmp_path / "none").exists()


def test_an_unknown_command_is_a_usage_error():
    done = dev("tset")
    assert done.returncode == 2
    assert "unknown command: tset" in done.stderr


def test_without_a_usable_python_it_says_what_to_install(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "cat", "cksum", "date", "rm"):
        (tools / name).symlink_to(shutil.which(name))
    done = dev("setup", PATH=str(tools), TREADLE_VENV=str(tmp_path / "env"))
    assert done.returncode == 2
    assert "Python 3.11" in done.stderr
    assert "TREADLE_PYTHON" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_setup_works_from_nothing_and_is_silent_work_the_second_time(tmp_path):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    first = dev("setup", root=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "4/4" in first.stderr
    second = dev("setup", root=tmp_path)
    assert second.stderr == "dev: .venv is up to date\n"
    shown = subprocess.run(
        [tmp_path / ".venv" / "bin" / "python", "-c", "import treadle, mcp, apsw; print(treadle.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert Path(shown.stdout.strip()).is_relative_to(tmp_path.resolve())
    project = tmp_path / "pyproject.toml"
    project.write_text(project.read_text() + "\n# changed\n")
    assert "4/4" in dev("setup", root=tmp_path).stderr
