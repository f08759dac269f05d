"""JSON Schema 2020-12 assertions: every rule with a value that fits and one that does not; schemas that are none."""

import time

import pytest

from treadle.core.schema import FORMATS, KEYWORDS, check, check_schema
from treadle.core.schema_rules import RULES
from treadle.core.values import BlobRef

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}

# Schema, values that fit, values that do not; the schema's first key is the rule that says so.
TABLE = [
    ({"type": "integer"}, [1, -5, 3.0], [1.5, "1", True, None, [], {}]),
    ({"type": "number"}, [1, 1.5], [True, "1"]),
    ({"type": "string"}, ["", "x"], [1, None]),
    ({"type": "boolean"}, [True, False], [0, 1, "true"]),
    ({"type": "null"}, [None], [0, "", False]),
    ({"type": "array"}, [[]], [{}, "x"]),
    ({"type": "object"}, [{}], [[], None]),
    ({"type": ["string", "null"]}, ["x", None], [1]),
    ({"enum": [1, "a", None, [1]]}, [1, 1.0, "a", None, [1]], [True, "b", [True]]),
    ({"const": {"a": 1}}, [{"a": 1.0}], [{"a": True}, {}]),
    ({"const": False}, [False], [0, None]),
    ({"minimum": 1}, [1, 2.5, "text"], [0, 0.5]),
    ({"maximum": 1}, [1, -1], [1.5]),
    ({"exclusiveMinimum": 1}, [1.5], [1]),
    ({"exclusiveMaximum": 1}, [0], [1]),
    ({"multipleOf": 0.1}, [0.3, 1, 1e300], [0.35]),
    ({"multipleOf": 3}, [9, -3, 0], [10, 1.5]),
    ({"minLength": 2}, ["ab", "😀😀", 1], ["a"]),
    ({"maxLength": 2}, ["ab"], ["abc"]),
    ({"pattern": "^a+$"}, ["aa", 1], ["ab", ""]),
    ({"format": "date"}, ["2026-11-20", 5], ["2026-13-01", "20.11.2026", "2026-11-20T00:00:00Z"]),
    (
        {"format": "instant"},
        ["2026-11-20T09:30:00Z", "2026-11-20 09:30:00.5+01:00"],
        ["2026-11-20T09:30:00", "2026-11-20"],
    ),
    ({"format": "date-time"}, ["2026-11-20T09:30:00Z"], ["now"]),
    ({"format": "duration"}, ["500ms", "1h30m", "2d"], ["90", "1 h", "PT1H"]),
    ({"format": "path"}, ["a/b.txt", "/etc"], ["", "a\0b"]),
    (
        {"format": "url"},
        ["https://example.org/a?b=1", "file:///a"],
        ["example.org", "https://", "http://a b", "https://[x"],
    ),
    ({"format": "uri"}, ["urn:x:y"], ["x y"]),
    ({"format": "email"}, ["a.b@example.org"], ["a", "a@b", "@b.c", "a b@c.d", "a@b.c,d@e.f"]),
    ({"format": "uuid"}, ["2181e26c-14a4-43f6-a94d-588f4d5c3475"], ["2181e26c"]),
    ({"items": {"type": "integer"}}, [[], [1, 2]], [[1, "2"]]),
    ({"prefixItems": [{"type": "integer"}, True]}, [[1, "x", "y"], [], [1]], [["x"]]),
    ({"items": False, "prefixItems": [True]}, [[1], []], [[1, 2]]),
    ({"minItems": 1}, [[1]], [[]]),
    ({"maxItems": 1}, [[1]], [[1, 2]]),
    ({"uniqueItems": True}, [[1, True, "1"], []], [[1, 1.0], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]]),
    ({"contains": {"type": "integer"}, "maxContains": 1}, [[1, "x"]], [["x"], [1, 2]]),
    ({"properties": {"a": {"type": "integer"}}}, [{"a": 1}, {"b": "x"}], [{"a": "x"}]),
    ({"required": ["a"]}, [{"a": None}, []], [{}]),
    ({"additionalProperties": False, "properties": {"a": True}}, [{"a": 1}], [{"b": 1}]),
    ({"additionalProperties": {"type": "integer"}}, [{"a": 1}], [{"a": "x"}]),
    (
        {"patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False},
        [{"xa": 1}],
        [{"xa": "1"}, {"b": 1}],
    ),
    ({"propertyNames": {"maxLength": 2}}, [{"ab": 1}], [{"abc": 1}]),
    ({"minProperties": 1}, [{"a": 1}], [{}]),
    ({"maxProperties": 1}, [{"a": 1}], [{"a": 1, "b": 2}]),
    ({"dependentRequired": {"a": ["b"]}}, [{"a": 1, "b": 2}, {}], [{"a": 1}]),
    ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, ["x", 6], [4]),
    ({"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]}, [2, 3], [6, 5]),
    ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1.5], [3]),
    ({"not": {"type": "string"}}, [1], ["x"]),
    ({"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 2}}, ["ab", 3], ["a", 1]),
    ({"$ref": "#/$defs/p", "$defs": {"p": PERSON}}, [{"name": "a"}], [{"name": 1}, {}]),
    ({"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"type": "null"}}}, [None], [1]),
    ({"properties": {"next": {"$ref": "#"}}, "type": "object"}, [{"next": {"next": {}}}], [{"next": {"next": 1}}]),
]


@pytest.mark.parametrize("schema, fitting, failing", TABLE)
def test_a_rule_tells_what_fits_from_what_does_not(schema, fitting, failing):
    assert check_schema(schema) == ()
    assert [check(schema, value) for value in fitting] == [()] * len(fitting)
    assert all(check(schema, value) for value in failing)


def test_every_rule_and_format_stands_in_the_table():
    def keys(schema):
        for key, value in schema.items():
            yield key
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, dict):
                    yield from keys(inner)

    assert set(RULES) <= {key for schema, _, _ in TABLE for key in keys(schema)}
    assert set(FORMATS) == {schema["format"] for schema, _, _ in TABLE if "format" in schema}
    assert set(RULES) <= KEYWORDS


def test_all_faults_are_told_with_their_paths():
    schema = {"type": "object", "properties": {"a": {"items": PERSON}, "odd key": {"type": "null"}}, "required": ["z"]}
    faults = check(schema, {"a": [{"name": 1}, {"namee": "x", "age": "7"}], "odd key": 1})
    assert [(fault.path, fault.rule) for fault in faults] == [
        ("a[0].name", "type"), ("a[1].age", "type"), ("a[1].name", "required"), ("a[1].namee", "additionalProperties"), ('["odd key"]', "type"), ("z", "required"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "schema, value, says",
    [
        (PERSON, {"namee": "x", "name": "y"}, "did you mean `name`?"),
        (PERSON, {"namee": "x"}, "there is `namee`"),
        ({"enum": ["draft", "final"]}, "finl", 'did you mean "final"?'),
        ({"type": "integer"}, "5", "not text in quotes"),
        ({"type": "boolean"}, "true", "not text in quotes"),
        ({"minimum": 5}, 3, "it must be at least 5; it is 3"),
        ({"anyOf": [{"type": "string"}, PERSON]}, {"name": 1}, "closest"),
        ({"format": "duration"}, "90", "`90s`"),
    ],
)
def test_a_fault_says_what_would_fit(schema, value, says):
    assert any(says in fault.message for fault in check(schema, value))


@pytest.mark.parametrize(
    "schema, path, says",
    [
        (5, "", "object, true or false"), ({"minimumx": 1}, "minimumx", "`minimum`"), ({"type": "strinng"}, "type", "`string`"), ({"type": "text"}, "type", "`string`"),
        ({"type": []}, "type", "list of different"), ({"type": ["null", "null"]}, "type", "list of different"), ({"minimum": "1"}, "minimum", "a number"), ({"minimum": True}, "minimum", "a number"),
        ({"multipleOf": 0}, "multipleOf", "more than 0"), ({"maxLength": -1}, "maxLength", "whole number"), ({"minItems": 1.5}, "minItems", "whole number"), ({"enum": []}, "enum", "list"),
        ({"pattern": "("}, "pattern", "not closed"), ({"pattern": 1}, "pattern", "is text"), ({"format": "dat"}, "format", "`date`"), ({"required": True}, "required", "only an input"),
        ({"required": ["a", "a"]}, "required", "twice"), ({"required": [1]}, "required", "list of names"), ({"properties": []}, "properties", "map"), ({"properties": {"a": 1}}, "properties.a", "object"),
        ({"items": [True]}, "items", "object"), ({"anyOf": []}, "anyOf", "list of schemas"), ({"allOf": [1]}, "allOf[0]", "object"), ({"uniqueItems": 1}, "uniqueItems", "true or false"),
        ({"$ref": "https://example.org/s"}, '["$ref"]', "nothing is fetched"), ({"$ref": "#/$defs/x"}, '["$ref"]', "not in this schema"), ({"$ref": 1}, '["$ref"]', "is text"),
        ({"unevaluatedProperties": False}, "unevaluatedProperties", "not carried out"), ({"patternProperties": {"(": True}}, 'patternProperties["("]', "not closed"),
        ({"dependentRequired": {"a": "b"}}, "dependentRequired.a", "list of names"), ({"$ref": "#"}, '["$ref"]', "leads back to itself"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}, '["$defs"].a["$ref"]', "leads back"),
    ],
)  # fmt: skip
def test_a_schema_that_is_none_is_refused(schema, path, says):
    faults = check_schema(schema)
    assert any(fault.path == path and says in fault.message for fault in faults), faults


def test_describing_words_may_stand():
    assert (
        check_schema(
            {
                "title": "t",
                "description": "d",
                "default": 1,
                "examples": [1],
                "$comment": "c",
                "$schema": "s",
                "deprecated": True,
            }
        )
        == ()
    )


def test_faults_are_bounded_in_number():
    assert len(check({"items": {"type": "string"}}, [1] * 10_000)) == 50
    assert len(check_schema({"properties": {f"p{n}": {"type": "x"} for n in range(500)}})) == 50


@pytest.mark.parametrize(
    "schema, value",
    [
        ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, 1),
        ({"items": {"$ref": "#"}, "anyOf": [{"items": {"$ref": "#"}}] * 4}, [[[[[[[[[[[[[]]]]]]]]]]]]] * 20),
        ({"items": {"pattern": "^(a+)+$"}}, ["a" * 2_000 + "b"] * 500),
        ({"items": {"enum": list(range(1_000))}}, [-1.5] * 49 + [1] * 5_000),
        ({"uniqueItems": True}, [["x" * 1_000] for _ in range(1_000)]),
    ],
)
def test_no_schema_takes_long_and_what_was_not_looked_at_is_a_fault(schema, value):
    begin = time.perf_counter()
    assert check(schema, value, moves_max=200_000)
    assert time.perf_counter() - begin < 1.5


def test_data_or_schemas_nested_beyond_reason_are_a_fault():
    deep = []
    for _ in range(5_000):
        deep = [deep]
    assert [fault.rule for fault in check({"items": {"$ref": "#"}}, deep)] == ["budget"]
    schema = {}
    for _ in range(100):
        schema = {"items": schema}
    assert [fault.rule for fault in check_schema(schema)] == ["budget"]


def test_a_value_set_aside_has_a_type_and_is_not_taken_for_checked():
    blob = BlobRef(digest="sha256:0", size_bytes=70_000, kind="text", length=70_000)
    assert check({"type": "string"}, blob) == ()
    assert check({"type": "integer"}, blob)
    assert check({"type": "string", "maxLength": 5}, blob)[0].rule == "maxLength"
