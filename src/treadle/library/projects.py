"""The pure functions of the workflows for code: which command a project means, by the names of the files at its top.

A guess by names alone, made where nobody gave the command; what it gives is shown, and run under the eyes of whoever started the run.
"""

import shlex
from typing import Final

from treadle.functions import function

_TESTS: Final = (
    ({"Makefile", "makefile", "GNUmakefile"}, "make test"),
    ({"pytest.ini", "conftest.py", "pyproject.toml", "setup.py", "setup.cfg", "tox.ini"}, "python3 -m pytest -q"),
    ({"package.json"}, "npm test"),
    ({"Cargo.toml"}, "cargo test"),
    ({"go.mod"}, "go test ./..."),
    ({"mvnw", "pom.xml"}, "mvn -q test"),
    ({"gradlew"}, "./gradlew test"),
    ({"Gemfile"}, "bundle exec rake test"),
    ({"mix.exs"}, "mix test"),
)
# The lock file, the command for the newest version, and the one for a version that is named.
_UPGRADES: Final = (
    ("uv.lock", "uv lock --upgrade-package {name}", "uv lock --upgrade-package {name}=={version}"),
    ("poetry.lock", "poetry add {name}@latest", "poetry add {name}@{version}"),
    ("pnpm-lock.yaml", "pnpm update --latest {name}", "pnpm update {name}@{version}"),
    ("yarn.lock", "yarn up {name}", "yarn up {name}@{version}"),
    ("package-lock.json", "npm install {name}@latest", "npm install {name}@{version}"),
    ("Cargo.lock", "cargo update -p {name}", "cargo update -p {name} --precise {version}"),
    ("go.sum", "go get {name}@latest && go mod tidy", "go get {name}@{version} && go mod tidy"),
)
_VERSIONS: Final = ("pyproject.toml", "package.json", "Cargo.toml", "VERSION", "setup.cfg", "setup.py", "mix.exs")


@function(version="1", pure=True)
def test_command_for(names: list[str]) -> str:
    """Choose the command that runs the tests of a project, by the names at its top; an empty text where none of them tells."""
    return next((command for signs, command in _TESTS if signs & set(names)), "")


@function(version="1", pure=True)
def upgrade_for(names: list[str], dependency: str, version: str) -> dict:
    """Choose the command that upgrades a dependency, and the lock file that it writes: `{command, lock}`, empty where no name tells.

    Without a version it is the newest.
    """
    for lock, newest, named in _UPGRADES:
        if lock in names:
            command = (named if version else newest).format(name=shlex.quote(dependency), version=shlex.quote(version))
            return {"command": command, "lock": lock}
    return {"command": "", "lock": ""}


@function(version="1", pure=True)
def version_file_for(names: list[str]) -> str:
    """Choose the file at the top of a project that holds its version; an empty text where there is none."""
    return next((name for name in _VERSIONS if name in names), "")
