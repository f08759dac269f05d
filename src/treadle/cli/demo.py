"""`treadle demo`: the planning workflow, run for real, killed for real in the middle, and gone on with.

What is real: the workflow and its functions from the library, two MCP servers of ours started as processes, the project's file, the SIGKILL, and
every count in the report, which is read from the histories afterwards. What is not there is a model: the person at the terminal does the delegated
steps, or a shipped script does, and the demo says which.

Theory of operation: this process sets a project up, starts `treadle run` as a child, and follows the same file from beside it. When two research items are
finished, the others are taken and nothing of Treadle's own is under way, it kills the child. Each child writes the replies that reached it to a file
of its own (`--record`). Then the same command is given again, and at the end the callers' records are compared with the history, and the
history with what the memory server holds.
"""

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import orjson
from rich.text import Text

from treadle import trust
from treadle.cli import demo_report, screen
from treadle.cli.frame import Frame, command
from treadle.cli.keyboard import Keyboard, restored
from treadle.compose import OpenProject, locate, open_project
from treadle.core.errors import RequestError
from treadle.core.state import ENDED
from treadle.engine.timeline import Timeline

WORKFLOW: Final = "planning:interactive"
TASK: Final = "Release our software with Treadle"
SCRIPT: Final = Path(__file__).with_name("demo_script.yaml")
FINISHED_BEFORE_KILL: Final = 2
PATIENCE_S: Final = 60.0
# In the first process the script's later performers keep what they took: they are at work when the process is killed.
_HOLDING: Final = '- {match: "research-phase[2]/**", hold: true}\n- {match: "research-phase[3]/**", hold: true}\n- {match: "research-phase[4]/**", hold: true}\n'
_SETTINGS: Final = """\
[servers.memory]
command = {python}
args = ["-m", "treadle.cli.main", "server", "memory"]

[servers.memory.effects]
get = "read"
search = "read"
list = "read"

[servers.web]
command = {python}
args = ["-m", "treadle.cli.main", "server", "web", "--provider", "files", "--folder", "docs"]

[servers.web.effects]
search = "read"
"""


@dataclass(slots=True, kw_only=True)
class Stage:
    """The project that the demo plays in."""

    folder: Path
    by_script: bool
    quiet: bool
    killed_pid: int = 0
    revision_at_kill: int = 0

    def acks(self, number: int) -> Path:
        """Give the file in which a child records the replies that reached it."""
        return self.folder / f"acks-{number}.jsonl"

    def say(self, text: str, style: str = "") -> None:
        """Tell the person who watches."""
        if not self.quiet:
            screen.say(text, style=style)

    def title(self, text: str) -> None:
        """Begin a part."""
        if not self.quiet:
            screen.say()
            screen.heading(Text(text, style="bold cyan"))


@command(
    examples="treadle demo\ntreadle demo --script\ntreadle demo --dir /tmp/treadle-demo --keep",
    keys="ok, run, status, killed {pid, revision}, acknowledged {before, after, missing [action]}, kept [action],\n"
    "again [{action, effect, attempts}], effects [{action, key, begun, answered}], memory {research, plans, expected_research, expected_plans},\n"
    "receipts [{action, kind, effect, standing, by, by_kind, attempts, begun, redone, key, opened_at, ended_at, note}], seconds",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Play in this new or empty directory, and keep it.",
)
@click.option("--keep", is_flag=True, help="Keep the project afterwards.")
@click.option("--script", "by_script", is_flag=True, help="Let the shipped script answer, also on a terminal.")
async def demo(frame: Frame, *, folder: Path | None, keep: bool, by_script: bool) -> int:
    """Run planning:interactive, kill it in the middle with SIGKILL, go on, and prove what was kept and what ran again.

    On a terminal you are asked and do the delegated steps, or let the shipped script do them (`s`); elsewhere the script does.
    """
    began = time.monotonic()
    with _place(folder) as place:
        stage = Stage(folder=place, by_script=True, quiet=frame.json)
        stage.by_script = by_script or not screen.is_terminal() or frame.json or not await _person_answers()
        _set_up(stage)
        with _trusted(stage):
            report = await _play(stage)
        seconds = time.monotonic() - began
        if frame.json:
            frame.print_json({**report.to_json(), "seconds": round(seconds, 2)})
        else:
            report.show(seconds)
            if folder is not None or keep:
                screen.say(f"The project stays: treadle show last --project {place}")
        if keep and folder is None:
            shutil.copytree(place, kept := Path(f"{place}-kept"))
            screen.say(f"(kept as {kept})")
    return 0 if report.ok else 1


async def _person_answers() -> bool:
    screen.say(
        "No model is here: whoever sits at this terminal answers and does the delegated steps, or a script that was written for this does."
    )
    screen.say("At any question `s` lets the script answer that one.")
    typed = await Keyboard().lines("Enter: you answer · s: the script answers everything: ")
    return (typed or "").strip().lower() != "s"


async def _play(stage: Stage) -> demo_report.Report:
    who = "the shipped script (no model, and no person)" if stage.by_script else "you (the script, where you say `s`)"
    stage.say(f"At work: {who}.")
    stage.title(f"1. {WORKFLOW} begins")
    first = await _child(stage, 1)
    run_id = await _until_the_middle(stage, first)
    await _kill(stage, first, run_id)
    stage.title("3. the same command again")
    second = await _child(stage, 2)
    code = await second.wait()
    stage.say(f"(the second process ended with exit code {code})", "bright_black")
    async with _beside(stage) as opened:
        return await demo_report.make(opened, run_id, stage.killed_pid, stage.revision_at_kill, [stage.acks(1), stage.acks(2)])


