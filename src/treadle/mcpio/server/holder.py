"""Who is calling: the name under which a client's session holds steps, and which of its calls are the same call again.

An agent's session is what does the work, not the process that serves it: a client starts that process anew whenever it likes. Where the client
tells its session's id, the name is made of that, and a resumed session keeps what it holds; elsewhere it is random, made once per process.
Sub-agents speak through their parent's process; their branch's token makes them somebody of their own.

Which run somebody may touch is not decided here: over stdio the caller is the user's own process.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from treadle.core.events import Caller

SESSION_VARIABLES: Final = ("CLAUDE_CODE_SESSION_ID",)
# Ids that clients give one call of a tool, and give again when they repeat it.
_CALL_IDS: Final = ("claudecode/toolUseId", "callId")
_CLIENT_CHARS_MAX: Final = 32
_ID_CHARS_MAX: Final = 256
_NO_NAME: Final = re.compile(r"[^a-z0-9._-]+")


def session_of(environ: Mapping[str, str]) -> str:
    """Name this session among all that work on the project. It begins as the name of a process does, so that it can leave a mark of presence."""
    told = next((environ[name] for name in SESSION_VARIABLES if environ.get(name)), None)
    return f"treadle-agent-{_digest(told) if told is not None else secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A client within a session. `client` is what it calls itself."""

    session: str
    client: str

    def name(self, branch: str | None = None) -> str:
        """Give the holder's name, of the main channel or of a branch's sub-agent."""
        own = f"{self.session}/{self.client}"
        return own if branch is None else f"{own}/{_digest(branch)[:8]}"

    def caller(self, branch: str | None = None) -> Caller:
        """Give it as whoever did something; an agent vouches for nobody."""
        return Caller(kind="agent", name=self.name(branch))


def client_name(told: str | None) -> str:
    """Make a name of what a client says it is called: outside text, so only its plain characters."""
    return _NO_NAME.sub("-", (told or "").lower()).strip("-")[:_CLIENT_CHARS_MAX] or "agent"


def call_key(meta: Mapping[str, Any] | None, holder: Holder) -> str | None:
    """Give the key of a call that its client marked, so that the same call again has the same effect once."""
    for name in _CALL_IDS:
        told = (meta or {}).get(name)
        if isinstance(told, str) and 0 < len(told) <= _ID_CHARS_MAX:
            return f"{holder.session}:{told}"
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
