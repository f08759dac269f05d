"""What several behaviours are looked at with."""

from tests.mcpserver.support import Agent, Shop
from treadle.engine.timeline import Timeline
from treadle.ports import RunQuery


async def started(store: Shop) -> list[str]:
    """The runs that there are."""
    return [row.id for row in await store.service.runs(RunQuery())]


async def steps_of(agent: Agent, run_id: str) -> dict[str, str]:
    """Path of a step to its status, as `get_run` tells it."""
    return {row["path"]: row["status"] for row in (await agent("get_run", run_id=run_id, full=True))["steps"]}


async def trace(store: Shop, run_id: str) -> list[tuple[str, str]]:
    """What happened in a run, as `treadle logs` tells it: kind of note and path."""
    return [(note.kind, note.path) for moment in await Timeline(store.engine, run_id).more() for note in moment.notes]
