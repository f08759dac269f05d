"""Random definitions over every step type and modifier, kept small enough to end.

What is drawn is always loadable: nothing of effect `write` is retried unless it is repeatable or has a key, what runs side by side writes no
state of its parent, `return` stands in no list that runs behind the end, a goto leads where one may. A list result can be checked afterwards,
since every round gives back its own item (`Drawn.lists`). A `read_back` is one call that tells the truth (worker.py).
"""

from dataclasses import dataclass, field, replace
from functools import cache

from tests.core.build import (
    FUNCTIONS,
    approve,
    break_,
    call,
    condition,
    continue_,
    delegate,
    fail,
    foreach,
    function,
    goto,
    http,
    merge,
    parallel,
    prompt,
    put,
    repeat,
    ret,
    run,
    shell,
    step,
    switch,
    task,
    wait,
    while_,
    workflow,
    x,
)
from treadle.core.definition import By, Definition, Goto, Requires, Retry, Step

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
LOOP_TESTS = ("{{ true }}", "{{ false }}", "{{ state.f0 == 1 }}", "{{ double(1) == 2 }}", "{{ broken(1) }}")
UNTIL_TESTS = ("{{ loop.index >= 2 }}", "{{ false }}", "{{ true }}", "{{ double(loop.index) == 4 }}", "{{ state.f0 == 1 }}")
ITEMS = ({"a": 1}, "b", 3)
CLASSES = ("failed", "timeout", "transient", "performer_lost")
SIGNALS = ("go", "stop")
ROLES = ("lead", "ops")
SCHEMA = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}
CHECKS = (
    {"shell": "make"}, {"files": [{"path": "out", "changed": True}]}, {"schema": {"type": "object"}}, {"schema": SCHEMA},
    {"expression": "{{ result is defined }}"}, {"expression": "{{ double(1) == 2 }}"}, {"expression": "{{ false }}"}, {"expression": "{{ broken(1) }}"},
)  # fmt: skip
BUDGETS = ({"calls": 1}, {"calls": 2}, {"calls": 4}, {"tokens": 30}, {"usd": "0.25"}, {"wall_ms": 4_000}, {"calls": 3, "wall_ms": 60_000})
CHILDREN = (workflow(), workflow(budget={"calls": 1}), workflow(budget={"calls": 2}))
PERFORMED = ("call", "call", "delegate", "delegate", "function", "http", "shell", "run", "merge")
JUMPS = ("break", "continue", "goto")
BLOCKS = ("condition", "foreach", "foreach", "parallel", "parallel", "while", "repeat", "switch")


