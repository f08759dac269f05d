"""docs/semantics.md, S16 to S29: what stands in a run's state, and what becomes of large values."""

import pytest

from tests.core.build import approve, call, condition, delegate, foreach, prompt, put, ret, task, without, workflow
from tests.core.clauses import clause
from tests.core.play import ANNA, ME, Play
from treadle.core import codec, limits
from treadle.core.advance import advance
from treadle.core.commands import NeedBlobs
from treadle.core.definition import Limits
from treadle.core.events import ActionAnswered, RunStarted
from treadle.core.values import BlobRef, Chunks, encode

LARGE = "x" * 70_000


@clause("S16")
def test_a_large_value_is_set_aside_as_it_enters():
    play = Play(workflow(prompt("ask", output_to="a"), prompt("next"), initial_state={"a": None}))
    play.done("ask", LARGE)
    reference = play.fields["a"]
    assert reference == BlobRef(digest=reference.digest, size_bytes=70_002, kind="text", length=70_000)
    assert [(blob.digest, len(blob.body)) for blob in play.decision.blobs] == [(reference.digest, 70_002)]
    assert len(codec.dumps(play.state)) < 3_000
    play.check_log()


@clause("S16")
@pytest.mark.parametrize(
    "where",
    [
        {"inputs": {"big": {}}},
        {"initial_state": {"a": LARGE}},
    ],
    ids=["inputs", "initial_state"],
)
def test_a_large_value_is_set_aside_wherever_it_enters(where):
    play = Play(workflow(prompt("ask"), **where), **({"big": LARGE} if "inputs" in where else {}))
    assert len(codec.dumps(play.state)) < 3_000


@clause("S16")
def test_parameters_items_and_failures_are_set_aside_too():
    play = Play(
        workflow(
            foreach(
                "each",
                [LARGE, LARGE + "y"],
                do=[call("c", parameters={"text": "{{ item }}"}, effect="read", on_error="continue")],
            ),
            prompt("ask"),
        )
    )
    assert all(isinstance(action.params["parameters"], dict) for action in play.state.actions.values())
    assert len(codec.dumps(play.state)) < 8_000
    play.answer("each[0]/c", fails="failed", result=LARGE).answer("each[1]/c", LARGE)
    assert len(codec.dumps(play.state)) < 8_000
    play.check_log()


@clause("S17")
def test_a_state_over_its_limit_sets_the_largest_values_aside():
    names = [f"f{index}" for index in range(40)]
    steps = [put(f"p{name}", {name: "{{ inputs.text }}" + name}) for name in names]
    play = Play(
        workflow(
            put("small", {"tiny": "y" * 300}),
            *steps,
            prompt("ask"),
            initial_state=dict.fromkeys([*names, "tiny"]),
            inputs={"text": {}},
        ),
        text="z" * 60_000,
    )
    aside = [name for name in names if isinstance(play.fields[name], BlobRef)]
    assert 20 <= len(aside) < 40
    assert play.fields["tiny"] == "y" * 300
    assert len(codec.dumps(play.state)) <= limits.STATE_BYTES_MAX
    assert play.state.parked is None
    play.check_log()


@clause("S17")
def test_what_cannot_be_made_small_parks_the_run(monkeypatch):
    monkeypatch.setattr(limits, "STATE_BYTES_MAX", 20_000)
    fields = {f"f{index}": index for index in range(2_000)}
    play = Play(workflow(prompt("ask"), initial_state=fields))
    assert "20000 bytes" in play.state.parked.reason
    assert play.claim("ask").refused == "run_parked"
    assert play.unpark().state.parked is not None
    assert play.cancel().status == "cancelled"


@clause("S17")
def test_the_account_of_the_state_is_never_too_small():
    definition = workflow(
        prompt("ask", output_to="a"),
        foreach("each", [{"k": "ä" * 50, "q": '"' * 50}] * 30, task="t", agent="@task", max_parallel=7, output_to="all"),
        put("s", {"b": "{{ steps.each.result }}"}), approve("gate", "{{ state }}"),
        initial_state={"a": None, "b": None, "all": None},
        tasks={"t": task(delegate("d", "Do {{ inputs.it }}"), inputs={"it": {"required": True}}, output="{{ inputs.it }}")},
    )  # fmt: skip
    play = Play(definition)
    play.done("ask", "\u2028\n" * 1_000)
    while play.open[0] != "gate":
        assert len(codec.dumps(play.state)) <= play.state.size_bytes
        play.done(play.open[0], {"r": "\\" * 100})
    assert len(codec.dumps(play.state)) <= play.state.size_bytes


