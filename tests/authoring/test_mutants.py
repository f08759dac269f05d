"""Files that somebody half edited: whatever stands in them, loading ends in a definition, a refusal by name, or errors with places."""

import random
import re

import pytest

from tests.authoring.support import corpora, load, unmarked
from tests.authoring.test_freeze import GOLDEN
from tests.authoring.test_not_yet import STEPS, workflow
from treadle.authoring import find
from treadle.authoring.problems import has_errors, render

TEXTS = [
    *(unmarked(case.near + "«")[0] for case in corpora()),
    *(path.read_text(encoding="utf-8") for path in sorted(find.LIBRARY_DIR.glob("*.yaml"))),
    *(workflow(step) for step in STEPS.values()),
    *[GOLDEN] * 20,
]
WORDS = [
    "null", "[]", "{}", "5", '"{{ state.x }}"', "{{", "- ", "true", "x: ", "&a ", "*a", '"', "'", "steps", "task", "id: a", "{a: 1}", "@task",
    "~", "|\n", "if", "when", "\t", "\u200b", "<<: ", "!x ", "---\n",
]  # fmt: skip


def mutated(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 4)):
        kind, lines = rng.randrange(4), text.split("\n")
        at = rng.randrange(len(text) + 1)
        if kind == 0:
            text = text[:at] + rng.choice(WORDS) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + rng.randint(1, 12) :]
        elif kind == 2:
            line = lines.pop(rng.randrange(len(lines)))
            if rng.random() < 0.5:
                lines.insert(rng.randrange(len(lines) + 1), line)
            text = "\n".join(lines)
        else:
            values = list(re.finditer(r": ([^\n{}\[\],]+)", text))
            if values:
                value = rng.choice(values)
                text = text[: value.start(1)] + rng.choice(WORDS) + text[value.end(1) :]
    return text or " "


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_file_never_breaks_the_loader(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(150):
        text = mutated(rng.choice(TEXTS), rng)
        loaded = load(text)
        assert loaded.definition is not None or loaded.not_yet or has_errors(loaded.problems), text
        lines = loaded.source_text.count("\n") + 1
        assert all(1 <= problem.line <= lines + 1 and problem.column >= 1 and problem.message for problem in loaded.problems), text
        assert render(loaded.problems, dict(loaded.sources)).count("[") >= len(loaded.problems)
