"""`treadle run --dry-run`: a run walked for what it would do. Nothing with an effect above `read` is done, and nothing is stored (ruling 30).

The core, its memory engine and registered functions are real; time is not waited for. Answers come from stubs (a script); what Treadle does
itself and only reads is called for real where no stub stands for it and its server is trusted. A prompt without a stub takes the default that
its author wrote. Anything else without a stub stops the dry run there, with the entry to add.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from rich.text import Text

from treadle import functions, log, trust
from treadle.actions.kinds import performers
from treadle.actions.runner import Runner
from treadle.authoring.find import Loaded
from treadle.cli import screen, shape, values
from treadle.cli.describe import EFFECT_STYLES
from treadle.cli.exits import exit_code
from treadle.cli.frame import Frame, refused, user_name
from treadle.cli.script import read_script
from treadle.clock import SystemClock
from treadle.compose import LazyPool, secrets_of, web_of
from treadle.config.servers import Catalog
from treadle.config.settings import Settings
from treadle.core.definition import Definition, Delegate, Foreach
from treadle.core.errors import RequestError
from treadle.core.ids import address_of
from treadle.core.state import ENDED
from treadle.core.values import Json, encode
from treadle.ports import ActionCall, ActionRunner
from treadle.testing.player import Handed, Played, play
from treadle.testing.script import Entry, Place, Script
from treadle.testing.snippet import snippet
from treadle.testing.story import story
from treadle.testing.stubs import stubs_of

KEYS: Final = (
    "With --dry-run: dry_run (true), workflow, version, definition, inputs [{name, value, from}], steps [{action, attempt, kind, performer, agent, "
    "model, effect, tool, params, from, file, line, verb, value}], story [{at_ms, word, path, text}], status, exit_code, result, state, failure, "
    "missing {action, code, message, hint, entry}, unused [text]"
)
_READS: Final = frozenset({"none", "read"})
_STUB, _CALLED, _DEFAULT = "stub", "called for real", "default of the step"
_VALUE_CHARS_MAX: Final = 120
_TOLD: Final = frozenset({"skipped", "failed", "handling", "unknown", "parked"})
BANNER: Final = "dry run: nothing above `read` is done, and nothing is stored"


@dataclass(slots=True)
class Otherwise:
    """Answers what no stub stands for, and remembers how; `why` says of an action why it was not called."""

    runner: ActionRunner
    servers: Catalog
    settings: Settings
    how: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    why: dict[str, str] = field(default_factory=dict[str, str])

    async def __call__(self, call: ActionCall) -> Entry | None:
        """Call what only reads, or take the default of a prompt; None for all else."""
        action = call.action
        default = call.params.get("default")
        if action.kind == "prompt" and default is not None:
            return self._entry(call, _DEFAULT, "answer", values.clean_value(default))
        if action.performer != "server" or action.effect not in _READS:
            return None
        if action.kind in {"shell", "verify"}:
            self.why[action.id] = "a dry run runs no commands and looks at no files"
            return None
        refusal = self._refusal(call)
        if refusal:
            self.why[action.id] = refusal
            return None
        answer = await self.runner.perform(call)
        if answer.lost:
            return self._entry(call, _CALLED, "lost", True)
        if answer.failure is not None:
            failure = answer.failure
            said: dict[str, Json] = {"class": failure.error_class, "message": failure.message}
            said |= {"result": values.clean_value(failure.result)} if failure.has_result else {}
            return self._entry(call, _CALLED, "fail", said)
        return self._entry(call, _CALLED, "answer", values.clean_value(answer.value))

    def _entry(self, call: ActionCall, how: str, verb: str, given: Json) -> Entry:
        self.how[call.action.id, call.action.attempt] = how
        return Entry(match=call.action.id, verb=verb, given=given, place=Place(file=how, line=0))

    def _refusal(self, call: ActionCall) -> str:
        """Say why something that only reads cannot be called here; empty where it can."""
        if call.action.kind == "http":
            return ""  # the guard judges where it goes
        if call.action.kind != "mcp_call":
            return "" if call.action.effect == "none" else f"this version does not perform `{call.action.kind}` itself"
        server = str(call.params.get("tool", "")).partition(".")[0]
        try:
            trust.gate(trust.user_store(), self.settings.project)(self.servers.get(server))
        except RequestError as error:
            return f"{error.message}; {error.hint}" if error.hint else error.message
        return ""


def write_stubs(frame: Frame, definition: Definition, path: Path) -> int:
    """Write made-up stubs to a file that is not there yet."""
    text = stubs_of(definition)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise RequestError(f"{path} is there already; nothing was written", code="bad_file", hint="name another file") from error
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror or error}", code="bad_file") from error
    if frame.json:
        frame.print_json({"file": str(path), "workflow": definition.name, "stubs": text})
        return 0
    screen.say(f"{path}: stubs for {definition.name}, every answer made up; put in what you want to see happen, then")
    screen.say(f"  treadle run {definition.name} --dry-run --stubs {path}")
    return 0


async def dry_run(frame: Frame, loaded: Loaded, definition: Definition, given: Mapping[str, Json], stubs: str | None) -> int:
    """Walk a run; gives the exit code of a run that ends, or stands, so. Raises RequestError where it would not be started."""
    script = read_script(stubs) if stubs is not None else None
    entries = Script(name=stubs or "no stubs", entries=script.entries if script is not None else ())
    settings = frame.settings
    store, secrets = trust.user_store(), secrets_of(settings, os.environ)
    pool = LazyPool(settings, store, os.environ, secrets)
    project = settings.project
    registry = functions.Registry(functions.catalog(project), project, store)
    otherwise = Otherwise(Runner(performers(pool=pool, functions=registry, web=web_of(settings)), secrets), settings.servers(), settings)
    if not frame.json:
        _tell_head(definition, given)
    with log.scrubbed(secrets.redactor.text):
        try:
            played = await play(
                definition, entries, given, functions=registry, user=user_name(),
                clock_ms=SystemClock().now_ms(), otherwise=otherwise,
            )  # fmt: skip
        finally:
            await pool.close()
    if played.refused is not None:
        raise refused(played.refused)
    found = _told(loaded, definition, given, played, otherwise, entries)
    if frame.json:
        frame.print_json(found)
    else:
        _tell(found)
    return int(found["exit_code"])


# What is told


def _told(
    loaded: Loaded, definition: Definition, given: Mapping[str, Json], played: Played, otherwise: Otherwise, script: Script
) -> dict[str, Any]:  # fmt: skip
    run, trouble = played.run, played.trouble
    status = run.status if run is not None else "waiting"
    if trouble is not None and status not in ENDED:
        status = "waiting"
    missing = None
    if trouble is not None:
        entry = snippet(trouble.action) if trouble.action is not None and trouble.code == "no_answer" else ""
        hint = otherwise.why.get(trouble.action.id, "") if trouble.action is not None else ""
        missing = {
            "action": trouble.action.id if trouble.action is not None else None, "code": _CODES.get(trouble.code, trouble.code),
            "message": trouble.message, "hint": hint, "entry": entry,
        }  # fmt: skip
    return {
        "dry_run": True, "workflow": definition.name, "version": definition.version, "definition": loaded.digest,
        "inputs": _inputs(definition, given), "steps": [_step(definition, each, played, otherwise) for each in played.handed],
        "story": [{"at_ms": line.at_ms, "word": line.word, "path": line.path, "text": line.text} for line in story(played)],
        "status": status, "exit_code": exit_code(status), "result": played.result, "state": dict(played.state),
        "failure": shape.failure_json(run.failure) if run is not None else None, "missing": missing,
        "unused": [entry.unused for entry in script.unused()] if trouble is None else [],
    }  # fmt: skip


_CODES: Final = {"no_answer": "missing_stub", "answer_refused": "stub_refused"}


def _inputs(definition: Definition, given: Mapping[str, Json]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, schema in definition.main.inputs.items():
        word = "input" if name in given else "default" if "default" in schema else "absent"
        rows.append({"name": name, "value": given.get(name, schema.get("default")), "from": word})
    return rows


def _step(definition: Definition, each: Handed, played: Played, otherwise: Otherwise) -> dict[str, Any]:
    key = (each.id, each.attempt)
    step = definition.index.steps[address_of(each.id)]
    entry, value = played.given.get(key, (None, None))
    how = otherwise.how.get(key, _STUB if entry is not None else None)
    is_stub = entry is not None and how == _STUB
    return {
        "action": each.id, "attempt": each.attempt, "kind": each.kind, "performer": each.performer, "agent": _agent(definition, each.id) if each.performer == "agent" else None,
        # A model is chosen by whoever performs, as long as no step can name one.
        "model": getattr(step.spec, "model", None), "effect": step.effect, "tool": each.params.get("tool"), "params": dict(each.params),
        "from": how, "file": entry.place.file if entry is not None and is_stub else None,
        "line": entry.place.line if entry is not None and is_stub else None, "verb": entry.verb if entry is not None else None,
        "value": value,
    }  # fmt: skip


def _agent(definition: Definition, action: str) -> str | None:
    """Name the agent that does an action: its own, or that of the innermost loop around it."""
    address = address_of(action)
    step = definition.index.steps[address]
    if isinstance(step.spec, Delegate) and step.spec.agent is not None:
        return step.spec.agent
    while "[]" in address:
        address = address.rpartition("[]")[0]
        around = definition.index.steps.get(address)
        if around is not None and isinstance(around.spec, Foreach) and around.spec.agent is not None:
            return around.spec.agent
    return None


# In a terminal


def _tell_head(definition: Definition, given: Mapping[str, Json]) -> None:
    screen.say(Text.assemble((BANNER, "bold yellow")))
    screen.say(Text.assemble((definition.name, "bold"), f" {definition.version}"))
    for row in _inputs(definition, given):
        screen.say(f"  {row['name']} = {screen.short(encode(row['value']), _VALUE_CHARS_MAX)}  ({row['from']})", style="bright_black")
    screen.say()


def _tell(found: dict[str, Any]) -> None:
    """Tell steps in the order in which they came, with what was skipped, chosen, or failed between them."""
    left = list(found["steps"])
    for line in found["story"]:
        for step in [each for each in left if each["action"] == line["path"]]:
            _tell_step(step)
            left.remove(step)
        if line["word"] in _TOLD or line["text"].startswith("chose"):
            mark = "note" if line["word"] == "note" else line["word"]
            said = screen.short(line["text"], 2 * _VALUE_CHARS_MAX)
            screen.hang(Text.assemble(screen.mark(mark), " ", (screen.clean(line["path"]), "bold"), f"  {said}"), 4)
    for step in left:
        _tell_step(step)
    _tell_end(found)


def _tell_step(step: dict[str, Any]) -> None:
    line = Text.assemble(screen.mark("completed" if step["from"] else "waiting"), " ", (step["action"], "bold"), f"  {step['kind']}")
    line.append(f" {step['tool']}" if step["tool"] else "")
    line.append(f"  {_performer(step)}", style="bright_black")
    if step["effect"] != "none":
        line.append(f"  [{step['effect']}]", style=EFFECT_STYLES[step["effect"]])
    screen.hang(line, 4)
    if step["from"] is None:
        return
    where = f"{step['file']}:{step['line']}" if step["from"] == _STUB else step["from"]
    verb = "" if step["verb"] in {"answer", "answers"} else f"{step['verb']} "
    screen.hang(Text.assemble((f"    {where}: ", "cyan"), f"{verb}{screen.short(encode(step['value']), _VALUE_CHARS_MAX)}"), 6)


def _performer(step: dict[str, Any]) -> str:
    word = {"human": "a person", "server": "treadle", "headless": "a model that Treadle starts"}.get(step["performer"], "an agent")
    agent = f" {step['agent']}" if step["agent"] and step["performer"] == "agent" else ""
    model = step["model"] or ("the agent's own model" if step["performer"] == "agent" else "")
    return f"{word}{agent}" + (f", {model}" if model else "")


def _tell_end(found: dict[str, Any]) -> None:
    screen.say()
    missing = found["missing"]
    if missing is not None:
        screen.tell_error(missing["code"], f"{missing['message']}; the dry run stops here", missing["hint"])
        if missing["entry"]:
            screen.say("add to the stubs:")
            for line in missing["entry"].splitlines():
                screen.say(f"  {screen.clean(line)}")
    else:
        lead = "a run would end: " if found["status"] in ENDED else "a run would stand, until something from outside moves it: "
        screen.say(Text.assemble(lead, screen.mark(found["status"]), " ", screen.worded(found["status"])))
        if found["failure"] is not None:
            failure = found["failure"]
            screen.say(f"  {failure['class']} in `{failure['step']}`: {screen.clean(failure['message'])}", style="red")
        if found["result"] is not None:
            screen.say("  result:")
            for line in screen.clean(orjson.dumps(found["result"], option=orjson.OPT_INDENT_2).decode()).splitlines():
                screen.say(f"    {line}")
    for text in found["unused"]:
        screen.say(f"  {screen.clean(text)}", style="yellow")
    screen.say(Text.assemble((BANNER, "bold yellow")))
