"""Generated parts of the documentation say what the code says."""

import pytest

from scripts import docs


@pytest.mark.slow
def test_every_generated_block_is_fresh():
    assert [path.relative_to(docs.ROOT).as_posix() for path, _ in docs.stale_pages()] == [], "run ./dev docs"


def test_a_stale_block_is_rebuilt_and_the_text_around_it_stays():
    old = "before\n<!-- generated: layers -->\nold\n<!-- end generated -->\nafter\n"
    new = docs.rebuilt(old, "x.md")
    assert new.startswith("before\n<!-- generated: layers -->\n```text\ncli")
    assert new.endswith("<!-- end generated -->\nafter\n")
    assert docs.rebuilt(new, "x.md") == new


def test_an_unknown_block_is_an_error_that_names_the_known_ones():
    with pytest.raises(SystemExit, match=r"known are command-help, .*dev-help, .*layers"):
        docs.rebuilt("<!-- generated: nothing -->\n<!-- end generated -->\n", "x.md")
