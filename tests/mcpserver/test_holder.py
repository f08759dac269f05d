"""Who holds a step: sessions, clients, branches, and which calls are the same call."""

import pytest

from treadle.mcpio.server.holder import Holder, call_key, client_name, session_of
from treadle.presence import process_of


def test_a_session_that_tells_its_id_has_one_name_in_every_process() -> None:
    told = {"CLAUDE_CODE_SESSION_ID": "7f3c"}
    assert session_of(told) == session_of(dict(told))
    assert session_of(told) != session_of({"CLAUDE_CODE_SESSION_ID": "7f3d"})
    assert "7f3c" not in session_of(told)


def test_a_session_without_an_id_has_a_name_of_its_own_per_process() -> None:
    assert session_of({}) != session_of({})


def test_a_branch_makes_somebody_of_its_own_whose_process_can_be_seen_dead() -> None:
    holder = Holder(session=session_of({}), client="claude-code")
    names = {holder.name(), holder.name("each[0]#00"), holder.name("each[1]#00")}
    assert len(names) == 3
    assert {process_of(name) for name in names} == {holder.session}
    assert not any("#00" in name for name in names)


@pytest.mark.parametrize(
    "told, name",
    [
        ("Claude Code", "claude-code"),
        (None, "agent"),
        ("", "agent"),
        ("../../x", "..-..-x"),
        ("\u202e", "agent"),
        ("a" * 99, "a" * 32),
    ],
)
def test_what_a_client_calls_itself_is_outside_text(told: str | None, name: str) -> None:
    assert client_name(told) == name


def test_the_clients_own_id_of_a_call_is_its_key_within_the_session() -> None:
    holder = Holder(session="treadle-agent-x", client="codex")
    assert call_key({"callId": "c1"}, holder) == "treadle-agent-x:c1"
    assert call_key({"claudecode/toolUseId": "t1", "progressToken": 3}, holder) == "treadle-agent-x:t1"
    assert call_key({"callId": 7}, holder) is None
    assert call_key(None, holder) is None
