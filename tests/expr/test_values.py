"""Values: what may enter, how it is written, how it comes back (rulings 8, 10, 11)."""

import pytest

from treadle.core.values import (
    BlobRef,
    Chunks,
    Holed,
    ValueProblem,
    canonical,
    decode,
    digest,
    encode,
    normalise,
    parse_json,
    spill,
)

BLOB = BlobRef(digest="sha256:aa", size_bytes=70_000, kind="text", length=70_000)
LIST_BLOB = BlobRef(digest="sha256:bb", size_bytes=70_000, kind="list", length=100)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**63),
        2**63 - 1,
        1.5,
        1e300,
        "",
        "é😀",
        [],
        {},
        {"a": [1, {"b": None}]},
        BLOB,
        {"x": [Chunks(parts=((1, BLOB), LIST_BLOB), length=102)]},
        Holed(parts=("see ", BLOB, ".")),
        "$treadle.blob",
        {"a": 1, "$ref": "x"},
    ],
)
def test_encoded_values_come_back_equal(value):
    assert decode(encode(value)) == value
    assert encode(decode(encode(value))) == encode(value)


def test_stored_form_keeps_insertion_order_and_canonical_form_sorts_keys():
    assert encode({"b": 1, "a": [True]}) == '{"b":1,"a":[true]}'
    assert canonical({"b": 1, "a": [True]}) == b'{"a":[true],"b":1}'
    assert digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    "given, wanted",
    [
        (3.0, "3"),
        (-0.0, "0"),
        (2.0**53, "9007199254740992.0"),
        (2.5, "2.5"),
        ({"a": [1.0, 2.5]}, '{"a":[1,2.5]}'),
        ((1, (2.0,)), "[1,[2]]"),
        ("a\ud800b", '"a\ufffdb"'),
        ("\ud83d\ude00", '"😀"'),
        ({"\ud800": 1}, '{"\ufffd":1}'),
    ],
)
def test_normalise_changes_what_ruling_8_names(given, wanted):
    assert encode(normalise(given)) == wanted


def test_normalise_gives_the_same_object_where_nothing_changes_and_never_changes_its_input():
    clean = {"a": [1, 2.5, "é", {"b": None}], "c": True}
    assert normalise(clean) is clean
    dirty = {"a": [1.0], "b": clean}
    fixed = normalise(dirty)
    assert dirty["a"] == [1.0]
    assert type(dirty["a"][0]) is float
    assert fixed["b"] is clean


def test_normalise_reports_lone_surrogates():
    notes = []
    normalise({"k": ["x\udfff", "fine"]}, report=notes.append)
    assert notes == ["x\ufffd"]


@pytest.mark.parametrize(
    "given, code, path",
    [
        ([float("nan")], "not_finite", "/0"),
        ({"a": float("inf")}, "not_finite", "/a"),
        (2**63, "number_range", ""),
        (-(2**63) - 1, "number_range", ""),
        ({"a": {"$treadle.blob": {}}}, "reserved_key", "/a/$treadle.blob"),
        ({1: 2}, "key_type", "/1"),
        ({"a/b": {None: 2}}, "key_type", "/a~1b/None"),
        ([object()], "not_json", "/0"),
        ([b"x"], "not_json", "/0"),
        ([BLOB], "not_json", "/0"),
        (dict.fromkeys(["\ud800", "\udfff"]), "duplicate_key", None),
    ],
)
def test_normalise_refuses(given, code, path):
    with pytest.raises(ValueProblem) as caught:
        normalise(given)
    assert caught.value.code == code
    assert path is None or caught.value.path == path


def test_depth_is_bounded_at_64():
    deep: list[object] = []
    for _ in range(63):
        deep = [deep]
    assert normalise(deep) is deep
    with pytest.raises(ValueProblem) as caught:
        normalise([deep])
    assert caught.value.code == "too_deep"


@pytest.mark.parametrize(
    "text, code",
    [
        ('{"a":1,"a":2}', "duplicate_key"),
        ("[NaN]", "not_finite"),
        ("[-Infinity]", "not_finite"),
        ("[1e999]", "not_finite"),
        ("[" * 100_000, "too_deep"),
        ("[" * 65 + "]" * 65, "too_deep"),
        ("1" * 5_000, "not_json"),
        ("9223372036854775808", "number_range"),
        ('{"$treadle.chunks":1}', "reserved_key"),
        ("{'a': 1}", "not_json"),
        ("", "not_json"),
    ],
)
def test_parse_json_is_strict(text, code):
    with pytest.raises(ValueProblem) as caught:
        parse_json(text)
    assert caught.value.code == code


def test_parse_json_normalises():
    assert encode(parse_json('{"a": 3.0, "b": "\\ud800"}')) == '{"a":3,"b":"\ufffd"}'


@pytest.mark.parametrize(
    "value, kind, length",
    [
        ("äb", "text", 2),
        ([1, 2], "list", 2),
        ({"a": 1}, "object", 1),
        (Chunks(parts=((1,),), length=1), "list", 1),
        (Holed(parts=("a", BLOB)), "text", -1),
    ],
)
def test_spill_names_the_bytes_it_gives(value, kind, length):
    ref, body = spill(value)
    assert (ref.kind, ref.length, ref.size_bytes, ref.digest) == (kind, length, len(body), digest(body))
    assert decode(body.decode()) == value


def test_numbers_and_booleans_are_never_set_aside():
    with pytest.raises(ValueProblem):
        spill(1)
