"""The table of faults in the docs says what the tests say."""

from pathlib import Path

from tests.faults.table import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "durability.md"


def code(name):
    return f"`{name}`" if name else "answered"


def test_the_page_shows_every_row():
    rows = [line for line in PAGE.read_text().splitlines() if line.count(" | ") == 5]
    wanted = [
        f"| {fault.name} | {code(fault.reading)} | {code(fault.writing)} | {', '.join(map(code, fault.doctor)) or 'nothing'} | {fault.lost} | "
        f"{fault.mended_by} |"
        for fault in FAULTS.values()
    ]
    assert rows[2:] == wanted
