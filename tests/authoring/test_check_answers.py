"""A confirmation that decides nothing is told; one that anything or anybody decides by is not."""

import pytest

from tests.authoring.support import Case, assert_case, codes

ASK = """
name: x
steps:
  - {id: ask, type: prompt, format: %sconfirm, message: "Save it?"}
%s  - {id: save, %smcp_call: memory.save, parameters: {key: a, value: "{{ steps.ask.result.confirmed }}"}}
"""


def test_a_confirmation_that_nothing_heeds_is_told_at_its_format() -> None:
    heeded = 'when: "{{ steps.ask.result.confirmed }}", '
    assert_case(
        Case(
            code="unheeded_answer", severity="warning", bad=ASK % ("«", "", ""), near=ASK % ("", "", heeded), says="`save` is done whatever"
        )
    )


@pytest.mark.parametrize(
    "between",
    [
        '  - {set_state: {ok: "{{ steps.ask.result.confirmed }}"}}\n  - {if: "{{ state.ok }}", then: [], else: [{return: 0}]}\n',
        '  - {delegate: "Go on? {{ steps.ask.result }}"}\n',
        '  - {approve: "{{ steps.ask.result }}"}\n',
        '  - {set_state: {all: "{{ steps | length }}"}}\n  - {if: "{{ state.all > 3 }}", then: [], else: [{return: 0}]}\n',
    ],
)
def test_whoever_may_decide_by_an_answer_heeds_it(between: str) -> None:
    assert "unheeded_answer" not in codes(ASK % ("", between, ""))


def test_a_confirmation_that_nothing_follows_is_not_told() -> None:
    assert (
        codes('name: x\nsteps:\n  - {id: ask, type: prompt, format: confirm, message: Hm?}\n  - return: "{{ steps.ask.result }}"\n') == []
    )
