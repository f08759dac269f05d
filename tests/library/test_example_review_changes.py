"""`review:changes` in a repository: two reviewers at once, one of whom names a file that is not in the change; a finding is refuted; a report."""

import json
from pathlib import Path

import pytest

from tests.library.playing import Repository, Told, play

ASPECTS = ["correctness: what goes wrong", "tests: what is missed"]
WRONG = {"file": "README.md", "line": 1, "severity": "minor", "title": "Old words", "detail": "They are old."}
DIVIDES = {
    "file": "mean.py",
    "line": 2,
    "severity": "critical",
    "title": "Divides by zero",
    "detail": "For an empty list.",
    "suggestion": "Ask first.",
}
NAME = {"file": "mean.py", "line": 1, "severity": "minor", "title": "A short name", "detail": "xs says little."}
NO_TEST = {"file": "mean.py", "line": 1, "severity": "major", "title": "No test", "detail": "None calls mean."}


@pytest.fixture
def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    repository = Repository(tmp_path, monkeypatch, {"README.md": "Numbers\n"})
    repository.git("checkout", "-q", "-b", "mean")
    repository.write("mean.py", "def mean(xs):\n    return sum(xs) / len(xs)\n")
    repository.commit("Add mean")
    return repository


def reviewed(change: Repository, decide: object, **inputs: object) -> Told:
    def doubt(action) -> dict[str, str]:
        # Whoever doubts sees the finding, and neither the other reviewers nor what they said.
        text = action.params["instructions"]
        if "A short name" in text:
            return {"verdict": "refuted", "reason": "It is the usual one."}
        return {"verdict": "confirmed", "reason": "mean([]) raises ZeroDivisionError." if "Divides" in text else "There is no test."}

    def mended(action) -> list[dict[str, object]]:
        assert action.problem.message == "not touched by the change: README.md"
        return [NAME, DIVIDES]

    answers = {
        "review[0]/look": [[WRONG, DIVIDES], mended], "review[1]/look": [[NO_TEST]], "doubt[*]/refute": doubt, "decide": decide,
    }  # fmt: skip
    return play(change, "review:changes", {"aspects": ASPECTS} | inputs, answers)


def test_findings_are_doubted_sorted_decided_about_and_written_down(change: Repository):
    shown: list[dict[str, object]] = []

    def decide(action) -> bool:
        shown.append(action.params["show"])
        return False

    told = reviewed(change, decide)
    assert told.view.status == "completed"
    assert told.result["accepted"] is False
    assert [(each["severity"], each["title"], each["aspect"], each["verdict"]) for each in told.result["findings"]] == [
        ("critical", "Divides by zero", "correctness", "confirmed"), ("major", "No test", "tests", "confirmed"),
    ]  # fmt: skip
    assert told.result["dismissed"] == 1
    assert shown[0]["findings"] == told.result["findings"]
    written = json.loads(change.read("review.json"))
    assert (written["accepted"], written["findings"]) == (False, told.result["findings"])
    assert written["head"] == change.git("rev-parse", "mean")
    text = change.read("review.md")
    assert "Changes are asked for by ada" in text
    assert text.index("## critical: Divides by zero") < text.index("## major: No test")
    assert "`mean.py:2` (correctness; confirmed: mean([]) raises ZeroDivisionError.)" in text
    assert change.status == "?? review.json\n?? review.md"
    # The reviewer who named a file that is not in the change was refused once, and the branches were worked by sub-agents.
    assert told.kinds("review[0]/look").count("output_refused") == 1
    assert told.proof("write-report")["standing"] == "proven"


def test_an_accepted_change_is_written_down_where_it_is_wanted(change: Repository):
    told = reviewed(change, "good enough for now", report="notes/mean")
    assert (told.view.status, told.result["accepted"]) == ("completed", True)
    assert "Accepted by ada: good enough for now" in change.read("notes/mean.md")


def test_where_nothing_has_changed_nobody_is_asked(change: Repository):
    told = play(change, "review:changes", {"base": "mean"}, {})
    assert (told.view.status, told.result["reason"]) == ("completed", "HEAD changes nothing against mean")


def test_a_base_that_is_not_there_is_told(change: Repository):
    told = play(change, "review:changes", {"base": "nowhere"}, {})
    assert told.view.status == "failed"
    assert "nowhere" in (told.view.failure.message if told.view.failure else "")
