"""`data:reconcile` in a repository: every kind of difference, a correction that does not add up first, and a list that a person approves."""

from pathlib import Path

import pytest

from tests.library.playing import Repository, play

LEDGER = """\
id,booked,amount
A-1,2026-01-02,100.00
A-2,2026-01-03,0.10
A-3,2026-01-03,0.20
"A-4, late",2026-01-04,250.10
A-5,2026-01-05,12.50
A-5,2026-01-05,12.50
A-6,2026-01-06,-7.005
A-8,2026-01-08,9007199254740993.01
"""
# Numbers as numbers, more exact than a float; the same amounts in another order.
BANK = """[
  {"id": "A-8", "amount": 9007199254740993.01},
  {"id": "A-1", "amount": 100},
  {"id": "A-2", "amount": 0.1},
  {"id": "A-3", "amount": 0.2},
  {"id": "A-5", "amount": 12.50},
  {"id": "A-6", "amount": -7.00},
  {"id": "A-7", "amount": 31.40},
  {"id": "A-4, late", "amount": 205.10}
]
"""
INPUTS = {"left": "ledger.csv", "right": "bank.json", "key": "id", "tolerance": "0.005", "corrections": "out.csv"}
CAUSES = {
    "A-7": {"cause": "the fee of 31.40 was never booked", "side": "left", "amount": "31.40"},
    "A-4, late": {"cause": "250.10 was typed as 205.10 by the bank, see the letter", "side": "right", "amount": "250.10"},
    "A-5": {"cause": "booked twice, two lines of one receipt", "side": "left", "amount": "12.50"},
}


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return Repository(tmp_path, monkeypatch, {"ledger.csv": LEDGER, "bank.json": BANK})


def explain(action):
    asked = action.params["instructions"]
    key = next(key for key in CAUSES if f'at the key "{key}"' in asked)
    if key == "A-4, late" and action.problem is None:
        return CAUSES[key] | {"amount": "250.01"}
    if key == "A-7" and action.problem is None:
        return CAUSES[key] | {"amount": ""}
    if key == "A-7":
        assert "the other side has 31.40, so this one needs an amount" in action.problem.message
    if key == "A-5" and action.problem is None:
        return CAUSES[key] | {"side": "right"}
    if key == "A-5":
        assert "the other side has 2 rows: mending this side alone does not make them agree" in action.problem.message
    if key == "A-4, late":
        assert "with 250.01 it would still be 0.09 off the other side, 250.10" in action.problem.message
    return CAUSES[key]


def test_differences_are_explained_approved_and_written_and_the_totals_add_up_to_the_cent(books: Repository):
    def approve(action) -> str:
        assert [row["key"] for row in action.params["show"]["corrections"]] == ["A-7", "A-4, late", "A-5"]
        assert not (books.folder / "out.csv").exists()
        return "as the papers say"

    told = play(books, "data:reconcile", INPUTS, {"explain[*]/look": explain, "approve-corrections": approve})
    assert told.view.status == "completed"
    assert [(row["kind"], row["key"]) for row in told.result["differences"]] == [
        ("missing left", "A-7"), ("amount differs", "A-4, late"), ("duplicate key", "A-5"),
    ]  # fmt: skip
    assert told.result["totals"] == {"left": "9007199254741361.405", "right": "9007199254741335.31", "equal": 5}
    # What is left apart is the half cent within the tolerance.
    assert told.result["after"] == {
        "left": "9007199254741380.305", "right": "9007199254741380.31", "apart": [{"key": "A-6", "by": "-0.005"}],
    }  # fmt: skip
    assert books.read("out.csv") == (
        "side,key,was,amount,kind,cause\n"
        "left,A-7,,31.40,missing left,the fee of 31.40 was never booked\n"
        'right,"A-4, late",205.10,250.10,amount differs,"250.10 was typed as 205.10 by the bank, see the letter"\n'
        'left,A-5,12.50 + 12.50,12.50,duplicate key,"booked twice, two lines of one receipt"\n'
    )
    assert books.status == "?? out.csv"
    assert (books.read("ledger.csv"), books.read("bank.json")) == (LEDGER, BANK)
    assert [told.kinds(f"explain[{index}]/look").count("output_refused") for index in range(3)] == [1, 1, 1]
    assert told.proof("explain[1]/look")["standing"] == "proven"
    gate = told.proof("approve-corrections")
    assert (gate["standing"], gate["decisions"][0]["note"]) == ("approved", "as the papers say")


def test_nothing_is_written_without_an_approval(books: Repository):
    told = play(books, "data:reconcile", INPUTS, {"explain[*]/look": explain, "approve-corrections": False})
    assert (told.view.status, told.view.failure.error_class) == ("failed", "rejected")
    assert books.status == ""


def test_what_nobody_can_explain_stays_open_and_is_counted(books: Repository):
    open_one = {"cause": "no paper says which of them is right", "side": "none", "amount": ""}

    def some(action):
        return open_one if "A-4, late" in action.params["instructions"] else explain(action)

    def rightly(action) -> str:
        show = action.params["show"]
        assert ([row["key"] for row in show["corrections"]], [row["key"] for row in show["left_open"]]) == (["A-7", "A-5"], ["A-4, late"])
        return "the rest waits"

    told = play(books, "data:reconcile", INPUTS, {"explain[*]/look": some, "approve-corrections": rightly})
    assert [row["key"] for row in told.result["open"]] == ["A-4, late"]
    assert told.result["after"]["apart"] == [{"key": "A-4, late", "by": "45.00"}, {"key": "A-6", "by": "-0.005"}]
    assert "A-4" not in books.read("out.csv")


def test_a_file_that_somebody_changed_after_it_was_approved_does_not_add_up(books: Repository, monkeypatch: pytest.MonkeyPatch):
    # A `cat` that adds a cent stands in for whoever writes to the file in that moment.
    cat = books.home / "bin" / "cat"
    cat.parent.mkdir()
    cat.write_text('#!/bin/sh\nif [ "$2" = out.csv ]; then sed s/31.40,/31.41,/ out.csv; else exec /bin/cat "$@"; fi\n')
    cat.chmod(0o755)
    monkeypatch.setenv("PATH", f"{cat.parent}:/usr/bin:/bin")
    told = play(books, "data:reconcile", INPUTS, {"explain[*]/look": explain, "approve-corrections": True})
    assert (told.view.status, told.view.failure.error_class) == ("failed", "does_not_add_up")
    assert "9007199254741380.315 and 9007199254741380.31" in told.view.failure.message


def test_tables_that_agree_need_nobody(books: Repository):
    books.write("bank.json", '[{"id": "x", "amount": 1.10}, {"id": "y", "amount": "2.20"}]')
    books.write("ledger.csv", "amount;id\n1.1;x\n 2.20 ; y\n\n")
    told = play(books, "data:reconcile", INPUTS | {"tolerance": "0"}, {})
    assert told.view.status == "completed"
    assert told.result == {
        "totals": {"left": "3.30", "right": "3.30", "equal": 2}, "differences": [], "corrections": [], "open": [], "file": None,
    }  # fmt: skip


def test_what_is_no_amount_is_told_before_anybody_works(books: Repository):
    books.write("ledger.csv", 'id,amount\nA-1,"1,234.50"\nA-2,\n')
    told = play(books, "data:reconcile", INPUTS, {})
    assert (told.view.status, told.view.failure.error_class) == ("failed", "bad_input")
    assert "'1,234.50' of A-1, '' of A-2" in told.view.failure.message
