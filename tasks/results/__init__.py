"""Read how jobs ended: one job's result with `get` and `wait`, all with `listen`, `consume`, `replay`.

A web handler waits for its own job's answer with `await wait_async(job_id, timeout_s=…)`. Programs of their
own take all results: live with `listen`, durably with `consume`, or the whole stream with `replay`.

Every function begins by asking Redis for what it will go on asking, and raises BrokerUnavailable in Redis's
own words where that fails. From then on it waits, and logs a warning each time, while Redis is away or
refuses for now: in restarts and failovers, when it is full, loading, busy with a script, unable to write its
file, short of replicas, or when rights were taken away. It ends with BrokerUnavailable for what waiting
cannot mend, such as a key of another type under the results' name. What is for asyncio (`wait_async`,
`alisten`, `aconsume`) holds a connection while it waits, and no thread.

Every function raises SettingsError, a ValueError, where a variable or `redis_url` cannot be right.
"""

from .single import get, wait, wait_async
from .streams import AsyncResults, Results, aconsume, alisten, consume, listen, replay

__all__ = [
    "AsyncResults",
    "Results",
    "aconsume",
    "alisten",
    "consume",
    "get",
    "listen",
    "replay",
    "wait",
    "wait_async",
]
