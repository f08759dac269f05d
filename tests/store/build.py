"""Writes as an engine would make them, small enough to read in a failure."""

from dataclasses import replace

from treadle.engine.embedded.records import ActionRow, DefinitionRow, Head, NewRun, Write

DIGEST = "d" * 64
BODY = b'{"type":"ActionDone","at_ms":1}'


def an_action(name, **more):
    return ActionRow(**{"id": name, "status": "open", "kind": "delegate", "performer": "agent", "opened_ms": 1, **more})


def starting(run, **more):
    new = NewRun(name="demo:walk", definition=DIGEST, semantics=1, status="waiting", now_ms=1, created_ms=1)
    return Write(
        run=run,
        start=replace(new, **more),
        definitions=(DefinitionRow(digest=DIGEST, body=b"{}"),),
        events=(BODY,),
        opened=(an_action("step[0]"),),
    )


def stepping(run, head: Head, body=BODY, **more):
    """The step after `head`: closes the one action that is open, opens the next."""
    here = head.revision
    return Write(
        run=run,
        expected=head,
        events=(body,),
        fields={"now_ms": here, "updated_ms": here},
        closed=(f"step[{here - 1}]",),
        opened=(an_action(f"step[{here}]"),),
        **more,
    )
