"""Signals in tests: sent on the test's clock, refused and unsent ones told at their line, and what a run leaves behind compared."""

import pytest

from tests.testing.support import missed, played

WAITS = """\
name: notes
undo_on: []
steps:
  - {id: first, type: wait, duration: 10m, undo: [{id: back, set_state: {a: 1}}]}
  - id: go
    type: wait
    signal: built
    payload: {type: object, required: [ok], properties: {ok: {type: boolean}}}
    within: 1h
  - if: "{{ not steps.go.result.ok }}"
    then: [{fail: It is red}]
  - return: "{{ now() }}"
initial_state: {a: null}
"""
FITS = "signals: [{name: built, payload: {ok: true}, after: 30m}]"


def test_a_signal_comes_so_long_after_the_start(tmp_path):
    (verdict,) = played(tmp_path, f"{FITS}\nexpect: {{result: '2026-01-01T00:30:00.000Z', unread_signals: [], undo: none}}", WAITS)
    assert verdict.misses == ()


def test_one_that_comes_early_is_kept_and_the_wait_takes_it(tmp_path):
    text = "signals: [{name: built, payload: {ok: true}}]\nexpect: {result: '2026-01-01T00:10:00.000Z'}"
    assert missed(tmp_path, text, WAITS) == []


@pytest.mark.parametrize(
    "text, code, line",
    [
        ("name: n\nsignals:\n  - {name: built, payload: {ok: 1}, after: 30m}\n", "signal_refused", 3),
        ("signals:\n  - {name: built, payload: {ok: true}}\n  - {name: built, payload: {ok: true}, after: 5h}\n", "signal_unused", 3),
        ("signals:\n  - {name: built, payload: {ok: true}}\n  - {name: built}\nexpect:\n  unread_signals: []\n", "unread_signals", 5),
        (f"{FITS}\nexpect:\n  undo: done\n", "undo", 3),
        ("expect: {status: completed}\n", "status", 1),
    ],
)
def test_what_does_not_come_out_so_is_told_at_its_line(tmp_path, text, code, line):
    assert missed(tmp_path, text, WAITS) == [(code, line)]


def test_what_can_be_taken_back_and_what_nobody_read_are_compared(tmp_path):
    text = """\
        signals: [{name: built, payload: {ok: false}}, {name: built, payload: {ok: true}}]
        expect: {failure: {message: It is red}, undo: kept, unread_signals: [built]}
        """
    assert missed(tmp_path, text, WAITS) == []


def test_a_cases_own_signals_win_over_the_shared_ones(tmp_path):
    text = f"""\
        {FITS}
        cases:
          - name: green
          - {{name: red, signals: [{{name: built, payload: {{ok: false}}}}], expect: {{failure: {{message: It is red}}}}}}
        """
    assert [verdict.passed for verdict in played(tmp_path, text, WAITS)] == [True, True]
