"""The pure functions that read and write tables: CSV, or JSON with a list of objects. Every cell is text, a number as it was written.

So `1.10` stays `1.10`: amounts are never floats on their way from a file to the `decimal` filter.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from treadle.functions import function

_DELIMITERS = ",;\t|"


@function(version="1", pure=True)
def read_table(text: str, file: str, columns: dict) -> list:
    """Read some columns of a table: `columns` maps names to columns of the file, and each row is `{NAME: text, …, line}`.

    `file` tells the format by its ending (`.json`, else CSV whose first line names the columns) and is named in messages. White space around a
    cell is dropped, and rows that are empty are left out; a row with more or fewer cells than the header, and one without a column that
    is asked for, is an error.
    """
    rows = list(_json_rows(text, file) if file.lower().endswith(".json") else _csv_rows(text, file))
    out: list[dict[str, object]] = []
    for line, row in rows:
        missing = [column for column in columns.values() if column not in row]
        if missing:
            raise ValueError(f"{file}:{line}: there is no column {missing[0]!r}; there are {', '.join(map(str, row))}")
        out.append({**{name: row[column].strip() for name, column in columns.items()}, "line": line})
    return out


@function(version="1", pure=True)
def write_csv(rows: list, columns: list) -> str:
    """Write objects as CSV with a header, in the order of `columns`; null is an empty cell, what is missing an error."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for number, row in enumerate(rows, 1):
        missing = [column for column in columns if column not in row]
        if missing:
            raise ValueError(f"row {number} has no {missing[0]!r}")
        writer.writerow(["" if row[column] is None else row[column] for column in columns])
    return out.getvalue()


def _csv_rows(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    head = text.removeprefix("\ufeff").split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"{file}:1: the first line must name the columns, each once; it names {', '.join(names) or 'none'}")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                raise ValueError(f"{file}:{reader.line_num}: there are {len(cells)} cells where the header has {len(names)}")
            yield reader.line_num, dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise ValueError(f"{file}:{reader.line_num}: this is no CSV: {error}") from error


def _json_rows(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        # Numbers stay what was written.
        data = json.loads(text, parse_float=str, parse_int=str, object_pairs_hook=_object)
    except ValueError as error:
        raise ValueError(f"{file}: this is no JSON: {error}") from error
    if not isinstance(data, list):
        raise ValueError(f"{file}: a list of objects is wanted")  # noqa: TRY004 - a fault of the file, not of the program
    for number, row in enumerate(data, 1):
        if not isinstance(row, dict) or not all(isinstance(cell, str | None | bool) for cell in row.values()):
            raise ValueError(f"{file}: entry {number} is no object of texts and numbers")
        yield number, {name: "" if cell is None else str(cell).lower() if isinstance(cell, bool) else cell for name, cell in row.items()}


def _object(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} stands twice in one object")
        found[name] = value
    return found
