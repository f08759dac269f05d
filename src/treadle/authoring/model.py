"""The language as a table: every step type and field an author can write (language.md §1, §2, §9), and what each may hold.

Reading, checking, JSON Schema and the reference page walk this table; a field that is not here is an error in every file. What is marked
`later` is read and checked like all else, and keeps its workflow from being started, by name (ruling 62).

It is data rather than pydantic models: places of faults, words about where templates may stand and "not yet" would all have to be put beside
the models, importing pydantic costs more time than checking a large file, and JSON Schema is short to write out.
"""

from typing import Final

from treadle.authoring import kinds as k
from treadle.core.errors import RETRY_DEFAULT
from treadle.core.values import Json

_STEP_ID = k.Text(what="the id of a step", pattern=k.ID, characters_max=k.NAME_CHARACTERS_MAX)
_STATE_NAME = k.Text(what="the name of a state field", pattern=k.NAME, characters_max=k.NAME_CHARACTERS_MAX)
_NAME = k.Text(what="a name", pattern=k.NAME, characters_max=k.NAME_CHARACTERS_MAX)
_WORKFLOW = k.Text(what="the name of a workflow or task", pattern=r"[A-Za-z_][A-Za-z0-9_./:-]*", characters_max=k.TOOL_CHARACTERS_MAX)
_AGENT = k.Text(
    what="the name of an agent, as `@name` or `name`",
    pattern=r"@?[a-z][a-z0-9-]*(:[a-z][a-z0-9-]*)*",
    characters_max=k.NAME_CHARACTERS_MAX,
)
_TEXTS = k.ListOf(kind=k.Text(), alone=True)


def _field(kind: k.Kind, doc: str, *, required: bool = False, later: bool = False, default: Json = None) -> k.Field:
    return k.Field(kind=kind, doc=doc, required=required, later=later, default=default)


# One row per field reads better than one line per argument.
# fmt: off
_BUDGET = k.Record(fields={
    "tokens": _field(k.Whole(minimum=1), "tokens, as performers report them"),
    "usd": _field(k.Amount(), "money, as performers report it"),
    "calls": _field(k.Whole(minimum=1), "attempts of delegate, mcp_call, http and function above effect none"),
    "wall": _field(k.Duration(), "time on the clock"),
    "on_exceed": _field(k.Words(words=("stop", "ask", "degrade")), "what a spent budget does"),
})
_TOOLS = k.Record(fields={
    "allow": _field(_TEXTS, "tools that may be used"), "deny": _field(_TEXTS, "tools that may not"),
})
_PEOPLE: Final[dict[str, k.Field]] = {
    "user": _field(_TEXTS, "name of the person who decides, or several of whom one does"),
    "role": _field(_TEXTS, "role of the person who decides"),
    "any_of": _field(k.ListOf(kind=k.Record(fields={
        "user": _field(k.Text(), "a person"), "role": _field(k.Text(), "a role"),
    }, one_of=True), count_min=1), "several people or roles"),
    "never": _field(_TEXTS, "`starter` and names of people who may not decide"),
    "distinct_from": _field(k.ListOf(kind=_STEP_ID, alone=True), "gates whose deciders may not decide this one"),
    "count": _field(k.Whole(minimum=1, maximum=20), "how many people must approve"),
}
_BY = k.Record(fields=_PEOPLE)
_RETRY = k.Record(fields={
    "attempts": _field(k.Whole(minimum=1, maximum=100), "tries in all", required=True),
    "backoff": _field(k.Duration(), "longest wait before the second try; doubled for each further one", default="1s"),
    "max_backoff": _field(k.Duration(), "bound of that wait", default="1m"),
    "on": _field(k.ListOf(kind=k.Text(what="a class of failure", pattern=r"[a-z][a-z0-9_]*"), alone=True, count_min=1), "classes of failure that are retried", default=list(RETRY_DEFAULT)),
})
_ON_ERROR = k.Either(kinds=(
    k.Words(words=("fail", "continue")),
    k.Record(fields={"fallback": _field(k.Value(), "the step's result instead"), "do": _field(k.Steps(), "steps instead")}, one_of=True),
))
_CHECK = k.Record(fields={
    "shell": _field(k.Either(kinds=(k.Template(), k.ListOf(kind=k.Template(), count_min=1))), "command that must exit with 0"),
    "files": _field(k.Either(kinds=(k.ListOf(kind=k.Either(kinds=(k.Template(), k.Record(fields={
        "path": _field(k.Template(), "file or glob", required=True),
        "changed": _field(k.Flag(), "must have changed since the step opened"),
        "sha256": _field(k.Text(pattern="[0-9a-f]{64}", what="a SHA-256 in hex"), "its digest"),
    }))), alone=True),)), "files that must be there"),
    "schema": _field(k.Schema(), "JSON Schema that the answer must fit"),
    "expression": _field(k.Condition(), "condition that must hold"),
    "message": _field(k.Template(), "with `expression`: what is wrong where it does not hold, for whoever mends it"),
}, one_of=True, beside={"message": "expression"})

