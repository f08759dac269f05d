"""Random definitions over every step type and modifier, kept small enough to end.

What is drawn is always loadable: nothing of effect `write` is retried unless it is repeatable, rounds that run side by side write no state of
their parent, and a list result can be checked afterwards, since every round gives back its own item (`Drawn.lists`).
"""

from dataclasses import dataclass, field
from functools import cache

from tests.core.build import (
    FUNCTIONS,
    approve,
    call,
    condition,
    delegate,
    foreach,
    prompt,
    put,
    ret,
    step,
    task,
    workflow,
    x,
)
from treadle.core.definition import Definition, Retry, Step

FIELDS = ("f0", "f1", "f2")
TESTS = ("{{ state.f0 == 1 }}", "{{ state.f1 }}", "{{ true }}", "{{ not state.f2 }}", "{{ inputs.n > 2 }}")
VALUES = (
    "{{ state.f0 }}",
    "{{ inputs.n }}",
    1,
    "{{ [state.f1, 2] }}",
    "{{ double(inputs.n) }}",
    "{{ random() }}",
    "{{ now() }}",
    "{{ broken(1) }}",
)
MESSAGES = ("Go on?", "n is {{ inputs.n }}", "{{ state }}", "{{ make_items(2) }}", "{{ uuid() }}")
ITEMS = ({"a": 1}, "b", 3)
CLASSES = ("failed", "timeout", "transient", "performer_lost")
SCHEMA = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}


@dataclass
class Drawn:
    """A definition, and what its list results must hold: field of the state to the items whose order it keeps."""

    definition: Definition
    lists: dict[str, list] = field(default_factory=dict)


