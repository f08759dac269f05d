"""kill -9 at every named fault point, while a run is driven through the service: nothing that was acknowledged is lost, no effect is doubled.

Compared are the callers' own records (what the child was told before it died, what its world was made to do) with the store.
"""

import asyncio
import signal
from collections import Counter

import pytest

from tests.kill.child import WALK, answer_to, digest, done_by, lines, opened
from treadle.core.codec import dumps
from treadle.core.events import ActionAnswered, ApprovalDecided
from treadle.engine.embedded import checks, faults
from treadle.engine.transact import replay

# A walk passes a commit's points about twenty times and a blob's twice; those of a new file and of closing it once.
NTH = {"commit": range(1, 23), "blob": (1, 2), "checkpoint": (1,), "migrate": (1,)}
QUICK = {"commit": (6,), "blob": (2,), "checkpoint": (1,), "migrate": (1,)}
# Whether a kill between two statements or after the commit makes a difference is seen at every passing of these two.
THROUGHOUT = ("commit.before", "commit.released")


def passings():
    for point in sorted(faults.points()):
        family = point.split(".")[0]
        if family not in NTH:  # passed by commands of their own: tests/store/test_pruning.py, test_backup.py
            continue
        for nth in NTH[family] if family != "commit" or point in THROUGHOUT else (1, 2, 6, 11, 17):
            yield pytest.param(point, nth, marks=() if nth in QUICK[family] else pytest.mark.slow)


async def found_in(folder):
    """The state, history and findings of a store that nobody else has open."""
    engine, service = opened(folder, performs=False)
    try:
        store = engine.storage.store
        findings = [*checks.check_file(store.path), *checks.check_chains(store.reader)]
        findings += checks.check_blobs(store.reader, store.blobs, deep=True)
        runs = {}
        for row in store.reader.runs():
            snapshot = await engine.snapshot(row.id)
            events = [stored.event for stored in await engine.events(row.id)]
            folded = replay(snapshot.definition, None, events, engine.storage.blob)
            assert dumps(folded) == dumps(snapshot.state)
            answers = {}
            for event in events:
                if isinstance(event, ActionAnswered):
                    answers.setdefault(event.action, []).append(digest(await service.filled(event.value)))
                elif isinstance(event, ApprovalDecided):
                    answers.setdefault(event.action, []).append(event.approved)
            runs[row.id] = (row.head.revision, answers)
        return runs, findings
    finally:
        await engine.close()


def compare(record, runs):
    """Everything the child was told is in the store."""
    for line in record:
        if "run" not in line:
            continue
        assert line.get("refused") is None, line
        revision, answers = runs[line["run"]]
        assert revision >= line["rev"], line
        if line["told"] == "answered":
            assert answers[line["action"]] == [line["digest"]], line
        elif line["told"] == "decided":
            assert answers[line["action"]] == [True], line


def expected_result():
    state = {"plan": answer_to("ask"), "large": answer_to("large"), "word": "HEY"}
    made = {"seen": "look", "saved": "save", "published": "publish"}
    return {
        "plan": state["plan"], "seen": done_by(made["seen"]), "saved": done_by(made["saved"]),
        "published": done_by(made["published"]), "large": state["large"], "larger": answer_to("larger"), "word": state["word"],
    }  # fmt: skip


@pytest.mark.kill
@pytest.mark.parametrize("point, nth", list(passings()))
def test_a_kill_loses_nothing_acknowledged_and_doubles_no_effect(child, tmp_path, point, nth):
    record, code = child("walk", fault=f"{point}:{nth}").ended()
    assert code == -signal.SIGKILL, f"it never came to {point} for the {nth}. time: {record[-1:]}"

    runs, findings = asyncio.run(found_in(tmp_path))
    assert findings == []
    assert len(runs) <= 1
    compare(record, runs)

    after, code = child("walk").ended()
    assert code == 0
    assert [line["told"] for line in after[-2:]] == ["ended", "closed"]
    assert (after[-2]["status"], after[-2]["digest"]) == ("completed", digest(expected_result()))

    runs, findings = asyncio.run(found_in(tmp_path))
    assert findings == []
    assert len(runs) == 1
    compare(record + after, runs)
    (answers,) = (answers for _, answers in runs.values())
    assert {action: len(given) for action, given in answers.items() if len(given) > 1} == {}
    effects = Counter(line["key"].split("/", 1)[1] for line in lines(tmp_path))
    assert (effects["save"], effects["publish"]) == (1, 1), "an effect above read was doubled or lost"
    assert effects["look"] in {1, 2}


def test_a_walk_that_nobody_kills_is_what_the_others_are_compared_with(child, tmp_path):
    record, code = child("walk").ended()
    assert code == 0
    told = Counter(line["told"] for line in record)
    assert told == {"started": 1, "claimed": 6, "answered": 6, "decided": 1, "ended": 1, "closed": 1}
    assert (record[-2]["status"], record[-2]["digest"]) == ("completed", digest(expected_result()))
    assert Counter(line["key"].split("/", 1)[1] for line in lines(tmp_path)) == {"look": 1, "save": 1, "publish": 1}
    assert WALK.name == "walk"
