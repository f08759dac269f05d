"""Asking a person in the terminal for one action: what it is about, what is expected, and what was typed, read until it fits.

Every question takes the same few commands that begin with `/`. They are the way out that an honest performer needs: who cannot do a step says
so (ruling 24), who wants to stop stops, and nothing is ever taken for an answer that was not given as one.
"""

import asyncio
import os
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

import orjson
from rich.padding import Padding
from rich.text import Text

from treadle.cli import screen, values
from treadle.cli.keyboard import Keyboard, LineTooLongError
from treadle.cli.values import NotFittingError
from treadle.core.errors import RequestError
from treadle.core.schema_example import skeleton
from treadle.core.values import Json, Value
from treadle.view import ActionView

_COMMANDS: Final = """\
  /edit           write the answer in your editor
  /file PATH      take the answer from a file
  /cannot REASON  say that it cannot be done; the step fails with that reason
  /park REASON    set the run aside
  /quit           leave the run as it is (Ctrl-C does the same)
  //…             an answer that begins with a slash"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a person said: a `value`, a decision, that it cannot be done, or what to do with the run."""

    kind: str
    value: Json = None
    text: str = ""


class LeftError(Exception):
    """The person leaves the run as it is."""


class _OfferedTakenError(Exception):
    """The person takes the answer that stands ready."""


class Offered(Protocol):
    """Somebody who has an answer ready, for a person who says `s`."""

    def said(self, action: ActionView) -> Said:
        """Give the answer to an action. Raises RequestError where there is none."""
        ...


