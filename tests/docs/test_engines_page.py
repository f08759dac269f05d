"""What docs/concepts/engines.md says that the Temporal engine lacks is what its tests take it to lack."""

import re
from pathlib import Path

from treadle.engine.temporal.lacks import LACKS
from treadle.testing.conformance import NEEDS

PAGE = (Path(__file__).parents[2] / "docs" / "concepts" / "engines.md").read_text(encoding="utf-8")


def test_the_page_lists_what_the_temporal_engine_refuses_word_for_word() -> None:
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)) == LACKS


def test_what_it_lacks_has_the_suites_own_names() -> None:
    assert set(LACKS) <= set(NEEDS)
