"""Shows the transition table with how many tested cases each cell has.

usage: python -m tests.core.table_report
"""

from collections import Counter

from tests.core.cells import CELLS, all_cells, check, recording
from treadle.core.state import ACTION_STATES


def report() -> str:
    with recording() as recorder:
        for case in CELLS:
            check(case)
    cases = Counter((case.event, case.state) for case in CELLS)
    rows = list(dict.fromkeys(event for event, _ in all_cells()))
    width = max(map(len, rows))
    lines = [" " * width + "".join(f"{state:>10}" for state in ACTION_STATES)]
    for event in rows:
        marks = (f"{cases[event, state]}" if (event, state) in recorder.seen else "NEVER" for state in ACTION_STATES)
        lines.append(f"{event:<{width}}" + "".join(f"{mark:>10}" for mark in marks))
    missing = [cell for cell in all_cells() if cell not in recorder.seen]
    lines.append(f"{len(all_cells()) - len(missing)} of {len(all_cells())} cells exercised by {len(CELLS)} cases")
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
