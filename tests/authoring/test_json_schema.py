"""The JSON Schema for editors: takes every file that is right, refuses what has a wrong form, and says of it what an editor can show."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.authoring.support import Case, corpus, unmarked
from treadle.authoring import model
from treadle.authoring.find import LIBRARY_DIR
from treadle.authoring.json_schema import document_schema, file_schema, step_schema
from treadle.authoring.nodes import data_of
from treadle.authoring.yaml_reader import read_text
from treadle.core.schema import check, check_schema

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads(json.dumps(file_schema()))
FIELDS = corpus("fields")
CASES = [*FIELDS, *corpus("meaning")]
# What goes together, and what depends on other parts of the file, is not a matter of form.
FORM = {
    "unknown_field",
    "unknown_step_type",
    "missing_type",
    "wrong_type",
    "bad_value",
    "out_of_range",
    "bad_name",
    "bad_duration",
    "template_not_allowed",
    "field_not_allowed",
    "missing_field",
    "bad_schema",
}
FORM_SHARE_MIN = 0.9


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


def data(text: str) -> Any:
    root = read_text(text, "f").root
    assert root is not None
    return data_of(root)


def good_files() -> Iterator[tuple[str, str]]:
    for path in (*LIBRARY_DIR.rglob("*.yaml"), *(ROOT / "docs" / "examples").rglob("*.yaml"), *(ROOT / "examples").rglob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        if not path.stem.endswith(".test") and text.startswith(("name:", "#")) and "\nsteps:" in text:
            yield path.name, text
    for number, case in enumerate(CASES):
        yield f"near {number} of {case.code}", unmarked(case.near + "«")[0]


def refused(case: Case, validator: jsonschema.Draft202012Validator) -> bool:
    return not validator.is_valid(data(unmarked(case.bad)[0]))


def test_every_file_that_is_right_is_taken(validator: jsonschema.Draft202012Validator) -> None:
    count = 0
    for name, text in good_files():
        errors = [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(data(text))]
        assert errors == [], f"{name}\n{text}"
        count += 1
    assert count > 100


def test_nearly_every_fault_of_form_is_seen(validator: jsonschema.Draft202012Validator) -> None:
    of_form = [case for case in FIELDS if case.code in FORM and case.severity == "error"]
    missed = [f"{case.code}: {case.says or case.bad[-60:]}" for case in of_form if not refused(case, validator)]
    assert len(missed) <= (1 - FORM_SHARE_MIN) * len(of_form), "\n".join(missed)


def test_what_is_a_matter_of_meaning_is_left_to_the_checker(validator: jsonschema.Draft202012Validator) -> None:
    meaning = [case for case in corpus("meaning") if case.severity == "warning"]
    assert [case.code for case in meaning if refused(case, validator)] == []


def test_our_own_validator_reads_it_and_agrees(validator: jsonschema.Draft202012Validator) -> None:
    plain = json.loads(json.dumps(SCHEMA), object_hook=lambda found: {k: v for k, v in found.items() if k != "enumDescriptions"})
    assert check_schema(plain) == ()
    for case in CASES:
        for text in (case.bad, case.near + "«"):
            value = data(unmarked(text)[0])
            faults = check(plain, value, moves_max=1_000_000)
            assert bool(faults) != validator.is_valid(value), f"{case.code}: {faults[:2]}"


@pytest.mark.parametrize(
    "step, path, words",
    [
        ({"type": "prompt", "message": "x", "formt": "text"}, "$.steps[0]", "'formt' was unexpected"),
        ({"prompt": "x", "format": "texts"}, "$.steps[0].format", "is not one of ['text', 'info'"),
        ({"type": "promt", "message": "x"}, "$.steps[0].type", "is not one of ['prompt', 'approve'"),
        ({"type": "foreach", "items": 3, "do": []}, "$.steps[0].items", "is not valid under any"),
        ({"type": "prompt", "message": "x", "timeout": 30}, "$.steps[0].timeout", "30 is not of type 'string'"),
        ({"if": "state.x", "then": []}, "$.steps[0].if", "is not valid under any"),
        ({"approve": "x", "timeout": "1s"}, "$.steps[0]", "'timeout' was unexpected"),
        ({"shell": "x", "if": "{{ 1 }}"}, "$.steps[0]", "was unexpected"),
    ],
)
def test_the_error_stands_at_the_fault_and_concerns_one_type(
    step: dict[str, Any], path: str, words: str, validator: jsonschema.Draft202012Validator
) -> None:
    errors = list(validator.iter_errors({"name": "a", "steps": [step]}))
    assert path in {error.json_path for error in errors}
    assert any(words in error.message for error in errors if error.json_path == path)
    assert {error.json_path for error in errors} == {path}


def test_everything_an_author_can_write_has_words_to_hover_over() -> None:
    bare: list[str] = []

    def look(schema: Any, path: str) -> None:
        for name, field in schema.get("properties", {}).items() if "$defs/json_schema" not in path else ():
            target = (
                SCHEMA["$defs"][field["$ref"].rsplit("/", 1)[-1]]
                if set(field) == {"$ref"} and "/properties/" not in field["$ref"]
                else field
            )
            if "description" not in target and "$ref" not in target:
                bare.append(f"{path}.{name}")
            look(field, f"{path}.{name}")

    look(SCHEMA, "$")
    for name in model.TYPES:
        look(SCHEMA["$defs"][f"step_{name}"], name)
    assert bare == []
    assert SCHEMA["$defs"]["step_foreach"]["properties"]["max_parallel"]["default"] == 10
    assert SCHEMA["$defs"]["step_prompt"]["properties"]["format"]["default"] == "text"
    assert len(SCHEMA["$defs"]["step"]["properties"]["type"]["enumDescriptions"]) == len(model.TYPES)


def test_every_field_of_the_table_is_in_it_and_no_other() -> None:
    for name, spec in model.TYPES.items():
        own = set(SCHEMA["$defs"][f"step_{name}"]["properties"]) - {"type", *model.SHORTHANDS}
        assert own == {*model.COMMON, *spec.fields} - set(spec.without) - set(model.SHORTHANDS)
    assert set(SCHEMA["properties"]) == set(model.FILE)


def test_the_schema_of_one_type_stands_by_itself() -> None:
    for name in model.TYPES:
        validator = jsonschema.Draft202012Validator(step_schema(name))
        assert not validator.is_valid({"type": name, "nonsense": 1})
        assert not validator.is_valid({"type": "other"})
    assert jsonschema.Draft202012Validator(step_schema("prompt")).is_valid({"type": "prompt", "message": "x"})


def test_a_document_of_another_table_refers_to_nothing_that_is_missing() -> None:
    jsonschema.Draft202012Validator(document_schema("x", "y", {"steps": model.FILE["steps"]})).validate({"steps": [{"prompt": "x"}]})
