"""The form of test files as a table: every field, what it may hold, what it is for. Reading, JSON Schema and the reference page walk it.

A `*.test.yaml` file holds one case, or several under `cases` with what they share beside it. A script for `treadle run --script` is the list
that stands under `answers`, or such a file.
"""

from collections.abc import Iterator
from typing import Final

from treadle.authoring import kinds as k
from treadle.authoring.json_schema import document_schema
from treadle.core.values import Json

KINDS: Final = ("prompt", "approve", "delegate", "mcp_call", "http", "shell", "function", "run", "merge", "verify")
STATUSES: Final = ("completed", "completed_degraded", "goal_not_met", "failed", "cancelled", "waiting", "parked")
ACTION: Final = k.Text(what="an action's id, a pattern of ids, or a kind of action")
_CLASS = k.Text(what="a class of failure", pattern=r"[a-z][a-z0-9_]*")
_DECISION = k.Either(kinds=(k.Flag(), k.Text(what="a note", braces=True)))
_PHRASES = k.ListOf(kind=k.Text(what="a piece of text", braces=True), alone=True, count_min=1)


def _field(kind: k.Kind, doc: str, *, required: bool = False, default: Json = None) -> k.Field:
    return k.Field(kind=kind, doc=doc, required=required, default=default)


# One row per field reads better than one line per argument.
# fmt: off
_FAIL = k.Record(fields={
    "class": _field(_CLASS, "class of the failure, which `retry` and `error.class` see", required=True),
    "message": _field(k.Text(braces=True), "what it says"),
    "result": _field(k.Anything(), "data that the failure carries"),
})
VERBS: Final[dict[str, k.Field]] = {
    "answer": _field(k.Anything(), "the value of the action, as often as it is asked for"),
    "answers": _field(k.ListOf(kind=k.Anything(), count_min=1), "a value for each time"),
    "approve": _field(_DECISION, "a person approves: `true`, or the note"),
    "reject": _field(_DECISION, "a person rejects: `true`, or the note"),
    "fail": _field(_FAIL, "the performer fails"),
    "cannot": _field(k.Text(what="a reason", braces=True), "the performer says that it cannot be done: a failure of class `failed`"),
    "lost": _field(k.Flag(), "what Treadle itself calls is lost: nobody knows whether it was done"),
    "outcome": _field(k.Words(words=("done", "not_done", "failed"), first_is_default=False), "a person says what became of a lost action"),
    "hold": _field(k.Flag(), "it is taken and never answered"),
    "advance": _field(k.Duration(), "it is not answered for so long; then the next entry counts"),
    "cancel": _field(k.Text(what="a reason", braces=True), "a person ends the run while it is open"),
}
MODIFIERS: Final[dict[str, k.Field]] = {
    "value": _field(k.Anything(), "with `outcome: done`, the value of the action"),
    "after": _field(k.Duration(), "how long the performer takes, on the test's clock; timers that are due before fire first", default="0s"),
    "times": _field(k.Whole(minimum=1), "how often the entry is used; then the next one that matches counts"),
    "optional": _field(k.Flag(), "the test passes also when nothing uses the entry", default=False),
    "by": _field(k.Text(what="the name of a person"), "person who answers or decides; without it `user`"),
}
ENTRY: Final = k.Record(fields={"match": _field(ACTION, "which actions it is for", required=True), **VERBS, **MODIFIERS})

