"""The number of the interpreter's own behaviour, pinned by every run (design §2, ruling 18).

Whatever changes a golden history raises it; the branch for older numbers stays until no open run has them.
"""

from typing import Final

SEMANTICS: Final = 1
SUPPORTED: Final = frozenset({1})
