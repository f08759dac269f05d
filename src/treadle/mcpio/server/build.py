"""The server itself: the official SDK's, with our tools, in both protocol eras and over any of its transports.

Nothing is kept per connection: a run, a step and a branch are named in every call (reference/mcp.md §2). Whoever answers may still be opening;
the list of tools does not wait for that.
"""

from typing import Any, Final

from mcp.server.mcpserver import MCPServer

from treadle import __version__
from treadle.mcpio.server.tools import Answers, tools

NAME: Final = "treadle"
INSTRUCTIONS: Final = """\
Treadle keeps workflows whose steps you carry out one at a time; it remembers everything, also when this session ends.
Work in this loop: start_workflow (or get_run to find one that is open), then do exactly what the step says, answer it with submit_result, and go on \
with the step in the reply, until `kind` is "ended".
- Every reply has `kind` (step, fan_out, waiting, done, ended, error) and `next`, the call to make; calls are written to be copied word for word.
- A step of type prompt is a question to the user: ask it, never answer it yourself. Approvals are given by a person in a terminal, never by you.
- fan_out: start one sub-agent per branch with its prompt, unchanged.
- What you cannot do, submit with outcome="cannot" and the reason; if you must stop, park_run. A made-up result is worse than none.
- After a lost context: get_run, without arguments, says where you are."""


def build(answers: Answers, session: str, **more: Any) -> MCPServer[Any]:
    """Make a server whose calls are answered by whoever `answers` gives. `more` goes to the SDK."""
    return MCPServer(
        NAME, title="Treadle", instructions=INSTRUCTIONS, version=__version__, tools=tools(answers, session), log_level="WARNING", **more
    )  # fmt: skip
