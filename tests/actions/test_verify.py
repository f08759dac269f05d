"""The action `verify`: every check is made, and each gives a fact (ruling 25)."""

import hashlib
from typing import Any

import pytest

from tests.actions.support import a_call, surroundings
from treadle.actions.kept import KeptResults
from treadle.actions.own_functions import OwnFunctions
from treadle.actions.verify import run_verify
from treadle.core.opening import CACHE_GET, FILES_DIGEST
from treadle.ports import FunctionFailedError


class Registered:
    def call(self, name: str, version: str, args: Any, kwargs: Any) -> Any:
        return [name, version, *args, kwargs]


def own(folder, at_ms=lambda: 0) -> OwnFunctions:
    root = folder / "project"
    root.mkdir(exist_ok=True)
    return OwnFunctions(Registered(), KeptResults(folder / "store", root, at_ms), root)


async def facts(folder, *checks, before=None):
    outcome = await run_verify(surroundings(folder), a_call("build.verify", kind="verify"), {"checks": list(checks), "before": before})
    assert outcome.error_class is None, outcome.message
    return outcome.value


async def test_a_command_is_held_to_its_exit_code_and_a_failed_check_spares_no_other(tmp_path):
    bad, good = await facts(tmp_path, {"shell": "echo two tests fail >&2; exit 2"}, {"shell": ["true"]})
    assert (bad["ok"], bad["exit_code"], bad["check"]) == (False, 2, "echo two tests fail >&2; exit 2")
    assert bad["message"] == "`echo two tests fail >&2; exit 2` ended with exit code 2: two tests fail"
    assert (good["ok"], good["exit_code"], good["kind"]) == (True, 0, "shell")


async def test_a_command_that_cannot_be_started_does_not_hold(tmp_path):
    (fact,) = await facts(tmp_path, {"shell": ["no-such-program"]})
    assert (fact["ok"], fact["exit_code"]) == (False, None)
    assert "could not be started" in fact["message"]


async def test_files_must_be_there_by_path_or_glob_and_fit_their_digest(tmp_path):
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src/a.py").write_text("a")
    right, wrong = hashlib.sha256(b"a").hexdigest(), "0" * 64
    there, missing, glob, fits, not_fits = await facts(
        tmp_path, {"files": [{"path": "src/a.py"}]}, {"files": [{"path": "src/b.py"}]}, {"files": [{"path": "src/**/*.py"}]},
        {"files": [{"path": "src/a.py", "sha256": right}]}, {"files": [{"path": "src/a.py", "sha256": wrong}]},
    )  # fmt: skip
    assert [fact["ok"] for fact in (there, missing, glob, fits, not_fits)] == [True, False, True, True, False]
    assert missing["message"] == "`src/b.py` is not there"
    assert glob["files"] == {"src/a.py": right}


async def test_a_file_has_changed_when_it_is_another_than_when_the_step_opened(tmp_path):
    root = tmp_path / "project"
    functions = own(tmp_path)
    (root / "old.py").write_text("a")
    before = functions.call(FILES_DIGEST, "1", (["*.py", "new.md"],), {})
    check = {"files": [{"path": "*.py", "changed": True}]}
    (same,) = await facts(tmp_path, check, before=before)
    assert (same["ok"], same["message"]) == (False, "`*.py` has not changed since the step opened")
    (root / "old.py").write_text("b")
    (root / "new.md").write_text("new")
    changed, new = await facts(tmp_path, check, {"files": [{"path": "new.md", "changed": True}]}, before=before)
    assert (changed["ok"], new["ok"]) == (True, True)


async def test_what_another_working_tree_held_says_nothing_of_change(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project/a").touch()
    (fact,) = await facts(tmp_path, {"files": [{"path": "a", "changed": True}]}, before={"root": "/elsewhere", "files": {"a": {}}})
    assert fact["ok"] is False
    assert "cannot be told" in fact["message"]


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "out/passwd", "../*", "a\0b"])
async def test_no_file_outside_of_the_project_is_looked_at(tmp_path, path):
    functions = own(tmp_path)
    (tmp_path / "project/out").symlink_to("/etc")
    outcome = await run_verify(surroundings(tmp_path), a_call("b.verify"), {"checks": [{"files": [{"path": path}]}]})
    assert outcome.error_class == "failed"
    with pytest.raises(FunctionFailedError):
        functions.call(FILES_DIGEST, "1", ([path],), {})


def test_registered_functions_are_called_as_before_and_unknown_ones_of_ours_are_refused(tmp_path):
    functions = own(tmp_path)
    assert functions.call("shout", "2", ("a",), {"b": 1}) == ["shout", "2", "a", {"b": 1}]
    with pytest.raises(FunctionFailedError):
        functions.call("treadle.nothing", "1", (), {})


def test_a_kept_result_is_found_by_its_key_until_its_time_is_up(tmp_path):
    now = [1_000]
    functions = own(tmp_path, lambda: now[0])
    kept = KeptResults(tmp_path / "store", tmp_path / "project", lambda: now[0])
    assert functions.call(CACHE_GET, "1", ("sha256:aa", 500, False), {}) is None
    kept.keep("sha256:aa", {"found": [1, None]})
    now[0] = 1_500
    assert functions.call(CACHE_GET, "1", ("sha256:aa", 500, False), {}) == {"value": {"found": [1, None]}}
    assert functions.call(CACHE_GET, "1", ("sha256:ab", 0, False), {}) is None
    now[0] = 1_501
    assert functions.call(CACHE_GET, "1", ("sha256:aa", 500, False), {}) is None
    assert functions.call(CACHE_GET, "1", ("sha256:aa", 0, False), {}) is not None
    assert functions.call(CACHE_GET, "1", ("sha256:aa", 0, True), {}) is None, "outside of git no result belongs to a commit"


def test_a_broken_or_foreign_entry_is_no_result(tmp_path):
    kept = KeptResults(tmp_path / "store", tmp_path, lambda: 0)
    kept.keep("sha256:aa", 1)
    (entry,) = (tmp_path / "store/cache").iterdir()
    for body in ("{", "[]", '{"key": "sha256:ab", "at_ms": 0, "value": 1}'):
        entry.write_text(body)
        assert kept.get("sha256:aa", 0, commit=False) is None


def test_when_there_is_too_much_the_oldest_results_go(tmp_path, monkeypatch):
    monkeypatch.setattr("treadle.actions.kept.TOTAL_BYTES_MAX", 400)
    kept = KeptResults(tmp_path / "store", tmp_path, lambda: 0)
    for number in range(20):
        kept.keep(f"sha256:{number:02}", "x" * 50)
    left = list((tmp_path / "store/cache").iterdir())
    assert 0 < sum(path.stat().st_size for path in left) <= 400
    assert kept.get("sha256:19", 0, commit=False) == {"value": "x" * 50}
    assert kept.get("sha256:00", 0, commit=False) is None
