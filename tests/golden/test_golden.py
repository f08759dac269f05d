"""Recorded histories fold as they did when they were recorded; the comparison says where they do not."""

import json
from dataclasses import replace

import pytest

from tests.core.build import prompt, ret, workflow
from tests.core.play import ANNA
from tests.golden import keys
from tests.golden import record as recorder
from tests.golden.history import ADVICE, HERE, OtherWayError, compare, name_of, read, recorded
from tests.golden.ways import registry, stored, ways
from treadle.clock import FakeClock
from treadle.core.definition import Definition
from treadle.core.draft import Draft
from treadle.core.semantics import SUPPORTED
from treadle.engine.local import LocalEngine
from treadle.engine.memory import MemoryStorage
from treadle.engine.service import Service
from treadle.ports import RunMeta

APPROVED = HERE / "planning-interactive" / "approved.jsonl"


@pytest.mark.parametrize("path", recorded(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_recorded_history_goes_the_way_it_went(path):
    compare(read(path))


def test_every_way_is_recorded_and_every_workflow_of_the_library_has_one():
    there = set(map(name_of, recorded()))
    assert [way.name for way in ways() if way.name not in there] == [], "run `python -m tests.golden.record`"


def test_recording_twice_gives_the_same_bytes():
    way = next(way for way in ways() if way.name == "planning:interactive/crash")
    assert way.make() == way.make()


def test_every_semantics_number_that_was_recorded_is_still_known():
    assert {read(path).definition.semantics for path in recorded()} <= SUPPORTED


def test_the_event_and_the_place_of_a_difference_are_named():
    history = read(APPROVED)
    lines = json.loads(json.dumps(history.lines))
    lines[3]["changes"]["actions"]["research-phase[1]/search-web"]["effect"] = "write"
    lines[3]["state"] = "0" * 16
    with pytest.raises(OtherWayError) as raised:
        compare(replace(history, lines=tuple(lines)))
    text = str(raised.value)
    assert "planning-interactive/approved.jsonl: event 4 of 24 (Evaluated) goes another way" in text
    assert 'changes.actions.research-phase[1]/search-web.effect: was "write", now "read"' in text
    assert ADVICE in text


def test_another_command_or_note_is_a_difference():
    history = read(APPROVED)
    for kind, value in (("commands", []), ("notes", [["made_up", ""]])):
        lines = json.loads(json.dumps(history.lines))
        lines[2][kind] = value
        with pytest.raises(OtherWayError, match=rf"event 3 of 24 \(ActionAnswered\) [^$]*{kind}"):
            compare(replace(history, lines=tuple(lines)))


def test_a_core_that_goes_another_way_is_found(monkeypatch):
    true = Draft.put_action
    monkeypatch.setattr(Draft, "put_action", lambda draft, action: true(draft, replace(action, lapses=1)))
    with pytest.raises(OtherWayError, match=r"event 1 of 24 \(RunStarted\)[^$]*actions.gather-requirements.lapses: was not there, now 1"):
        compare(read(APPROVED))


def test_what_is_recorded_is_left_as_it_is_unless_it_is_asked_for_by_name(capsys):
    before = APPROVED.read_bytes()
    assert recorder.main(["--list"]) == 0
    assert "recorded  planning:interactive/approved" in capsys.readouterr().out
    assert recorder.main(["--again", "planning:interactive/nowhere"]) == 1
    assert APPROVED.read_bytes() == before


def test_no_stored_key_is_taken_away_and_none_becomes_needed():
    assert keys.faults(keys.listed(), keys.present()) == []


def test_a_key_that_is_gone_or_has_become_needed_is_named():
    old = {"Caller": {"kind": True, "nick": False, "roles": False}, "Gone": {}}
    new = {"Caller": {"kind": True, "roles": True, "added": False, "asked": True}}
    assert keys.faults(old, new) == [
        "Caller.nick is gone", "Caller.roles must be there now", "Caller.asked must be there now", "the record Gone is gone",
    ]  # fmt: skip


def test_a_definition_whose_digest_has_changed_is_found(monkeypatch):
    history = read(APPROVED)
    changed: Definition = replace(history.definition, version="9.9.9")
    monkeypatch.setattr("tests.golden.history.codec.loads", lambda _cls, _body: changed)
    with pytest.raises(OtherWayError, match="another digest"):
        read(APPROVED)


async def test_a_value_that_was_set_aside_is_kept_with_the_history_that_looks_into_it(tmp_path, monkeypatch):
    storage = MemoryStorage()
    engine = LocalEngine(storage, functions=registry(), clock=FakeClock(), holder="test")
    service = Service(engine, engine.clock)
    definition = workflow(prompt("p", output_to="long"), ret("r", "{{ state.long | length }}"), initial_state={"long": None})
    run_id = (await service.start(definition, {}, ANNA, RunMeta(workflow="x"))).run.run_id
    await service.next_step(run_id, ANNA)
    await service.submit(run_id, "p", 1, ANNA, value="x" * 100_000)
    history = await stored("x", "large", definition, storage, run_id)
    assert [len(value) for value in history.blobs.values()] == [100_000]

    monkeypatch.setattr("tests.golden.history.HERE", tmp_path)
    history.write()
    assert read(history.path) == history
    compare(read(history.path))
    with pytest.raises(OtherWayError, match="looks into values that it did not look into"):
        compare(replace(history, blobs={}))