class Asker:
    """Asks on this terminal; with `offered`, `s` takes the answer that stands ready there."""

    def __init__(self, keyboard: Keyboard, offered: Offered | None = None) -> None:
        """Use a keyboard."""
        self.keyboard, self._offered = keyboard, offered

    async def ask(self, action: ActionView, *, where: str = "") -> Said:
        """Show an action and read an answer that fits. Raises LeftError."""
        _show(action, where)
        if self._offered is not None:
            screen.say("`s` lets the script answer this one.", style="bright_black")
        self.keyboard.forget()
        try:
            return await self._asked(action)
        except _OfferedTakenError:
            if self._offered is None:
                raise
            return self._offered.said(action)

    async def _asked(self, action: ActionView) -> Said:
        if action.waits_for == "outcome":
            return await self._outcome(action)
        if action.kind == "approve":
            return await self._decision()
        if action.params.get("format") == "form":
            return await self._form(action)
        return await self._until_it_fits(action)

    async def _until_it_fits(self, action: ActionView) -> Said:
        prompt = _prompt(action)
        while True:
            typed = await self._line(prompt, action)
            if isinstance(typed, Said):
                return typed
            try:
                return Said(
                    kind="value",
                    value=values.read_answer(action.kind, action.params, action.expected, typed or _default(action)),
                )
            except NotFittingError as error:
                if not _may_go_on(action, typed):
                    _complain(str(error))
                    continue
            said = self._taken(action, await self._rest_of_json(typed))
            if said is not None:
                return said

    async def _rest_of_json(self, begun: str) -> str:
        """Read lines until they are JSON, or one is empty."""
        text = begun
        while True:
            more = await self._read("… ")
            text += "\n" + more
            if not more.strip() or _is_json(text):
                return text

    async def _form(self, action: ActionView) -> Said:
        fields = cast(Mapping[str, Mapping[str, Json]], action.params.get("fields") or {})
        while True:
            filled: dict[str, Json] = {}
            for name, rule in fields.items():
                said = await self._field(action, name, rule)
                if isinstance(said, Said) and said.kind != "field":
                    return said
                if isinstance(said, Said):
                    filled[name] = said.value
            try:
                values.check_answer(action.expected, filled)
            except NotFittingError as error:
                _complain(str(error))
                continue
            return Said(kind="value", value=filled)

    async def _field(self, action: ActionView, name: str, rule: Mapping[str, Json]) -> Said | None:
        """Ask for one field; None leaves it out."""
        default = rule.get("default")
        hint = f" [{values.option_text(default)}]" if default is not None else "" if rule.get("required") else " (may stay empty)"
        options = rule.get("enum")
        choices = f" ({', '.join(map(values.option_text, options))})" if isinstance(options, list) else ""
        while True:
            typed = await self._line(f"{name}{choices}{hint}> ", action)
            if isinstance(typed, Said):
                return typed
            if not typed and default is not None:
                return Said(kind="field", value=default)
            if not typed and not rule.get("required"):
                return None
            try:
                value = values.read_field(rule, typed)
                values.check_answer({k: v for k, v in rule.items() if k not in {"required", "default"}}, value)
            except NotFittingError as error:
                _complain(str(error))
                continue
            return Said(kind="field", value=value)

    async def _decision(self) -> Said:
        while True:
            typed = await self._line("approve? [y/n] ", None)
            if isinstance(typed, Said):
                return typed
            try:
                approved = values.read_yes(typed)
            except NotFittingError as error:
                _complain(str(error))
                continue
            note = await self._read("a note, if you like> ")
            return Said(kind="approve" if approved else "reject", text=note.strip())

    async def _outcome(self, action: ActionView) -> Said:
        while True:
            typed = await self._line("was it done? [done / not done / failed] ", None)
            if isinstance(typed, Said):
                return typed
            word = typed.strip().lower().replace(" ", "_").replace("-", "_")
            if word in {"done", "not_done", "failed"}:
                return await self._resolved(action, word)
            _complain("answer `done`, `not done` or `failed`")

    async def _resolved(self, action: ActionView, word: str) -> Said:
        if word != "done":
            return Said(kind=word, text=await self._read("a note, if you like> "))
        while True:
            typed = await self._read("its result, as JSON (empty: null)> ")
            try:
                value = values.read_json(typed) if typed.strip() else None
                values.check_answer(action.expected, value)
            except NotFittingError as error:
                _complain(str(error))
                continue
            return Said(kind="done", value=value)

    async def _line(self, prompt: str, action: ActionView | None) -> str | Said:
        """Read an answer, or carry out a command."""
        while True:
            typed = await self._read(prompt)
            if self._offered is not None and typed.strip() == "s":
                raise _OfferedTakenError
            while typed.endswith("\\") and action is not None:
                typed = typed[:-1] + "\n" + await self._read("… ")
            if not typed.startswith("/") or typed.startswith("//"):
                return typed.removeprefix("/") if typed.startswith("//") else typed
            said = await self._command(typed, action)
            if said is not None:
                return said

    async def _command(self, typed: str, action: ActionView | None) -> Said | None:
        name, _, rest = typed.partition(" ")
        match name:
            case "/quit":
                raise LeftError
            case "/park":
                return Said(kind="park", text=rest.strip() or "set aside in the terminal")
            case "/cannot" if rest.strip() and action is not None:
                return Said(kind="cannot", text=rest.strip())
            case "/edit" if action is not None:
                return self._taken(action, await self._edited(action))
            case "/file" if rest.strip() and action is not None:
                return self._taken(action, _file_text(rest.strip()))
            case "/cannot" | "/file":
                _complain(f"{name} needs {'a reason' if name == '/cannot' else 'a path'} behind it")
            case _:
                screen.say(_COMMANDS)
        return None

    def _taken(self, action: ActionView, text: str | None) -> Said | None:
        if text is None:
            return None
        try:
            return Said(kind="value", value=values.read_answer(action.kind, action.params, action.expected, text))
        except NotFittingError as error:
            _complain(str(error))
            return None

    async def _edited(self, action: ActionView) -> str | None:
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        takes_text = values.takes_text(action.expected)
        begin = "" if takes_text else orjson.dumps(skeleton(action.expected), option=orjson.OPT_INDENT_2).decode() + "\n"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / ("answer.md" if takes_text else "answer.json")
            path.write_text(begin, encoding="utf-8")
            try:
                child = await asyncio.create_subprocess_exec(*shlex.split(editor), str(path))
            except OSError as error:
                _complain(f"the editor {editor!r} could not be started ({error.strerror}); set EDITOR")
                return None
            if await child.wait() != 0:
                _complain("the editor gave up; nothing was taken")
                return None
            text = path.read_text(encoding="utf-8", errors="replace")
        if not text.strip() or text == begin:
            _complain("nothing was written; nothing was taken")
            return None
        return text.rstrip("\n")

    async def _read(self, prompt: str) -> str:
        while True:
            try:
                typed = await self.keyboard.lines(prompt)
            except LineTooLongError:
                _complain("a terminal cuts lines of 4,095 characters and more; use /edit or /file PATH")
                continue
            if typed is None:
                raise LeftError
            return typed


async def confirm(question: str, *, default: bool) -> bool:
    """Ask for yes or no; an empty answer is the default, the end of input is no. Ctrl-C gets through, as it would not while `input` waits."""
    keyboard = Keyboard()
    keyboard.forget()
    while True:
        typed = await keyboard.lines(f"{question} [{'Y/n' if default else 'y/N'}]: ")
        if typed is None:
            return False
        try:
            return values.read_yes(typed) if typed.strip() else default
        except NotFittingError as error:
            _complain(str(error))


