"""`report:nightly` in a repository, on a clock that a test moves: two nights, a source that is missing, a text that says what was not collected."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.library.playing import Repository, play
from treadle.clock import FakeClock
from treadle.compose import OpenProject

# The evening before the night in which clocks in Zurich go forward: half past two does not exist there, and the night after is two o'clock UTC.
EVENING = int(datetime.fromisoformat("2026-03-28T20:00:00+00:00").timestamp() * 1000)
SOURCES = [
    {"name": "commits", "command": "git rev-list --count HEAD"},
    {"name": "open issues", "command": "grep -c open issues.txt"},
    {"name": "coverage", "file": "it's covered.txt"},
    {"name": "visitors", "file": "visitors.txt"},
]
INPUTS = {"sources": SOURCES, "at": "02:30", "zone": "Europe/Zurich", "nights": 2}
GOOD = "# Night\n\ncommits: 1, open issues: 2, coverage: 87.5\n\nNo visitors figure: the source is missing.\n"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(EVENING)
    monkeypatch.setattr("treadle.compose.SystemClock", lambda: clock)
    return clock


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return Repository(tmp_path, monkeypatch, {"issues.txt": "open a\nclosed b\nopen c\n", "it's covered.txt": "87.5\n"})


async def let_nights_pass(opened: OpenProject, run_id: str) -> None:
    """Move the clock to what the run waits for, whenever it waits for nothing else."""
    while not (state := (await opened.engine.snapshot(run_id)).state).ended:
        if not state.actions and state.next_due_ms is not None:
            opened.clock.advance(state.next_due_ms - opened.clock.now_ms())
        await opened.service.changed(run_id, state.revision, 1_000)


def test_a_report_a_night_says_what_was_collected_and_what_is_missing(project: Repository, clock: FakeClock):
    def second_night(action) -> str:
        assert "report of 2026-03-30" in action.params["instructions"]
        return GOOD.replace("issues: 2", "issues: 3")

    def write(action) -> str:
        assert "report of 2026-03-29" in action.params["instructions"]
        assert "- coverage: 87.5\n" in action.params["instructions"]
        assert "Nothing could be collected from: visitors." in action.params["instructions"]
        return "# Night\n\ncommits: 1, coverage: 88\n\nAll is well, 3 more than yesterday.\n"

    def mend(action) -> str:
        problem = action.problem.message
        assert "these numbers were not collected: 88, 3" in problem
        assert "not in it as NAME: FIGURE: open issues: 2; coverage: 87.5" in problem
        assert "are missing, and it does not say so: visitors" in problem
        project.write("issues.txt", "open a\nopen b\nopen c\n")
        return GOOD

    told = play(
        project,
        "report:nightly",
        INPUTS,
        {"every-night[0]/write": [write, mend], "every-night[1]/write": second_night},
        beside=let_nights_pass,
    )
    assert told.view.status == "completed_degraded"  # a source was missing
    assert [(row["date"], row["figures"]["open issues"], row["missing"]) for row in told.result["reports"]] == [
        ("2026-03-29", "2", ["visitors"]), ("2026-03-30", "3", ["visitors"]),
    ]  # fmt: skip
    assert told.result["without_report"] == []
    assert project.read("reports/2026-03-29.md") == GOOD
    assert "open issues: 3" in project.read("reports/2026-03-30.md")
    assert project.status.splitlines() == ["M issues.txt", "?? reports/"]
    assert told.kinds("every-night[0]/write").count("output_refused") == 1
    assert told.proof("every-night[0]/write")["standing"] == "proven"
    assert told.proof("every-night[0]/save")["standing"] == "proven"
    waits = [datetime.fromtimestamp(data["until_ms"] / 1000, tz=UTC) for kind, _path, data in told.notes if kind == "waiting"]
    assert [at.isoformat() for at in waits] == ["2026-03-29T01:00:00+00:00", "2026-03-30T00:30:00+00:00"]


def test_a_night_with_too_few_figures_has_no_report_and_the_next_one_has(project: Repository, clock: FakeClock):
    (project.folder / "issues.txt").unlink()
    (project.folder / "it's covered.txt").unlink()

    async def mended_by_day(opened: OpenProject, run_id: str) -> None:
        while (state := (await opened.engine.snapshot(run_id)).state).frames[""].state["without"] == [] and not state.ended:
            if not state.actions and state.next_due_ms is not None:
                opened.clock.advance(state.next_due_ms - opened.clock.now_ms())
            await opened.service.changed(run_id, state.revision, 1_000)
        project.write("issues.txt", "open a\nclosed b\nopen c\n")
        project.write("it's covered.txt", "87.5\n")
        await let_nights_pass(opened, run_id)

    told = play(project, "report:nightly", INPUTS, {"every-night[1]/write": GOOD}, beside=mended_by_day)
    assert told.view.status == "completed_degraded"
    assert [row["date"] for row in told.result["without_report"]] == ["2026-03-29"]
    assert [row["file"] for row in told.result["reports"]] == ["reports/2026-03-30.md"]
    assert not (project.folder / "reports/2026-03-29.md").exists()
