"""The lane itself: a real server answers."""

import pytest
from temporalio.client import Client


@pytest.mark.temporal
async def test_the_development_server_answers(temporal_server):
    client = await Client.connect(temporal_server)
    assert await client.service_client.check_health()
