"""People of `treadle.toml`: who is whom, and which gates they could pass."""

from pathlib import Path

import pytest

from treadle.config import settings
from treadle.config.origin import ConfigError
from treadle.config.people import GateNeeds, People, Person, deciders, why_impossible, why_pair_impossible
from treadle.config.project import Project

ANN = Person(name="ann", account="amiller", roles=("editor", "release"))
BOB = Person(name="bob", account="bob", roles=("editor",))
CY = Person(name="cy", account="cy")
TEAM = People(by_name={person.name: person for person in (ANN, BOB, CY)})
NOBODY = People()


def read(folder: Path, toml: str) -> People:
    (folder / "treadle.toml").write_text(toml)
    return settings.load(Project(root=folder, home=folder), environ={}).people


def faults(folder: Path, toml: str) -> list[tuple[str, int, str]]:
    with pytest.raises(ConfigError) as caught:
        read(folder, toml)
    return [(problem.code, problem.line, f"{problem.message} {problem.suggestion}") for problem in caught.value.problems]


def test_people_have_roles_a_name_and_an_account(tmp_path: Path):
    found = read(tmp_path, '[people.ann]\nname = "Ann M."\nuser = "amiller"\nroles = ["editor"]\n\n[people."b.o"]\n')
    assert found.by_name["ann"] == Person(name="ann", account="amiller", full_name="Ann M.", roles=("editor",), line=1)
    assert found.by_name["b.o"].account == "b.o"
    assert found.roles == ("editor",)


def test_without_people_every_account_is_a_person_of_its_own_name(tmp_path: Path):
    assert not read(tmp_path, "")
    assert NOBODY.caller_name("root") == "root"
    assert NOBODY.of_account("root") == Person(name="root", account="root")


def test_an_account_is_called_by_the_person_s_name_and_a_stranger_never_like_a_person():
    assert TEAM.caller_name("amiller") == "ann"
    assert TEAM.of_account("ann") is None
    assert TEAM.caller_name("ann") == "account:ann"


@pytest.mark.parametrize(
    "toml, code, line, words",
    [
        ('[people.ann]\nrole = ["x"]\n', "unknown_key", 2, "did you mean 'roles'"),
        ("[people.ann]\nage = 3\n", "unknown_key", 2, "keys: name, user, roles"),
        ('[people.ann]\nroles = "x"\n', "bad_value", 2, 'write ["x"]'),
        ('[people.ann]\nroles = ["a b"]\n', "bad_value", 2, "no name of a role"),
        ('[people.ann]\nroles = ["a", "a"]\n', "bad_value", 2, "twice"),
        ('[people.ann]\nuser = ""\n', "bad_value", 2, "is empty"),
        ("[people.starter]\n", "bad_person", 1, "not `starter`"),
        ('[people."a b"]\n', "bad_person", 1, "letters"),
        ('[people]\nann = "x"\n', "bad_person", 2, "write [people.ann]"),
        ('[people.ann]\n[people.bob]\nuser = "ann"\n', "account_twice", 2, "'ann' too (line 1)"),
        ("[people_.ann]\n", "unknown_key", 1, "did you mean 'people'"),
        ("people = 3\n", "unknown_key", 1, "must be a table"),
    ],
)
def test_what_is_wrong_with_people_is_told_with_its_line(tmp_path: Path, toml: str, code: str, line: int, words: str):
    ((found, at, text),) = faults(tmp_path, toml)
    assert (found, at) == (code, line)
    assert words in text


@pytest.mark.parametrize(
    "needs, able",
    [
        (GateNeeds(), {"ann", "bob", "cy"}),
        (GateNeeds(users=("cy",), roles=("release",)), {"ann", "cy"}),
        (GateNeeds(roles=("editor",), never=("bob", "starter")), {"ann"}),
        (GateNeeds(users=("ghost",)), set()),
    ],
)
def test_who_may_decide_is_any_of_users_and_roles_but_those_in_never(needs: GateNeeds, able: set[str]):
    assert deciders(needs, TEAM) == able


@pytest.mark.parametrize(
    "needs, words",
    [
        (GateNeeds(roles=("ghost",)), "nobody has the role 'ghost'"),
        (GateNeeds(users=("ghost",)), "'ghost' is not among the people"),
        (GateNeeds(roles=("release",), never=("ann",)), "everybody who may is excluded"),
        (GateNeeds(roles=("editor",), count=3), "needs 3 people, and only 2 (ann, bob) may decide"),
        (GateNeeds(count=4), "needs 4 people, and only 3 (ann, bob, cy)"),
    ],
)
def test_a_gate_that_nobody_could_pass_says_why(needs: GateNeeds, words: str):
    assert words in why_impossible(needs, TEAM)


def test_whoever_starts_is_excluded_once_it_is_known_who_that_is():
    alone = GateNeeds(roles=("release",), never=("starter",))
    assert why_impossible(alone, TEAM) == ""
    assert why_impossible(alone, TEAM, "bob") == ""
    assert why_impossible(alone, TEAM, "ann") == "'ann' alone could, and whoever starts the run may not"


def test_without_people_users_are_accounts_and_no_role_can_be_had():
    assert why_impossible(GateNeeds(count=2, never=("starter",)), NOBODY, "x") == ""
    assert why_impossible(GateNeeds(users=("x",)), NOBODY) == ""
    assert "alone could" in why_impossible(GateNeeds(users=("x",), never=("starter",)), NOBODY, "x")
    assert "nobody has the role" in why_impossible(GateNeeds(roles=("editor",)), NOBODY)


def test_two_gates_for_different_people_need_enough_of_them():
    release, editors = GateNeeds(roles=("release",)), GateNeeds(roles=("editor",))
    assert why_pair_impossible(release, editors, TEAM) == ""
    assert "need 2 different people, and only 1 (ann)" in why_pair_impossible(release, release, TEAM)
    assert why_pair_impossible(GateNeeds(), release, NOBODY) == ""