def _show(action: ActionView, where: str) -> None:
    title = {
        "prompt": "you are asked",
        "approve": "your decision",
        "delegate": "to be done",
        "mcp_call": "to be done",
    }.get(action.kind, "")
    if action.waits_for == "outcome":
        title = "outcome unknown"
    screen.say()
    screen.heading(Text.assemble((f"{title}: ", "cyan"), (action.id, "bold cyan"), (where, "bright_black")))
    if action.description:
        screen.say(screen.clean(action.description), style="bright_black")
    if action.working_dir and action.kind != "approve":
        screen.say(f"in {screen.clean(action.working_dir, lines=False)}, a git worktree of its own", style="bright_black")
    screen.console().print(Padding(what_it_is_about(action), (0, 0, 0, 2)))
    if action.redo:
        screen.say("  somebody began this before and fell silent; look at what is there already", style="yellow")
    if action.problem is not None:
        screen.say(f"  the last answer did not do: {screen.clean(action.problem.message)}", style="yellow")
    hint = _hint(action)
    if hint:
        screen.say(hint, style="bright_black")


def what_it_is_about(action: ActionView) -> Text:
    """Give what a person must see to answer: message, instructions, what is to be approved, or the call."""
    if action.kind == "approve":
        return shown_thing(action.params.get("show"), action.digest)
    if action.kind == "mcp_call":
        call = orjson.dumps(action.params.get("parameters"), option=orjson.OPT_INDENT_2).decode()
        return Text(f"{action.params.get('tool')}\n{screen.clean(call)}")
    text = action.params.get("instructions" if action.kind == "delegate" else "message")
    return Text(screen.clean(str(text)).rstrip())


def shown_thing(show: Value, digest: str | None) -> Text:
    """Give exactly what a gate is about, and the digest that binds a decision to it."""
    body = show if isinstance(show, str) else orjson.dumps(show, option=orjson.OPT_INDENT_2).decode()
    return Text.assemble(screen.clean(body).rstrip(), "\n\n", (f"digest {digest}", "bright_black"))


def _hint(action: ActionView) -> str:
    if action.waits_for == "outcome":
        return "Whoever performed this was lost in the middle. Look at the world, then say what became of it."
    match action.kind, action.params.get("format"):
        case "approve", _:
            return ""
        case "prompt", "choice":
            options = cast(list[Value], action.params.get("options") or [])
            many = "several, with commas" if action.params.get("multiple") else "one"
            return (
                "\n".join(f"  {n}  {screen.clean(values.option_text(o), lines=False)}" for n, o in enumerate(options, 1))
                + f"\nChoose {many}."
            )
        case "prompt", "confirm" | "info" | "form":
            return ""
        case "prompt", _:
            return "Enter sends; a backslash at the end goes on in a new line; /edit opens your editor; /? shows more."
        case _ if values.takes_text(action.expected):
            return "Do it, and write what came of it. /edit opens your editor, /cannot REASON says it cannot be done, /? shows more."
    shape = orjson.dumps(skeleton(action.expected)).decode()
    return f"Expected: JSON like {shape}\n/edit fills it in in your editor, /cannot REASON says it cannot be done, /? shows more."


def _prompt(action: ActionView) -> str:
    match action.params.get("format") if action.kind == "prompt" else "":
        case "info":
            return "Enter to go on "
        case "confirm":
            return "[y/n] "
        case _:
            default = _default(action)
            return f"[{screen.short(default, 40)}]> " if default else "> "


def _default(action: ActionView) -> str:
    """Give the text that an empty answer stands for."""
    default = action.params.get("default")
    if action.kind != "prompt" or default is None:
        return ""
    if isinstance(default, dict) and "confirmed" in default:
        default = default["confirmed"]
    return values.option_text(default)


def _may_go_on(action: ActionView, typed: str) -> bool:
    """Tell whether what was typed is the beginning of JSON that goes on in the next line."""
    wants_json = not values.takes_text(action.expected) and action.kind != "prompt"
    return wants_json and typed.lstrip().startswith(("{", "[")) and not _is_json(typed)


def _is_json(text: str) -> bool:
    try:
        values.read_json(text)
    except NotFittingError:
        return False
    return True


def _file_text(path: str) -> str | None:
    try:
        return values.read_bytes_of(str(Path(path).expanduser())).decode("utf-8").rstrip("\n")
    except (RequestError, UnicodeDecodeError) as error:
        _complain(str(error))
        return None


def _complain(message: str) -> None:
    screen.say(f"  {screen.clean(message)}", style="yellow")
