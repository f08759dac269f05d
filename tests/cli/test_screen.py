"""How things look: times as people say them, text that cannot deceive, tables that fit."""

import pytest
from rich.text import Text

from treadle.cli import screen


@pytest.mark.parametrize(
    "ms,said",
    [
        (4, "4 ms"), (999, "999 ms"), (1_500, "1.5 s"), (59_000, "59 s"), (72_000, "1 min 12 s"), (600_000, "10 min"),
        (3_900_000, "1 h 5 min"), (36_000_000, "10 h"), (4 * 86_400_000, "4 days"),
    ],
)  # fmt: skip
def test_durations_are_said_as_people_say_them(ms, said):
    assert screen.duration(ms) == said


def test_moments_are_said_from_now():
    now = 1_800_000_000_000
    assert screen.ago(now - 1_000, now) == "just now"
    assert screen.ago(now + 1_000, now) == "now"
    assert screen.ago(now - 60_000, now) == "1 min ago"
    assert screen.ago(now + 60_000, now) == "in 1 min"
    assert screen.ago(now - 90_000_000, now).startswith("yesterday ")
    assert screen.ago(now - 40 * 86_400_000, now).startswith("2026-12-")


def test_control_characters_and_direction_marks_are_shown_not_obeyed():
    assert screen.clean("a\x1b[2Jb\u202ec\u200bd\x07") == "a\\u{1b}[2Jb\\u{202e}c\\u{200b}d\\u{7}"
    assert screen.clean("two\nlines\tok é 漢") == "two\nlines\tok é 漢"
    assert screen.clean(" two\n  lines ", lines=False) == "two lines"
    assert screen.short("a\nlong line", 6) == "a lon…"


def test_wide_columns_give_way_and_the_others_keep_their_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    screen.console.cache_clear()
    try:
        rows = [[Text("run_abcdefghijkl"), Text("a very long text that cannot stand here")]]
        table = screen.table(["run", "what"], rows, wide=(1,))
        with screen.console().capture() as captured:
            screen.console().print(table)
    finally:
        screen.console.cache_clear()
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert max(map(len, lines)) <= 40
    assert "run_abcdefghijkl" in lines[1]
    assert lines[1].endswith("…")
