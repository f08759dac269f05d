"""What is committed names no registry, no machine and no folder of ours."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
INDEX_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "GOPROXY")
# In words, so that this file does not hold them.
REGISTRY_HOSTS = [
    ".".join(words.split()) for words in ("pypi org", "pythonhosted org", "registry npmjs", "registry yarnpkg", "proxy golang org")
]
HOME_FOLDER = re.compile(r"/(?:home|Users)/[a-z][\w.-]*/")


def committed_texts():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout (a source archive): there is no list of committed files")
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file():
            yield name, path.read_bytes().decode("utf-8", errors="replace")


def configured_hosts():
    values = " ".join(os.environ.get(name, "") for name in INDEX_VARIABLES)
    return {host for word in re.split(r"[\s,|]+", values) if "://" in word and (host := urlsplit(word).hostname)}


def test_no_committed_file_holds_a_registry_host_or_an_absolute_path_of_a_machine():
    hosts = {*REGISTRY_HOSTS, *configured_hosts()}
    places = {f"{path}/" for path in (Path.home(), ROOT) if len(path.parts) > 1}
    found = []
    for name, text in committed_texts():
        for number, line in enumerate(text.splitlines(), 1):
            words = [word for word in (*hosts, *places) if word in line]
            words += HOME_FOLDER.findall(line)
            found += [f"{name}:{number}: {word}" for word in words]
    assert not found, "\n".join(found)


def test_the_locks_hold_hashes_and_no_addresses():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    requirements = re.split(r"\n(?=[a-z0-9])", lock)
    assert [entry.split()[0] for entry in requirements if "--hash=sha256:" not in entry] == []
    assert '"resolved"' not in (ROOT / "tests" / "servers" / "package-lock.json").read_text(encoding="utf-8")


def test_the_lock_names_every_declared_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in project["project"]["optional-dependencies"].values():
        declared += extra
    names = {re.split(r"[^A-Za-z0-9_.-]", requirement)[0].lower() for requirement in declared}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9][a-z0-9_.-]*)==", lock, flags=re.MULTILINE))
    assert names - locked == set(), "run ./dev lock"


def test_the_version_stands_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert "version" not in project["project"]
