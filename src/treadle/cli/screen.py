"""How things look: one console for what people read, colours that each mean one thing, times as people say them, text that cannot deceive.

Text that comes from files, agents and tools is cleaned before it is shown: control characters and direction marks could hide or forge lines.
Nothing foreign is read as markup. Where output is no terminal it is plain, unwrapped and without colour.
"""

import os
import re
import sys
import time
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Final

from rich.console import Console, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH: Final = 160
GAP: Final = 2
NARROW: Final = 12
# One meaning each: done, attention, failed, needs you, moving, set aside, over without a word, goal missed.
STYLES: Final = {
    "completed": "green", "completed_degraded": "yellow", "goal_not_met": "magenta", "failed": "bold red", "cancelled": "bright_black",
    "cancelling": "yellow", "undoing": "yellow", "parked": "blue", "waiting": "cyan", "running": "default", "stalled": "red", "skipped": "bright_black",
    "pending": "bright_black", "handling": "yellow", "unknown": "red", "note": "bright_black",
}  # fmt: skip
_MARKS: Final = {
    "completed": "✓", "failed": "✗", "running": "●", "waiting": "?", "pending": "○", "skipped": "-", "handling": "!", "parked": "‖",
    "unknown": "!", "note": "·", "stalled": "!", "cancelled": "-", "completed_degraded": "✓", "goal_not_met": "✗", "cancelling": "!", "undoing": "!",
}  # fmt: skip
_PLAIN_MARKS: Final = {
    "completed": "+", "failed": "x", "running": "*", "waiting": "?", "pending": "o", "skipped": "-", "handling": "!", "parked": "=",
    "unknown": "!", "note": ".", "stalled": "!", "cancelled": "x", "completed_degraded": "+", "goal_not_met": "x", "cancelling": "x", "undoing": "x",
}  # fmt: skip
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_DAY_MS: Final = 86_400_000


@cache
def console() -> Console:
    """Give the console of standard output."""
    return _console(stderr=False)


@cache
def errors() -> Console:
    """Give the console of standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PLAIN_WIDTH
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def is_terminal() -> bool:
    """Tell whether a person can be asked: input and output are both a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def say(text: RenderableType = "", *, style: str = "", end: str = "\n") -> None:
    """Print for a person; on a terminal it is wrapped, elsewhere left as it is."""
    out = console()
    if isinstance(text, str):
        text = Text(text, style=style)
    if out.is_terminal or isinstance(text, Text):
        out.print(text, end=end, soft_wrap=not out.is_terminal)
        return
    with out.capture() as captured:
        out.print(text)
    for row in captured.get().splitlines():
        out.print(Text(row.rstrip()), soft_wrap=True)


def hang(text: Text, indent: int) -> None:
    """Print for a person; on a terminal what is too long goes on below, `indent` columns in."""
    out = console()
    room = out.width - indent
    if not out.is_terminal or text.cell_len <= out.width or room < NARROW:
        say(text)
        return
    for number, piece in enumerate(text.wrap(out, room)):
        piece.rstrip()
        say(piece if number == 0 else Text.assemble(" " * indent, piece))


def heading(text: Text) -> None:
    """Set what follows off: a rule across the terminal, elsewhere a line."""
    if console().is_terminal:
        console().print(Rule(text, align="left", style=text.style or "cyan"))
    else:
        say(Text.assemble("--- ", text))


def tell_error(code: str, message: str, hint: str = "") -> None:
    """Tell an error on stderr: its code, what happened, what to do next."""
    out = errors()
    out.print(Text.assemble((f"error[{code}]", "bold red"), ": ", clean(message)), soft_wrap=not out.is_terminal)
    if hint:
        out.print(Text.assemble(("  what to do: ", "bold"), clean(hint)), soft_wrap=not out.is_terminal)


def mark(word: str) -> Text:
    """Give the sign of a status, in its colour."""
    try:
        "✓●‖".encode(console().encoding or "ascii")
        table = _MARKS
    except (UnicodeEncodeError, LookupError):
        table = _PLAIN_MARKS
    return Text(table.get(word, "·"), style=STYLES.get(word, "default"))


def worded(word: str, shown: str = "") -> Text:
    """Give a status word in its colour."""
    return Text(shown or word.replace("_", " "), style=STYLES.get(word, "default"))


def clean(text: str, *, lines: bool = True) -> str:
    """Make foreign text safe to show; `lines` false also folds it to one line."""
    text = text.replace("\r\n", "\n")
    if not lines:
        text = re.sub(r"\s+", " ", text).strip()
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in _HIDDEN else f"\\u{{{ord(c):x}}}" for c in text)


def short(text: str, most: int) -> str:
    """Cut to one line of at most `most` characters."""
    line = clean(text, lines=False)
    return line if len(line) <= most else line[: max(0, most - 1)] + "…"


def table(columns: Sequence[str], rows: Sequence[Sequence[Text]], *, wide: Sequence[int] = ()) -> Table:
    """Give rows under headings. The columns `wide` give way in that order when the terminal is narrow; the others keep theirs."""
    grid = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    widths = [max([len(name), *(row[index].cell_len for row in rows)]) for index, name in enumerate(columns)]
    too_wide = sum(widths) + GAP * len(columns) - console().width
    for index in wide:
        # To no less than what is still recognised.
        give = max(0, min(too_wide, widths[index] - NARROW))
        widths[index], too_wide = widths[index] - give, too_wide - give
    for name, width in zip(columns, widths, strict=True):
        grid.add_column(name, no_wrap=True, overflow="ellipsis", width=width)
    for row in rows:
        grid.add_row(*row)
    return grid


def duration(ms: float) -> str:
    """Say how long something took."""
    seconds = max(0.0, ms / 1000)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes and hours < 10 else f"{hours} h"
    return f"{hours // 24} days"


def size(size_bytes: int) -> str:
    """Write a size as people read it: `812 B`, `3.4 MB`."""
    if size_bytes < 1_000:
        return f"{size_bytes} B"
    value, units = size_bytes / 1_000, ["kB", "MB", "GB"]
    while value >= 1_000 and len(units) > 1:
        value, units = value / 1_000, units[1:]
    return f"{value:,.0f} {units[0]}" if value >= 100 else f"{value:.1f} {units[0]}"


def ago(at_ms: int, now_ms: int) -> str:
    """Say when something was, or will be."""
    passed = now_ms - at_ms
    if abs(passed) < 5_000:
        return "now" if passed < 0 else "just now"
    if passed < 0:
        return f"in {duration(-passed)}"
    if passed < 2 * 3_600_000:
        return f"{duration(passed)} ago"
    then, now = time.localtime(at_ms / 1000), time.localtime(now_ms / 1000)
    if then[:3] == now[:3]:
        return time.strftime("today %H:%M", then)
    if time.localtime((now_ms - _DAY_MS) / 1000)[:3] == then[:3]:
        return time.strftime("yesterday %H:%M", then)
    return time.strftime("%Y-%m-%d %H:%M", then)


def clock(at_ms: int) -> str:
    """Give a time of day, local."""
    return time.strftime("%H:%M:%S", time.localtime(at_ms / 1000))
