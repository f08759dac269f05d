"""`treadle backup` and `treadle restore`: the project's store in one file, made while others work, and put back."""

import time
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from treadle import presence
from treadle.cli import screen
from treadle.cli.asking import confirm
from treadle.cli.bar import Bar
from treadle.cli.frame import Frame, command
from treadle.cli.shape import instant
from treadle.core.errors import RequestError
from treadle.engine.embedded.backup import Manifest, Restored, make_backup, replace_store, staged, unpack
from treadle.engine.embedded.place import FILE, store_path
from treadle.engine.embedded.storage import as_request_errors

_KEYS: Final = "file, made_at, store, runs, last_seq, bytes (of the database), values, value_bytes"


@command(
    examples="treadle backup ../before-upgrade.treadle\ntreadle backup /mnt/disk/project.treadle --json",
    keys=_KEYS,
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(frame: Frame, file: Path) -> None:
    """Copy all runs of this project, with their values, to FILE. Others may work meanwhile: what was acknowledged before is in it.

    Workflows, settings and secrets are not in it; what runs were told and answered is. `treadle restore FILE` puts it back.
    """
    path = frame.settings.project.store_dir / FILE
    if not path.exists():
        raise RequestError(
            "there are no runs yet", code="unknown_run", hint="`treadle run WORKFLOW` starts one; --project DIR names another project"
        )
    with as_request_errors(), Bar(quiet=frame.json) as bar:
        manifest = make_backup(path, file, bar.told)
    if frame.json:
        frame.print_json(_as_json(file, manifest))
        return
    said = f"{_runs(manifest)} in {file} ({screen.size(file.stat().st_size)}). `treadle restore {file}` puts them back"
    screen.say(Text.assemble(screen.mark("completed"), " ", said))


@command(
    examples="""\
treadle restore ../before-upgrade.treadle --dry-run
treadle restore ../before-upgrade.treadle
treadle restore project.treadle --to ~/elsewhere --yes --json""",
    keys=_KEYS + ", restored, place (the store), aside (where what was there stands now, or null)",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--to", "directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="The project at DIR instead of this one."
)
@click.option("--dry-run", is_flag=True, help="Only check the backup, every digest of it.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
async def restore(frame: Frame, file: Path, *, directory: Path | None, dry_run: bool, yes: bool) -> None:
    """Put a backup in the place of this project's runs. All of it is checked first; what is here now is set aside, not deleted.

    No process may have the project open. What is lost to the project is what happened after the backup: effects that were done since are not
    known any more, and a run may do them again.
    """
    path = store_path(directory) if directory is not None else frame.settings.project.store_dir / FILE
    if present := presence.living(path.with_name(presence.FOLDER)):
        named = ", ".join(f"treadle {each.what} (pid {each.pid})" for each in present)
        raise RequestError(f"at work on {path.parent}: {named}; nothing was replaced", code="store_in_use", hint="end them, then restore")
    there = path.is_file()
    with as_request_errors(), staged(path) as folder:
        with Bar(quiet=frame.json) as bar:
            manifest = unpack(file, folder, bar.told)
        done = None
        if not dry_run and (yes or not there or await _agreed(frame, path, manifest)):
            done = replace_store(path, folder, manifest)
    if frame.json:
        frame.print_json(_as_json(file, manifest) | _outcome(path, done))
    elif done is None:
        screen.say(Text.assemble(screen.mark("completed"), f" {file} is whole: {_told(manifest)}. Nothing was replaced"))
    else:
        screen.say(Text.assemble(screen.mark("completed"), f" {_told(manifest)}: in place"))
        if done.aside is not None:
            screen.say(f"What was here stands in {done.aside}; delete it when it is not needed any more.")


async def _agreed(frame: Frame, path: Path, manifest: Manifest) -> bool:
    if frame.json or not screen.is_terminal():
        message = f"the runs of {path.parent.parent} would be replaced, and nobody is there to be asked"
        raise RequestError(message, code="not_confirmed", hint="--dry-run only checks the backup; --yes replaces them")
    return await confirm(f"Replace the runs of {path.parent.parent} by {_told(manifest)}?", default=False)


def _told(manifest: Manifest) -> str:
    return f"{_runs(manifest)}, as of {screen.ago(manifest.made_at_ms, time.time_ns() // 1_000_000)}"


def _runs(manifest: Manifest) -> str:
    return f"{manifest.runs:,} run{'s' * (manifest.runs != 1)}"


def _outcome(path: Path, done: Restored | None) -> dict[str, Any]:
    return {
        "restored": done is not None,
        "place": str(path),
        "aside": str(done.aside) if done is not None and done.aside is not None else None,
    }


def _as_json(file: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "file": str(file), "made_at": instant(manifest.made_at_ms), "store": manifest.store, "runs": manifest.runs, "last_seq": manifest.last_seq,
        "bytes": manifest.database_bytes, "values": manifest.blobs, "value_bytes": manifest.blob_bytes,
    }  # fmt: skip
