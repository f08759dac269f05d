"""docs/semantics.md: a secret in a run is a name."""

import pytest

from tests.core.build import call, ret, workflow
from tests.core.clauses import clause
from tests.core.play import Play
from treadle.core import codec
from treadle.core.definition import Definition
from treadle.core.expr import Expr
from treadle.core.values import Holed, SecretRef

T = SecretRef(name="T")


@clause("S73")
def test_parameters_hold_the_name_of_a_secret_in_state_and_snapshot():
    play = Play(
        workflow(call("c", parameters={"token": "{{ secrets.T }}", "header": "Bearer {{ secrets.T }}"}, effect="read"), ret("r", 1))
    )
    assert play.state.actions["c"].params["parameters"] == {"token": T, "header": Holed(parts=("Bearer ", T))}
    stored = codec.dumps(play.state)
    assert b'"token":{"$treadle.secret":"T"}' in stored
    assert codec.loads(type(play.state), stored) == play.state
    play.check_log()


@clause("S73")
def test_large_parameters_with_a_secret_are_set_aside_with_its_name():
    play = Play(workflow(call("c", parameters={"text": "{{ 'x' * 70000 }}{{ secrets.T }}"}, effect="read")))
    (blob,) = play.decision.blobs
    assert b'{"$treadle.secret":"T"}' in blob.body


@clause("S73")
@pytest.mark.parametrize("tree", [("filter", "upper", ("secret", "T")), ("cmp", ("secret", "T"), "==", ("const", "x"))])
def test_a_definition_that_looks_into_a_secret_fails_the_step(tree):
    play = Play(workflow(call("c", parameters=Expr(("dict", ("const", "t"), tree)), effect="read")))
    assert play.state.status == "failed"
    assert play.state.failure.error_class == "expression"


@clause("S76")
def test_a_definition_names_its_secrets_and_one_without_is_stored_as_before():
    plain = workflow(ret("r", 1))
    assert b"secrets" not in codec.dumps(plain)
    named = Definition(name="a", main=plain.main, language=1, semantics=1, secrets=("A", "B"))
    assert codec.loads(Definition, codec.dumps(named)).secrets == ("A", "B")
