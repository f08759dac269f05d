"""The script performer: answers that were written down before, given to the actions that they were written for, and to no others.

A script is a list of entries. `match` is an action's id, a pattern of ids (`*` stands for anything within a segment, `**` for anything), or a kind
of action (`prompt`, `approve`, `delegate`, `mcp_call`). Beside it stands one of:

    answer: VALUE        answers: [VALUE, ...]     the value of the action; a list gives one for each time
    approve: true|NOTE   reject: true|NOTE         the decision at a gate
    cannot: REASON                                 the performer says that it cannot be done
    outcome: done|not_done|failed  (value: VALUE)  what became of an action whose performer was lost
    hold: true                                     take it and keep it, as a performer that is still at work

The first entry that matches is used. Each branch of a fan-out is worked by a performer of its own, with its own holder and token, at the same
time. An action that no entry matches stops the script with a message that names it: nothing is ever answered by guess.
"""

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, cast

from treadle.cli import values
from treadle.cli.asking import Said
from treadle.cli.frame import refused
from treadle.cli.performing import LOOK_AGAIN_MS, Acks, PassedBy, asks_somebody, is_over, let_go
from treadle.compose import OpenProject
from treadle.core.errors import Failure, RequestError
from treadle.core.events import Caller
from treadle.core.values import Json
from treadle.core.view import ActionView, RunView
from treadle.engine.service import Offer

FORM: Final = """\
A script
A YAML or JSON list, the first entry that matches is used. `match` is an action's id, a pattern
(* within a segment, ** anything), or a kind: prompt, approve, delegate, mcp_call.
  - {match: requirements, answer: "by Friday"}
  - {match: "research[*]/read", answers: [{n: 1}, {n: 2}]}     one for each time
  - {match: approve, approve: true}                            or a note; reject: a note
  - {match: deploy, cannot: "no network here"}
  - {match: save, outcome: not_done}                           whose performer was lost
  - {match: slow, hold: true}                                  take it and keep it
What no entry matches is not answered: the script stops there."""
_VERBS: Final = ("answer", "answers", "approve", "reject", "cannot", "outcome", "hold")
_KINDS: Final = frozenset({"prompt", "approve", "delegate", "mcp_call"})
_OUTCOMES: Final = ("done", "not_done", "failed")


