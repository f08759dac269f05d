"""What a performer is told, as a reply: a step to do, branches to hand to sub-agents, what is waited for, or the end.

Everything a performer needs stands in one reply: what to do in the author's words, the shape of the answer, and the very call that gives it. What
surrounds the author's words costs less than 150 tokens (ruling 43). A branch is named to its sub-agent by path and token in one word, so that
Treadle can tell a branch that has ended from one that never was; nobody but the main channel is ever told the name of another branch.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from treadle.core.ids import is_under
from treadle.core.render import instant
from treadle.core.values import BlobRef
from treadle.engine.service import Offer, Service
from treadle.engine.why import Wait, why
from treadle.mcpio.server.replies import Reply, cut, error, json_text, refused
from treadle.ports import Snapshot
from treadle.view import ActionView, BranchView, RunView

ITEM_CHARS_MAX: Final = 4_000
BRANCHES_MAX: Final = 32
SIGNALS_SHOWN_MAX: Final = 16
_CHANNEL_MARK: Final = "br_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Where a caller speaks: the main channel of a run, or a branch. `written` is the branch as the caller writes it."""

    run_id: str
    written: str | None = None

    @property
    def path(self) -> str:
        """Give the path of the branch; empty on the main channel."""
        return self.written.rpartition("#")[0] if self.written is not None else ""

    @property
    def token(self) -> str:
        """Give the branch's token as the engine knows it; empty on the main channel."""
        return _CHANNEL_MARK + self.written.rpartition("#")[2] if self.written is not None else ""

    def call(self, tool: str, **more: Any) -> str:
        """Write a call of a tool, to be made word for word."""
        named = {"run_id": self.run_id, **({"branch": self.written} if self.written is not None else {}), **more}
        return f"{tool}({', '.join(f'{name}={_literal(value)}' for name, value in named.items())})"

    def answer(self, action: str, attempt: int, result: str) -> str:
        """Write the call that answers an attempt; `result` describes what belongs there."""
        return self.call("submit_result", action=action, attempt=attempt)[:-1] + f", result={result})"

    @property
    def wait(self) -> str:
        """Write the call that waits for something to do."""
        return self.call("get_next_step", wait_seconds=25)


async def told(service: Service, offer: Offer, channel: Channel, answered: str = "") -> Reply:
    """Give an offer as a reply; `answered` is the action that the request was an answer to."""
    if offer.refusal is not None:
        return _refused(offer, channel, answered)
    match offer.kind:
        case "action":
            reply = _step(service, offer, channel)
        case "fan_out":
            reply = await _fan_out(service, offer, channel)
        case "branch_ended":
            reply = await _branch_ended(service, channel)
        case "ended" if channel.written is not None:
            reply = await _branch_ended(service, channel)  # how the run ended is not a sub-agent's to tell
        case "ended":
            reply = await _ended(service, offer, channel)
        case "waiting":
            reply = await _waiting(service, offer, channel)
    return _about_answer(reply, offer)


def _about_answer(reply: Reply, offer: Offer) -> Reply:
    """Say what became of the answer that this replies to."""
    if offer.duplicate:
        said, word = "This answer was given before; the first one stands and nothing was done twice.", "duplicate"
    elif offer.answered is not None:
        said = "Your answer completed its step." if offer.answered == "completed" else "The step's attempt was recorded as failed."
        word = offer.answered
    else:
        return reply
    more: dict[str, Any] = {"answer": word, **({"duplicate": True} if offer.duplicate else {})}
    return Reply(text=f"{said}\n{reply.text}", data=reply.data | more, is_error=reply.is_error)


# A step


