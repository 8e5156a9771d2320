"""Dedupe keys: while a job holds one, no other job is queued under it.

A key holds for its time, and is free before that where its job ended without a purchase: rejected, exhausted
or cancelled, and no attempt of it may have been accepted. What is not known counts as a purchase.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from . import backend
from .clients import promptly, reported

_KEYS_A_CALL: Final = 1000

# The fields of a job's record are named in worker/store/record.py.
HOLDER: Final = """
local RECORD_KEPT_S = 400 * 86400

-- Who holds a key; nil where nobody does. A call that would give it to `job_id`, stamped so (ms), may come
-- once more, for its reply was lost: it finds what it has done, also where the job has ended meanwhile.
local function holder_of(key, records, job_id, stamp)
  local held = redis.call('GET', key)
  if not held then return nil end
  -- With the time since which it holds the key, where there was a record of it already. What else there may
  -- be is a later version's.
  local holder, since = string.match(held, '^([^\\n]*)\\n?(%d*)')
  local state, in_doubt, closed, cancelled =
    unpack(redis.call('HMGET', records .. holder, 's', 'd', 'z', 'c'))
  local at
  if state == 'rejected' or state == 'exhausted' or state == 'cancelled' then
    at = tonumber(closed or 0)
  elseif cancelled and (not state or state == 'reserved' or state == 'waiting') then
    at = tonumber(cancelled)  -- no attempt is made any more
  end
  if not at or in_doubt == '1' or at < (tonumber(since) or 0) then return holder end
  if holder == job_id and stamp <= at then return holder end
  return nil
end

-- Have a job hold a key. Its record says which: for a job that ends without a purchase the key is to be kept
-- no longer than the record that says so (lua/_effects.lua).
local function hold(key, records, job_id, stamp, hold_ms)
  local record, now_s, keep_s = records .. job_id, redis.call('TIME')[1], math.ceil(hold_ms / 1000)
  local known = redis.call('HEXISTS', record, 's') == 1
  local digest = string.match(key, ':dedupe:(%S+)$')
  redis.call('HSET', record, 't', string.format('%s %d', digest, now_s + keep_s))
  -- Should its message be lost: longer than a job can wait.
  if not known then redis.call('EXPIRE', record, math.max(keep_s, RECORD_KEPT_S)) end
  -- Last: should one of these be refused, nobody holds the key.
  redis.call('SET', key, known and job_id .. '\\n' .. stamp or job_id, 'PX', hold_ms)
end

-- A job that is asked for again holds its key for its time anew.
local function renew(key, records, holder, hold_ms)
  redis.call('PEXPIRE', key, hold_ms, 'GT')
  local digest, until_s = string.match(redis.call('HGET', records .. holder, 't') or '', '^(%S+) (%d+)$')
  local wanted_s = redis.call('TIME')[1] + math.ceil(hold_ms / 1000)
  if digest and wanted_s > tonumber(until_s) then
    redis.call('HSET', records .. holder, 't', string.format('%s %d', digest, wanted_s))
  end
end

-- Somebody else is told that this job holds the key, and relies on it: as long as nobody has begun it, an
-- event that takes the place of an earlier one must leave it where it is (lua/enqueue_event.lua).
local function rely_on(records, holder)
  local state, digest = unpack(redis.call('HMGET', records .. holder, 's', 't'))
  if digest and not state then redis.call('HSET', records .. holder, 't2', 1) end
end

local function let_go(key, records, job_id)
  redis.call('DEL', key)
  redis.call('HDEL', records .. job_id, 't')
end
"""
"""Lua that scripts have put before them, also those of worker/store/lua."""

_PUSH: Final = (
    HOLDER
    + """
-- KEYS: list, then the dedupe keys. ARGV: what the records' names begin with; of each dedupe key: job id, ms
-- to hold, stamp of the message (ms), whether it is renewed (1), message; then messages without a key.
-- Returns which job holds each of the keys now.
local list, records, messages, ours, holders = KEYS[1], ARGV[1], {}, {}, {}
for n = 2, #KEYS do
  local key, at = KEYS[n], 5 * n - 8
  local job_id, stamp = ARGV[at], ARGV[at + 2]
  local holder = holder_of(key, records, job_id, tonumber(stamp))
  if not holder then
    holder = job_id
    hold(key, records, job_id, stamp, ARGV[at + 1])
    ours[#ours + 1], messages[#messages + 1] = {key, job_id}, ARGV[at + 4]
  else
    if holder ~= job_id then rely_on(records, holder) end
    if ARGV[at + 3] == '1' then renew(key, records, holder, ARGV[at + 1]) end
  end
  holders[#holders + 1] = holder
end
for n = 5 * #KEYS - 3, #ARGV do messages[#messages + 1] = ARGV[n] end
for n, message in ipairs(messages) do
  local pushed = redis.pcall('LPUSH', list, message)
  if type(pushed) == 'table' then
    -- Nothing is rolled back: a key that stood for a refused job would keep it from ever being queued.
    for left = n, #ours do let_go(ours[left][1], records, ours[left][2]) end
    return pushed
  end
end
return holders
"""
)

_HOLDERS: Final = (
    HOLDER
    + """
-- KEYS: dedupe keys. ARGV: what the records' names begin with.
local holders = {}
for n, key in ipairs(KEYS) do holders[n] = holder_of(key, ARGV[1]) or false end
return holders
"""
)


class Keyed(NamedTuple):
    """A message of one job, to be pushed unless another job holds its key; `enqueued_ms` is the job's.

    `renews`: a key that is held is held for its time anew.
    """

    key: str
    ttl_s: float
    job_id: str
    enqueued_ms: int
    message: bytes
    renews: bool = False


def holders(keys: Sequence[str]) -> list[str | None]:
    """Which job holds each key now; None for one that is free. A thousand keys to a call of Redis.

    Args:
        keys: as they were given as `dedupe_key`.

    Raises:
        BrokerUnavailable: Redis did not answer, or refused.
        SettingsError: a ValueError; a variable of the broker's cannot be right.
    """
    return backend.current().holders(keys)


def holders_in(client: Any, queue: str, keys: Sequence[str]) -> list[str | None]:
    """`holders` in the queue of that name, by a client of its Redis."""
    found: list[str | None] = []
    with reported(f"{queue}:dedupe"):
        script = client.register_script(_HOLDERS)
        for start in range(0, len(keys), _KEYS_A_CALL):
            names = [key_name(queue, key) for key in keys[start : start + _KEYS_A_CALL]]
            call = partial(script, keys=names, args=[_records(queue)])
            found += [each.decode() if each else None for each in promptly(call)]
    return found


class Script(NamedTuple):
    """A script's text, and what it is run with."""

    text: str
    keys: list[str]
    args: list[Any]


def push_keyed(queue: str, to: str, keyed: Sequence[Keyed], messages: Sequence[bytes]) -> Script:
    """Push to the list `to` what may be. It may be repeated after a lost reply.

    Args:
        queue: the queue's name.
        messages: without a key; pushed as well.

    Returns: a script that answers which job holds each of the keys now.
    """
    args: list[Any] = [_records(queue)]
    for each in keyed:
        hold_ms = max(1, round(each.ttl_s * 1000))
        args += (each.job_id, hold_ms, each.enqueued_ms, int(each.renews), each.message)
    keys = [to, *(key_name(queue, each.key) for each in keyed)]
    return Script(_PUSH, keys, [*args, *messages])


def _records(queue: str) -> str:
    return f"{queue}:job:"


def key_name(queue: str, key: str) -> str:
    """The key in Redis that says who holds a dedupe key."""
    return f"{queue}:dedupe:{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"
