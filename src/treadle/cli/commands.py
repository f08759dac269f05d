"""The table of commands: name, where it lives, one line about it. Help is printed from here, so that asking for help imports nothing else."""

from typing import Final, NamedTuple


class Entry(NamedTuple):
    """A command: `place` is `module:attribute` below `treadle.cli`."""

    place: str
    summary: str


EXAMPLES: Final = """\
  treadle init                                   make this directory a project
  treadle run planning:interactive --input task_description="Move to Python 3.13"
  treadle runs                                   what is going on, what needs you
  treadle approve last                           decide what the newest run asks
  treadle why last                               the one thing a run waits for
"""

COMMANDS: Final[dict[str, Entry]] = {
    "init": Entry("init:init", "Make a directory a project: settings, ignore rule, servers for agents"),
    "list": Entry("workflows:list_workflows", "List the workflows that can be run here"),
    "validate": Entry("workflows:validate", "Check a workflow, or a folder of them; runs nothing"),
    "describe": Entry("describe:describe", "Say what a workflow wants, does and may cost; starts nothing"),
    "graph": Entry("graph:graph", "Draw a workflow: text, Mermaid or SVG; starts nothing"),
    "test": Entry("test:test", "Run the tests of workflows; nothing outside is called"),
    "plan": Entry("plan:plan", "Show the steps of a run as they would be handed out; starts nothing"),
    "run": Entry("run:run", "Start a workflow and carry it on in this terminal"),
    "answer": Entry("answer:answer", "Answer a question or a delegated step of a run"),
    "approve": Entry("approve:approve", "Decide what a run asks approval for"),
    "signal": Entry("signals:signal", "Send a run a message that a step waits for"),
    "runs": Entry("runs:runs", "List runs"),
    "show": Entry("show:show", "Show a run: outline, what is open, state, result, effects"),
    "why": Entry("show:why", "Name the one thing a run waits for, and the command that moves it"),
    "logs": Entry("logs:logs", "Show what happened in a run, and who did it"),
    "park": Entry("moving:park", "Set a run aside; nothing is lost"),
    "resume": Entry("moving:resume", "Go on with a run here, taking it up again if it was parked"),
    "cancel": Entry("moving:cancel", "End a run"),
    "undo": Entry("undo:undo", "Take back what an ended run did and kept for that"),
    "fork": Entry("fork:fork", "Make a run that shares what another did up to a step"),
    "migrate": Entry("migrate:migrate", "Move a run to a changed workflow; what is done stays done"),
    "verify": Entry("verify:verify", "Compute runs again from their events and compare; changes nothing"),
    "receipt": Entry("receipt:receipt", "Say who did what in a run, what is claimed and what is proven"),
    "prune": Entry("prune:prune", "Take ended runs away, by age, status or size; shows them first"),
    "backup": Entry("backup:backup", "Copy all runs to one file, while others work"),
    "restore": Entry("backup:restore", "Check a backup whole and put it back; what was there is set aside"),
    "trust": Entry("trusting:trust", "Look at the code a project would run, and allow it"),
    "secrets": Entry("secrets:secrets", "Set, list and remove what workflows use and nobody sees"),
    "people": Entry("people:people", "List who may decide what, and who you are"),
    "config": Entry("config:config", "Show what is in force, and where each value comes from"),
    "schema": Entry("schema:schema", "Print the JSON Schema of workflow files, for editors"),
    "functions": Entry("functions:functions", "List the functions that workflows can call"),
    "eval": Entry("eval:evaluate", "Try an expression, or a text with templates, on data of yours"),
    "doctor": Entry("doctor:doctor", "Check file, locks, servers, clock and disk for real"),
    "mcp": Entry("serving:mcp", "Serve agents over MCP (stdio)"),
    "server": Entry("serving:server", "Serve a tool over MCP (stdio): memory, web"),
    "demo": Entry("demo:demo", "Watch a run be killed in the middle and go on"),
    "version": Entry("version:version", "Show the versions of Treadle and what it stands on"),
}

EXIT_CODES: Final = """\
  0 completed   1 failed   2 usage   3 waiting for a person or agent   4 completed degraded
  5 goal not met   6 cancelled   7 parked   8 undo incomplete
"""


def help_text() -> str:
    """Give the help of `treadle` itself."""
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name.ljust(width)}  {entry.summary}" for name, entry in COMMANDS.items())
    return (
        "Treadle runs agent work one durable step at a time.\n\n"
        "Usage: treadle COMMAND [ARGS]\n\n"
        f"Examples:\n{EXAMPLES}\n"
        f"Commands:\n{rows}\n\n"
        f"Exit codes of `run` and `resume`:\n{EXIT_CODES}\n"
        "`treadle COMMAND --help` says more. Every command takes --project DIR and --json.\n"
    )
