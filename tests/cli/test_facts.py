"""There are words for whatever the core derives: the kinds of notes are read from its source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from treadle import core
from treadle.cli import facts
from treadle.core.commands import Note
from treadle.core.events import Woken
from treadle.engine.timeline import Moment

CORE = Path(core.__file__).parent


def calls() -> Iterator[ast.Call]:
    for path in sorted(CORE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "note":
                yield node


def kinds(call: ast.Call) -> Iterator[str]:
    """The first argument is a literal, or a choice of two."""
    first = call.args[0]
    branches = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
    for branch in branches:
        assert isinstance(branch, ast.Constant), ast.dump(first)
        yield str(branch.value)


NOTES = [(kind, call) for call in calls() for kind in kinds(call)]
VALUES = {
    "attempt": 2,
    "wait_ms": 10,
    "until_ms": 10,
    "times": 2,
    "count": 3,
    "checks": 2,
    "rounds": 4,
    "approved": True,
    "faults": ["x"],
    "found": [],
}


def test_notes_were_found():
    assert len({kind for kind, _ in NOTES}) > 40


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in NOTES}))
def test_every_kind_of_note_has_words(kind):
    assert kind in facts.KINDS, f"cli/facts.py has no words for `{kind}`"


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in NOTES}))
def test_words_ask_only_for_what_the_core_tells(kind):
    """Each place of the core that makes the note gives what the words need; a missing key would raise."""
    assert list(said(kind))


def said(kind: str) -> Iterator[tuple[str, str, bool]]:
    for other, call in NOTES:
        if other == kind:
            data = {key.arg: VALUES.get(key.arg, key.arg) for key in call.keywords if key.arg is not None}
            # What is handed over whole: the value of a gate, a failure.
            if any(key.arg is None for key in call.keywords):
                data |= {"approved": True, "by": ["ann", "ben"], "note": "", "digest": "sha256:0", "error_class": "failed", "message": "no"}
            note = Note(kind=kind, path="a/b", data=data)
            moment = Moment(seq=1, rev=1, at_ms=1, event=Woken(at_ms=1), notes=(note,))
            teller = facts.Teller()
            yield from ((fact.word, fact.text, fact.minor) for fact in teller.tell(moment))
