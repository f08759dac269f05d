"""Tables as text: amounts stay what was written, and what does not fit is told with its place."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.library.tables import read_table, write_csv

COLUMNS = {"key": "id", "amount": "sum"}


@pytest.mark.parametrize(
    "text,file",
    [
        ("id,sum\na, 1.10\nb,2\n", "x.csv"),
        ("\ufeffsum;id;note\r\n1.10;a;x\r\n\r\n2;b;y\r\n", "x.txt"),
        ('[{"id": "a", "sum": 1.10}, {"id": "b", "sum": 2, "note": null}]', "x.JSON"),
    ],
)
def test_the_columns_that_are_asked_for_are_read_as_text(text: str, file: str):
    rows = read_table(text, file, COLUMNS)
    assert [(row["key"], row["amount"]) for row in rows] == [("a", "1.10"), ("b", "2")]


def test_an_exact_number_is_not_made_a_float():
    (row,) = read_table('[{"id": 12345678901234567890, "sum": 9007199254740993.10}]', "x.json", COLUMNS)
    assert (row["key"], row["amount"]) == ("12345678901234567890", "9007199254740993.10")


def test_a_line_is_that_of_the_file_also_behind_a_cell_of_two_lines():
    rows = read_table('id,sum\n"a\nb",1\nc,2\n', "x.csv", COLUMNS)
    assert [row["line"] for row in rows] == [3, 4]


@pytest.mark.parametrize(
    "text,file,message",
    [
        ("id,sum\na\n", "x.csv", "x.csv:2: there are 1 cells where the header has 2"),
        ("id,total\na,1\n", "x.csv", "x.csv:2: there is no column 'sum'; there are id, total"),
        ("id,id\na,1\n", "x.csv", "x.csv:1: the first line must name the columns, each once; it names id, id"),
        ("", "x.csv", "x.csv:1: the first line must name the columns, each once; it names none"),
        ('id,sum\n"a,1\n', "x.csv", "x.csv:2: this is no CSV"),
        ('{"id": 1}', "x.json", "x.json: a list of objects is wanted"),
        ('[{"id": [1], "sum": 2}]', "x.json", "x.json: entry 1 is no object of texts and numbers"),
        ('[{"id": 1, "id": 2}]', "x.json", "x.json: this is no JSON: 'id' stands twice in one object"),
        ("[", "x.json", "x.json: this is no JSON"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(text: str, file: str, message: str):
    with pytest.raises(ValueError) as raised:
        read_table(text, file, COLUMNS)
    assert message in str(raised.value)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=20).map(str.strip)


@given(st.lists(st.tuples(CELLS, CELLS).filter(any), max_size=10))
def test_what_is_written_is_read_again(pairs):
    text = write_csv([{"id": key, "sum": amount} for key, amount in pairs], ["id", "sum"])
    assert [(row["key"], row["amount"]) for row in read_table(text, "x.csv", COLUMNS)] == pairs
    assert len(list(csv.reader(io.StringIO(text, newline="")))) == len(pairs) + 1


def test_null_is_an_empty_cell_and_a_missing_one_is_told():
    assert write_csv([{"a": None, "b": 1}], ["b", "a"]) == "b,a\n1,\n"
    with pytest.raises(ValueError, match="row 1 has no 'c'"):
        write_csv([{"a": 1}], ["a", "c"])