COMMON: Final[dict[str, k.Field]] = {
    "id": _field(_STEP_ID, "name of the step, unique in the file; left out, it is `<type>_<n>` and cannot be referred to"),
    "description": _field(k.Text(braces=True), "what it is for, for people"),
    "when": _field(k.Condition(), "the step is skipped when this is false"),
    "needs_state": _field(k.ListOf(kind=k.Text(what="a state field, dotted paths allowed", pattern=rf"\*|{k.NAME}(\.[A-Za-z0-9_-]+)*")), "what the step may read of the state; inferred where absent"),
    "output_to": _field(_STATE_NAME, "state field that takes the result"),
    "timeout": _field(k.Duration(), "bound of one attempt, from its claim"),
    "within": _field(k.Duration(), "bound of the step, from its opening"),
    "retry": _field(_RETRY, "tries again after failures; nothing is retried without it"),
    "on_error": _field(_ON_ERROR, "what a failure that is not retried does"),
    "effect": _field(k.Words(words=("none", "read", "write", "send", "pay", "destroy"), first_is_default=False), "what it may do to the world"),
    "repeatable": _field(k.Flag(), "doing it again at worst wastes work"),
    "idempotency_key": _field(k.Template(), "`auto`, or text by which the callee knows a repeated call"),
    "read_back": _field(k.Steps(), "steps that find out whether an attempt whose answer was lost was done"),
    "requires": _field(k.Either(kinds=(k.ListOf(kind=_STEP_ID, alone=True, count_min=1), k.Record(fields={
        "by": _field(_BY, "who must approve the call", required=True),
        "assurance": _field(k.Words(words=("local", "relayed", "proven"), later=("proven",)), "how sure it must be who that was"),
        "within": _field(k.Duration(), "bound of the wait"),
    }))), "approval that must stand before it is done"),
    "verify": _field(k.ListOf(kind=_CHECK, alone=True, count_min=1), "checks that Treadle runs before the step counts as done"),
    "cache": _field(k.Either(kinds=(k.Flag(), k.Record(fields={
        "ttl": _field(k.Duration(), "how long a result is used again"), "commit": _field(k.Flag(), "only at the same git commit"),
    }))), "uses an earlier result of the same work"),
    "budget": _field(_BUDGET, "what it may cost"),
    "tools": _field(_TOOLS, "which tools an agent may use in it", later=True),
    "isolation": _field(k.Words(words=("worktree",), first_is_default=False), "a git worktree of its own: for the step, for each item of a foreach, for each branch of a parallel"),
    "finally": _field(k.Steps(), "steps that run whatever happened"),
    "undo": _field(k.Steps(), "steps that take it back when the run fails later"),
}

