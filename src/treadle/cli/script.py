"""The script performer: gives answers that were written down before to the actions that they were written for, and to no others.

The form of a script is that of a test's `answers` (`treadle.testing.script`); a `*.test.yaml` file is a script too. Here the run is real: Treadle
calls tools itself, time is the clock's, and whatever a person says is said in the name of whoever gave the script.

Each branch of a fan-out is worked by a performer of its own, with its own holder and token, at the same time. An action that no entry matches
stops the script with a message that names it: nothing is ever answered by guess.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from treadle.authoring.problems import Problem, has_errors, render
from treadle.cli import values
from treadle.cli.asking import Said
from treadle.cli.frame import refused
from treadle.cli.performing import LOOK_AGAIN_MS, Acks, PassedBy, asks_somebody, is_over, let_go
from treadle.compose import OpenProject
from treadle.core.errors import RequestError
from treadle.core.events import Caller
from treadle.core.values import Json
from treadle.engine.service import Offer
from treadle.testing.script import Entry, failure_of, mends
from treadle.view import ActionView, RunView

FORM: Final = """\
A script
A YAML or JSON list, the first entry that matches is used; or a test file (FILE.test.yaml, with
several cases FILE.test.yaml::CASE), whose answers are given. `match` is an action's id, a pattern
(* within a segment, ** anything), or a kind: prompt, approve, delegate, mcp_call.
  - {match: requirements, answer: "by Friday"}
  - {match: "research[*]/read", answers: [{n: 1}, {n: 2}]}     one for each time
  - {match: approve, approve: true}                            or a note; reject: a note
  - {match: deploy, cannot: "no network here"}
  - {match: deploy, fail: {class: timeout}, times: 1}          then the next entry that matches
  - {match: save, outcome: not_done}                           whose performer was lost
  - {match: slow, hold: true}                                  take it and keep it
  - {match: slow, cancel: "enough"}                            end the run there
What no entry matches is not answered: the script stops there. Times (after, advance) belong to
tests: here an answer comes at once."""
# A person's word is given in the name of whoever gave the script; a file cannot speak for somebody else.
CHILD_COMES_S: Final = 0.05
_TEST_ONLY: Final = frozenset({"advance", "lost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script as it was read; `name` is how it is called in notes and messages."""

    name: str
    entries: tuple[Entry, ...]

    def entry(self, action: ActionView) -> Entry:
        """Give the entry for an action. Raises RequestError `script_has_no_answer`."""
        found = next((entry for entry in self.entries if entry.verb not in _TEST_ONLY and entry.fits(action)), None)
        if found is None:
            state = ", whose outcome is unknown" if action.waits_for == "outcome" else ""
            raise RequestError(
                f"the script {self.name} has no answer for `{action.id}` ({action.kind}{state}); it was not answered",
                code="script_has_no_answer", hint="add an entry whose `match` names it, or answer it yourself: `treadle resume RUN`",
            )  # fmt: skip
        return found

    def mends(self, entry: Entry, action: ActionView, code: str) -> bool:
        """Tell whether another answer follows one that was refused; the same again would be refused again."""
        found = next((each for each in self.entries if each.verb not in _TEST_ONLY and each.fits(action)), None)
        return mends(entry, found, code)

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
            case "hold" | "cancel" | "fail":
                raise RequestError(f"the script has no answer to `{action.id}`: it says `{entry.verb}`", code="script_has_no_answer")
            case _:
                return Said(kind="value", value=given)

    def unused(self) -> list[str]:
        """Name the entries of which nothing was used."""
        return [entry.match for entry in self.entries if not entry.used and not entry.optional and entry.verb not in _TEST_ONLY]


def read_script(file: str) -> Script:
    """Read a script, or the answers of a test file. Raises RequestError `bad_script` with every fault."""
    # The YAML reader: only where a script is given.
    from treadle.authoring.yaml_reader import read_bytes

    # As above.
    from treadle.testing.reading import SUFFIXES, read_answers

    path, _, case = file.partition("::")
    if path.endswith(SUFFIXES):
        return _of_tests(path, case)
    document = read_bytes(values.read_bytes_of(file), "standard input" if file == "-" else file)
    script, problems = read_answers(document, file)
    _check(file, problems, document.source.text)
    return Script(name=file, entries=script.entries)


