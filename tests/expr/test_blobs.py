"""Values set aside: opaque until an expression looks inside, and then only what it needs is asked for (rulings 10, 11)."""

import pytest

from tests.expr.support import env, failure
from treadle.authoring.expressions import compile_data, compile_text
from treadle.core.expr import NeedBlobs, evaluate
from treadle.core.values import BlobRef, Chunks, Holed, as_text, decode, encode, spill

TEXT, TEXT_BODY = spill("long text " * 10)
LIST, LIST_BODY = spill([{"id": n} for n in range(100)])
OBJECT, OBJECT_BODY = spill({"plan": "p", "inner": TEXT})
MORE, MORE_BODY = spill([{"id": n} for n in range(200, 250)])
HOLED_TEXT, HOLED_BODY = spill(Holed(parts=("a", TEXT)))
CHUNKS = Chunks(parts=(LIST, tuple({"id": n} for n in range(100, 200)), MORE), length=250)
BODIES = {
    ref.digest: decode(body.decode())
    for ref, body in (
        (TEXT, TEXT_BODY),
        (LIST, LIST_BODY),
        (OBJECT, OBJECT_BODY),
        (MORE, MORE_BODY),
        (HOLED_TEXT, HOLED_BODY),
    )
}
NAMES = {
    "t": TEXT,
    "l": LIST,
    "o": OBJECT,
    "c": CHUNKS,
    "h": HOLED_TEXT,
    "x": {"t": TEXT},
    "other": BlobRef(digest="sha256:00", size_bytes=9, kind="text", length=100),
}


def ask(source, blobs=()):
    """The value, or the digests that are needed for it."""
    have = {digest: BODIES[digest] for digest in blobs}
    try:
        return evaluate(compile_text(source), env(NAMES, blobs=have))
    except NeedBlobs as need:
        return need.digests


def with_all(source):
    return evaluate(compile_text(source), env(NAMES, blobs=BODIES))


@pytest.mark.parametrize(
    "source, wanted",
    [
        ("{{ t }}", TEXT),
        ("{{ x.t }}", TEXT),
        ("{{ c }}", CHUNKS),
        ("{{ [t, 1] }}", [TEXT, 1]),
        ("{{ t if t else 0 }}", TEXT),
        ("{{ t | default('') }}", TEXT),
        ("{{ t | string }}", TEXT),
        ("{{ t is defined and t is string and t is not none }}", True),
        ("{{ l is sequence and o is mapping and o is not string }}", True),
        ("{{ t == t and c == c }}", True),
        ("{{ t == other }}", False),
        ("{{ t == 'short' }}", False),
        ("{{ t is none or l == none or o == [] }}", False),
        ("{{ [t | length, l | length, o | length, c | length] }}", [100, 100, 2, 250]),
        ("{{ not l }}", False),
        ("see {{ t }}, {{ 1 }}!", Holed(parts=("see ", TEXT, ", 1!"))),
        ("{{ 'a' ~ t ~ 1 ~ 2 }}", Holed(parts=("a", TEXT, "12"))),
        ("{{ [1, t, 2] | join('-') }}", Holed(parts=("1-", TEXT, "-2"))),
        ("{% for x in [t, t] %}{{ x }}{% endfor %}", Holed(parts=(TEXT, TEXT))),
        ("{% set y %}<{{ t }}>{% endset %}{{ y }}{{ y }}", Holed(parts=("<", TEXT, "><", TEXT, ">"))),
        ("{{ o }}.", Holed(parts=(OBJECT, "."))),
        ("{{ l | tojson }}", Holed(parts=(LIST,))),
        ("{{ c[150].id }}", 150),
        ("{{ c[100:103] | map(attribute='id') }}", [100, 101, 102]),
        ("{{ c[:0] }}", []),
        ("{{ c[900] | default('none') }}", "none"),
    ],
)
def test_what_needs_no_look_inside_reads_nothing(source, wanted):
    assert ask(source) == wanted


