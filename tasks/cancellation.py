"""Cancel a job: from then on no attempt of it is made any more, and it ends `cancelled`.

The mark is in the job's record, where every worker looks before each attempt. There need be no record yet:
nobody can tell a job that waits in the queue from one that was never queued.
"""

from __future__ import annotations

from typing import Any, Final

from . import backend
from .checks import check_job_id

MARK_KEPT_S: Final = 604_800
"""How long the mark of a job that no worker has met is kept, in seconds: a week."""

_CANCEL: Final = """
-- KEYS: the job's record, the set of waiting jobs. ARGV: job id, seconds to keep the mark.
-- Returns 1, also to a repeated call; 0 where it is being sent, or was bought, or may have been.
local state = redis.call('HGET', KEYS[1], 's')
if state == 'sending' or state == 'orphan' or state == 'accepted' or state == 'unknown' then return 0 end
-- Also one that ended without a purchase: it may be queued again already.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- With an ETA it may wait for longer than the mark, or the record of an end, would be kept.
local later = math.max(0, tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or 0) - now)
local ended = state == 'rejected' or state == 'exhausted' or state == 'cancelled'
-- What was submitted again with an ETA is stamped with that, on another clock: it was cancelled after.
local mark = ended and later > 0 and now + later + 60000 or now
redis.call('HSET', KEYS[1], 'c', string.format('%d', mark))
if not state or ended and later > 0 then
  local keep_s = ARGV[2] + math.ceil(later / 1000)
  redis.call('EXPIRE', KEYS[1], string.format('%d', math.max(keep_s, redis.call('TTL', KEYS[1]))))
end
-- Between two attempts: a worker meets it at once, and says how it ended.
if state == 'waiting' then redis.call('ZADD', KEYS[2], 'XX', now, ARGV[1]) end
return 1
"""


def cancel(job_id: str) -> bool:
    """Have no attempt of a job made any more; its result is `cancelled`, with what it was given as metadata.

    The result comes when a worker meets the job: at once where it waits for its next attempt, else when its
    turn would have come. Where an earlier attempt may have been accepted it is `unknown`. An id that was not
    queued yet counts as well, for a week. One that has ended without a purchase stays as it ended; only what
    is submitted again under its id after this call runs again.

    Returns:
        True: nothing is bought for the job; also where it was cancelled before. False: an attempt is being
        made, or the job was bought, or may have been; nothing has changed then.

    Raises:
        InvalidPayload: no job can have that id.
        BrokerUnavailable: it may have been cancelled; to call again is safe.
        SettingsError: a ValueError; a variable of the broker's cannot be right.
    """
    check_job_id(job_id)
    return backend.current().cancel(job_id)


def cancel_in(client: Any, queue: str, job_id: str) -> bool:
    """`cancel` in the queue of that name, by a client of its Redis."""
    keys = (f"{queue}:job:{job_id}", f"{queue}:waiting")
    return bool(client.register_script(_CANCEL)(keys=keys, args=(job_id, MARK_KEPT_S)))