_NO_RESULT = "would take a result, and there is none"
_NO_FILES = "is for steps that work with files"
_NO_ATTEMPT = "is about attempts, and nothing is attempted here"
_BLOCK_TIMEOUT = "bounds an attempt, and a block makes none; bound it with `within`"
_BLOCK: Final = {
    **dict.fromkeys(("retry", "cache", "verify", "effect", "repeatable", "idempotency_key", "read_back", "requires"), "belongs on the steps inside the block"),
    "timeout": _BLOCK_TIMEOUT,
}
_BLOCK_WITHOUT_RESULT: Final = {**_BLOCK, "output_to": _NO_RESULT}
_AT_ONCE: Final = dict.fromkeys(
    ("timeout", "within", "retry", "effect", "repeatable", "idempotency_key", "read_back", "requires", "verify", "cache",
     "budget", "tools", "isolation"), _NO_ATTEMPT,
) | {"output_to": _NO_RESULT}
_WAITING: Final = {
    "timeout": "bounds an attempt, and waiting is none; bound it with `within`", "retry": _NO_ATTEMPT, "repeatable": _NO_ATTEMPT,
    "idempotency_key": _NO_ATTEMPT, "read_back": _NO_ATTEMPT, "effect": "is `none` here, always", "cache": "keeps results, and this is decided anew each time",
    "requires": "belongs on the step behind it, which does something", "verify": "checks an answer, and there is none here",
    "isolation": _NO_FILES,
}
_HERE_OR_AGENT = _field(k.Words(words=("server", "agent")), "who does it: Treadle itself, or the agent that drives the run")


def _type(doc: str, main: str, fields: dict[str, k.Field], without: dict[str, str] | None = None, *, later: bool = False) -> k.StepType:
    return k.StepType(doc=doc, main=main, fields=fields, without=without or {}, later=later)


