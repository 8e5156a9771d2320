"""Which jobs were bought, or may be, by their ids: what submitting them again would not buy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from worker.store.keys import KeyNames
from worker.store.record import FIELDS

_FREE: Final = frozenset((b"rejected", b"exhausted", b"cancelled"))
"""Ends without a purchase, if no attempt is in doubt: submitted again, such a job runs again."""


def bought(client: Any, keys: KeyNames, job_ids: Sequence[str]) -> list[bool]:
    """Whether a record of each job says that it was bought, may have been, or is on its way.

    A job that is queued and was never claimed has no record: it is not told from one that never was.

    Raises:
        redis.RedisError: Redis is away.
    """
    with client.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.hmget(keys.job(job_id), FIELDS["state"].stored, FIELDS["possible_duplicate"].stored)
        return [
            state is not None and (state not in _FREE or in_doubt == b"1")
            for state, in_doubt in pipe.execute()
        ]