@clause("S18")
def test_a_value_set_aside_is_passed_on_unread_and_supplied_where_it_is_looked_into():
    definition = workflow(
        prompt("ask", output_to="a"), put("copy", {"b": "{{ state.a }}"}), prompt("quote", "It says: {{ state.b }}"),
        put("look", {"n": "{{ state.b | length }}", "c": "{{ state.b[:3] }}"}), ret("r", "{{ [state.n, state.c] }}"),
        initial_state=dict.fromkeys("abcn"),
    )  # fmt: skip
    play = Play(definition)
    play.done("ask", LARGE)
    assert play.supplied == {}
    assert play.fields["a"] == play.fields["b"]
    play.claim("quote")
    event = ActionAnswered(at_ms=play.now_ms, action="quote", attempt=1, holder="me", by=play.log[-1].claim.by, value="ok")
    before = codec.dumps(play.state)
    need = advance(definition, play.state, event)
    assert need == NeedBlobs(digests=(play.fields["a"].digest,))
    assert codec.dumps(play.state) == before
    play.feed(event)
    assert play.result == [70_000, "xxx"]
    play.ended_properly()


@clause("S19")
def test_a_result_stays_only_where_it_is_read():
    play = Play(workflow(prompt("one"), prompt("two-a"), prompt("three", "{{ steps.two_a.result }}")))
    play.done("one", "a").done("two-a", "b")
    assert list(play.state.frames[""].steps) == ["two_a"]
    assert [event.value for event in play.log if isinstance(event, ActionAnswered)] == ["a", "b"]


@clause("S20")
def test_the_record_of_a_step_and_its_life():
    inner = [
        delegate("d", on_error="continue"),
        put("note", {}, when="{{ item > 0 }}"),
        ret("never", when="{{ false }}"),
    ]
    play = Play(
        workflow(
            foreach("each", [0, 1], do=inner, output="{{ [steps.d, steps.note.status] }}", output_to="all"),
            put("after", {"gone": "{{ steps.d is defined }}"}), prompt("ask"),
            initial_state={"all": None, "gone": None},
        )
    )  # fmt: skip
    play.answer("each[0]/d", fails="denied").done("each[1]/d", "fine")
    failed = {
        "status": "failed",
        "result": None,
        "error": {"class": "denied", "message": "it is denied", "step": "each[0]/d"},
    }
    done = {"status": "completed", "result": "fine", "error": None}
    rest = {"errors": [], "visits": 1}
    assert play.fields == {"all": [[{**failed, **rest}, "skipped"], [{**done, **rest}, "completed"]], "gone": False}


@clause("S21")
def test_results_stand_in_item_order():
    play = Play(workflow(foreach("each", ["a", "b", "c"], task="t", output_to="all"), prompt("ask"), initial_state={"all": None},
                         tasks={"t": task(delegate("d"), inputs={"it": {"required": True}}, output="{{ inputs.it }}")}))  # fmt: skip
    for index in (2, 0, 1):
        play.done(f"each[{index}]/d")
    assert play.fields["all"] == ["a", "b", "c"]


@clause("S21")
def test_a_large_list_is_kept_in_pieces_and_an_index_reads_one():
    definition = workflow(
        foreach("each", "{{ make_items(250) }}", do=[put("s", {})], output="{{ item ~ inputs.pad }}", output_to="all"),
        prompt("ask"), ret("r", "{{ [state.all[120][:8], state.all | length] }}"),
        initial_state={"all": None}, inputs={"pad": {}},
    )  # fmt: skip
    play = Play(definition, pad="-" * 1_000)
    kept = play.fields["all"]
    assert isinstance(kept, Chunks)
    assert (kept.length, len(kept.parts)) == (250, 3)
    play.done("ask", "go")
    assert play.result == ["item 120", 250]
    assert list(play.supplied) == [kept.parts[1].digest]
    play.ended_properly()