@pytest.mark.parametrize(
    "source, needs",
    [
        ("{{ t | upper }}", (TEXT,)),
        ("{{ t[0] }}", (TEXT,)),
        ("{{ t ~ '' == 'x' }}", (TEXT,)),
        ("{{ 'l' in t }}", (TEXT,)),
        ("{{ [t] }}.", (TEXT,)),
        ("{{ t | tojson }}", (TEXT,)),
        ("{{ l | tojson(indent=2) }}", (LIST,)),
        ("{{ l[3].id }}", (LIST,)),
        ("{{ l | first }}", (LIST,)),
        ("{{ o.plan }}", (OBJECT,)),
        ("{{ o == {'plan': 1, 'inner': 2} }}", (OBJECT,)),
        ("{{ c[0] }}", (LIST,)),
        ("{{ c | first }}", (LIST,)),
        ("{{ c | last }}", (MORE,)),
        ("{{ c[-1] }}", (MORE,)),
        ("{{ c[90:110] }}", (LIST,)),
        ("{{ c[:] }}", (LIST, MORE)),
        ("{{ c | map(attribute='id') }}", (LIST, MORE)),
        ("{% for x in c %}{% endfor %}", (LIST, MORE)),
        ("{{ h | length }}", (HOLED_TEXT,)),
        ("{{ ('a' ~ t ~ h) | length }}", None),
    ],
)
def test_a_look_inside_asks_for_all_it_needs_and_no_more(source, needs):
    found = ask(source)
    if needs is None:
        needs = (TEXT, HOLED_TEXT)
    assert found == tuple(ref.digest for ref in needs)


@pytest.mark.parametrize(
    "source, wanted",
    [
        ("{{ t | upper | length }}", 100),
        ("{{ o.plan }}", "p"),
        ("{{ o.inner }}", TEXT),
        ("{{ o.inner | length }}", 100),
        ("{{ c[0].id }}", 0),
        ("{{ c[249].id }}", 249),
        ("{{ c[98:102] | map(attribute='id') }}", [98, 99, 100, 101]),
        ("{{ c[::100] | map(attribute='id') }}", [0, 100, 200]),
        ("{{ c[::-120] | map(attribute='id') }}", [249, 129, 9]),
        ("{{ c | sum(attribute='id') }}", 31_125),
        ("{{ c | where(it.id > 247) }}", [{"id": 248}, {"id": 249}]),
        ("{{ h | length }}", 101),
        ("{{ h }}", HOLED_TEXT),
        ("{{ ('a' ~ t) | length }}", 101),
        ("{{ t == ('long text ' * 10) }}", True),
        ("{{ [t] | tojson | length }}", 104),
    ],
)
def test_with_the_blobs_at_hand_values_are_what_they_stand_for(source, wanted):
    assert with_all(source) == wanted


def test_data_carries_references_along():
    expr = compile_data({"a": "{{ t }}", "b": ["x {{ t }}"]})
    assert evaluate(expr, env(NAMES)) == {"a": TEXT, "b": [Holed(parts=("x ", TEXT))]}


def test_what_a_blob_holds_counts_against_the_output():
    big, body = spill(["x" * 1_000] * 2_000)
    source = compile_text("{{ b.rows }}")
    holder = {"b": {"rows": big}}
    assert evaluate(source, env(holder)) == big
    error = failure("{{ b.rows[0:1500] }}", holder, blobs={big.digest: decode(body.decode())})
    assert error.code == "budget"


@pytest.mark.parametrize("whole", ["text", [1, 2.5, None, "é"], {"b": [True], "a": {}}])
def test_a_hole_is_filled_with_what_the_expression_would_have_written(whole):
    ref, _ = spill(whole)
    assert evaluate(compile_text("<{{ v }}>"), env({"v": ref})) == Holed(parts=("<", ref, ">"))
    assert evaluate(compile_text("<{{ v }}>"), env({"v": whole})) == f"<{as_text(whole)}>"
    assert evaluate(compile_text("{{ ('<' ~ v ~ '>') | trim }}"), env({"v": ref}, blobs={ref.digest: whole})) == f"<{as_text(whole)}>"


def test_holed_text_is_stored_and_comes_back():
    found = ask("a{{ t }}b")
    assert decode(encode(found)) == found
