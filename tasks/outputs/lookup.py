"""Find the outputs of tasks by their ids: the task's record holds it, for as long as the record lives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .. import broker
from ..output import Output
from ..reading.feed import Found
from ..reading.lookup import in_records, parsed

if TYPE_CHECKING:
    import redis.asyncio

RECORD_FIELD: Final = "o"
"""Of a task's record."""


async def find(client: redis.asyncio.Redis, task_ids: Sequence[str]) -> dict[str, Found[Output]]:
    """The outputs that there are of these tasks, by task. Raises RedisError as the client does."""
    queue = broker.settings().queue
    records = {task_id: f"{queue}:task:{task_id}" for task_id in task_ids}
    texts = await in_records(client, records, RECORD_FIELD)
    return {task_id: parsed(Output.from_json, text) for task_id, text in texts.items()}
