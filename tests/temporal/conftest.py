"""One Temporal development server for the whole session, ended by its own process id."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import missing

FIND = Path(__file__).parents[2] / "scripts" / "temporal-server.sh"
READY_WITHIN_S = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def refusal(address: str) -> Exception | None:
    """Why the namespace `default` does not answer there yet, or None if it does."""
    # The SDK is an extra: a tree without it collects these tests and skips them.
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
    from temporalio.client import Client
    from temporalio.service import RPCError

    try:
        client = await Client.connect(address)
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    except (RuntimeError, RPCError) as error:  # connecting raises the first, a call the second
        return error
    return None


def wait_until_ready(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while (error := asyncio.run(refusal(address))) is not None:
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the Temporal server did not answer ({error}); it said:\n{log.read_text()}", pytrace=False)
        time.sleep(0.1)


@pytest.fixture(scope="session")
def temporal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running server with the namespace `default`."""
    pytest.importorskip("temporalio", reason="the extra `temporal` is not installed")
    found = subprocess.run([FIND], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        missing(found.stderr.strip())
    port = free_port()
    log = tmp_path_factory.mktemp("temporal") / "server.log"
    command = [found.stdout.strip(), "server", "start-dev", "--ip", "127.0.0.1", "--headless", "--port", str(port)]
    with log.open("wb") as sink, subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT) as server:
        try:
            wait_until_ready(server, f"127.0.0.1:{port}", log)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                server.kill()