@clause("S21")
def test_items_that_were_set_aside_are_read_piece_by_piece():
    play = Play(workflow(prompt("ask", format="form", fields={"rows": {"type": "array"}}, output_to="a"),
                         foreach("each", "{{ state.a.rows }}", do=[delegate("d", "{{ item.n }}")], max_parallel=1), initial_state={"a": None}))  # fmt: skip
    play.done("ask", {"rows": [{"n": n, "pad": "-" * 400} for n in range(201)]})
    for n in range(201):
        assert play.state.actions[f"each[{n}]/d"].params["instructions"] == n
        play.done(f"each[{n}]/d")
    play.ended_properly()


@clause("S21")
@pytest.mark.parametrize("width, at_once", [(700, 4), (20_000, 1)])
def test_small_pieces_of_the_items_are_asked_for_ahead(width, at_once):
    items = [{"n": n, "pad": "-" * width} for n in range(500)]
    play = Play(workflow(foreach("each", "{{ inputs.rows }}", do=[delegate("d")], max_parallel=101), inputs={"rows": {}}), started=False)
    first = advance(play.definition, None, RunStarted(at_ms=0, run_id="r", seed="s", inputs={"rows": items}, by=ANNA))
    by_itself = advance(play.definition, first.state, ActionAnswered(at_ms=0, action="each[0]/d", attempt=1, holder="me", by=ME))
    assert isinstance(by_itself, NeedBlobs)
    assert len(by_itself.digests) == at_once


@clause("S21", "S24")
def test_ten_thousand_items_pass_even_if_every_one_fails():
    definition = workflow(
        foreach("each", "{{ make_items(10000) }}", do=[put("s", {"n": "{{ item.nothing }}"})], on_item_error="collect", output_to="all"),
        ret("r", "{{ [state.all | length, state.all[7], steps.each.errors[9999].index, steps.each.errors | length] }}"),
        initial_state={"all": None, "n": 0},
    )  # fmt: skip
    play = Play(definition)
    assert (play.status, play.result) == ("completed_degraded", [10_000, None, 9_999, 10_000])
    assert len(codec.dumps(play.state)) < 200_000


@clause("S22")
def test_a_task_sees_its_inputs_and_nothing_of_its_parent():
    child = task(
        delegate("d", "{{ inputs.name }}/{{ inputs.place }}/{{ state is defined and state.own }}/{{ state.secret is defined }}"),
        inputs={"name": {"type": "string", "required": True}, "place": {"type": "integer"}}, initial_state={"own": "mine"},
    )  # fmt: skip
    mapped = {"name": "{{ state.prefix ~ item }}", "place": "{{ loop.index }}"}
    play = Play(
        workflow(
            foreach("each", ["a", "b"], task="t", inputs=mapped),
            initial_state={"prefix": "p-", "secret": 1},
            tasks={"t": child},
        )
    )
    assert [a.params["instructions"] for a in play.state.actions.values()] == ["p-a/1/mine/false", "p-b/2/mine/false"]


@clause("S22")
def test_without_inputs_the_item_goes_to_the_one_required_input_and_is_checked():
    child = task(delegate("d", "{{ inputs.it }}"), inputs={"opt": {"default": 1}, "it": {"type": "string", "required": True}})
    play = Play(
        workflow(
            foreach("each", ["a", 2], task="t", on_item_error="collect"),
            prompt("p", "{{ steps.each.errors }}"),
            tasks={"t": child},
        )
    )
    assert play.open == ["each[0]/d"]
    play.done("each[0]/d")
    (error,) = play.state.actions["p"].params["message"]
    assert (error["index"], error["class"]) == (1, "failed")
    assert "`it`" in error["message"]


def test_behaviour_28_two_children_write_one_name_without_seeing_each_other():
    child = task(
        put("s", {"n": "{{ inputs.it }}"}),
        delegate("d"),
        inputs={"it": {"required": True}},
        initial_state={"n": 0},
        output="{{ state.n }}",
    )
    play = Play(workflow(foreach("each", [5, 6], task="t", output_to="all"), ret("r", "{{ [state.all, state.n] }}"),
                         initial_state={"all": None, "n": "parent"}, tasks={"t": child}))  # fmt: skip
    play.done("each[1]/d").done("each[0]/d")
    assert play.result == [[5, 6], "parent"]


