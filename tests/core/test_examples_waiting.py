"""Examples of waiting: for time, for an instant, for a signal."""

import pytest

from tests.core.build import delegate, foreach, parallel, ret, wait, workflow
from tests.core.clauses import clause
from tests.core.play import Play


@clause("S97")
def test_a_wait_lets_time_pass():
    play = Play(workflow(wait("w", ms=1_000), ret("end", "{{ steps.w.result }}")))
    assert (play.view.status, play.view.waits[0].path, play.state.next_due_ms) == ("waiting", "w", play.now_ms + 1_000)
    play.pass_ms(999)
    assert play.status == "running"
    assert play.pass_ms(1).ended_properly().result == {"waited_ms": 1_000}


@clause("S97")
def test_a_wait_until_an_instant_that_has_passed_waits_for_nothing():
    play = Play(workflow(wait("w", until="2020-01-01T00:00:00Z"), ret("end", "{{ steps.w.result }}")))
    assert play.ended_properly().result == {"waited_ms": 0}
    play = Play(workflow(wait("w", until="2027-01-15T08:00:01+00:00"), ret("end", "{{ steps.w.result }}")))
    assert play.pass_ms(1_000).ended_properly().result == {"waited_ms": 1_000}


@clause("S97")
@pytest.mark.parametrize("until", ["tomorrow", "2027-01-15T08:00:01", 7])
def test_an_instant_without_a_zone_is_an_error(until):
    play = Play(workflow(wait("w", until=until)))
    assert play.ended_properly().state.failure.error_class == "expression"


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@clause("S98")
def test_a_signal_ends_the_wait_for_it_with_its_payload():
    play = Play(workflow(wait("w", signal="go", payload=SCHEMA), ret("end", "{{ steps.w.result.n }}")))
    assert play.signal("go", {"n": "x"}).refused == "invalid_signal"
    assert play.signal("other").refused is None
    assert play.signal("go", {"n": 5}).ended_properly().result == 5
    assert [signal.name for signal in play.state.mailbox] == ["other"]


@clause("S98")
def test_signals_wait_in_order_and_one_ends_one_wait():
    steps = [delegate("d"), wait("a", signal="go"), wait("b", signal="go"), wait("c", signal="go", within_ms=50)]
    play = Play(workflow(*steps, ret("end", 1)))
    play.signal("go", 1).signal("go", 2).done("d")
    assert [note.path for note in play.notes if note.kind == "signal_taken"] == ["a", "b"]
    play.pass_ms(50)
    assert play.ended_properly().state.failure.error_class == "timeout"


@clause("S98")
def test_a_signal_goes_to_the_wait_that_opened_first():
    play = Play(workflow(foreach("f", [1, 2], do=[wait("w", signal="go")]), ret("end", 1)))
    play.signal("go")
    assert [each.path for each in play.view.waits] == ["f[1]/w"]
    assert play.signal("go").ended_properly().result == 1


@clause("S97", "S55")
def test_a_wait_can_lose_a_race():
    play = Play(
        workflow(parallel("p", {"work": [delegate("d")], "late": [wait("w", ms=100)]}, 1), ret("end", "{{ steps.p.result.winners }}"))
    )
    play.claim("p.work/d").pass_ms(100)
    play.lost("p.work/d")
    assert play.ended_properly().result == ["late"]


@clause("S97")
def test_cancelling_ends_a_wait_at_once():
    assert Play(workflow(wait("w", ms=100))).cancel().ended_properly().status == "cancelled"


@clause("S63", "S97")
def test_a_wait_that_runs_out_while_the_run_is_parked_fires_when_it_is_taken_up():
    play = Play(workflow(wait("w", ms=100), ret("end", "{{ steps.w.result }}"))).park().pass_ms(500)
    assert play.status == "running"
    assert play.unpark().ended_properly().result == {"waited_ms": 500}