@dataclass(slots=True, kw_only=True)
class Entry:
    """One entry of a script; `used` counts how often it was."""

    match: str
    verb: str
    given: Json
    value: Json = None
    used: int = 0
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        """Compile the pattern."""
        self.pattern = re.compile(_regex(self.match))

    def fits(self, action: ActionView) -> bool:
        """Tell whether this entry is for an action, and has an answer left."""
        if not (self.match == action.kind if self.match in _KINDS else self.pattern.fullmatch(action.id)):
            return False
        if (self.verb == "outcome") != (action.waits_for == "outcome"):
            return False
        if action.waits_for != "outcome" and (self.verb in {"approve", "reject"}) != (action.kind == "approve"):
            return False
        return self.verb != "answers" or self.used < len(cast(list[Json], self.given))

    def answer(self) -> Json:
        """Give the next answer."""
        self.used += 1
        return cast(list[Json], self.given)[self.used - 1] if self.verb == "answers" else self.given


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script as it was read; `name` is how it is called in notes and messages."""

    name: str
    entries: tuple[Entry, ...]

    def entry(self, action: ActionView) -> Entry:
        """Give the entry for an action. Raises RequestError `script_has_no_answer`."""
        found = next((entry for entry in self.entries if entry.fits(action)), None)
        if found is None:
            state = ", whose outcome is unknown" if action.waits_for == "outcome" else ""
            raise RequestError(
                f"the script {self.name} has no answer for `{action.id}` ({action.kind}{state}); it was not answered",
                code="script_has_no_answer", hint="add an entry whose `match` names it, or answer it yourself: `treadle resume RUN`",
            )  # fmt: skip
        return found

    def said(self, action: ActionView) -> Said:
        """Give the answer to an action, for a person who takes it over from the script. Raises RequestError."""
        entry = self.entry(action)
        given = entry.answer()
        note = f"from the script {Path(self.name).name}"
        match entry.verb:
            case "approve" | "reject":
                return Said(kind=entry.verb, text=f"{note}: {given}" if isinstance(given, str) else note)
            case "outcome":
                return Said(kind=str(given), value=entry.value, text=note)
            case "cannot":
                return Said(kind="cannot", text=str(given))
            case "hold":
                raise RequestError(f"the script holds `{action.id}` and does not answer it", code="script_has_no_answer")
            case _:
                return Said(kind="value", value=given)

    def unused(self) -> list[str]:
        """Name the entries that nothing matched."""
        return [entry.match for entry in self.entries if not entry.used]


def read_script(file: str) -> Script:
    """Read a script. Raises RequestError `bad_script` that names the entry."""
    data = values.read_file(file)
    rows = data.get("answers") if isinstance(data, dict) else data
    if isinstance(rows, dict):
        # The short form: answers by action id or pattern.
        rows = [{"match": match, "answer": answer} for match, answer in rows.items()]
    if not isinstance(rows, list) or not rows:
        raise RequestError(
            f"{file} holds no list of answers",
            code="bad_script",
            hint="`treadle run --help` shows the form of a script",
        )
    return Script(name=file, entries=tuple(_entry(file, number, row) for number, row in enumerate(rows, 1)))


def _entry(file: str, number: int, row: Json) -> Entry:
    def bad(what: str) -> RequestError:
        return RequestError(
            f"entry {number} of {file} {what}",
            code="bad_script",
            hint=f"an entry has `match` and one of {', '.join(_VERBS)}",
        )

    if not isinstance(row, dict) or not isinstance(row.get("match"), str):
        raise bad("has no `match`")
    verbs = [verb for verb in _VERBS if verb in row]
    known = {"match", "value", *_VERBS}
    if len(verbs) != 1 or not known.issuperset(row):
        raise bad(f"has {', '.join(sorted(set(row) - {'match'})) or 'nothing'} beside `match`")
    verb, given = verbs[0], row[verbs[0]]
    if verb == "answers" and not isinstance(given, list):
        raise bad("has `answers` that are no list")
    if verb == "outcome" and given not in _OUTCOMES:
        raise bad(f"has an `outcome` that is none of {', '.join(_OUTCOMES)}")
    if verb == "cannot" and not isinstance(given, str):
        raise bad("has a `cannot` without a reason")
    if "value" in row and verb != "outcome":
        raise bad("has a `value` without an `outcome`")
    return Entry(match=str(row["match"]), verb=verb, given=given, value=row.get("value"))


def _regex(match: str) -> str:
    """Translate a pattern: `*` stays within a segment, brackets are brackets."""
    return "".join({"**": ".*", "*": "[^/]*"}.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*)", match))


class ScriptPerformer:
    """Performs a run by a script: one performer for the main channel, one for each branch."""

    def __init__(self, opened: OpenProject, run_id: str, script: Script, who: Caller, acks: Acks) -> None:
        """`who` is the person who gave the script: questions and gates are answered in that name, and the note says how."""
        self._opened, self._run_id, self._script, self._who, self._acks = opened, run_id, script, who, acks
        self._branches: dict[str, asyncio.Task[None]] = {}
        self._passed_by = PassedBy()

    async def perform(self) -> None:
        """Answer until the run is over. Raises RequestError `script_has_no_answer`, or what refused an answer."""
        try:
            await self._main()
        finally:
            for task in self._branches.values():
                task.cancel()
            await asyncio.gather(*self._branches.values(), return_exceptions=True)

    async def _main(self) -> None:
        service = self._opened.service
        while True:
            view = await service.look(self._run_id)
            self._raise_from_branches()
            if is_over(view):
                return
            action = next(
                (
                    a
                    for a in view.actions
                    if (not a.channel or a.waits_for == "outcome") and asks_somebody(a) and self._passed_by.may(a, view)
                ),
                None,
            )
            if action is not None:
                await self._perform_one(action, self._by(action, "main"))
                continue
            for branch in view.branches:
                if branch.token not in self._branches:
                    work = self._branch(branch.token, branch.path)
                    self._branches[branch.token] = asyncio.create_task(work, name=branch.path)
            await self._changed_or_failed(view)

    async def _changed_or_failed(self, view: RunView) -> None:
        """Wait until the run has moved, or a branch's performer has ended."""
        changed = asyncio.create_task(self._opened.service.changed(self._run_id, view.revision, LOOK_AGAIN_MS))
        working = [task for task in self._branches.values() if not task.done()]
        try:
            await asyncio.wait([changed, *working], return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()

    def _raise_from_branches(self) -> None:
        for task in self._branches.values():
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _branch(self, token: str, path: str) -> None:
        """Work one branch until it ends, as a sub-agent would: by its token, seeing only its own actions."""
        service = self._opened.service
        by = Caller(kind="agent", name=f"{self._opened.holder}/script {path}")
        while True:
            offer = await service.next_step(self._run_id, by, token=token, wait_ms=LOOK_AGAIN_MS)
            if offer.kind in {"ended", "branch_ended"} or offer.run.parked is not None:
                return
            if offer.refusal is not None:
                raise refused(offer.refusal)
            if offer.action is not None:
                await self._answer(offer.action, by, token)

    async def _perform_one(self, action: ActionView, by: Caller) -> None:
        service, run_id = self._opened.service, self._run_id
        if action.waits_for == "outcome":
            entry = self._script.entry(action)
            word = cast(Literal["done", "not_done", "failed"], entry.answer())
            offer = await service.resolve(run_id, action.id, action.attempt, by, word, value=entry.value, note=self._note(""))
            self._received("outcome", offer, action)
        elif action.kind == "approve":
            entry = self._script.entry(action)
            said = entry.answer()
            note = self._note(said if isinstance(said, str) else "")
            offer = await service.decide(run_id, action.id, action.digest or "", by, approved=entry.verb == "approve", note=note)
            self._received(entry.verb, offer, action)
        else:
            offer = await service.next_step(run_id, by, action=action.id)
            if offer.action is None:
                self._passed_by.note(action, offer.run)
            else:
                await self._answer(offer.action, by, "")

    async def _answer(self, action: ActionView, by: Caller, token: str) -> None:
        service = self._opened.service
        try:
            entry = self._script.entry(action)
        except RequestError:
            await let_go(self._opened, self._run_id, action, by.name)
            raise
        given = entry.answer()
        if entry.verb == "hold":
            await self._hold(action, by)
            return
        failure = Failure(error_class="failed", message=str(given), step=action.id) if entry.verb == "cannot" else None
        value = None if failure is not None else values.clean_value(given)
        offer = await service.submit(
            self._run_id, action.id, action.attempt, by, value=value, failure=failure, token=token, then_next=False
        )
        self._received("answer", offer, action, value)

    async def _hold(self, action: ActionView, by: Caller) -> None:
        """Keep an action, as a performer that is still at work, for as long as nobody takes it away."""
        service = self._opened.service
        held = True
        while held:
            await asyncio.sleep(service.lease_ms / 3000)
            held = await service.heartbeat(self._run_id, action.id, action.attempt, by.name) is not None

    def _received(self, what: str, offer: Offer, action: ActionView, value: Json = None) -> None:
        """Write an acknowledged reply down; a refused answer ends the script, which cannot mend it."""
        if offer.refusal is not None:
            raise RequestError(
                f"the script's answer to `{action.id}` was refused: {offer.refusal.message}", code=offer.refusal.code,
                hint=offer.refusal.hint, details=offer.refusal.details,
            )  # fmt: skip
        self._acks.note(what, offer, action=action.id, attempt=action.attempt, value=value)

    def _by(self, action: ActionView, name: str) -> Caller:
        """Questions are answered in the name of the person who gave the script, work by a performer of its own."""
        if action.kind in {"prompt", "approve"} or action.waits_for == "outcome":
            return self._who
        return Caller(kind="agent", name=f"{self._opened.holder}/script {name}")

    def _note(self, note: str) -> str:
        return f"by the script {Path(self._script.name).name}" + (f": {note}" if note else "")