async def _child(stage: Stage, number: int) -> asyncio.subprocess.Process:
    """Start `treadle run` on the project, as anybody would type it."""
    command = [
        sys.executable,
        "-m",
        "treadle.cli.main",
        "run",
        WORKFLOW,
        "--project",
        str(stage.folder),
        "-i",
        f"task_description={TASK}",
    ]
    command += ["--new" if number == 1 else "--resume", "--record", str(stage.acks(number))]
    if stage.by_script:
        script = stage.folder / f"script-{number}.yaml"
        script.write_text((_HOLDING if number == 1 else "") + SCRIPT.read_text(encoding="utf-8"), encoding="utf-8")
        command += ["--script", str(script)]
    else:
        command += ["--offer-script", str(SCRIPT)]
    stage.say(
        f'$ treadle run {WORKFLOW} -i task_description="{TASK}" {command[9]}' + (" --script …" if stage.by_script else ""),
        "bold",
    )
    # The same terminal, so that the person can answer; no group of its own, so that Ctrl-C reaches it.
    out = asyncio.subprocess.DEVNULL if stage.quiet else None
    return await asyncio.create_subprocess_exec(*command, stdout=out)


async def _until_the_middle(stage: Stage, child: asyncio.subprocess.Process) -> str:
    """Follow the child's run from beside it until it is in the middle of the fan-out. Raises RequestError if it ends before."""
    async with _beside(stage) as opened:
        ended = asyncio.create_task(child.wait())
        middle = asyncio.create_task(_middle(stage, opened))
        limit = PATIENCE_S if stage.by_script else None
        await asyncio.wait({ended, middle}, return_when=asyncio.FIRST_COMPLETED, timeout=limit)
        ended.cancel()
        if middle.done():
            return middle.result()
        middle.cancel()
    if child.returncode is None:
        child.kill()
        await child.wait()
    raise RequestError(
        f"the first process did not come to the middle of the research (exit code {child.returncode}); nothing was proven",
        code="demo_ended_early", hint="what it printed says why; `treadle doctor` checks this machine",
    )  # fmt: skip


async def _middle(stage: Stage, opened: OpenProject) -> str:
    timeline: Timeline | None = None
    finished, wanted = 0, FINISHED_BEFORE_KILL
    async for _seq, run_id in opened.engine.changes(0):
        timeline = timeline or Timeline(opened.engine, run_id)
        for note in [note for moment in await timeline.more() for note in moment.notes]:
            finished += note.kind == "item_completed"
            if note.kind == "items_found" and isinstance(count := note.data["count"], int):
                # A person may have said so little that there are but two questions.
                wanted = min(FINISHED_BEFORE_KILL, count - 1)
        state = timeline.state
        if state is None or finished < wanted or state.status in ENDED:
            continue
        taken = [action for action in state.actions.values() if action.status == "claimed" and action.performer != "server"]
        under_way = [action for action in state.actions.values() if action.performer == "server"]
        if under_way or not taken or (stage.by_script and len(taken) < len(state.actions)):
            continue
        stage.revision_at_kill = timeline.rev
        return run_id
    raise RequestError("the file ended", code="bug")


async def _kill(stage: Stage, child: asyncio.subprocess.Process, run_id: str) -> None:
    with restored():
        child.send_signal(signal.SIGKILL)
        await child.wait()
    stage.killed_pid = child.pid
    stage.title("2. kill -9")
    stage.say(
        f"Process {child.pid} was killed with SIGKILL, in the middle of the research (run {run_id}, revision {stage.revision_at_kill}).",
        "red",
    )
    stage.say("It could not save, say or clean up anything. What the next process knows stands in the file alone.")


@contextlib.asynccontextmanager
async def _beside(stage: Stage) -> AsyncIterator[OpenProject]:
    async with open_project(locate(stage.folder, {}), serve=False, what="demo") as opened:
        yield opened


@contextlib.contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="treadle-demo-") as name:
            yield Path(name).resolve()
        return
    if folder.exists() and any(folder.iterdir()):
        raise RequestError(f"{folder} is not empty", code="not_empty", hint="name a new or empty directory")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder.resolve()


def _set_up(stage: Stage) -> None:
    docs = docs_folder()
    python = orjson.dumps(sys.executable).decode()
    (stage.folder / "treadle.toml").write_text(_SETTINGS.format(python=python), encoding="utf-8")
    (stage.folder / ".treadle").mkdir(mode=0o700)
    shutil.copytree(docs, stage.folder / "docs", ignore=_only_markdown)
    pages = sum(1 for _ in (stage.folder / "docs").rglob("*.md"))
    stage.title("Treadle, killed and gone on with")
    stage.say(
        f"A new project, with two real MCP servers: memory, and web, whose search looks through {pages} pages of Treadle's own docs, not the web."
    )


def docs_folder() -> Path:
    """Give Treadle's own docs: those of the repository, else those that came with the package. Raises RequestError `no_docs`."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parents[1] / "docs", package / "docs"):
        if (folder / "concepts").is_dir():
            return folder
    raise RequestError(
        "this installation came without Treadle's docs, which the demo searches",
        code="no_docs",
        hint="run it from a clone: ./dev demo",
    )


def _only_markdown(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if not name.endswith(".md") and not Path(folder, name).is_dir()}


@contextlib.contextmanager
def _trusted(stage: Stage) -> Iterator[None]:
    """Allow what this project runs, saying so, for as long as the demo takes."""
    settings, store = locate(stage.folder, {}), trust.user_store()
    items = trust.collect(settings.project, settings.servers())
    store.accept(settings.project, items)
    for item in items:
        stage.say(
            f"  trusted for this demo: {item.kind} {item.name} ({item.digest[:19]}), {item.text.splitlines()[0]}",
            "bright_black",
        )
    try:
        yield
    finally:
        store.revoke(settings.project)
