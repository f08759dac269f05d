"""Record what a command prints in a terminal, as a picture for the documentation.

usage: python -m scripts.picture FILE.svg [--columns N] [--title TEXT] [--last LINES] [--keys TEXT] -- COMMAND [ARGS]

The command runs for real in a pseudo-terminal of that width; what it leaves on the screen and above it is drawn. It must end with exit 0.
"""

import argparse
import io
import itertools
import os
import pty
import struct
import subprocess
import sys
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pyte
from rich.console import Console
from rich.text import Text

ROWS = 400
COLOURS = {"brown": "yellow", "brightbrown": "bright_yellow"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.picture")
    parser.add_argument("file", type=Path)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--title", default="treadle")
    parser.add_argument("--keys", default="", help="text that is typed at once")
    parser.add_argument("--last", type=int, default=ROWS, help="draw only so many of the last lines")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    wanted, command = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]
    screen, code = recorded(command, wanted.columns, wanted.keys.encode())
    if code != 0:
        sys.stderr.write(f"picture: {' '.join(command)} ended with exit {code}; nothing was drawn\n")
        return 1
    console = Console(record=True, width=wanted.columns, file=io.StringIO(), force_terminal=True)
    for line in lines(screen)[-wanted.last :]:
        console.print(line)
    wanted.file.parent.mkdir(parents=True, exist_ok=True)
    console.save_svg(str(wanted.file), title=wanted.title)
    return 0


def recorded(command: list[str], columns: int, keys: bytes) -> tuple[pyte.Screen, int]:
    """Run a command in a pseudo-terminal and give its screen at the end."""
    screen = pyte.Screen(columns, ROWS)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm-256color"})
    os.close(theirs)
    os.write(ours, keys)
    while True:
        try:
            data = os.read(ours, 65_536)
        except OSError:  # the terminal's other end is closed: the command has ended
            break
        if not data:
            break
        stream.feed(data)
    return screen, child.wait()


def lines(screen: pyte.Screen) -> list[Text]:
    found: list[Text] = []
    for row in range(screen.lines):
        cells = [screen.buffer[row][column] for column in range(screen.columns)]
        text = Text()
        for look, run in itertools.groupby(cells, style):
            text.append("".join(cell.data for cell in run), look)
        text.rstrip()
        found.append(text)
    while found and not found[-1].plain.strip():
        found.pop()
    return found


def style(cell: pyte.screens.Char) -> str:
    words = [word for word, on in (("bold", cell.bold), ("italic", cell.italics), ("reverse", cell.reverse)) if on]
    if cell.fg != "default":
        words.append(colour(cell.fg))
    return " ".join(words)


def colour(name: str) -> str:
    """Turn the terminal's name of a colour into the drawing's."""
    if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name):
        return f"#{name}"
    name = COLOURS.get(name, name)
    return name.replace("bright", "bright_", 1) if name.startswith("bright") and "_" not in name else name


if __name__ == "__main__":
    sys.exit(main())
