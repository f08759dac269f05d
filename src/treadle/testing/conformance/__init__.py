"""The conformance suite: what every engine shows alike (design §2). Plug an engine in by a `Harness`, and run each of `CASES` on it.

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    async def test_conformance(case):
        await case.run(MyHarness())

A case that needs what a harness `lacks` must be refused as `not_yet`: what an engine cannot do, it says by name.
"""

from typing import Final

from treadle.testing.conformance import children, ending, failing, flow, forks, gates, holding, moving, reading, serving, whole
from treadle.testing.conformance.case import NEEDS, Case, Need, case

_MODULES: Final = (flow, failing, gates, holding, ending, serving, children, forks, moving, whole, reading)
CASES: Final = tuple(found for module in _MODULES for found in vars(module).values() if isinstance(found, Case))

__all__ = ["CASES", "NEEDS", "Case", "Need", "case"]
