"""The wheel works in an empty environment and carries the files that are not Python."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import treadle

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_package(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src" / "treadle"
    listed = subprocess.run(["git", "ls-files", package], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = {name.removeprefix("src/") for name in listed.splitlines() if (ROOT / name).exists()}
    assert files - packed == set()
    assert "treadle/py.typed" in packed
    assert "treadle/engine/embedded/schema.sql" in packed
    assert [name for name in packed if name.startswith("treadle/library/") and name.endswith((".yaml", ".yml"))]


def test_the_wheel_runs_in_an_empty_environment(wheel, tmp_path):
    home = tmp_path / "env"
    venv.create(home, with_pip=False)
    pins = tmp_path / "pins.txt"
    export = [UV, "pip", "compile", "--quiet", "--no-annotate", "--no-header", "--universal", "--no-emit-index-url"]
    subprocess.run(
        [*export, "--constraint", ROOT / "requirements.lock", "--output-file", pins, "pyproject.toml"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    install = [UV, "pip", "install", "--quiet", "--python", home / "bin" / "python", "--constraint", pins, wheel]
    subprocess.run(install, check=True)
    done = subprocess.run([home / "bin" / "treadle", "--version"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert treadle.__version__ in done.stdout
    dev_only = subprocess.run([home / "bin" / "python", "-c", "import pytest"], capture_output=True, check=False)
    assert dev_only.returncode != 0
