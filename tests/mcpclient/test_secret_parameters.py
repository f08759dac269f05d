"""Secrets in the parameters of an action: filled in when it is dispatched, taken out of what comes back."""

from pathlib import Path

import pytest

from tests.core.clauses import clause
from tests.mcpclient.peers import hostile, pool_of
from treadle.actions.http import Web
from treadle.actions.kinds import performers
from treadle.actions.runner import Runner
from treadle.config.project import Project
from treadle.config.secret import Secret
from treadle.config.secret_store import Entry, SecretStore
from treadle.config.secrets import Secrets
from treadle.core.state import ActionState
from treadle.core.values import Holed, SecretRef, Value
from treadle.functions import Catalog, Registry
from treadle.mcpio.server import runs
from treadle.net.client import Client
from treadle.ports import ActionCall

A, B = SecretRef(name="A"), SecretRef(name="B")


class Pool:
    """Takes down what it is asked to call, and gives what it was made with."""

    def __init__(self, gives=None) -> None:
        self.calls, self.gives = [], gives

    async def call(self, server, tool, arguments, **_):
        self.calls.append((server, tool, arguments))
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives


@pytest.fixture
def secrets(tmp_path) -> Secrets:
    project = Project(root=tmp_path, home=tmp_path)
    found = Secrets(project, {}, SecretStore(tmp_path / "data", project), {})
    found.store.set(Entry(name="A", kind="value", secret=Secret("value-of-a")))
    return found


def runner(pool, secrets: Secrets) -> Runner:
    return Runner(
        performers(pool=pool, functions=Registry(Catalog(functions=())), web=Web(client=Client(), timeout_ms=1, bytes_max=1)), secrets
    )


def asked(parameters: Value, tool: str = "s.t") -> ActionCall:
    action = ActionState(
        id="step", at="step", kind="mcp_call", performer="server", effect="write", repeatable=False, channel="", params={}, opened_at_ms=0
    )
    return ActionCall(run_id="run_1", action=action, params={"tool": tool, "parameters": parameters}, key="k")


@clause("S74")
async def test_a_secret_without_a_value_fails_the_attempt_and_nothing_is_sent(secrets):
    pool = Pool()
    answer = await runner(pool, secrets).perform(asked({"a": A, "b": ["x", Holed(parts=("Bearer ", B))]}))
    assert pool.calls == []
    assert answer.lost is False
    assert answer.failure.error_class == "failed"
    for part in ("the secret B is not set", "nothing was sent", "treadle secrets set B", "[secret_missing]"):
        assert part in answer.failure.message
    secrets.store.set(Entry(name="B", kind="value", secret=Secret("value-of-b")))
    pool.gives = type("Outcome", (), {"value": {"got": "value-of-a", "b": 1}, "failure": None, "digest": None})()
    answer = await runner(pool, secrets).perform(asked({"a": A, "b": ["x", Holed(parts=("Bearer ", B))]}))
    assert pool.calls == [("s", "t", {"a": "value-of-a", "b": ["x", "Bearer value-of-b"]})]
    assert answer.value == {"got": "***A***", "b": 1}


@clause("S75")
async def test_what_breaks_does_not_quote_a_secret(secrets):
    with pytest.raises(RuntimeError, match=r"OSError: cannot send \*\*\*A\*\*\*") as error:
        await runner(Pool(OSError("cannot send value-of-a")), secrets).perform(asked({"a": A}))
    assert error.value.__cause__ is None


@clause("S75")
@pytest.mark.parametrize("tool", ["echo", "blocks", "fail", "cut", "protest", "misfit"])
async def test_no_answer_of_a_server_holds_a_secret_it_was_given(secrets, tmp_path: Path, tool):
    spec = hostile("teller")
    spec = type(spec)(name="teller", file=".mcp.json", command=spec.command, args=(*spec.args, str(tmp_path / "record.json")))
    async with pool_of(spec, log_dir=tmp_path / "logs") as pool:
        answer = await runner(pool, secrets).perform(asked({"token": A, "header": Holed(parts=("Bearer ", A))}, f"teller.{tool}"))
    assert '"token": "value-of-a"' in (tmp_path / "record.json").read_text()
    assert "value-of-a" not in f"{answer.value} {answer.failure}"
    assert "***A" in f"{answer.value} {answer.failure}"


@clause("S73")
def test_tools_of_the_mcp_server_show_a_secret_by_name():
    assert runs.plain({"a": A, "b": [Holed(parts=("Bearer ", A))]}) == {"a": "***A***", "b": ["Bearer ***A***"]}