class Drawing:
    """Draws one definition from a source of chance that offers `random`, `randrange` and `choice`."""

    def __init__(self, rng) -> None:
        self.rng = rng
        self.count = 0
        self.left = 6 + rng.randrange(12)
        self.lists: dict[str, list] = {}

    def drawn(self) -> Drawn:
        rng = self.rng
        tasks = {}
        if rng.random() < 0.5:
            tasks["t"] = task(
                *self.steps(2, scope="task"), inputs={"it": {"required": True}}, initial_state={"f0": 0, "f1": "{{ inputs.it }}", "f2": False},
                output="{{ inputs.it }}",
            )  # fmt: skip
        self.has_task = bool(tasks)
        steps = [self._first(), *self.steps(6, scope="run", depth=0)]
        state = {name: rng.choice((0, 1, None)) for name in FIELDS} | dict.fromkeys(self.lists)
        output = {"output": "{{ state }}"} if rng.random() < 0.5 else {}
        main = {"inputs": {"n": {"type": "integer", "default": 3}}, "initial_state": state, **output}
        if rng.random() < 0.15:
            main["state_schema"] = {"f0": {"type": ["integer", "null"]}}
        return Drawn(workflow(*steps, tasks=tasks, **main), self.lists)

    # Lists of steps. `scope` is "run", "task" or "round": the body of rounds that run side by side, which may not write.

    has_task = False

    def steps(self, most: int, scope: str, depth: int = 1) -> list[Step]:
        count = 1 + self.rng.randrange(most)
        return [self.step(scope, depth) for _ in range(count)]

    def _first(self) -> Step:
        """Something that waits, so that hardly a run is over at once."""
        kind = self.rng.choice(("foreach", "delegate", "call", "prompt", "approve"))
        made: Step = getattr(self, "_" + kind)(self.name(), "run", 0)
        return made

    def step(self, scope: str, depth: int) -> Step:
        self.left -= 1
        kinds = ["prompt", "approve", "delegate", "delegate", "delegate", "call", "call", "call", "put", "return"]
        if depth < 2 and self.left > 0:
            kinds += ["condition", "foreach", "foreach", "foreach"]
        kind = self.rng.choice(kinds)
        if kind == "return" and self.rng.random() < 0.7:
            kind = "call"
        made: Step = getattr(self, "_" + kind)(self.name(), scope, depth)
        return made

    def name(self) -> str:
        self.count += 1
        return f"s{self.count}"

    def common(self, scope: str, depth: int, *, block: bool = False, output: bool = True) -> dict:
        rng, fields = self.rng, {}
        if rng.random() < 0.1:
            fields["when"] = rng.choice(TESTS) if scope != "task" else "{{ state.f1 }}"
        if output and scope != "round" and rng.random() < 0.4:
            fields["output_to"] = rng.choice(FIELDS)
        if rng.random() < 0.2:
            fields["within_ms"] = rng.choice((500, 5_000, 60_000))
        policy = rng.random()
        if policy < 0.25:
            fields["on_error"] = "continue"
        elif policy < 0.35 and not block:
            fields["fallback"] = rng.choice(("fb", "{{ error.message }}"))
        elif policy < 0.5 and depth < 2 and self.left > 0:
            fields["on_error"] = self.steps(1, scope, depth + 1)
        return fields

    def performing(self, effect: str, *, repeatable: bool) -> dict:
        rng, fields = self.rng, {"effect": effect, "repeatable": repeatable}
        if rng.random() < 0.25:
            fields["timeout_ms"] = rng.choice((800, 20_000))
        if (repeatable or effect in {"none", "read"}) and rng.random() < 0.7:
            fields["retry"] = Retry(
                attempts=2 + rng.randrange(2),
                backoff_ms=rng.choice((0, 1_000)),
                max_backoff_ms=1_500,
                on=(rng.choice(CLASSES), "failed"),
            )
        return fields

    # Kinds of steps

    def _prompt(self, name: str, scope: str, depth: int) -> Step:
        shape = self.rng.choice(({}, {"format": "confirm"}, {"format": "choice", "options": ["a", "b"]}, {"format": "info"}))
        return prompt(name, self.rng.choice(MESSAGES) if scope == "run" else "Well?", **shape, **self.common(scope, depth))

    def _approve(self, name: str, scope: str, depth: int) -> Step:
        on_reject = self.rng.choice(("fail", "continue", "continue", "do"))
        if on_reject == "do":
            on_reject = self.steps(1, scope, 2)
        return approve(name, {"of": name, "state": "{{ state }}"}, on_reject=on_reject, **self.common(scope, depth))

    def _delegate(self, name: str, scope: str, depth: int) -> Step:
        repeatable = self.rng.random() < 0.7
        output = SCHEMA if self.rng.random() < 0.3 else None
        return delegate(
            name, "Do it.", output=output, repair=self.rng.randrange(3), **self.common(scope, depth),
            **self.performing("write", repeatable=repeatable),
        )  # fmt: skip

    def _call(self, name: str, scope: str, depth: int) -> Step:
        effect = self.rng.choice(("none", "read", "write", "send"))
        repeatable = effect == "write" and self.rng.random() < 0.3
        fields = self.common(scope, depth) | self.performing(effect, repeatable=repeatable)
        if self.rng.random() < 0.15:
            fields["performer"] = "agent"
        return call(name, parameters={"k": "{{ state.f0 }}"}, **fields)

    def _put(self, name: str, scope: str, depth: int) -> Step:
        if scope == "round":
            return put(name, {}, let={"v": self.rng.choice(("{{ item }}", "{{ double(2) }}"))})
        if scope == "task":
            return put(name, {"f2": self.rng.choice((True, "{{ double(1) }}"))})
        updates = {self.rng.choice(FIELDS): self.rng.choice(VALUES) for _ in range(1 + self.rng.randrange(2))}
        return put(name, updates, **self.common(scope, depth, output=False))

    def _return(self, name: str, scope: str, depth: int) -> Step:
        value = {"run": "{{ state.f0 }}", "task": "{{ inputs.it }}", "round": "early"}[scope]
        return ret(name, value, when=self.rng.choice(("{{ state.f1 }}", "{{ not state.f1 }}")))

    def _condition(self, name: str, scope: str, depth: int) -> Step:
        test = self.rng.choice(TESTS) if scope != "task" else "{{ state.f2 }}"
        then, otherwise = (
            self.steps(2, scope, depth + 1),
            self.steps(1, scope, depth + 1) if self.rng.random() < 0.5 else [],
        )
        return condition(name, test, then, otherwise, **self.common(scope, depth, block=True, output=False))

    def _foreach(self, name: str, scope: str, depth: int) -> Step:
        rng = self.rng
        items, listed = rng.choice(
            (
                (list(ITEMS), list(ITEMS)),
                ("{{ make_items(4) }}", [f"item {n}" for n in range(4)]),
                (["x"], ["x"]),
                (list(ITEMS), list(ITEMS)),
                ([], []),
            )
        )
        fields = self.common(scope, depth, block=True, output=False)
        fields |= {"max_parallel": 1 + rng.randrange(3), "on_item_error": rng.choice(("fail", "collect"))}
        if rng.random() < 0.4:
            fields["agent"] = "@task"
        if scope == "run":
            fields["output_to"] = f"l{len(self.lists)}"
            self.lists[fields["output_to"]] = listed
        if rng.random() < 0.2:
            fields["sequential"] = True
        if self.has_task and rng.random() < 0.6:
            return foreach(name, items, task="t", **fields)
        return foreach(name, items, do=self.steps(2, "round", depth + 1), output="{{ item }}", **fields)


def draw(rng) -> Drawn:
    """Draw a definition."""
    return Drawing(rng).drawn()


@cache
def _compiled_everything() -> int:
    """Compile every text above once, so that the first runs are not slower than the others."""
    texts = [text for group in (TESTS, VALUES, MESSAGES) for text in group]
    return len([x(text) for text in texts])


__all__ = ["FUNCTIONS", "Drawn", "draw", "step"]