def _of_tests(path: str, name: str) -> Script:
    # As above.
    from treadle.testing.reading import read_tests

    # So that what cannot be opened is told as for any other file.
    values.read_bytes_of(path)
    found = read_tests(Path(path), path)
    _check(path, found.problems, found.document.source.text)
    cases = [case for case in found.cases if not name or case.name == name]
    if len(cases) != 1:
        names = ", ".join(case.name for case in found.cases)
        message = f"{path} has no case {name!r}" if name else f"{path} has {len(cases)} cases"
        raise RequestError(message, code="bad_script", hint=f"name one: {path}::{found.cases[0].name}; there are: {names}")
    return Script(name=path, entries=cases[0].script.entries)


def _check(file: str, problems: tuple[Problem, ...], text: str) -> None:
    if has_errors(problems):
        shown = render(problems, {problem.file: text for problem in problems})
        raise RequestError(
            f"{file} is no script:\n\n{shown}", code="bad_script", hint="`treadle run --help` shows the form of a script",
            details={"problems": [problem.to_json() for problem in problems]},
        )  # fmt: skip


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
            for action in view.actions:
                if action.child is not None and action.child not in self._branches:
                    self._branches[action.child] = asyncio.create_task(self._child(action.child), name=action.id)
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

    async def _child(self, run_id: str) -> None:
        """Perform a child run by the same script, in which its steps go by their own ids."""
        service = self._opened.service
        while True:
            try:
                await service.look(run_id)
                break
            except RequestError as error:
                if error.code != "unknown_run":
                    raise
                await asyncio.sleep(CHILD_COMES_S)  # its start is under way
        await ScriptPerformer(self._opened, run_id, self._script, self._who, self._acks).perform()

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
        if action.waits_for != "outcome" and action.kind != "approve":
            offer = await service.next_step(run_id, by, action=action.id)
            if offer.action is None:
                self._passed_by.note(action, offer.run)
            else:
                await self._answer(offer.action, by, "")
            return
        entry = self._entry(action)
        if entry.verb == "cancel":
            await self._cancel(entry)
        elif entry.verb == "hold":
            self._passed_by.note(action, await service.look(run_id))
        elif action.waits_for == "outcome":
            word = cast(Literal["done", "not_done", "failed"], entry.answer())
            offer = await service.resolve(run_id, action.id, action.attempt, by, word, value=entry.value, note=self._note(""))
            self._received("outcome", offer, action)
        else:
            said = entry.answer()
            note = self._note(said if isinstance(said, str) else "")
            offer = await service.decide(run_id, action.id, action.digest or "", by, approved=entry.verb == "approve", note=note)
            self._received(entry.verb, offer, action)

    async def _answer(self, action: ActionView, by: Caller, token: str) -> None:
        service = self._opened.service
        try:
            entry = self._entry(action)
        except RequestError:
            await let_go(self._opened, self._run_id, action, by.name)
            raise
        if entry.verb == "cancel":
            await let_go(self._opened, self._run_id, action, by.name)
            await self._cancel(entry)
            return
        given = entry.answer()
        if entry.verb == "hold":
            await self._hold(action, by)
            return
        failure = failure_of(entry.verb, given, action.id)
        value = None if failure is not None else values.clean_value(given)
        offer = await service.submit(
            self._run_id, action.id, action.attempt, by, value=value, failure=failure, token=token, then_next=False
        )
        if offer.refusal is not None and self._script.mends(entry, action, offer.refusal.code):
            again = await service.next_step(self._run_id, by, token=token, action=action.id)
            if again.action is not None:
                await self._answer(again.action, by, token)
                return
        self._received("answer", offer, action, value)

    def _entry(self, action: ActionView) -> Entry:
        """Give the entry for an action. Raises RequestError, also where it speaks for somebody who is not here."""
        entry = self._script.entry(action)
        if entry.by and entry.by != self._who.name:
            raise RequestError(
                f"the script's entry for `{action.id}` speaks for {entry.by}, and you are {self._who.name}; it was not answered",
                code="script_has_no_answer", hint="in a real run a script answers in your name: delete `by`, or have them decide",
            )  # fmt: skip
        return entry

    async def _cancel(self, entry: Entry) -> None:
        """End the run, as the script says."""
        offer = await self._opened.service.cancel(self._run_id, self._who, str(entry.answer()))
        if offer.refusal is not None:
            raise refused(offer.refusal)

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