@clause("S23")
def test_initial_state_is_evaluated_once_in_order():
    child = task(prompt("p", "{{ state }}"), inputs={"it": {"required": True}},
                 initial_state={"a": "{{ inputs.it }}", "b": "{{ state.a * 2 }}", "c": "{{ [item, loop.index0] }}"})  # fmt: skip
    play = Play(workflow(foreach("each", [4], task="t"), inputs={"n": {}}, initial_state={"x": "{{ inputs.n }}", "y": "{{ state.x + 1 }}"},
                         tasks={"t": child}), n=1)  # fmt: skip
    assert play.fields == {"x": 1, "y": 2}
    assert play.state.actions["each[0]/p"].params["message"] == {"a": 4, "b": 8, "c": [4, 0]}


@clause("S24")
def test_collecting_items_leaves_null_and_lists_the_errors():
    play = Play(
        workflow(
            foreach("each", ["a", "b", "c"], do=[delegate("d")], output="{{ item }}", on_item_error="collect", output_to="all"),
            ret("r", "{{ [state.all, steps.each.errors] }}"), initial_state={"all": None},
        )
    )  # fmt: skip
    play.done("each[2]/d").answer("each[1]/d", fails="denied").done("each[0]/d")
    error = {"class": "denied", "message": "it is denied", "step": "each[1]/d", "index": 1}
    assert (play.status, play.result) == ("completed_degraded", [["a", None, "c"], [error]])
    play.ended_properly()


@clause("S25")
def test_a_failure_writes_output_only_with_a_result_of_its_own():
    for result, expected in ((..., "before"), ({"code": 1}, {"code": 1}), (None, None)):
        play = Play(workflow(call("c", output_to="a", on_error="continue"), prompt("ask"), initial_state={"a": "before"}))
        play.claim("c", by=play._holder(play.state.actions["c"])).answer("c", fails="exit_code", result=result)
        assert play.fields["a"] == expected
    outer = condition("if", "{{ true }}", then=[call("c")], on_error="continue")
    play = Play(
        workflow(
            foreach("each", [1], do=[outer], output_to="a", on_error="continue"),
            prompt("ask"),
            initial_state={"a": "before"},
        )
    )
    play.claim("each[0]/if.then/c", by=play._holder(play.state.actions["each[0]/if.then/c"]))
    play.answer("each[0]/if.then/c", fails="exit_code", result=3)
    assert play.fields["a"] == [None]


def test_behaviour_21_a_failure_fails_the_run_unless_the_step_goes_on_and_keeps_its_result():
    failed = Play(workflow(call("c", effect="read"), prompt("ask"))).answer("c", fails="exit_code", result={"exit_code": 2})
    assert (failed.status, failed.state.failure.error_class) == ("failed", "exit_code")
    steps = call("c", effect="read", on_error="continue", output_to="out"), ret("r", "{{ state.out.exit_code }}")
    play = Play(workflow(*steps, initial_state={"out": None})).answer("c", fails="exit_code", result={"exit_code": 2})
    assert (play.status, play.result) == ("completed_degraded", 2)


@clause("S26")
@pytest.mark.parametrize(
    "fields, wrong, right",
    [
        ({}, 3, "text"),
        ({"min_length": 2, "max_length": 3}, "x", "xx"),
        ({"format": "confirm"}, True, {"confirmed": True}),
        ({"format": "confirm"}, {"confirmed": "yes"}, {"confirmed": False}),
        ({"format": "choice", "options": ["a", "b"]}, "c", "b"),
        ({"format": "choice", "options": "{{ [1, 2, 3] }}", "multiple": True}, [1, 4], [3, 1]),
        ({"format": "choice", "options": ["a"], "multiple": True}, "a", []),
        (
            {"format": "form", "fields": {"n": {"type": "integer", "required": True}, "m": {"default": 1}}},
            {"m": 1},
            {"n": 2, "m": 1},
        ),
        ({"format": "form", "fields": {"n": {"type": "integer"}}}, {"n": 1, "x": 2}, {}),
    ],
)
def test_the_value_of_a_prompt(fields, wrong, right):
    play = Play(workflow(prompt("ask", output_to="a", **fields), ret("r", "{{ state.a }}"), initial_state={"a": None}))
    play.claim("ask").answer("ask", wrong)
    assert play.refused == "invalid_answer"
    play.answer("ask", {"n": 2} if right == {"n": 2, "m": 1} else right)
    assert (play.status, play.result) == ("completed", right)