def _step(service: Service, offer: Offer, channel: Channel) -> Reply:
    action = offer.action
    assert action is not None, "an offer of kind `action` carries one"
    data: dict[str, Any] = {
        "kind": "step", "run_id": channel.run_id, "action": action.id, "attempt": action.attempt, "type": action.kind,
    }  # fmt: skip
    own, next_call = _own_words(action, channel)
    data |= own
    if action.working_dir and action.kind != "prompt":
        data["working_dir"] = action.working_dir
    if action.expected and action.expected != {"type": "string"}:
        data["expected"] = action.expected
    warnings = list(_warnings(action))
    if warnings:
        data["note"] = " ".join(warnings)
    if offer.lease_until_ms is not None:
        data["lease_seconds"] = max(0, (offer.lease_until_ms - service.clock.now_ms()) // 1000)
    if action.due_ms is not None:
        data["due_at"] = instant(action.due_ms)
    data["next"] = next_call
    return Reply(text=_step_text(data, offer.run.workflow), data=data)


def _step_text(data: dict[str, Any], workflow: str) -> str:
    head = f"Step `{data['action']}` ({data['type']}) of {workflow}, attempt {data['attempt']}, run {data['run_id']}."
    if "lease_seconds" in data:
        head += f" Yours for {data['lease_seconds']} s."
    if "due_at" in data:
        head += f" Due at {data['due_at']}."
    own = next(json_text(data[name]) for name in ("message", "instructions", "call") if name in data)
    parts = [head, own]
    if "working_dir" in data:
        parts.append(f"Work in {data['working_dir']} and nowhere else: a git worktree for this alone. Treadle keeps what you change there.")
    parts += [f"`{name}`: {json_text(data[name])}" for name in ("default", "effect", "expected") if name in data]
    parts += [data["note"]] if "note" in data else []
    return "\n\n".join([*parts, data["next"]])


def _own_words(action: ActionView, channel: Channel) -> tuple[dict[str, Any], str]:
    """Give what the author wrote, and the sentence that says how to answer it."""
    params, shape = action.params, "<fits `expected`>" if action.expected.get("type") != "string" else "<text>"
    match action.kind:
        case "prompt":
            own: dict[str, Any] = {"format": params["format"], "message": json_text(params["message"])}
            own |= {"default": params["default"]} if "default" in params else {}
            if params["format"] == "info":
                return own, f"Tell the user this, then {channel.answer(action.id, action.attempt, 'null')}"
            then = channel.answer(action.id, action.attempt, shape)
            return own, f"Ask the user exactly this and never answer for them, then {then}"
        case "mcp_call":
            server, _, tool = str(params["tool"]).partition(".")
            own = {"call": {"tool": params["tool"], "parameters": params["parameters"]}, "effect": action.effect}
            then = channel.answer(action.id, action.attempt, "<its structuredContent, else its text>")
            return own, f"Call tool `{tool}` of your MCP server `{server}` with exactly these parameters, then {then}"
        case _:
            then = channel.answer(action.id, action.attempt, shape if action.expected else "<text>")
            return _delegated(action, channel, then)


def _delegated(action: ActionView, channel: Channel, then: str) -> tuple[dict[str, Any], str]:
    agent = action.params.get("agent")
    own: dict[str, Any] = {"instructions": json_text(action.params.get("instructions", ""))}
    if agent is None or channel.written is not None:
        return own, f"Do this yourself, then {then}"
    own = {"agent": agent, **own}
    if agent == "@task":
        return own, f"Have a fresh sub-agent do this (yourself if you can start none), then pass on its answer: {then}"
    name = str(agent).removeprefix("@")
    return (
        own,
        f"Have the agent `{name}` do this (a fresh sub-agent if there is none of that name), then pass on its answer: {then}",
    )


def _warnings(action: ActionView) -> Sequence[str]:
    found: list[str] = []
    if action.redo:
        found.append("An earlier performer was lost in the middle of this: look at what is there already before you repeat anything.")
    if action.problem is not None:
        found.append(f"The last answer or attempt did not do ({action.problem.error_class}): {action.problem.message}")
    return found


# Branches


async def _fan_out(service: Service, offer: Offer, channel: Channel) -> Reply:
    shown = offer.branches[:BRANCHES_MAX]
    foreach, agent = shown[0].foreach, shown[0].agent
    each = "a fresh general sub-agent" if agent == "@task" else f"one agent `{agent.removeprefix('@')}`"
    instruction = (
        f"`{foreach}` is done by sub-agents, one branch each. Start {each} for every branch below, all at once, each with its "
        "prompt word for word. Do none of their work yourself; a branch that you have started before and that still works needs no second."
    )
    branches = [{"branch": _written(branch), "prompt": await _prompt(service, channel.run_id, branch)} for branch in shown]
    then = f"When all have reported back: {channel.call('get_next_step')}"
    data: dict[str, Any] = {
        "kind": "fan_out", "run_id": channel.run_id, "foreach": foreach, "agent": agent, "instruction": instruction, "branches": branches,
    }  # fmt: skip
    counts = {"in_work": len(offer.in_work), "not_shown": len(offer.branches) - len(shown)}
    data |= {name: count for name, count in counts.items() if count}
    data["next"] = then
    counted = "".join(f" ({name}: {count})" for name, count in counts.items() if count)
    prompts = [f"--- {branch['branch']}\n{branch['prompt']}" for branch in branches]
    return Reply(text="\n\n".join([instruction + counted, *prompts, then]), data=data)


async def _prompt(service: Service, run_id: str, branch: BranchView) -> str:
    """Write what a sub-agent is told: its item and how to go on, nothing of the parent."""
    own = Channel(run_id=run_id, written=_written(branch))
    item = branch.item
    whole = f"({item.kind} of {item.length})" if isinstance(item, BlobRef) else await service.filled(item)
    return (
        f"You work one branch of a workflow with the MCP tools of `treadle`. Your item: {cut(json_text(whole), ITEM_CHARS_MAX)}\n"
        f"1. Call {own.wait}.\n"
        '2. `kind` "step": do what it says, then make the call in its `next`; the reply is your next step. '
        '"waiting": call get_next_step so again. "error": do what its `next` says.\n'
        '3. Go on until `kind` is "done"; then report in one sentence. What you cannot do you submit with outcome="cannot" '
        "and the reason; never make a result up."
    )


def _written(branch: BranchView) -> str:
    return f"{branch.path}#{branch.token.removeprefix(_CHANNEL_MARK)}"


async def _branch_ended(service: Service, channel: Channel) -> Reply:
    if not await service.is_branch(channel.run_id, channel.path, channel.token):
        hint = "copy `branch` exactly from the prompt that you were given; leave it out if you were given none"
        return error("unknown_branch", f"the run {channel.run_id} has no such branch", hint)
    said = "Stop here and report in one sentence to whoever started you."
    data = {"kind": "done", "run_id": channel.run_id, "branch": channel.written, "next": said}
    return Reply(text=f"Branch `{channel.path}` of run {channel.run_id} is done. {said}", data=data)


# Waiting


async def _waiting(service: Service, offer: Offer, channel: Channel) -> Reply:
    snapshot = await service.engine.snapshot(channel.run_id)
    run = offer.run
    mine = [a for a in run.actions if is_under(a.id, channel.path)] if channel.written is not None else list(run.actions)
    pauses = tuple(pause for pause in run.waits if channel.written is None or is_under(pause.path, channel.path))
    waits = why(replace(run, actions=tuple(mine), waits=pauses), served=True)
    held = _held(waits, snapshot, service.clock.now_ms(), channel)
    on = "another_agent" if held is not None else waiting_on(waits)
    data: dict[str, Any] = {
        "kind": "waiting",
        "run_id": channel.run_id,
        "status": run.status,
        "waiting_on": on,
        "why": waits.message,
    }
    text = f"Nothing to do now in run {channel.run_id} ({run.status}), waiting on {on}: {waits.message}."
    if held is not None:
        data["held_until"] = held
        text += f" Held until {held}."
    if waits.child:
        data["child"] = waits.child
    if waits.due_ms is not None and waits.kind in {"time", "signal"}:
        data["due_at"] = instant(waits.due_ms)
        text += f" Time moves it at {data['due_at']}."
    if run.ending is not None:
        data["ending"] = run.ending
        text += f" The run is ending: its {run.ending} is carried out."
    if offer.in_work:
        data["in_work"] = [branch.path for branch in offer.in_work]
        text += f" In work: {', '.join(data['in_work'])}."
    gates = [] if channel.written is not None else [a for a in mine if a.kind == "approve" and a.status == "open"]
    if gates:
        shown = {gate.id: cut(json_text(await service.filled(gate.params.get("show")))) for gate in gates}
        votes = {gate.id: voted(gate) for gate in gates}
        data["approvals"] = [{"action": action, "show": show, **votes[action]} for action, show in shown.items()]
        for action, show in shown.items():
            so_far = f"; {votes[action]['approved_by']} of {votes[action]['needed']} so far" if votes[action] else ""
            text += f"\n\nTo be decided by a person (`{action}`{so_far}):\n{show}\n"
    data["next"] = _next_of(waits, channel, in_work=bool(offer.in_work), held=held is not None)
    return Reply(text=f"{text}\n{data['next']}", data=data)


def voted(gate: ActionView) -> dict[str, Any]:
    """Say who has approved so far, at a gate that asks for several."""
    needed = gate.params.get("count")
    return {"approved_by": list(gate.votes), "needed": needed} if isinstance(needed, int) else {}


def left_over(run: RunView) -> dict[str, Any]:
    """Give what a run leaves open: signals that no step has read, and what was or was not taken back."""
    found: dict[str, Any] = {"unread_signals": list(run.signals[:SIGNALS_SHOWN_MAX])} if run.signals else {}
    return found | ({"undo": run.undo} if run.undo else {})


def waiting_on(waits: Wait) -> str:
    """Say in one word who moves the run on."""
    return {
        "agent": "agent",
        "server": "server",
        "stalled": "server",
        "nothing": "server",
        "time": "time",
        "signal": "signal",
        "child": "child",
        "ended": "nobody",
    }.get(waits.kind, "person")


def _held(waits: Wait, snapshot: Snapshot, now_ms: int, channel: Channel) -> str | None:
    """Say until when another performer holds what is waited for; to a branch, a question is a person's, through whomever it is asked."""
    kinds = {"agent"} if channel.written is not None else {"agent", "answer"}
    until_ms = next((lease.until_ms for lease in snapshot.leases if lease.action == waits.action), 0)
    return instant(until_ms) if waits.kind in kinds and until_ms > now_ms else None


def _next_of(waits: Wait, channel: Channel, *, in_work: bool, held: bool) -> str:
    run_id, wait = channel.run_id, channel.wait
    if channel.written is not None:
        patience = "; if it is still a person that is waited for, stop and report that" if waiting_on(waits) == "person" else ""
        return f"Call {wait}{patience}"
    match waits.kind:
        case "approval":
            return f"Show the user what is to be decided: they run `treadle approve {run_id}` in a terminal, you cannot. After that, {wait}"
        case "outcome":
            return f"Tell the user: a person says what became of it with `treadle answer {run_id}`, you cannot. After that, {wait}"
        case "parked":
            return (
                f"Tell the user; if they want to go on: {Channel(run_id=run_id).call('resume_run')}, then {channel.call('get_next_step')}"
            )
        case "signal":
            return f"Whoever has the news sends it in a terminal (`{waits.command}`), you cannot. After that, {wait}"
        case "child":
            return f"Go on with the child run: {Channel(run_id=waits.child).call('get_next_step')}. When it has ended, {wait}"
        case _ if in_work:
            return f"Wait for your sub-agents, then {channel.call('get_next_step')}"
        case _ if held:
            return f"Another performer has it: {wait}. Only if you know that it is gone: {channel.call('get_next_step', take_over=True)}"
        case _:
            return f"Call {wait}"


# The end


async def _ended(service: Service, offer: Offer, channel: Channel) -> Reply:
    run = offer.run
    data: dict[str, Any] = {"kind": "ended", "run_id": channel.run_id, "workflow": run.workflow, "status": run.status}
    lines = [f"Run {channel.run_id} of {run.workflow} has ended: {run.status}."]
    if run.failure is not None:
        data["failure"] = run.failure.shown()
        lines.append(f"Why ({run.failure.error_class}): {run.failure.message} (step `{run.failure.step}`)")
    result = await service.filled(run.result)
    written = json_text(result)
    if result is not None:
        whole = cut(written)
        data["result"] = result if whole is written else whole
        lines.append(f"Result: {whole}")
    said = {
        "done": "What it did was taken back.", "incomplete": "Not all that it did could be taken back; `treadle logs` says what was not.",
        "kept": f"What it did can still be taken back; a person may do so with `treadle undo {channel.run_id}`.",
    }  # fmt: skip
    over = left_over(run)
    data |= over
    lines += [said[run.undo]] if run.undo else []
    lines += [f"Signals that nobody read: {', '.join(over['unread_signals'])}"] if run.signals else []
    data["next"] = "Tell the user how it ended; there is nothing left to do in this run"
    if run.parent is not None:
        data["next"] = f"Go on with the run that started it: {Channel(run_id=run.parent.partition('/')[0]).call('get_next_step')}"
    return Reply(text="\n".join([*lines, data["next"]]), data=data)


# Refusals: what to do next, as calls that can be made word for word

_PERSON: Final = "a person {does} in a terminal; you cannot. Then {wait}"
_AFTER: Final[dict[str, str]] = {
    "late": "do not send it again: {next}",
    "not_open": "the step is over, or was never there: {next}",
    "unknown_attempt": "copy `attempt` from the step as it was given to you, or {next}",
    "foreign": "your answer was not used. The step that is yours: {next}",
    "not_claimable": "{next}",
    "conflict": "the first answer stands; to go another way from there the user runs `treadle fork {run_id} --from {step}` in a terminal; "
    "you cannot. To go on in this one: {next}",
    "stopped": "{look} shows what became of the run",
    "run_ended": "nothing is left to do; {look} shows how it ended",
    "run_parked": "if the user wants to go on: {resume}, then {next}",
    "performer_lost": "{next}",
    "needs_decision": _PERSON.replace("{does}", "runs `treadle approve {run_id}`"),
    "outcome_unknown": _PERSON.replace("{does}", "says what became of it with `treadle answer {run_id}`"),
}


def _refused(offer: Offer, channel: Channel, answered: str) -> Reply:
    refusal = offer.refusal
    assert refusal is not None, "only refusals come here"
    own = Channel(run_id=channel.run_id)
    calls = {
        "next": channel.call("get_next_step"), "wait": channel.wait, "look": own.call("get_run"), "resume": own.call("resume_run"),
        "run_id": channel.run_id, "step": answered,
    }  # fmt: skip
    if refusal.code not in {"bad_output", "invalid_answer"}:
        hint = _AFTER[refusal.code].format(**calls) if refusal.code in _AFTER else ""
    elif offer.duplicate:
        hint = f"this answer was refused before; the attempt that is open now: {calls['next']}"
    else:
        attempt = int(str((refusal.details or {})["attempt"]))
        shape = "<fits `expected`>" if (refusal.details or {}).get("expected") else "<text>"
        hint = f"mend it, then {channel.answer(answered, attempt, shape)}"
    reply = refused(refusal, hint)
    more = {"run_id": channel.run_id, **({"duplicate": True} if offer.duplicate else {})}
    return Reply(text=f"Run {channel.run_id}: {reply.text}", data=reply.data | more, is_error=True)


def _literal(value: object) -> str:
    return json.dumps(value) if not isinstance(value, bool) else str(value).lower()