TYPES: Final[dict[str, k.StepType]] = {
    "prompt": _type("Ask whoever drives the run.", "message", {
        "message": _field(k.Template(), "what is asked", required=True),
        "format": _field(k.Words(words=("text", "info", "confirm", "choice", "form")), "form of the answer"),
        "options": _field(k.Items(), "what can be chosen, with format `choice`"),
        "multiple": _field(k.Flag(), "several may be chosen", default=False),
        "fields": _field(k.Entries(), "what is asked for, with format `form`"),
        "default": _field(k.Value(), "answer that is offered"),
        "pattern": _field(k.Text(what="a regular expression", braces=True), "what a text must match"),
        "min_length": _field(k.Whole(), "least characters of a text"),
        "max_length": _field(k.Whole(minimum=1), "most characters of a text"),
        "performer": _field(k.Words(words=("human", "agent")), "who answers"),
    }),
    "approve": _type("Ask a person to decide about exactly what is shown.", "show", {
        "show": _field(k.Value(), "what is decided about", required=True),
        "by": _field(_BY, "who may decide; without it any person"),
        "assurance": _field(k.Words(words=("local", "relayed", "proven"), later=("proven",)), "how sure it must be who decided"),
        "on_timeout": _field(k.Words(words=("reject",)), "what it means when nobody decides in time"),
        "on_reject": _field(k.Either(kinds=(k.Words(words=("fail", "continue")), k.Record(fields={"do": _field(k.Steps(), "steps instead", required=True)}))), "what a rejection does"),
    }, _WAITING),
    "delegate": _type("Have an agent do it.", "instructions", {
        "instructions": _field(k.Template(), "what is to be done", required=True),
        "agent": _field(_AGENT, "who does it; `@task` is a fresh general sub-agent, without one the agent that drives the run"),
        "skill": _field(k.Text(what="the name of a skill"), "skill that it follows", later=True),
        "output": _field(k.Schema(), "JSON Schema of the answer"),
        "reads": _field(_TEXTS, "files that it reads", later=True),
        "writes": _field(_TEXTS, "files that it may write", later=True),
        "repair": _field(k.Whole(maximum=20), "refused answers that may be mended", default=2),
        "model": _field(k.Text(what="the name of a model"), "model that does it headless", later=True),
        "performer": _field(k.Words(words=("agent", "headless"), later=("headless",)), "an agent that asks for its steps, or one that Treadle starts"),
    }),
    "mcp_call": _type("Call a tool of an MCP server.", "tool", {
        "tool": _field(k.Text(what="`server.tool`", pattern=r"[A-Za-z0-9_-]+\.[A-Za-z0-9_./:-]+", characters_max=k.TOOL_CHARACTERS_MAX * 2), "`server.tool`", required=True),
        "parameters": _field(k.Value(shape="map", secrets=True), "arguments of the tool"),
        "performer": _HERE_OR_AGENT,
    }),
    "http": _type("Send a request.", "url", {
        "url": _field(k.Template(), "where to", required=True),
        "method": _field(k.Words(words=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")), "method"),
        "headers": _field(k.Value(shape="map", secrets=True), "header fields"),
        "query": _field(k.Value(shape="map"), "query parameters"),
        "json": _field(k.Value(secrets=True), "body as JSON"),
        "body": _field(k.Value(secrets=True), "body as text"),
        "ok_status": _field(k.ListOf(kind=k.Whole(minimum=100, maximum=599), alone=True, count_min=1), "statuses that are no failure (200 to 299)"),
        "performer": _HERE_OR_AGENT,
    }),
    "shell": _type("Run a command.", "command", {
        "command": _field(k.Either(kinds=(k.ListOf(kind=k.Template(), count_min=1), k.Template())), "a list runs without a shell, a text in one", required=True),
        "env": _field(k.Value(shape="map", secrets=True), "environment variables"),
        "working_dir": _field(k.Template(), "where it runs, below the project"),
        "ok_exit": _field(k.ListOf(kind=k.Whole(maximum=255), alone=True, count_min=1), "exit codes that are no failure", default=[0]),
        "parse": _field(k.Words(words=("text", "json", "lines")), "what its output is read as"),
        "performer": _HERE_OR_AGENT,
    }),
    "function": _type("Call a registered function.", "function", {
        "function": _field(k.Text(what="the name of a function", pattern=rf"{k.NAME}(\.{k.NAME})*"), "which one", required=True),
        "parameters": _field(k.Value(shape="map"), "its arguments"),
    }),
    "set_state": _type("Write state fields, in order, all or none.", "updates", {
        "updates": _field(k.Exprs(), "field and value; later ones see earlier ones", required=True),
        "let": _field(k.Exprs(), "values that are not stored"),
    }, {"output_to": _NO_RESULT, "isolation": _NO_FILES} | dict.fromkeys(("timeout", "retry", "effect", "repeatable", "idempotency_key", "read_back", "requires", "verify", "cache"), _NO_ATTEMPT)),
    "condition": _type("Choose one of two lists.", "if", {
        "if": _field(k.Condition(), "what decides", required=True),
        "then": _field(k.Steps(), "steps when it holds"),
        "else": _field(k.Steps(), "steps when it does not"),
    }, _BLOCK_WITHOUT_RESULT),
    "switch": _type("Choose one of several lists.", "value", {
        "value": _field(k.Template(), "what decides", required=True),
        "cases": _field(k.MapOf(kind=k.Steps()), "text and steps", required=True),
        "default": _field(k.Steps(), "steps when no case fits"),
    }, _BLOCK_WITHOUT_RESULT),
    "foreach": _type("Do a task or a list of steps per item.", "items", {
        "items": _field(k.Items(), "the list", required=True),
        "task": _field(_WORKFLOW, "task that each item gets, with a state of its own"),
        "do": _field(k.Steps(), "steps that each item gets, in this state"),
        "inputs": _field(k.Exprs(), "inputs of the task, from `item` and `loop`"),
        "as": _field(_NAME, "another name for `item`"),
        "agent": _field(_AGENT, "agent that works each item; `@task` is a fresh general sub-agent"),
        "max_parallel": _field(k.Whole(minimum=1, maximum=256), "items at once", default=10),
        "sequential": _field(k.Flag(), "one after the other", default=False),
        "on_item_error": _field(k.Words(words=("fail", "collect")), "what a failed item does"),
        "min_success": _field(k.Either(kinds=(k.Whole(minimum=1), k.Text(what='a number, or a share such as "60%"', pattern=r"(100|[1-9]?[0-9])%"))), "how many items must succeed"),
        "output": _field(k.Value(), "result of a round of `do`"),
    }, _BLOCK),
    "parallel": _type("Do several lists at once.", "branches", {
        "branches": _field(k.MapOf(kind=k.Steps(), key=k.ID), "name and steps", required=True),
        "join": _field(k.Either(kinds=(k.Words(words=("all", "any")), k.Whole(minimum=1))), "how many must succeed"),
    }, _BLOCK),
    "while": _type("Repeat while a condition holds.", "condition", {
        "condition": _field(k.Condition(), "asked before each round", required=True),
        "do": _field(k.Steps(), "steps of a round", required=True),
        "max_iterations": _field(k.Whole(minimum=1, maximum=1_000_000), "bound of the rounds", required=True),
        "on_limit": _field(k.Words(words=("fail", "continue")), "what reaching it does"),
    }, _BLOCK_WITHOUT_RESULT),
    "repeat": _type("Repeat until a condition holds.", "until", {
        "until": _field(k.Condition(), "asked after each round", required=True),
        "do": _field(k.Steps(), "steps of a round", required=True),
        "max_iterations": _field(k.Whole(minimum=1, maximum=1_000_000), "bound of the rounds", required=True),
        "on_limit": _field(k.Words(words=("fail", "continue")), "what reaching it does"),
    }, _BLOCK_WITHOUT_RESULT),
    "break": _type("Leave the loop.", "", {}, _AT_ONCE),
    "continue": _type("Go on with the next round.", "", {}, _AT_ONCE),
    "goto": _type("Go on at another step.", "target", {
        "target": _field(_STEP_ID, "step of this list or of an enclosing one", required=True),
        "max_visits": _field(k.Whole(minimum=1, maximum=100_000), "how often it may be taken", required=True),
    }, _AT_ONCE),
    "wait": _type("Wait for time or for a signal.", "duration", {
        "duration": _field(k.Duration(), "how long"),
        "until": _field(k.Template(), "an instant with its zone"),
        "signal": _field(k.Text(what="the name of a signal", pattern=k.ID), "which signal"),
        "payload": _field(k.Schema(), "JSON Schema of what the signal carries"),
    }, _WAITING),
    "run": _type("Run another workflow.", "workflow", {
        "workflow": _field(_WORKFLOW, "which one", required=True),
        "version": _field(k.Text(what="a version of three parts", pattern=r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?"), "which version of it"),
        "inputs": _field(k.Exprs(), "its inputs"),
        "close_policy": _field(k.Words(words=("cancel", "wait", "abandon")), "what becomes of it when this run ends"),
        "detach": _field(k.Flag(), "do not wait for it", default=False),
    }),
    "merge": _type("Merge what was changed in the worktrees of a step.", "from", {
        "from": _field(_STEP_ID, "step whose worktrees they are", required=True),
        "strategy": _field(k.Words(words=("merge", "ours", "theirs", "union")), "what becomes of lines that both sides changed: a conflict, those that are there, those of the worktree, or both"),
    }),
    "return": _type("End the task or run, with a value.", "value", {
        "value": _field(k.Value(), "the value", required=True),
    }, _AT_ONCE),
    "fail": _type("End the task or run as failed.", "message", {
        "message": _field(k.Template(), "why", required=True),
        "class": _field(k.Text(what="a class of failure", pattern=r"[a-z][a-z0-9_]*"), "class that `retry` and `error.class` see"),
        "status": _field(k.Words(words=("failed", "goal_not_met")), "how the run ends"),
    }, _AT_ONCE),
    "flow": _type("Run a flow of the library.", "flow", {
        "flow": _field(_WORKFLOW, "which one", required=True), "inputs": _field(k.Exprs(), "its inputs"),
    }, later=True),
    "integration": _type("Use an installed integration.", "integration", {
        "integration": _field(_WORKFLOW, "which one", required=True), "inputs": _field(k.Exprs(), "its inputs"),
    }, later=True),
}
SHORTHANDS: Final = {**{name: name for name in TYPES}, "if": "condition"}
BLOCKS: Final = frozenset({"condition", "switch", "foreach", "parallel", "while", "repeat"})
# Step types that take no `defaults:`: what waits or decides is written out where it stands.
WITHOUT_DEFAULTS: Final = BLOCKS | {"wait", "approve", "break", "continue", "goto", "return", "fail"}
DEFAULTS_WITHOUT: Final = frozenset({"id", "output_to", "needs_state", "when", "description", "finally", "undo", "read_back", "performer"})

_VERSION = k.Text(what="text of three parts", pattern=r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")
TASK: Final[dict[str, k.Field]] = {
    "description": _field(k.Text(braces=True), "what it is for"),
    "inputs": _field(k.Entries(), "typed inputs"),
    "initial_state": _field(k.Exprs(), "state at the start, evaluated once, in order"),
    "state_schema": _field(k.Schema(), "JSON Schema of the state, checked on every write"),
    "budget": _field(_BUDGET, "what it may cost"),
    "steps": _field(k.Steps(), "what is done, in order", required=True),
    "output": _field(k.Value(shape="map"), "result where there is no `return`"),
}
FILE: Final[dict[str, k.Field]] = {
    "name": _field(k.Text(what="a workflow's name: lower case, parts joined by `:`", pattern=k.WORKFLOW_NAME, characters_max=k.NAME_CHARACTERS_MAX), "name of the workflow", required=True),
    "version": _field(_VERSION, "version of three parts", default="0.0.0"),
    **TASK,
    "tasks": _field(k.MapOf(kind=k.Record(fields=TASK), key=rf"{k.ID}(:{k.ID})*", count_min=0), "tasks of this file"),
    "defaults": _field(k.Anything(), "fields per step type that its steps have where they do not say otherwise"),
    "tools": _field(_TOOLS, "which tools agents may use", later=True),
    "finally": _field(k.Steps(), "steps that run whatever happened"),
    "undo_on": _field(k.ListOf(kind=k.Words(words=("failed", "cancelled"))), "ends of the run after which `undo` runs", default=["failed", "cancelled"]),
    "limits": _field(k.Record(fields={
        "max_depth": _field(k.Whole(minimum=1, maximum=10), "depth of child runs"),
        "max_open_items": _field(k.Whole(minimum=1, maximum=256), "items open at once"),
        "max_moves": _field(k.Whole(minimum=1, maximum=1_000_000), "moves of a run"),
        "max_items": _field(k.Whole(minimum=1), "items of a foreach"),
        "expression_moves": _field(k.Whole(minimum=1, maximum=1_000_000), "moves of one expression"),
    }), "own limits, below the engine's"),
    "secrets": _field(k.ListOf(kind=k.Text(what="the name of a secret", pattern=k.NAME, characters_max=k.NAME_CHARACTERS_MAX)), "secrets that are used; where it stands it names all"),
    "trigger": _field(k.Anything(), "what starts it by itself", later=True),
}
# Names that other systems use for the same thing: what a newcomer may have meant.
OTHER_NAMES: Final = {
    "conditional": "condition", "if": "condition", "user_input": "prompt", "user_message": "prompt", "user_prompt": "prompt",
    "ask": "prompt", "input": "prompt", "approval": "approve", "gate": "approve", "agent": "delegate",
    "agent_task": "delegate", "agent_prompt": "delegate", "subagent": "delegate", "sub_agent": "delegate", "sub_agent_task": "delegate",
    "subagent_task": "delegate", "task": "delegate", "mcp": "mcp_call", "tool": "mcp_call", "tool_call": "mcp_call", "shell_command": "shell",
    "bash": "shell", "command": "shell", "request": "http", "fetch": "http", "state_update": "set_state",
    "batch_state_update": "set_state", "set_variable": "set_state", "http_request": "http", "wait_step": "wait", "assign": "set_state",
    "set": "set_state", "while_loop": "while", "loop": "while", "for": "foreach", "map": "foreach", "parallel_foreach": "foreach",
    "sleep": "wait", "delay": "wait", "workflow": "run", "include_workflow": "run", "stop": "return", "end": "return", "error": "fail",
}