@dataclass
class Drawn:
    """A definition, and what its list results must hold: field of the state to the items whose order it keeps."""

    definition: Definition
    lists: dict[str, list] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a list stands. `scope` is "run", "task", "round" (of a foreach) or "branch": in the last two nothing may be written.

    `after` lists run behind the end of something; `loop` says that `break` may leave one; `targets` are where a goto may lead.
    """

    scope: str
    depth: int = 0
    after: bool = False
    undoing: bool = False
    loop: bool = False
    targets: tuple[str, ...] = ()

    def below(self, scope: str | None = None, **more) -> "Place":
        return replace(self, scope=scope or self.scope, depth=self.depth + 1, **more)

    def behind(self, *, undoing: bool = False) -> "Place":
        """A `finally`, `undo` or `read_back` list."""
        return replace(self, depth=self.depth + 1, after=True, undoing=undoing or self.undoing, loop=False, targets=())


class Drawing:
    """Draws one definition from a source of chance that offers `random`, `randrange` and `choice`.

    A drawing has its own taste: how many of the newer modifiers it uses, so that some definitions are plain and some are dense.
    """

    def __init__(self, rng) -> None:
        self.rng = rng
        self.count = 0
        self.left = 6 + rng.randrange(14)
        self.taste = rng.choice((0.0, 0.06, 0.15, 0.3))
        self.lists: dict[str, list] = {}
        self.gates: list[tuple[str, str]] = []
        self.isolated: dict[str, str] = {}
        self.has_task = False

    def drawn(self) -> Drawn:
        rng = self.rng
        tasks = {}
        if self.odds(0.5):
            tasks["t"] = task(
                *self.steps(2, Place("task", depth=1)), inputs={"it": {"required": True}},
                initial_state={"f0": 0, "f1": "{{ inputs.it }}", "f2": False}, output="{{ inputs.it }}", budget=self.budget(),
            )  # fmt: skip
        self.has_task = bool(tasks)
        top = Place("run")
        first = self._first()
        steps = [first, *self.steps(6, replace(top, targets=(first.id,)))]
        steps += self._gated_rounds() if self.likes() else []
        final = self.steps(1, top.behind()) if self.likes() else []
        state = {name: rng.choice((0, 1, None)) for name in FIELDS} | dict.fromkeys(self.lists)
        output = {"output": "{{ state }}"} if self.odds(0.5) else {}
        main = {"inputs": {"n": {"type": "integer", "default": 3}}, "initial_state": state, "budget": self.budget(), **output}
        if self.odds(0.15):
            main["state_schema"] = {"f0": {"type": ["integer", "null"]}}
        undo_on = rng.choice((("failed", "cancelled"), ("failed", "cancelled"), ("failed",), ()))
        children = {"child": rng.choice(CHILDREN)}
        return Drawn(workflow(*steps, tasks=tasks, final=final, undo_on=undo_on, children=children, **main), self.lists)

    def odds(self, share: float) -> bool:
        """Chance; the smallest number that Hypothesis can shrink to means the plainer of two."""
        return self.rng.random() > 1 - share

    def _gated_rounds(self) -> list[Step]:
        """A gate that is come by again and perhaps skipped, and a step that needs it."""
        gate = self.name()
        shown = {"of": gate, "state": "{{ state }}"}
        return [
            approve(gate, shown, on_reject="continue", when="{{ random() < 0.6 }}"),
            call(self.name(), requires=[gate], on_error="continue"),
            goto(self.name(), gate, 2, on_error="continue"),
        ]

    def likes(self) -> bool:
        return self.odds(self.taste)

    def budget(self) -> dict | None:
        if not self.likes():
            return None
        return {**self.rng.choice(BUDGETS), "on_exceed": self.rng.choice(("stop", "ask", "degrade"))}

    # Lists of steps

    def steps(self, most: int, place: Place) -> list[Step]:
        made: list[Step] = []
        for _ in range(1 + self.rng.randrange(most)):
            made.append(self.step(replace(place, targets=(*place.targets, *(step.id for step in made)))))
        names = [step.id for step in made]
        return [self._aimed(step, names) for step in made]

    def _aimed(self, made: Step, names: list[str]) -> Step:
        """Let some gotos lead forward."""
        later = names[names.index(made.id) + 1 :]
        if not isinstance(made.spec, Goto) or not later or self.odds(0.6):
            return made
        return replace(made, spec=replace(made.spec, target=self.rng.choice(later)))

    def _first(self) -> Step:
        """Something that waits, so that hardly a run is over at once."""
        kind = self.rng.choice(("foreach", "delegate", "call", "prompt", "approve", "parallel"))
        made: Step = getattr(self, "_" + kind)(self.name(), Place("run"))
        return made

    def step(self, place: Place) -> Step:
        self.left -= 1
        kinds = ["prompt", "approve", "delegate", "put", "wait", *PERFORMED]
        if not place.after:
            kinds += ["return", "fail"]
        if place.loop:
            kinds += ["break", "continue"]
        if place.targets:
            kinds += ["goto"]
        if place.depth < 2 and self.left > 0:
            kinds += BLOCKS
        kind = self.rng.choice(kinds)
        if kind in {"return", "fail"} and self.odds(0.6):
            kind = "call"
        made: Step = getattr(self, "_" + kind)(self.name(), place)
        if kind in {"approve", "wait"}:
            return replace(made, isolation=False)
        if made.isolation:
            self.isolated[place.scope] = made.id
        return made

    def name(self) -> str:
        self.count += 1
        return f"s{self.count}"

    # Modifiers

    def common(self, place: Place, *, block: bool = False, output: bool = True, within: bool = True) -> dict:
        rng, fields = self.rng, {}
        if self.odds(0.1):
            fields["when"] = self.test(place)
        if output and place.scope in {"run", "task"} and self.odds(0.4):
            fields["output_to"] = rng.choice(FIELDS)
        if within and self.odds(0.15):
            fields["within_ms"] = rng.choice((500, 5_000, 60_000))
        policy, deeper = 1 - rng.random(), place.depth < 2 and self.left > 0
        if policy < 0.25:
            fields["on_error"] = "continue"
        elif policy < 0.35 and not block:
            fields["fallback"] = rng.choice(("fb", "{{ error.message }}"))
        elif policy < 0.5 and deeper:
            fields["on_error"] = self.steps(1, place.below())
        if self.likes() and deeper:
            fields["final"] = self.steps(1, place.behind())
        if self.likes() and not place.undoing and place.depth < 3:
            fields["undo"] = self.steps(1, replace(place.behind(undoing=True), depth=2))
        if self.likes() and within:
            fields["isolation"] = True
        if self.likes() and within:
            fields["budget"] = self.budget()
            if fields["budget"] is None:
                del fields["budget"]
        return fields

    def test(self, place: Place) -> str:
        return self.rng.choice(TESTS) if place.scope != "task" else "{{ state.f1 }}"

    def performing(self, effect: str, place: Place, *, repeatable: bool) -> dict:
        rng, fields = self.rng, {"effect": effect, "repeatable": repeatable}
        if self.odds(0.25):
            fields["timeout_ms"] = rng.choice((800, 20_000))
        if self.likes() and effect not in {"none", "read"}:
            fields["key"] = rng.choice(("auto", "{{ state.f0 }}-k"))
        elif self.likes() and effect not in {"none", "read"} and not repeatable:
            fields["read_back"] = [call(self.name(), effect="read", timeout_ms=rng.choice((None, 800)))]
        if (repeatable or effect in {"none", "read"} or "key" in fields) and self.odds(0.7):
            fields["retry"] = Retry(
                attempts=2 + rng.randrange(2),
                backoff_ms=rng.choice((0, 1_000)),
                max_backoff_ms=1_500,
                on=(rng.choice(CLASSES), "failed"),
            )
        if self.likes():
            fields["verify"] = [rng.choice(CHECKS) for _ in range(1 + rng.randrange(2))]
        if self.likes() and effect in {"none", "read"}:
            fields["cache"] = True
        if self.likes():
            fields["requires"] = self.requires(place)
        return fields

    def requires(self, place: Place) -> Requires:
        rng = self.rng
        gates = [name for name, scope in self.gates if scope == place.scope]
        if gates and self.odds(0.7):
            return Requires(gates=tuple(dict.fromkeys(rng.choice(gates) for _ in range(1 + rng.randrange(2)))))
        return Requires(by=self.by(), within_ms=rng.choice((None, None, 2_000)))

    def by(self) -> By:
        """Never so narrow that those whom the driver knows could not pass it."""
        rng, fields = self.rng, {}
        if not self.likes():
            return By()
        if self.odds(0.5):
            fields["roles"] = (rng.choice(ROLES),)
        if self.odds(0.4):
            fields["count"] = 2
        if self.odds(0.3):
            fields["never"] = ("starter",)
        if self.gates and self.odds(0.4):
            fields["distinct_from"] = (self.gates[-1][0],)
        return By(**fields)

    # Kinds of steps

    def _prompt(self, name: str, place: Place) -> Step:
        shape = self.rng.choice(({}, {"format": "confirm"}, {"format": "choice", "options": ["a", "b"]}, {"format": "info"}))
        message = self.rng.choice(MESSAGES) if place.scope == "run" else "Well?"
        effect = self.rng.choice(("none", "none", "read", "write"))
        attempted = self.performing(effect, place, repeatable=effect == "write" and self.odds(0.3)) if self.likes() else {}
        return prompt(name, message, **shape, **self.common(place), **attempted)

    def _approve(self, name: str, place: Place) -> Step:
        on_reject = self.rng.choice(("fail", "continue", "continue", "do"))
        if on_reject == "do":
            on_reject = self.steps(1, replace(place, depth=2))
        by = self.by()
        fields = self.common(place)
        if not place.after and place.depth < 2:
            self.gates.append((name, place.scope))
            if self.likes():
                fields["when"] = "{{ state.f0 != 0 }}"
        return approve(name, {"of": name, "state": "{{ state }}"}, on_reject=on_reject, by=by, **fields)

    def _delegate(self, name: str, place: Place) -> Step:
        effect = "read" if self.odds(0.15) else "write"
        repeatable = effect == "write" and self.odds(0.7)
        output = SCHEMA if self.odds(0.3) else None
        return delegate(
            name, "Do it.", output=output, repair=self.rng.randrange(3), **self.common(place),
            **self.performing(effect, place, repeatable=repeatable),
        )  # fmt: skip

    def _effect(self, place: Place) -> dict:
        effect = self.rng.choice(("none", "read", "write", "send"))
        repeatable = effect == "write" and self.odds(0.3)
        fields = self.common(place) | self.performing(effect, place, repeatable=repeatable)
        if self.odds(0.15):
            fields["performer"] = "agent"
        return fields

    def _call(self, name: str, place: Place) -> Step:
        return call(name, parameters={"k": "{{ state.f0 }}"}, **self._effect(place))

    def _http(self, name: str, place: Place) -> Step:
        return http(name, "http://host/{{ state.f0 }}", **self._effect(place))

    def _shell(self, name: str, place: Place) -> Step:
        return shell(name, "make", **self._effect(place))

    def _function(self, name: str, place: Place) -> Step:
        return function(name, "double", {"value": "{{ state.f0 }}"}, **self._effect(place) | {"performer": "server"})

    def _merge(self, name: str, place: Place) -> Step:
        isolated = self.isolated.get(place.scope)
        if isolated is None:
            return self._shell(name, place)
        return merge(name, isolated, **{**self._effect(place), "performer": "server"})

    def _run(self, name: str, place: Place) -> Step:
        policy = self.rng.choice(("cancel", "wait", "abandon"))
        effect = "read" if self.odds(0.15) else "write"
        fields = self.common(place) | self.performing(effect, place, repeatable=effect == "write" and self.odds(0.8))
        return run(name, "child", {"n": "{{ state.f0 }}"}, close_policy=policy, **fields)

    def _wait(self, name: str, place: Place) -> Step:
        rng = self.rng
        kind = rng.choice(("ms", "ms", "signal", "signal", "until"))
        if kind == "signal":
            fields = {"signal": rng.choice(SIGNALS), "payload": rng.choice((None, {"type": "integer"}, {"type": "string"}))}
        else:
            fields = (
                {"ms": rng.choice((0, 300, 8_000))}
                if kind == "ms"
                else {"until": rng.choice(("{{ now() }}", "2027-01-15T08:00:09Z", "soon"))}
            )
        fields |= self.common(place)
        if "signal" in fields and place.depth < 2 and self.odds(0.4):
            fields["final"] = [delegate(self.name())]
        return wait(name, **fields)

    def _put(self, name: str, place: Place) -> Step:
        if place.scope in {"round", "branch"}:
            return put(
                name, {}, let={"v": "{{ double(2) }}" if place.scope == "branch" else self.rng.choice(("{{ item }}", "{{ double(2) }}"))}
            )
        if place.scope == "task":
            return put(name, {"f2": self.rng.choice((True, "{{ double(1) }}"))})
        updates = {self.rng.choice(FIELDS): self.rng.choice(VALUES) for _ in range(1 + self.rng.randrange(2))}
        fields = self.common(place, output=False)
        fields.pop("isolation", None)
        return put(name, updates, **fields)

    def _at_once(self, place: Place) -> dict:
        fields = {"when": self.rng.choice((self.test(place), "{{ not state.f1 }}"))}
        if self.likes() and place.depth < 2 and self.left > 0:
            fields["final"] = self.steps(1, place.behind())
        if self.likes() and not place.undoing and place.depth < 3:
            fields["undo"] = self.steps(1, replace(place.behind(undoing=True), depth=2))
        if self.likes():
            fields["on_error"] = "continue"
        return fields

    def _return(self, name: str, place: Place) -> Step:
        value = {"run": "{{ state.f0 }}", "task": "{{ inputs.it }}"}.get(place.scope, "early")
        return ret(name, value, **self._at_once(place))

    def _fail(self, name: str, place: Place) -> Step:
        status = self.rng.choice(("failed", "failed", "goal_not_met"))
        return fail(name, error_class=self.rng.choice(("failed", "own_class")), status=status, **self._at_once(place))

    def _break(self, name: str, place: Place) -> Step:
        return break_(name, **self._at_once(place))

    def _continue(self, name: str, place: Place) -> Step:
        return continue_(name, **self._at_once(place))

    def _goto(self, name: str, place: Place) -> Step:
        return goto(name, self.rng.choice(place.targets), 1 + self.rng.randrange(2), **self._at_once(place))

    # Blocks

    def _condition(self, name: str, place: Place) -> Step:
        test = self.rng.choice(TESTS) if place.scope != "task" else "{{ state.f2 }}"
        inside = place.below(targets=(*place.targets, name))
        then = self.steps(2, inside)
        otherwise = self.steps(1, inside) if self.odds(0.5) else []
        return condition(name, test, then, otherwise, **self.common(place, block=True, output=False))

    def _switch(self, name: str, place: Place) -> Step:
        inside = place.below(targets=(*place.targets, name))
        cases = {"1": self.steps(1, inside), "null": self.steps(1, inside)}
        default = self.steps(1, inside) if self.odds(0.5) else []
        return switch(name, "{{ state.f0 }}", cases, default, **self.common(place, block=True, output=False))

    def _parallel(self, name: str, place: Place) -> Step:
        scope = place.scope if place.scope == "round" else "branch"
        inside = place.below(scope, targets=(), loop=False)
        branches = {f"b{index}": self.steps(2, inside) for index in range(1 + self.rng.randrange(3))}
        need = self.rng.choice((0, 0, 1, min(2, len(branches))))
        return parallel(name, branches, need, **self.common(place, block=True))

    def _while(self, name: str, place: Place) -> Step:
        tests = LOOP_TESTS if place.scope != "task" else ("{{ true }}", "{{ false }}")
        return while_(name, self.rng.choice(tests), self.steps(2, place.below(targets=(), loop=True)), **self._bounds(place))

    def _repeat(self, name: str, place: Place) -> Step:
        return repeat(name, self.rng.choice(UNTIL_TESTS), self.steps(2, place.below(targets=(), loop=True)), **self._bounds(place))

    def _bounds(self, place: Place) -> dict:
        return {
            "most": 1 + self.rng.randrange(3), "on_limit": self.rng.choice(("fail", "continue")),
            **self.common(place, block=True, output=False),
        }  # fmt: skip

    def _foreach(self, name: str, place: Place) -> Step:
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
        fields = self.common(place, block=True, output=False)
        fields |= {"max_parallel": 1 + rng.randrange(3), "on_item_error": rng.choice(("fail", "collect"))}
        if fields["on_item_error"] == "collect" and self.likes():
            fields |= rng.choice(({"min_success": 1}, {"min_success_percent": 60}))
        if self.odds(0.4):
            fields["agent"] = "@task"
        if place.scope == "run":
            fields["output_to"] = f"l{len(self.lists)}"
            self.lists[fields["output_to"]] = listed
        if self.odds(0.2):
            fields["sequential"] = True
        if self.has_task and self.odds(0.6):
            return foreach(name, items, task="t", **fields)
        do = self.steps(2, place.below("round", targets=(), loop=True))
        return foreach(name, items, do=do, output="{{ item }}", **fields)


def draw(rng) -> Drawn:
    """Draw a definition."""
    return Drawing(rng).drawn()


@cache
def _compiled_everything() -> int:
    """Compile every text above once, so that the first runs are not slower than the others."""
    texts = [text for group in (TESTS, VALUES, MESSAGES, LOOP_TESTS, UNTIL_TESTS) for text in group]
    return len([x(text) for text in texts])


__all__ = ["FUNCTIONS", "Drawn", "draw", "step"]