@clause("S26")
def test_an_info_prompt_takes_any_answer_and_gives_null():
    play = Play(workflow(prompt("tell", format="info", output_to="a"), initial_state={"a": 1}, output="{{ state.a }}"))
    assert play.done("tell", {"any": "thing"}).result is None


@clause("S26")
def test_options_that_are_no_list_fail_the_prompt():
    play = Play(workflow(prompt("ask", format="choice", options="{{ 'abc' }}")))
    assert (play.status, play.state.failure.error_class) == ("failed", "expression")


def test_behaviour_19_a_confirmation_without_its_flag_is_refused_with_the_shape_that_is_wanted():
    play = Play(workflow(prompt("ask", format="confirm"))).claim("ask").answer("ask", {"ok": True})
    assert (play.refused, play.open, play.state.actions["ask"].status) == ("invalid_answer", ["ask"], "claimed")
    assert play.decision.refusal.details["expected"]["required"] == ["confirmed"]


def test_behaviour_20_an_answer_must_be_an_option_and_text_keeps_to_its_length():
    for fields, wrong in (({"format": "choice", "options": ["a"]}, "b"), ({"max_length": 2}, "abc")):
        assert Play(workflow(prompt("ask", **fields))).claim("ask").answer("ask", wrong).refused == "invalid_answer"


@clause("S27")
def test_the_value_of_a_delegate_is_what_its_schema_names_else_anything():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    play = Play(
        workflow(
            delegate("d", output=schema, output_to="a"),
            delegate("e", output_to="b"),
            prompt("ask"),
            initial_state=dict.fromkeys("ab"),
        )
    )
    play.done("d", {"n": 3}).done("e", "just text")
    assert play.fields == {"a": {"n": 3}, "b": "just text"}


@clause("S28")
def test_the_schema_of_the_state_is_kept_on_every_write():
    schema = {"n": {"type": "integer"}}
    play = Play(
        workflow(
            put("s", {"m": 5, "n": "{{ 'text' }}"}, on_error="continue"), prompt("ask", output_to="n", on_error="continue"),
            prompt("end"), initial_state={"n": 1, "m": 2}, state_schema=schema,
        )
    )  # fmt: skip
    assert play.fields == {"n": 1, "m": 2}
    play.done("ask", "no integer")
    assert (play.fields["n"], play.open) == (1, ["end"])
    classes = {note.data["error_class"] for note in play.every_note if note.kind == "step_failed"}
    assert classes == {"bad_output"}
    first = Play(workflow(initial_state={"n": "text"}, state_schema=schema))
    assert (first.status, first.state.failure.error_class) == ("failed", "bad_output")


@clause("S29")
def test_a_single_expression_keeps_its_type_and_mixed_text_is_text():
    play = Play(
        workflow(
            put("s", {"a": "{{ [1, 2] }}", "b": "n={{ [1, 2] }}", "c": " {{ 3.0 }} "}),
            initial_state=dict.fromkeys("abc"),
        )
    )
    assert play.fields == {"a": [1, 2], "b": "n=[1, 2]", "c": 3}


@clause("S140")
def test_an_expression_takes_as_many_moves_as_the_workflow_allows():
    definition = workflow(ret("r", "{{ inputs.rows | sum }}"), inputs={"rows": {}})
    rows = list(range(1_000))
    assert Play(definition, rows=rows).result == 499_500
    small = Play(without(definition, limits=Limits(expression_moves_max=900)), rows=rows)
    assert (small.status, small.state.failure.error_class) == ("failed", "budget")
    assert "more than 900 moves" in small.state.failure.message


def test_behaviour_14_a_list_stays_a_list():
    play = Play(workflow(ret("r", "{{ inputs.rows }}"), inputs={"rows": {}}), rows=[1, "a"])
    assert play.result == [1, "a"]


def test_behaviour_22_the_next_step_reads_the_result_of_a_call():
    play = Play(
        workflow(
            call("c", effect="read", output_to="found"),
            ret("r", "{{ state.found.hits[0] }}"),
            initial_state={"found": None},
        )
    )
    assert play.answer("c", {"hits": ["first"]}).result == "first"


def test_a_reference_is_encoded_and_read_back():
    play = Play(workflow(prompt("ask", output_to="a"), prompt("next"), initial_state={"a": None})).done("ask", LARGE)
    assert encode(play.fields["a"]).startswith('{"$treadle.blob"')
    assert isinstance(RunStarted, type)
    play.check_log()
