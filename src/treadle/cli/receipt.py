"""`treadle receipt`: who did what in a run, on whose word, and what of it was proven; to read, to keep, or to put beside a pull request.

Made of the run's events alone. Values of steps are not in it, and secrets never are.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, cast

import click
import orjson
from rich.text import Text

from treadle.cli import facts, live, screen, shape
from treadle.cli.children import look
from treadle.cli.frame import Frame, command, find_run
from treadle.cli.show import who
from treadle.compose import OpenProject
from treadle.core.events import RunStarted
from treadle.core.state import ENDED
from treadle.engine.receipts import Account, Receipt, account_of
from treadle.engine.timeline import Timeline
from treadle.ports import RunRow

INPUT_CHARS: Final = 120
FACT_CHARS: Final = 160
KEYS: Final = (
    "run, forked_from (RUN/STEP or null), workflow, version, definition, moved [{at, by, was, to (digests)}], status, exit_code, complete (whether the run has ended), "
    "started_by, started_at, ended_at, "
    "inputs, failure {class, message, step}, undo, parked, actions [{"
    + shape.RECEIPT_KEYS
    + ", shared (done by the run it was forked from), who, took_ms}], "
    "proven, claimed (numbers), skipped [path], reused [path], signals [{name, by, taken_by}], unread_signals [name], "
    "undone [{step, done}], not_merged (kept of worktrees) [{ref, commit, what}], took_ms, budgets [{owner, calls, calls_max, tokens, tokens_max, usd, usd_max}]"
)
_MEANS: Final = {
    "proven": "Treadle's own checks held",
    "claimed": "whoever did it says so, nothing checked it",
}


@command(
    examples="treadle receipt last\ntreadle receipt run_7k2m --format markdown > receipt.md\ntreadle receipt last --json",
    keys=KEYS,
)
@click.argument("named", metavar="RUN")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True, help="How it is written."
)
async def receipt(frame: Frame, named: str, *, form: str) -> None:
    """Say who did what in RUN (an id, the beginning of one, or `last`), on whose word, and what of it was proven."""
    async with frame.open() as opened:
        row = await find_run(opened.service, named)
        data, budgets = await receipt_of(opened, row)
    if frame.json or form == "json":
        frame.print_json(data)
    elif form == "markdown":
        screen.say("\n".join(_markdown(data, budgets)))
    else:
        for line in _text(data, budgets):
            screen.say(line)


async def receipt_of(opened: OpenProject, row: RunRow) -> tuple[dict[str, Any], list[str]]:
    """Give the receipt of a run as data, and what was used of its budgets in words."""
    view, snapshot, timeline = await look(opened, row.id), await opened.engine.snapshot(row.id), Timeline(opened.engine, row.id)
    moments = await timeline.more()
    account = account_of(row.id, moments)
    first = moments[0].event if moments else None
    filled = opened.service.filled
    head = {
        "run": row.id, "workflow": view.workflow, "version": snapshot.definition.version, "definition": row.definition,
        "status": opened.shown_status(row.id, view.status), "exit_code": shape.exit_code(view.status, view.undo),
        "complete": view.status in ENDED, "started_by": view.started_by, "started_at": shape.instant(view.started_at_ms),
        "ended_at": shape.instant(row.updated_ms) if view.status in ENDED else None,
        "took_ms": (row.updated_ms if view.status in ENDED else opened.clock.now_ms()) - view.started_at_ms,
        "inputs": await filled(dict(first.inputs)) if isinstance(first, RunStarted) else {},
        "failure": shape.failure_json(view.failure), "undo": view.undo or None, "parked": view.parked, "forked_from": view.forked_from,
    }  # fmt: skip
    actions = [
        {**shape.receipt_json(each, await filled(each.facts)), "shared": each.run != row.id, "who": who(each), "took_ms": _took_ms(each)}
        for each in account.receipts
    ]
    budgets = [shape.budget_json(budget) for budget in timeline.budgets]
    data = {**head, "actions": actions, **_beside(account), "unread_signals": list(view.signals), "budgets": budgets}
    data["not_merged"], data["moved"] = await opened.unmerged(row.id), shape.moves_json(moments)
    used = [f"{budget.owner or 'the run'}: {live.used(budget)}" for budget in timeline.budgets]
    return cast(dict[str, Any], opened.secrets.redactor.value(data)), used


def _took_ms(receipt: Receipt) -> int | None:
    return receipt.ended_at_ms - receipt.opened_at_ms if receipt.ended_at_ms is not None else None


def _beside(account: Account) -> dict[str, Any]:
    standings = [each.standing for each in account.receipts]
    return {
        "proven": standings.count("proven"), "claimed": standings.count("claimed"), "skipped": account.skipped, "reused": account.reused,
        "signals": [{"name": name, "by": by, "taken_by": step} for name, by, step in account.signals],
        "undone": [{"step": step, "done": done} for step, done in account.undone],
    }  # fmt: skip


# In words


def _text(data: dict[str, Any], budgets: list[str]) -> Iterator[Text]:
    yield Text.assemble(
        ("receipt of ", "bright_black"), (data["run"], "bold"), "  ", data["workflow"], f" {data['version'] or ''}".rstrip()
    )
    yield Text.assemble("  outcome     ", screen.mark(data["status"]), " ", screen.worded(data["status"]), _clean(_failure(data)))
    for name, said in _head(data):
        yield Text.assemble(f"  {name:<11} ", _clean(said))
    yield Text(f"  {_sum(data)}", style="yellow" if data["claimed"] else "default")
    for each in data["actions"]:
        yield Text.assemble("  ", screen.mark(_mark_of(each)), " ", (each["action"], "bold"), _clean(f"  {_about(each)}"))
        for fact in _facts(each):
            yield Text.assemble("      ", screen.mark("completed" if fact[0] else "failed"), f" {fact[1]}")
        for decision in each["decisions"]:
            yield Text(f"      {_decision(decision)}", style="bright_black")
    for name, said in _rest(data, budgets):
        yield Text.assemble(f"  {name:<12}", _clean(said))


def _markdown(data: dict[str, Any], budgets: list[str]) -> Iterator[str]:
    yield f"### Treadle receipt: {_code(data['workflow'])} {data['status'].replace('_', ' ')}"
    yield ""
    if data["failure"] is not None:
        yield f"Why{_escaped(_failure(data))}\n"
    yield from (f"- {name}: {_code(said)}" for name, said in _head(data))
    yield f"- {_escaped(_sum(data))}"
    if data["actions"]:
        yield "\n| step | what | effect | standing | by | tries | took |\n|---|---|---|---|---|---:|---:|"
    for each in data["actions"]:
        took = screen.duration(each["took_ms"]) if each["took_ms"] is not None else ""
        cells = [
            _code(each["action"]),
            each["kind"],
            each["effect"],
            f"**{each['standing']}**",
            _code(_who(each)),
            str(each["attempts"]),
            took,
        ]
        yield f"| {' | '.join(cells)} |"
    facts = [f"- {_code(each['action'])}: {'✓' if ok else '✗'} {_escaped(said)}" for each in data["actions"] for ok, said in _facts(each)]
    yield from ["\n**What Treadle checked**\n", *facts] if facts else []
    said = [f"- {_code(each['action'])}: {_escaped(_decision(row))}" for each in data["actions"] for row in each["decisions"]]
    yield from ["\n**What people decided**\n", *said] if said else []
    rest = list(_rest(data, budgets))
    yield from ["", *(f"- {name}: {_escaped(said)}" for name, said in rest)] if rest else []


def _head(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    until = (
        f"{data['ended_at']}, {screen.duration(data['took_ms'])}"
        if data["ended_at"]
        else f"not over after {screen.duration(data['took_ms'])}"
    )
    yield "run", data["run"]
    if data["forked_from"]:
        yield "forked from", data["forked_from"].replace("/", " at ", 1)
    yield "definition", data["definition"]
    for moved in data["moved"]:
        yield "moved", f"at {moved['at']} by {facts.holder_name(moved['by'])}, from {moved['was'][:19]} to {moved['to'][:19]}"
    yield "started by", f"{facts.holder_name(data['started_by'])} at {data['started_at']}; {'ended at ' if data['ended_at'] else ''}{until}"
    for name, value in data["inputs"].items():
        yield f"input {name}", screen.short(value if isinstance(value, str) else orjson.dumps(value).decode(), INPUT_CHARS)


def _failure(data: dict[str, Any]) -> str:
    failure = data["failure"]
    return f": {failure['class']} in `{failure['step']}`: {failure['message']}" if failure is not None else ""


def _sum(data: dict[str, Any]) -> str:
    said = [f"{data['proven']} proven ({_MEANS['proven']})"] if data["proven"] else []
    said += [f"{data['claimed']} only claimed ({_MEANS['claimed']})"] if data["claimed"] else []
    return "; ".join(said) or "nothing in it rests on a performer's word alone"


def _about(each: dict[str, Any]) -> str:
    tries = f", {each['attempts']} tries" if each["attempts"] > 1 else ""
    refused = f", {each['refused']} answers refused" if each["refused"] else ""
    took = f", {screen.duration(each['took_ms'])}" if each["took_ms"] is not None else ""
    effect = f" [{each['effect']}]" if each["effect"] != "none" else ""
    note = f" ({each['note']})" if each["note"] and not each["decisions"] else ""
    note += f", in {each['run']}" if each["shared"] else ""
    by = f" by {_who(each)}" if _who(each) else ""
    return f"{each['kind']}{effect}: {each['standing']}{by}{tries}{refused}{took}{note}"


def _who(each: dict[str, Any]) -> str:
    return "" if each["standing"] in {"open", "unknown"} else each["who"]


def _mark_of(each: dict[str, Any]) -> str:
    words = {
        "failed": "failed",
        "rejected": "failed",
        "unknown": "unknown",
        "open": "waiting",
        "claimed": "handling",
        "stopped": "cancelled",
    }
    return words.get(each["standing"], "completed")


def _facts(each: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    for row in each["facts"] if isinstance(each["facts"], list) else []:
        if isinstance(row, dict):
            yield row.get("ok") is True, screen.short(str(row.get("message") or f"check {row.get('check')}"), FACT_CHARS)


def _decision(row: dict[str, Any]) -> str:
    note = f": {screen.clean(row['note'], lines=False)}" if row["note"] else ""
    word = "approved" if row["approved"] else "rejected"
    return f"{word} by {screen.clean(row['by'], lines=False)} ({row['assurance']}) at {row['at']}, of {row['digest']}{note}"


def _rest(data: dict[str, Any], budgets: list[str]) -> Iterator[tuple[str, str]]:
    undone = [f"`{row['step']}`" + ("" if row["done"] else " (failed)") for row in data["undone"]]
    signals = [f"`{row['name']}` from {facts.holder_name(row['by'])} to `{row['taken_by']}`" for row in data["signals"]]
    rows = {
        "skipped": data["skipped"], "from cache": data["reused"], "signals": signals, "not read": data["unread_signals"], "taken back": undone,
        "not merged": [f"{row['what']} (git show {row['ref']})" for row in data["not_merged"]],
        "budgets": budgets, "set aside": [data["parked"]] if data["parked"] else [],
    }  # fmt: skip
    yield from ((name, ", ".join(said)) for name, said in rows.items() if said)
    if data["undo"] in {"kept", "incomplete"}:
        yield "undo", "what it did can still be taken back" if data["undo"] == "kept" else "not all could be taken back"


def _clean(text: str) -> str:
    return screen.clean(text, lines=False) if not text.startswith("  ") else "  " + screen.clean(text, lines=False)


def _escaped(text: str) -> str:
    """Write foreign text so that it is text in Markdown: no markup, no link, nobody mentioned by it."""
    return re.sub(r"([\\|*_\[\]<>#@`!~&])", r"\\\1", screen.clean(text, lines=False)).replace("\\@", "@\u200b")


def _code(text: str) -> str:
    return "`" + screen.clean(text, lines=False).replace("`", "'").replace("|", "\\|") + "`" if text else ""
