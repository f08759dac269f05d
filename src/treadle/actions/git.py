"""git, as Treadle calls it for worktrees and merges: without hooks, prompts, signatures, monitors and pagers, and with its own author.

The variables by which git would be led elsewhere (`GIT_DIR` and its like, as hooks have them) are left out. Filters, merge drivers and partial
clones that the repository's own configuration names do run, as they do whenever a person works there. A git that finds something locked is
asked again for a while.
"""

import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

VERSION_MIN: Final = (2, 38)
"""The first version that merges without a working tree (`git merge-tree --write-tree`)."""
LOCKED_S: Final = 20.0
TIME_MAX_S: Final = 600
_QUIET: Final = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.quotePath=false", "commit.gpgSign=false", "gc.auto=0", "maintenance.auto=false",
    "submodule.recurse=false", "advice.detachedHead=false", "diff.external=", "core.pager=cat",
)  # fmt: skip
_LOCKED = re.compile(r"\.lock'?: File exists|[Uu]nable to (create|lock)|cannot lock ref|could not lock|is at [0-9a-f]+ but expected")
_FULL = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)


class GitFailedError(Exception):
    """git did not do what it was asked for. `code` is stable; `hint` says what to do."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        """Keep what to tell."""
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


class Git:
    """git in one directory. With `lock`, an open file's number, that file stays open in git: what git does outlives this process."""

    def __init__(self, directory: Path, environ: Mapping[str, str], *, lock: int | None = None, index: Path | None = None) -> None:
        """Start nothing. `index` is used instead of the repository's own."""
        self.directory, self._environ, self._lock, self._index = directory, environ, lock, index

    def at(self, directory: Path | None = None, *, index: Path | None = None) -> "Git":
        """Give the same git elsewhere, or with another index."""
        return Git(directory or self.directory, self._environ, lock=self._lock, index=index)

    def text(self, *words: str, stdin: str = "") -> str:
        """Run it and give what it wrote, without the last newline. Raises GitFailedError."""
        return self.data(*words, stdin=stdin.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape").rstrip("\n")

    def names(self, *words: str, stdin: bytes = b"") -> list[str]:
        """Run it with output that ends each entry with NUL."""
        return [name.decode("utf-8", "surrogateescape") for name in self.data(*words, stdin=stdin).split(b"\0") if name]

    def data(self, *words: str, stdin: bytes = b"", ok: Iterable[int] = (0,)) -> bytes:
        """Run it and give what it wrote. Raises GitFailedError for an exit code that is not among `ok`."""
        return self.ended(*words, stdin=stdin, ok=ok).stdout

    def ended(self, *words: str, stdin: bytes = b"", ok: Iterable[int] = (0,)) -> "subprocess.CompletedProcess[bytes]":
        """Run it; what is locked is tried again."""
        until_s = time.monotonic() + LOCKED_S
        while True:
            done = self._once(words, stdin)
            if done.returncode in ok:
                return done
            said = done.stderr.decode("utf-8", "replace").strip()
            if not _LOCKED.search(said):
                raise _failed(words, said or f"it ended with {done.returncode}", self.directory)
            if time.monotonic() > until_s:
                hint = "if no other git is at work there, delete the `.lock` file that it names, then try again"
                raise GitFailedError("git_locked", f"git found the repository locked for {LOCKED_S:.0f} s: {_last(said)}", hint)
            time.sleep(random.uniform(0.02, 0.2))  # noqa: S311 - to keep several from asking in step

    def _once(self, words: tuple[str, ...], stdin: bytes) -> "subprocess.CompletedProcess[bytes]":
        program = git_program(self._environ.get("PATH", os.defpath))
        argv = [program, *(part for setting in _QUIET for part in ("-c", setting)), *words]
        env = {name: value for name, value in self._environ.items() if not name.startswith("GIT_")}
        env |= {
            "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes", "GIT_EDITOR": "true",
            "GIT_AUTHOR_NAME": "treadle", "GIT_AUTHOR_EMAIL": "treadle@localhost",
            "GIT_COMMITTER_NAME": "treadle", "GIT_COMMITTER_EMAIL": "treadle@localhost",
        }  # fmt: skip
        if self._index is not None:
            env["GIT_INDEX_FILE"] = str(self._index)
        try:
            return subprocess.run(
                argv, cwd=self.directory, env=env, input=stdin, capture_output=True, check=False, timeout=TIME_MAX_S,
                start_new_session=True, pass_fds=() if self._lock is None else (self._lock,),
            )  # fmt: skip
        except FileNotFoundError as error:
            raise GitFailedError("worktree_gone", f"{self.directory} is not there any more", "start the run anew") from error
        except subprocess.TimeoutExpired as error:
            raise GitFailedError(
                "git_failed", f"`git {words[0]}` took longer than {TIME_MAX_S} s", "look what holds it up there"
            ) from error


def _failed(words: tuple[str, ...], said: str, directory: Path) -> GitFailedError:
    if _FULL.search(said):
        return GitFailedError("disk_full", f"there is no room left for `git {words[0]}`: {_last(said)}", "make room, then try again")
    if "not a git repository" in said or "must be run in a work tree" in said:
        hint = "worktrees need a git checkout: `git init`, and commit something"
        return GitFailedError("not_a_checkout", f"{directory} is in no git checkout", hint)
    if "dubious ownership" in said:
        hint = "git itself refuses it; see `git help config`, `safe.directory`"
        return GitFailedError("not_a_checkout", f"{directory} belongs to somebody else: {_last(said)}", hint)
    return GitFailedError(
        "git_failed", f"`git {' '.join(words[:2])}` in {directory} failed: {_last(said)}", "mend what git says, then try again"
    )


def _last(said: str) -> str:
    """Give what git gives for the reason; behind it often comes advice for people."""
    lines = said.splitlines()
    told = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-3:]
    return " ".join(" ".join(told[:3]).split())[:400]


@cache
def git_program(path: str) -> str:
    """Give the git to call. Raises GitFailedError `git_missing`, `git_too_old`."""
    program = shutil.which("git", path=path)
    if program is None:
        raise GitFailedError("git_missing", "git is not on the PATH", "install git 2.38 or newer")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < VERSION_MIN:
        needed = ".".join(map(str, VERSION_MIN))
        raise GitFailedError(
            "git_too_old", f"{program} is {said.strip() or 'of no known version'}; worktrees need {needed}", "install a newer git"
        )
    return program
