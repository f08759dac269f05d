"""Made-up answers: the least that fits a schema; where nothing was found that does, it is said."""

import pytest

from treadle.core.schema import check
from treadle.testing.made_up import made_up


@pytest.mark.parametrize(
    "schema, value",
    [
        ({"type": "string"}, "made up"),
        ({"type": "string", "minLength": 10}, "made up..."),
        ({"type": "string", "maxLength": 3}, "mad"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "string", "pattern": "^[A-Z]+$"}, "A"),
        ({"type": "integer"}, 0),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5}, 1),
        ({"type": "boolean"}, False),
        ({"type": ["null", "string"]}, None),
        ({"enum": ["low", "high"]}, "low"),
        ({"const": 7}, 7),
        ({"type": "string", "default": "so"}, "so"),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({"type": "array", "minItems": 2, "uniqueItems": True, "items": {"type": "string"}}, ["made up 1", "made up 2"]),
        ({"type": "array", "contains": {"const": 1}}, [1]),
        ({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["b"]}, {"b": 0}),
        ({"properties": {"a": {"type": "string"}}}, {"a": "made up"}),
        ({"anyOf": [{"type": "integer", "minimum": 5, "maximum": 4}, {"type": "null"}]}, None),
        ({"allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "boolean"}}}], "type": "object"}, {"a": False}),
        ({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/x"}, "$defs": {"x": {"enum": ["q"]}}}, ["q"]),
        (True, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_least_that_fits(schema, value):
    assert made_up(schema) == (value, "")
    assert check(schema, value) == ()


@pytest.mark.parametrize(
    "schema", [{"type": "string", "pattern": "^[a-z]{3}-[0-9]{9}$"}, {"type": "integer", "minimum": 4, "maximum": 3}, False]
)
def test_what_does_not_fit_is_said(schema):
    _, fault = made_up(schema)
    assert fault
