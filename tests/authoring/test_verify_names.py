"""What the checks of `verify` may read."""

import pytest

from tests.authoring.support import load


@pytest.mark.parametrize(
    "check, codes",
    [
        ("{expression: '{{ result.ok }}'}", []),
        ("{shell: 'test {{ result }} = 1'}", []),
        ("{files: ['{{ result.file }}']}", []),
        ("{files: [{path: '{{ result.file }}', changed: true}]}", ["unknown_name"]),
        ("{expression: '{{ resalt.ok }}'}", ["unknown_name"]),
        ("{expression: '{{ result.ok }}', message: 'no {{ result.why }}'}", []),
        ("{expression: '{{ result.ok }}', message: 'no {{ resalt.why }}'}", ["unknown_name"]),
        ("{shell: make, message: it does not build}", ["bad_value"]),
        ("{message: it does not build}", ["bad_value"]),
    ],
)
def test_a_check_sees_the_answer_and_a_path_is_known_before_there_is_one(check: str, codes: list[str]) -> None:
    text = f"name: a\nsteps:\n  - {{id: b, delegate: x, verify: {check}}}\n  - return: '{{{{ steps.b.result }}}}'\n"
    assert [problem.code for problem in load(text).problems if problem.severity == "error"] == codes


def test_only_a_check_sees_it() -> None:
    text = "name: a\nsteps:\n  - {id: b, delegate: 'x {{ result }}'}\n  - return: '{{ steps.b.result }}'\n"
    assert [problem.code for problem in load(text).problems] == ["unknown_name"]
