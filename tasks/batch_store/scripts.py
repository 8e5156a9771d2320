"""The scripts of producers that change batches: each may be repeated after a lost reply."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from .moves import LETTERS, MOVES, WAITING

PRELUDE: Final = """
local queue = KEYS[1]
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""
"""KEYS[1] is the queue's name."""

ENTRIES_MOST: Final = 1000
"""Jobs that one script enters."""

_ENTER: Final = (
    PRELUDE
    + MOVES
    + f"""
-- Note that jobs are queued, each by its batch, its id, its workflow, and when (batch_changes).
local function enter(entries, keep_s)
  local of = {{}}
  local function move(name)
    move_in_batch(name, of[name], {{reopens = true, keep_s = keep_s}})
    of[name] = nil
  end
  for _, entry in ipairs(entries) do
    local name, job_id, workflow, when = unpack(entry)
    of[name] = of[name] or {{}}
    table.insert(of[name], {{job_id, '{WAITING}', workflow, when}})
    if #of[name] == {ENTRIES_MOST} then move(name) end
  end
  for name in pairs(of) do move(name) end
end
"""
)

_ENTER_ONE: Final = (
    _ENTER
    + """
-- KEYS: queue. ARGV: batch, job id, workflow, for how many seconds more than usual to keep the batch, ms by
-- Redis's clock before it was sent.
-- A worker may have ended it since then, and have counted that.
local closed = tonumber(redis.call('HGET', queue .. ':job:' .. ARGV[2], 'z') or 0)
local when = closed >= tonumber(ARGV[5]) and 'enters' or 'again'
enter({{ARGV[1], ARGV[2], ARGV[3], when}}, tonumber(ARGV[4]))
return 1
"""
)


_PROGRESS: Final = (
    PRELUDE
    + MOVES
    + """
-- KEYS: queue. ARGV: batch.
-- Returns {ms now, its fields, {workflow, how many entries of each letter, in the order of LETTERS ...}}, or
-- 0 where there is no such batch.
local name = ARGV[1]
local of, values, counts = read_batch(name, {}), {}, {}
if of.total == '' then return 0 end
for _, each in ipairs(BATCH_FIELDS) do values[#values + 1] = tostring(of[each]) end
for workflow in string.gmatch(of.workflows, '[^\\n]+') do
  counts[#counts + 1] = workflow
  local fields = {}
  for n = 2, #ARGV do fields[#fields + 1] = '\\n' .. ARGV[n] .. workflow end
  for _, count in ipairs(redis.call('HMGET', keys.batch(name), unpack(fields))) do
    counts[#counts + 1] = tonumber(count or 0)
  end
end
return {now_ms(), values, counts}
"""
)

_CLOSE: Final = (
    PRELUDE
    + MOVES
    + """
-- KEYS: queue. ARGV: batch, how many jobs it is to have or ''.
-- Returns 1, or 0 where there is no such batch.
local name, expected, now = ARGV[1], ARGV[2], now_ms()
local of, written = read_batch(name, {}), {}
if of.total == '' and expected == '' then return 0 end
of.total, of.waiting = tonumber(of.total) or 0, tonumber(of.waiting) or 0
of.started, of.changed = of.started == '' and now or of.started, of.changed == '' and now or of.changed
if of.closed == '' then of.closed = now end
if expected ~= '' then of.expected = expected end
local all_ended = of.waiting == 0 and of.total >= (tonumber(of.expected) or 0)
if all_ended and of.finished == '' then
  of.finished = now
  tell_batch(name, of, {})
elseif not all_ended then
  of.finished = ''
end
for each, value in pairs(of) do written[#written + 1], written[#written + 2] = '\\n:' .. each, value end
redis.call('HSET', keys.batch(name), unpack(written))
keep_batch(name, of, now, 0)
return 1
"""
)


@cache
def with_entries(push: str) -> str:
    """A script that pushes, `push`, as one that enters what it pushed into batches as well.

    KEYS: the queue's name, then those of `push`. ARGV: how many of its own `push` has, those, and the
    entries: batch, job id, workflow, and of which of the keys that `push` answers for the job has to be the
    holder; 0 where it is pushed in any case.
    """
    return (
        _ENTER
        + f"""
local function push(KEYS, ARGV)
{push}
end
local own, pushed, entries = tonumber(ARGV[1]), nil, {{}}
pushed = push({{unpack(KEYS, 2)}}, {{unpack(ARGV, 2, own + 1)}})
if pushed.err then return pushed end
for at = own + 2, #ARGV, 4 do
  local batch, job_id, workflow, key = unpack(ARGV, at, at + 3)
  key = tonumber(key)
  -- One that holds its key already may have been pushed before, and have ended.
  if key == 0 then entries[#entries + 1] = {{batch, job_id, workflow, 'again'}} end
  if pushed[key] == job_id then entries[#entries + 1] = {{batch, job_id, workflow, 'enters'}} end
end
enter(entries, 0)
return pushed
"""
    )


class Entry(NamedTuple):
    """A job that is queued in a batch. `keyed` numbers its dedupe key among those of a push, from 1; or 0."""

    batch: str
    job_id: str
    workflow: str
    keyed: int = 0


def enter(client: Any, queue: str, entry: Entry, since_ms: int, keep_s: int = 0) -> Any:
    """Note that a job is queued, after it was.

    Args:
        client: of Redis, blocking or for asyncio.
        since_ms: Redis's time before it was queued.
        keep_s: for how much longer than usual its batch is to be kept, for it waits so long.

    Returns: what the client does: an answer, or its awaitable.
    """
    args = [entry.batch, entry.job_id, entry.workflow, keep_s, since_ms]
    return client.register_script(_ENTER_ONE)(keys=[queue], args=args)


Found = tuple[int, list[Any], dict[str, dict[str, int]]]
"""Redis's time in ms, a batch's fields, and its jobs by workflow and letter."""


def read(client: Any, queue: str, batch: str) -> Found | None:
    """Redis's time in ms, a batch's fields, and its jobs by workflow and letter; None where there is none."""
    return _found(client.register_script(_PROGRESS)(keys=[queue], args=[batch, *_ENTRY_LETTERS]))


def read_many(client: Any, queue: str, batches: Sequence[str]) -> list[Found | None]:
    """The same of each of these batches, in two round trips."""
    # Loaded each time: whether Redis has it is not known, and takes as long to be asked.
    digest = client.script_load(_PROGRESS)
    with client.pipeline(transaction=False) as pipe:
        for batch in batches:
            pipe.evalsha(digest, 1, queue, batch, *_ENTRY_LETTERS)
        return [_found(answer) for answer in pipe.execute()]


_ENTRY_LETTERS: Final = (*LETTERS.values(), WAITING)


def _found(answer: Any) -> Found | None:
    if not answer:
        return None
    now_ms, fields, flat = answer
    width = 1 + len(_ENTRY_LETTERS)
    rows = (flat[at : at + width] for at in range(0, len(flat), width))
    counts = {row[0].decode(): dict(zip(_ENTRY_LETTERS, row[1:], strict=True)) for row in rows}
    return now_ms, fields, counts


def close(client: Any, queue: str, batch: str, expected: int | None) -> bool:
    """Close a batch; False where there is none."""
    args = [batch, "" if expected is None else expected]
    return bool(client.register_script(_CLOSE)(keys=[queue], args=args))
