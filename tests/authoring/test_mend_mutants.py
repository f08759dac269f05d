"""Library files, broken in ways that have one remedy: mended they are the same workflow again; broken at random they get no worse."""

import random
import re
from collections.abc import Callable

import pytest

from tests.authoring.mending import assert_promises, mended
from tests.authoring.support import NOWHERE, load
from tests.authoring.test_mutants import TEXTS, mutated
from treadle.authoring import find

# Texts in which each of these faults has one mending: a tab within a text of several lines, say, may be meant.
LIBRARY = [path.read_text(encoding="utf-8") for path in sorted(find.LIBRARY_DIR.glob("planning-*.yaml"))]
Mutation = Callable[[str, random.Random], str]


def _at_random(pattern: str, new: str | Callable[[re.Match[str]], str]) -> Mutation:
    def mutate(text: str, rng: random.Random) -> str:
        places = list(re.finditer(pattern, text, re.MULTILINE))
        if not places:
            return text
        found = rng.choice(places)
        return text[: found.start()] + (found.expand(new) if isinstance(new, str) else new(found)) + text[found.end() :]

    return mutate


def _without_a_letter(found: re.Match[str]) -> str:
    name = found["name"]
    at = len(name) // 2
    return found[0].replace(name, name[:at] + name[at + 1 :], 1)


FIELDS = "needs_state|output_to|instructions|parameters|message|updates|on_item_error|max_parallel|on_reject|description"
TYPES = "prompt|set_state|foreach|delegate|condition|approve|mcp_call|return"
MECHANICAL: dict[str, Mutation] = {
    "quotes of a template": _at_random(r'(: |- )"(\{\{ .* \}\})"$', r"\1\2"),
    "braces of a condition": _at_random(r'(when|if): "\{\{ (.*) \}\}"', r"\1: \2"),
    "state in a list": _at_random(r"(needs_state: \[)(\w+)", r"\1state.\2"),
    "state before an output": _at_random(r"output_to: (\w+)$", r"output_to: state.\1"),
    "version as a number": _at_random(r"^version: 1\.0\.0", "version: 1.0"),
    "a letter of a field": _at_random(rf"^ +(?:- )?(?P<name>{FIELDS}):", _without_a_letter),
    "a letter of a type": _at_random(rf"type: (?P<name>{TYPES})$", _without_a_letter),
    "a letter of a filter": _at_random(r"\| (?P<name>tojson|default)\b", _without_a_letter),
    "an id with a dash": _at_random(r"steps\.save_research", "steps.save-research"),
    "quotes of an agent": _at_random(r'agent: "(@[\w-]+)"', r"agent: \1"),
    "a duration in words": _at_random(r"\b(\d+)s\b", r"\1 seconds"),
    "a name of a list": _at_random(r"(needs_state: \[.*), \w+\]", r"\1]"),
    "an old field": _at_random(r"^( +)(then|else|parameters|instructions):", lambda m: m[1] + OLD[m[2]] + ":"),
    "an old type": _at_random(r"type: (condition|delegate|foreach|set_state)$", lambda m: f"type: {OLD[m[1]]}"),
    "two types of a prompt": _at_random(r"format: text$", "type: text"),
    "required beside a default": _at_random(r"^( +)default: (\S+)$", r"\1required: true\n\1default: \2"),
    "an old type of an input": _at_random(r"type: (string|integer|boolean)$", lambda m: f"type: {OLD[m[1]]}"),
    "tabs": lambda text, _: re.sub(r"^(?:  )+", lambda m: "\t" * (len(m[0]) // 2), text, flags=re.MULTILINE),
    "a flag in quotes": _at_random(r"required: true$", 'required: "true"'),
    "a list that is one": _at_random(r"needs_state: \[(\w+)\]", r"needs_state: \1"),
}
OLD = {
    "then": "then_steps", "else": "else_steps", "parameters": "params", "instructions": "prompt", "condition": "conditional",
    "delegate": "agent_task", "foreach": "parallel_foreach", "set_state": "state_update", "string": "str", "integer": "int", "boolean": "bool",
}  # fmt: skip


def _dressed(text: str, seed: int) -> str:
    """Give every third file the line ends of Windows."""
    return text.replace("\n", "\r\n") if seed % 3 == 2 else text


@pytest.mark.parametrize("name", MECHANICAL)
def test_a_mechanical_fault_is_mended_to_the_same_workflow(name: str) -> None:
    changed = 0
    for seed in range(8):
        rng = random.Random(seed)
        whole = _dressed(rng.choice(LIBRARY), seed)
        broken = _dressed(MECHANICAL[name](whole.replace("\r\n", "\n"), rng), seed)
        if broken == whole:
            continue
        changed += 1
        done = mended(broken)
        assert done.is_changed, broken
        assert not done.ground.problems, "\n".join(map(str, done.ground.problems))
        assert find.load_text(NOWHERE, done.text, "t.yaml").digest == find.load_text(NOWHERE, whole, "t.yaml").digest, done.text
        assert_promises(done)
    assert changed >= 3


@pytest.mark.parametrize("seed", range(20))
def test_several_faults_at_once_are_mended_to_the_same_workflow(seed: int) -> None:
    rng = random.Random(seed)
    whole = rng.choice(LIBRARY)
    broken = whole
    for name in rng.sample(sorted(MECHANICAL), rng.randint(2, 6)):
        broken = MECHANICAL[name](broken, rng)
    done = mended(broken)
    assert not done.ground.problems, "\n".join(map(str, done.ground.problems))
    assert find.load_text(NOWHERE, done.text, "t.yaml").digest == find.load_text(NOWHERE, whole, "t.yaml").digest, done.text
    assert_promises(done)


@pytest.mark.parametrize("seed", range(4))
def test_a_file_broken_at_random_gets_no_worse(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        broken = mutated(rng.choice([*LIBRARY, *TEXTS]), rng)
        done = mended(broken)
        assert_promises(done)
        readable = load(broken).tree.document.root is not None
        steps = [fixed.problem.path for fixed in done.fixed]
        old = {(p.code, p.message) for p in load(broken).problems}
        for problem in done.ground.problems if readable else ():
            beside = any(problem.path.split("].")[0].split("[")[0] == path.split("].")[0].split("[")[0] for path in steps)
            assert (problem.code, re.sub(r"\d+", "", problem.message)) in {(c, re.sub(r"\d+", "", m)) for c, m in old} or beside, broken
