"""`treadle test --init`: a test written from a finished run."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from treadle.cli import screen
from treadle.cli.frame import Frame, find_run
from treadle.compose import secrets_of
from treadle.core.aside import fill
from treadle.core.errors import RequestError
from treadle.core.state import ENDED
from treadle.core.values import Json
from treadle.engine.timeline import Timeline
from treadle.testing.reading import SUFFIXES, stem_of
from treadle.testing.recording import Recorded, record, write


async def write_test(frame: Frame, named: str, out: Path | None) -> int:
    """Write a test of a run to a file, or to the terminal. Raises RequestError; nothing is written then."""
    if out is not None and not out.name.endswith(SUFFIXES):
        message = f"{out} would be no test file: those end in {', '.join(SUFFIXES)}"
        raise RequestError(message, code="usage", hint=f"for example {out.with_name(out.stem.removesuffix('.test') + '.test.yaml')}")
    async with frame.open(what="test") as opened:
        row = await find_run(opened.service, named)
        timeline = Timeline(opened.engine, row.id)
        moments, state = await timeline.more(), timeline.state
        if state is None or state.status not in ENDED:
            raise RequestError(
                f"{row.id} has not ended; a test is written from a run that has",
                code="run_not_ended",
                hint="`treadle why` says what it waits for",
            )
        definition = (await opened.engine.snapshot(row.id)).definition
        found = record(definition, moments, state, lambda value: fill(value, opened.storage.blob), _cleaner(frame, definition.secrets))
        about = f"Written by `treadle test --init` from the run {row.id}."
        workflow = row.meta.workflow
        text = await write(found, workflow, about, opened.registry)
    _hand_out(frame, found, text, out)
    return 0


def _hand_out(frame: Frame, found: Recorded, text: str, out: Path | None) -> None:
    if out is not None:
        _save(out, text)
    if frame.json:
        frame.print_json({"file": str(out) if out is not None else None, "text": text, "passes": True})
    elif out is None:
        screen.console().print(screen.clean(text), end="", soft_wrap=True, highlight=False)
    else:
        count = len(found.rows)
        screen.say(f"wrote {out}: {count} answer{'s' * (count != 1)}, and it passes")
        screen.say(f"  try it: treadle test {out}")


def _save(out: Path, text: str) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Never over another file: it may have been mended by hand.
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        free = next(path for n in range(2, 1_000) if not (path := out.with_name(f"{stem_of(out)}-{n}.test.yaml")).exists())
        raise RequestError(
            f"{out} is there already and was left as it is", code="file_exists", hint=f"write another: --out {free}"
        ) from error
    except OSError as error:
        raise RequestError(f"{out} cannot be written: {error.strerror or error}", code="bad_file") from error


def _cleaner(frame: Frame, names: tuple[str, ...]) -> Callable[[Json], Json]:
    """Give what takes secrets out of data: those that the workflow uses, and those of the project that can be read unasked."""
    secrets = secrets_of(frame.settings, os.environ)
    secrets.expect_in_logs()
    for name in names:
        with contextlib.suppress(RequestError):  # one that is not set here cannot stand in what was stored
            secrets.get(name)
    return secrets.redactor.value
