"""`incident:respond` in a repository: acknowledged or escalated, released by the right person, mended in two tries, sound a while later."""

import json
from pathlib import Path

import pytest

from tests.library.playing import ELSEWHERE, PERSON, Repository, Told, play, until
from treadle.compose import OpenProject
from treadle.core.errors import RequestError
from treadle.core.events import Caller

PROPOSAL = {"cause": "the disk is full", "mitigation": "set state.txt to ok", "risk": "none", "way_back": "git checkout state.txt"}
POST_MORTEM = "# Incident\n\n## Summary\n\n## Timeline\n\n## Cause\n\n## What helped\n\n## Actions\n"
GRACE = Caller(kind="human", name="grace", assurance="local", roles=("responder",))
# A thousandth of a minute is long enough for a test.
INPUTS = {
    "incident": "Orders are refused since noon.", "health_command": "grep -qx ok state.txt", "page_command": 'echo "$MESSAGE" > "$HOME/paged"',
    "escalate_command": 'echo "$MESSAGE" > "$HOME/escalated"', "diagnose": ["cat state.txt", "no-such-command-here"], "watch_minutes": 0.002,
    "post_mortem": "post-mortem.md",
}  # fmt: skip


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return Repository(tmp_path, monkeypatch, {"state.txt": "full\n"})


async def acknowledge(opened: OpenProject, run_id: str) -> None:
    offer = await opened.service.signal(run_id, "acknowledged", PERSON, {"by": "ada"})
    assert offer.refusal is None, offer.refusal


def responded(service: Repository, *, beside: object = None, propose: object = None, **inputs: object) -> Told:
    def half(_action: object) -> str:
        service.write("state.txt", "ok?\n")
        return "Wrote it."

    def whole(action) -> str:
        assert "exit code 1" in action.problem.message
        service.write("state.txt", "ok\n")
        return "Wrote it without the question mark."

    def learn(_action: object) -> list[str]:
        service.write("post-mortem.md", POST_MORTEM)
        return ["Watch the disk."]

    answers = {
        "propose*": propose or PROPOSAL, "apply": [half, whole], "apply~2": whole_again(service), "**/release": ELSEWHERE, "**/adopt": True,
        "**/release-alone*": True, "learn": [["Watch the disk."], learn],
    }  # fmt: skip
    return play(service, "incident:respond", INPUTS | inputs, answers, beside=beside)


def whole_again(service: Repository) -> object:
    def again(_action: object) -> str:
        service.write("state.txt", "ok\n")
        return "Wrote it again."

    return again


def test_acknowledged_released_mended_and_still_well_a_while_later(service: Repository):
    told = responded(service, beside=acknowledge)
    assert told.view.status == "completed"
    assert (told.result["acknowledged_by"], told.result["mitigation"]) == ("ada", "Wrote it without the question mark.")
    assert [line.split(" ", 1)[1].split(":")[0] for line in told.result["timeline"]] == [
        "the response began", "acknowledged by ada", "the health check succeeded after", "the health check still succeeds; the incident is over",
    ]  # fmt: skip
    assert f"treadle signal {told.view.run_id} acknowledged" in (service.home / "paged").read_text()
    assert not (service.home / "escalated").exists()
    # Not mended at the first try, no post-mortem at the first try: refused once each.
    assert [told.kinds(step).count("output_refused") for step in ("apply", "learn")] == [1, 1]
    assert [told.proof(step)["standing"] for step in ("apply", "learn")] == ["proven", "proven"]
    assert service.status == "M state.txt\n?? post-mortem.md"
    assert told.view.signals == ()


def test_when_nobody_comes_it_is_escalated_and_goes_on(service: Repository):
    told = responded(service, acknowledge_minutes=0.002)
    assert (told.view.status, told.result["acknowledged_by"]) == ("completed", None)
    assert "Nobody acknowledged: Orders are refused" in (service.home / "escalated").read_text()
    assert "nobody acknowledged in time; escalation: completed" in told.result["timeline"][1]


@pytest.mark.slow
def test_what_fails_again_later_is_looked_at_again(service: Repository):
    seen: list[str] = []

    def propose(action) -> dict[str, str]:
        seen.append(action.params["instructions"])
        return PROPOSAL

    async def spoil(opened: OpenProject, run_id: str) -> None:
        await acknowledge(opened, run_id)
        await until(opened, run_id, lambda view: any(wait.path == "watch" for wait in view.waits))
        service.write("state.txt", "full again\n")

    told = responded(service, propose=propose, beside=spoil, watch_minutes=0.01)
    assert told.view.status == "completed"
    assert "$ cat state.txt\n    full\n" in seen[0]
    assert "no-such-command-here" in seen[0]
    assert "This was done already, and the health check failed again later: Wrote it without" in seen[1]
    assert "the health check failed again" in told.result["timeline"][3]
    assert told.result["mitigation"] == "Wrote it again."


def test_where_duties_are_separate_somebody_else_with_the_role_releases(service: Repository, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(RequestError, match="nobody has the role 'responder'"):
        responded(service, separate_duties=True)
    assert not (service.home / "paged").exists()
    service.write("treadle.toml", '[people.ada]\nroles = ["responder"]\n[people.grace]\nroles = ["responder"]\n')
    service.commit("Name people")
    refused: list[str] = []

    async def release(opened: OpenProject, run_id: str) -> None:
        await acknowledge(opened, run_id)
        view = await until(opened, run_id, lambda view: any(action.id == "duties.then/release" for action in view.actions))
        gate = next(action for action in view.actions if action.id == "duties.then/release")
        ada = Caller(kind="human", name="ada", assurance="local", roles=("responder",))
        offer = await opened.service.decide(run_id, gate.id, gate.digest or "", ada, approved=True)
        refused.append(offer.refusal.message if offer.refusal else "")
        offer = await opened.service.decide(run_id, gate.id, gate.digest or "", GRACE, approved=True)
        assert offer.refusal is None, offer.refusal

    told = responded(service, separate_duties=True, beside=release)
    assert told.view.status == "completed"
    assert refused == ["ada has decided a gate that `duties.then/release` must be distinct from"]
    deciders = [told.proof(f"duties.then/{gate}")["decisions"][-1]["by"] for gate in ("adopt", "release")]
    assert deciders == ["ada", "grace"], json.dumps(told.receipt)
