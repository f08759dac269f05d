"""What a test needs from outside the Python environment, and what happens where it is missing.

On a developer's machine the test skips with a reason that says how to get the tool. Where CI=true a missing tool is a
failure: a lane that silently skips proves nothing.
"""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

SERVERS = Path(__file__).parent / "servers" / "node_modules"


def missing(what: str) -> NoReturn:
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"missing in CI: {what}", pytrace=False)
    pytest.skip(what)


def npm_server_command(name: str) -> list[str]:
    """The command line of one of the MCP servers of tests/servers/package.json: `everything`, `filesystem`, `memory`."""
    node = shutil.which("node")
    if node is None:
        missing("node is not on PATH (Debian, Ubuntu: apt-get install nodejs npm)")
    script = SERVERS / "@modelcontextprotocol" / f"server-{name}" / "dist" / "index.js"
    if not script.exists():
        missing(f"MCP server {name!r} is not installed (cd tests/servers && npm ci --ignore-scripts)")
    return [node, str(script)]
