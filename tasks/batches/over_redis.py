"""What is asked about batches, of Redis."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from .. import broker
from ..batch_store import scripts
from ..batch_store.scripts import Found
from ..cancel_many import Cancelled, cancel_batch
from ..clients import promptly, reported
from .progress import EVENT_FIELD, BatchEvent


class BatchesOverRedis:
    """`tasks.backend.Batches`; thread-safe."""

    def read(self, batch: str) -> Found | None:
        queue = broker.settings().queue
        with reported(_key(batch)):
            return promptly(lambda: scripts.read(broker.redis_client(), queue, batch))

    def close(self, batch: str, total: int | None) -> bool:
        queue = broker.settings().queue
        with reported(_key(batch)):
            return promptly(lambda: scripts.close(broker.redis_client(), queue, batch, total))

    def cancel(self, batch: str) -> Cancelled:
        with reported(_key(batch)):
            return cancel_batch(broker.redis_client(), broker.settings().queue, batch)

    def names(self, most: int) -> list[str]:
        key = f"{broker.settings().queue}:batches:known"
        with reported(key):
            client: Any = broker.redis_client()
            found: list[bytes] = promptly(lambda: client.zrange(key, 0, most - 1, desc=True))
        return [name.decode() for name in found]

    def newest_event(self) -> Any:
        client: Any = broker.redis_client()
        with reported(_stream()):
            newest = promptly(lambda: client.xrevrange(_stream(), count=1))
        return newest[0][0] if newest else "0-0"

    def next_event(self, last: Any, batch: str, timeout_s: float) -> Any:
        client: Any = broker.redis_client()
        until = time.monotonic() + timeout_s
        while (left_s := until - time.monotonic()) > 0:
            read = partial(client.xread, {_stream(): last}, count=100, block=max(1, round(left_s * 1000)))
            with reported(_stream()):
                found = promptly(read)
            for entry_id, fields in found[0][1] if found else ():
                last = entry_id
                if BatchEvent.from_json(fields[EVENT_FIELD.encode()]).batch == batch:
                    return last
        return last


def _key(batch: str) -> str:
    return f"{broker.settings().queue}:batch:{batch}"


def _stream() -> str:
    return f"{broker.settings().queue}:batches"