_SHOWN = k.Record(fields={
    "match": _field(ACTION, "which actions", required=True),
    "contains": _field(_PHRASES, "text that each of them shows its performer"),
    "not_contains": _field(_PHRASES, "text that none of them shows"),
})
_CALL = k.Record(fields={
    "tool": _field(k.Text(what="`server.tool`"), "which tool", required=True),
    "match": _field(ACTION, "only the calls of these actions"),
    "parameters": _field(k.Anything(), "its arguments, exactly"),
    "parameters_include": _field(k.Anything(), "its arguments; keys that are not named are free"),
    "times": _field(k.Whole(), "how many such calls there are, attempts counted; without it at least one"),
})
_FAILURE: Final[dict[str, k.Field]] = {
    "class": _field(_CLASS, "its class"),
    "message": _field(k.Text(what="a piece of text", braces=True), "text that its message holds"),
}
_RUN_FAILURE: Final[dict[str, k.Field]] = {**_FAILURE, "step": _field(ACTION, "step where it began, by id or pattern")}
_STEP_FAILURE: Final[dict[str, k.Field]] = {"match": _field(ACTION, "the step, by id or pattern", required=True), **_FAILURE}
EXPECT: Final[dict[str, k.Field]] = {
    "status": _field(k.Words(words=STATUSES, first_is_default=False), "how the run ends (or stands, where nothing moves it any more); without it `completed`, with `failure` `failed`"),
    "result": _field(k.Anything(), "what the run returns, exactly"),
    "result_includes": _field(k.Anything(), "what the run returns; keys that are not named are free, at every depth"),
    "state": _field(k.MapOf(kind=k.Anything()), "state fields at the end; only those that are named are compared, each exactly"),
    "order": _field(k.ListOf(kind=ACTION), "every action in the order in which they were begun; a pattern or kind stands for one or more in a row"),
    "failure": _field(k.Record(fields=_RUN_FAILURE), "why the run failed"),
    "failures": _field(k.ListOf(kind=k.Record(fields=_STEP_FAILURE), alone=True), "steps that failed, handled or not; `[]` says that none did"),
    "shown": _field(k.ListOf(kind=_SHOWN, alone=True, count_min=1), "what performers were shown, and what not"),
    "calls": _field(k.ListOf(kind=_CALL, alone=True), "tools that were called; a call of a named tool that no entry describes is a failure, and `[]` says that none was called"),
    "undo": _field(k.Words(words=("none", "done", "incomplete", "kept"), first_is_default=False), "what became of taking back what the run did; `kept` says that `treadle undo` could"),
    "unread_signals": _field(k.ListOf(kind=k.Text(what="the name of a signal", pattern=k.ID)), "signals that no step had read at the end, exactly; `[]` says that all were"),
    "refused": _field(k.Text(what="the code of a refusal", pattern=r"[a-z][a-z0-9_]*"), "the run is not even started, with this code"),
}
SHARED: Final[dict[str, k.Field]] = {
    "description": _field(k.Text(braces=True), "what it shows, for people"),
    "workflow": _field(k.Text(what="the name or file of a workflow"), "which workflow; without it the file beside this one: `x.yaml` for `x.test.yaml`"),
    "inputs": _field(k.MapOf(kind=k.Anything(), count_min=0), "inputs of the run"),
    "user": _field(k.Text(what="the name of a person"), "who starts the run, answers and decides", default="tester"),
    "clock": _field(k.Text(what="an instant with its zone"), "when the run starts; the clock stands until an answer takes time or nothing else is left to do", default="2026-01-01T00:00:00Z"),
    "answers": _field(k.Either(kinds=(k.ListOf(kind=ENTRY), k.MapOf(kind=k.Anything()))), "what performers, people and tools answer: the first entry that matches is used, a case's own before the shared ones"),
    "signals": _field(k.ListOf(kind=k.Record(fields={
        "name": _field(k.Text(what="the name of a signal", pattern=k.ID), "which signal", required=True),
        "payload": _field(k.Anything(), "what it carries"),
        "after": _field(k.Duration(), "when it comes, from the start; a timer of the same instant fires first", default="0s"),
    })), "signals that the run gets, from whoever `user` names; one that does not fit its step, or comes after the end, fails the test"),
    "expect": _field(k.Record(fields=EXPECT), "what must hold at the end"),
}
CASE: Final[dict[str, k.Field]] = {"name": _field(k.Text(what="a name", braces=True), "name of the case", required=True), **SHARED}
CASE_KIND: Final = k.Record(fields=CASE)
FILE: Final[dict[str, k.Field]] = {
    "name": _field(k.Text(what="a name", braces=True), "name of the only case; the file's stem without it"),
    **SHARED,
    "cases": _field(k.ListOf(kind=CASE_KIND, count_min=1), "several cases; inputs are merged by name, `expect` by field, and the case's own win"),
}
# fmt: on


def test_file_schema() -> dict[str, Json]:
    """Give the JSON Schema of a test file, draft 2020-12, for editors."""
    return document_schema("Treadle test", "Cases of a workflow: what is given, what is answered, and what must come of it.", FILE)


def tables() -> Iterator[tuple[str, str, dict[str, k.Field]]]:
    """Give each table of the reference page: its title, what it is about, its fields."""
    also = "An entry of `cases` has the same fields but `cases`; its `name` must be there."
    yield "The file", f"One case, or several under `cases` with what they share beside it. {also}", FILE
    yield "An answer", "An entry of `answers`: `match`, and one of these.", VERBS
    yield "Beside an answer", "What else may stand in an entry of `answers`.", MODIFIERS
    yield "A failure that is answered", "The fields of `fail`.", _FAIL.fields
    yield "What is expected", "The fields of `expect`; what is not named is not compared, but for the status.", EXPECT
    yield "How the run failed", "The fields of `failure`.", _RUN_FAILURE
    yield "A step that failed", "The fields of an entry of `failures`.", _STEP_FAILURE
    yield "What was shown", "The fields of an entry of `shown`.", _SHOWN.fields
    yield "A call", "The fields of an entry of `calls`.", _CALL.fields
