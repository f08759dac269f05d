"""Start `treadle` or its MCP server under what is missing: `python -m tests.faults.under SPEC cli|mcp [ARGS]`.

The limits are the operating system's own, the rights too: a root without its power over files is a user like others. Only time and the table of
mounts are told a story, by the seams that they have.
"""

import ctypes
import json
import os
import resource
import sys
import time
from pathlib import Path

_DROP_FROM_BOUNDS, _OVER_RIGHTS, _OVER_READING = 24, 1, 2
_NETWORK = "22 1 0:40 / / rw - nfs4 server:/ rw"


def main() -> int:
    """Set what is missing, then be that program."""
    spec, program, *arguments = sys.argv[1:]
    wanted = json.loads(spec)
    if wanted.get("plain_user") and os.geteuid() == 0 and not os.environ.get("PLAIN_USER"):
        libc = ctypes.CDLL(None, use_errno=True)
        for power in (_OVER_RIGHTS, _OVER_READING):
            assert libc.prctl(_DROP_FROM_BOUNDS, power, 0, 0, 0) == 0
        # The bounds hold from the next program on.
        os.execve(sys.executable, [sys.executable, "-m", "tests.faults.under", *sys.argv[1:]], os.environ | {"PLAIN_USER": "1"})
    if by_ms := wanted.get("clock_ms"):
        real = time.time_ns
        time.time_ns = lambda: real() + by_ms * 1_000_000
    if wanted.get("network"):
        # The engine, only for whoever asks for this story.
        from treadle.engine.embedded import place

        place._mounts = lambda: _NETWORK
    for name in ("FSIZE", "NOFILE"):
        if name in wanted:
            limit = getattr(resource, f"RLIMIT_{name}")
            resource.setrlimit(limit, (wanted[name], resource.getrlimit(limit)[1]))
    if "more_memory_bytes" in wanted:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        size_bytes = pages * resource.getpagesize() + wanted["more_memory_bytes"]
        resource.setrlimit(resource.RLIMIT_AS, (size_bytes, size_bytes))
    if program == "mcp":
        # As above: only one of the two.
        from treadle.mcpio.server import run_stdio

        return run_stdio(os.environ)
    from treadle.cli import main as cli

    sys.argv = ["treadle", *arguments]
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
