"""Cancel a job: from then on no attempt of it is made any more, and it ends `cancelled`.

The mark is in the job's record, where every worker looks before each attempt. There need be no record yet:
nobody can tell a job that waits in the queue from one that was never queued.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from . import backend
from .checks import check_job_id

MARK_KEPT_S: Final = 604_800
"""How long the mark of a job that no worker has met is kept, in seconds: a week."""

JOBS_A_CALL: Final = 250

_CANCEL: Final = """
-- KEYS: the set of waiting jobs, then each job's record. ARGV: seconds to keep the mark, whether a job that
-- is being sent is marked, too (1: it is not tried again), ms since which a marked job is not counted again,
-- or '', then each job's id.
-- Returns of how many jobs no attempt is made any more, how many are being sent, and were bought, or may have
-- been. A repeated call changes nothing.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keep_s, also_sending, since = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])
local marked, sending, bought = 0, 0, 0

local function mark_waiting(record, job_id, state)
  -- With an ETA it may wait for longer than the mark, or the record of an end, would be kept.
  local due = tonumber(redis.call('ZSCORE', KEYS[1], job_id) or 0)
  local later = math.max(0, due - now)
  local ended = state == 'rejected' or state == 'exhausted' or state == 'cancelled'
  -- What was submitted again with an ETA is stamped with that, on another clock: it was cancelled after.
  local mark = ended and later > 0 and now + later + 60000 or now
  redis.call('HSET', record, 'c', string.format('%d', mark))
  if not state or ended and later > 0 then
    local kept_s = keep_s + math.ceil(later / 1000)
    redis.call('EXPIRE', record, string.format('%d', math.max(kept_s, redis.call('TTL', record))))
  end
  -- A worker meets it at once, and says how it ended.
  if later > 0 then redis.call('ZADD', KEYS[1], 'XX', now, job_id) end
end

for n = 2, #KEYS do
  local record, job_id = KEYS[n], ARGV[n + 2]
  local state, before = unpack(redis.call('HMGET', record, 's', 'c'))
  local known = since and before and tonumber(before) >= since
  local unbought = state == 'rejected' or state == 'exhausted' or state == 'cancelled'
  local is_sent = state == 'sending' or state == 'orphan'
  local is_open = not state or is_sent or state == 'reserved' or state == 'waiting'
  if not (is_open or unbought) then
    -- 'accepted' or 'unknown', or what only a later version knows.
    bought = bought + 1
  elseif is_sent then
    if also_sending then redis.call('HSET', record, 'c', string.format('%d', now)) end
    if not known then sending = sending + 1 end
  else
    -- Also one that ended without a purchase: it may be queued again already.
    if not known then
      mark_waiting(record, job_id, state)
      marked = marked + 1
    end
  end
end
return {marked, sending, bought}
"""


class Marked(NamedTuple):
    """How many jobs are not attempted any more, how many are being sent, and were, or may be, bought."""

    marked: int
    sending: int
    bought: int


def cancel(job_id: str) -> bool:
    """Have no attempt of a job made any more; its result is `cancelled`, with what it was given as metadata.

    The result comes when a worker meets the job: at once where it waits for its next attempt or its ETA, else
    when its turn would have come. Where an earlier attempt may have been accepted it is `unknown`. An id that
    was not queued yet counts as well, for a week. One that has ended without a purchase stays as it ended;
    only what is submitted again under its id after this call runs again.

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
    return mark_in(client, queue, [job_id], also_sending=False).marked == 1


def mark_in(
    client: Any, queue: str, job_ids: Sequence[str], *, also_sending: bool, since_ms: int | None = None
) -> Marked:
    """Mark jobs in the queue of that name, at most `JOBS_A_CALL`, by a client of its Redis.

    Args:
        also_sending: whether one that is being sent is not to be tried again.
        since_ms: one that was marked since then, by Redis's clock, is not counted again.
    """
    keys = [f"{queue}:waiting", *(f"{queue}:job:{job_id}" for job_id in job_ids)]
    args = [MARK_KEPT_S, int(also_sending), "" if since_ms is None else since_ms, *job_ids]
    return Marked(*client.register_script(_CANCEL)(keys=keys, args=args))
