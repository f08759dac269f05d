"""The entry of `treadle`: help and version at once, all else through click.

Importing click doubles the time that Python takes to start, so it waits until a command is really wanted.
"""

import sys

from treadle import __version__
from treadle.cli.commands import help_text


def main() -> int:
    """Run the command line of this process; gives the exit code."""
    arguments = sys.argv[1:]
    if not arguments or arguments in (["--help"], ["-h"], ["help"]):
        sys.stdout.write(help_text())
        return 0
    if arguments in (["--version"], ["-V"]):
        sys.stdout.write(f"treadle {__version__}\n")
        return 0
    # click and all that a command needs: see the head of this file.
    from treadle.cli.group import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
