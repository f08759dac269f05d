"""Record golden histories.

usage: python -m tests.golden.record              record what is not recorded yet
       python -m tests.golden.record --list       what can be recorded, and what is
       python -m tests.golden.record --again NAME  record one anew, `WORKFLOW/CASE`: only if it was wrong from the start

A recorded history is evidence of how a semantics number behaves. If the core of today goes another way, that is a mistake of the core or a new
semantics number, never a reason for `--again`. The stored keys (`keys.json`) grow with each recording; none is ever taken away.
"""

import argparse
import sys
from collections.abc import Iterator

from tests.golden import keys
from tests.golden.history import HERE, History, name_of, read, recorded
from tests.golden.ways import Way, ways


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; 1 for a name that is not there."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.record", description="Record golden histories.")
    parser.add_argument("--list", action="store_true", help="list the ways and whether they are recorded")
    parser.add_argument("--again", metavar="NAME", action="append", default=[], help="record WORKFLOW/CASE anew, although it is there")
    given = parser.parse_args(arguments)
    known = {way.name: way for way in ways()}
    unknown = [name for name in given.again if name not in known]
    if unknown:
        print(f"record: there is no {', '.join(unknown)}; known are {', '.join(known)}", file=sys.stderr)
        return 1
    there = set(map(name_of, recorded()))
    if given.list:
        print("\n".join(f"{'recorded' if name in there else 'missing '}  {name}" for name in known))
        print("\n".join(f"kept      {name}" for name in sorted(there - set(known))))
        return 0
    made = list(_recorded(known, there, given.again))
    print(f"record: {len(made)} recorded, {len(there) - len(given.again)} left as they are")
    if made:
        keys.write()
        _drop_unused_definitions()
    return 0


def _recorded(known: dict[str, Way], there: set[str], again: list[str]) -> Iterator[History]:
    for name, way in known.items():
        if name not in there or name in again:
            history = way.make()
            history.write()
            print(f"record: {history.path.relative_to(HERE.parent.parent)}: {len(history.lines)} events, {history.status}")
            yield history


def _drop_unused_definitions() -> None:
    used = {read(path).definition_path for path in recorded()}
    for path in HERE.glob("*/definition-*.json"):
        if path not in used:
            path.unlink()


if __name__ == "__main__":
    sys.exit(main())
