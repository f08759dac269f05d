"""The keys of everything that is stored, as they once were: none is taken away, none that was not needed becomes needed (house style 4.4).

`keys.json` lists, per record, each key and whether it must be there. What a newer version has beside them may be missing in old data.
"""

import dataclasses
import json
from pathlib import Path
from typing import Final, get_args, get_type_hints

from treadle.core import codec
from treadle.core.definition import Definition
from treadle.core.events import Event
from treadle.core.expr import Expr
from treadle.core.state import RunState

FILE: Final = Path(__file__).with_name("keys.json")
Keys = dict[str, dict[str, bool]]


def present() -> Keys:
    """List the keys of today: record to key to whether it must be there."""
    found: dict[type, None] = {}
    for root in (Definition, RunState, *get_args(Event)):
        _collect(root, found)
    return {cls.__name__: _keys_of(cls) for cls in sorted(found, key=lambda cls: cls.__name__)}


def listed() -> Keys:
    """List the keys as they were recorded."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def faults(old: Keys, new: Keys) -> list[str]:
    """Say what a version with the keys `new` cannot read of what one with the keys `old` wrote."""
    found: list[str] = []
    for record, keys in old.items():
        if record not in new:
            found.append(f"the record {record} is gone")
            continue
        found += [f"{record}.{key} is gone" for key in keys if key not in new[record]]
        found += [f"{record}.{key} must be there now" for key, needed in new[record].items() if needed and not keys.get(key, False)]
    return found


def write() -> None:
    """Add the keys of today to the list."""
    old, new = listed(), present()
    whole = {record: old.get(record, {}) | new.get(record, {}) for record in sorted({*old, *new})}
    rows = (f"  {json.dumps(record)}: {json.dumps(keys)}" for record, keys in whole.items())
    FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


def _keys_of(cls: type) -> dict[str, bool]:
    missing = dataclasses.MISSING
    return {f.name: f.default is missing and f.default_factory is missing for f in dataclasses.fields(cls) if f.init}


def _collect(hint: object, found: dict[type, None]) -> None:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if hint in found or hint is Expr:
            return
        found[hint] = None
        for inner in get_type_hints(hint, localns=codec._NAMES).values():
            _collect(inner, found)
    for inner in get_args(hint):
        _collect(inner, found)
