"""What a batch has in Redis, and the Lua that changes it, for producers and workers alike.

One hash a batch holds the state of each of its jobs, and what is counted of them: so each change is one HSET,
which is done whole or not at all, and may be repeated. That is why counts stay exact when a message comes
twice, when a job goes by two messages, and when Redis refuses a command in the middle of a script.
"""

from __future__ import annotations

from typing import Final

from ..contract import Status

LETTERS: Final[dict[Status, str]] = {
    "submitted": "a",
    "rejected": "r",
    "exhausted": "x",
    "unknown": "u",
    "cancelled": "c",
}
"""How a job ended, as the first character of its entry; the rest is its workflow."""

WAITING: Final = "w"
"""The first character of a job's entry that has not ended."""

KEEP_S: Final = 35 * 86_400
"""For how long a batch is kept after its last change, in seconds: five weeks."""

EVENTS_KEPT: Final = 10_000
WORKFLOWS_MOST: Final = 50
"""Of how many workflows a batch counts the jobs apart; those of others are counted together, as `OTHERS`."""

OTHERS: Final = "-"

FIELDS: Final = {
    "started": "ms at which its first job came",
    "changed": "ms of its last change",
    "kept": "ms at which its time to live was set last",
    "total": "its jobs",
    "waiting": "those that have not ended",
    "workflows": "theirs, a line each",
    "closed": "ms at which it was closed, or empty",
    "expected": "how many jobs it is to have before it can have finished, or empty",
    "finished": "ms at which it finished, or empty",
    "minute": "a minute, how many jobs ended in it, and in the one before",
}
"""Beside the jobs, each by its id, stand these, behind a line feed and a colon, which no id begins with; and
how many jobs have one entry, as "<line feed><entry>"."""

_LETTERS: Final = ", ".join(f"{{'{letter}', '{status}'}}" for status, letter in LETTERS.items())

MOVES: Final = (
    f"""
-- The batches of jobs; tasks/batch_store/moves.py says what they are made of. Needs now_ms, queue.
-- The names are those of worker/store/keys.py, made here: most scripts of workers need none of them.
local keys = {{
  batch = function(name) return queue .. ':batch:' .. name end,
  batch_names = queue .. ':batches:known',
  batch_events = queue .. ':batches',
}}
local BATCH_KEEP_S, BATCH_KEPT_EVERY_MS, BATCH_EVENTS = {KEEP_S}, 3600000, {EVENTS_KEPT}
local BATCH_WORKFLOWS, BATCH_OTHERS, BATCH_WAITS = {WORKFLOWS_MOST}, '{OTHERS}', '{WAITING}'
local BATCH_STATUSES = {{{_LETTERS}}}
local BATCH_FIELDS = {{{", ".join(f"'{name}'" for name in FIELDS)}}}
"""
    + r"""
local function utc_iso(ms)
  local day, year = math.floor(ms / 86400000), 1970
  local function days_of_year()
    return (year % 4 == 0 and year % 100 ~= 0 or year % 400 == 0) and 366 or 365
  end
  while day >= days_of_year() do day, year = day - days_of_year(), year + 1 end
  local months, month = {31, days_of_year() - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}, 1
  while day >= months[month] do day, month = day - months[month], month + 1 end
  local s = math.floor(ms / 1000) % 86400
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, day + 1, math.floor(s / 3600),
    math.floor(s / 60) % 60, s % 60, ms % 1000)
end

-- These fields of a batch; those that are not there are ''.
local function batch_fields(name, fields)
  local found, by_name = redis.call('HMGET', keys.batch(name), unpack(fields)), {}
  for i, each in ipairs(fields) do by_name[each] = found[i] or '' end
  return by_name
end

local function batch_waits(entry) return string.sub(entry, 1, 1) == BATCH_WAITS end

-- The name under which a workflow is counted, noted among the batch's.
local function batch_workflow(of, workflow)
  if workflow == '' or #workflow > 100 or string.find(workflow, '%c') then workflow = BATCH_OTHERS end
  local line = '\n' .. workflow .. '\n'
  if string.find('\n' .. of.workflows .. '\n', line, 1, true) then return workflow end
  local _, count = string.gsub(of.workflows, '[^\n]+', '')
  if count >= BATCH_WORKFLOWS and workflow ~= BATCH_OTHERS then return batch_workflow(of, BATCH_OTHERS) end
  of.workflows = (of.workflows == '' and '' or of.workflows .. '\n') .. workflow
  return workflow
end

-- That a closed batch has no job left that has not ended, as JSON; `counts` are yet to be written.
local function batch_event(name, of, counts)
  local fields, statuses = {}, {}
  for workflow in string.gmatch(of.workflows, '[^\n]+') do
    for _, each in ipairs(BATCH_STATUSES) do fields[#fields + 1] = '\n' .. each[1] .. workflow end
  end
  local stored = #fields > 0 and batch_fields(name, fields) or {}
  for _, each in ipairs(fields) do
    local letter = string.sub(each, 2, 2)
    statuses[letter] = (statuses[letter] or 0) + (tonumber(counts[each] or stored[each]) or 0)
  end
  local told = {}
  for i, each in ipairs(BATCH_STATUSES) do
    told[i] = string.format('"%s":%d', each[2], statuses[each[1]] or 0)
  end
  return string.format(
    '{"schema":1,"batch":%s,"total":%d,"statuses":{%s},"closedAt":"%s","finishedAt":"%s"}',
    cjson.encode(name), tonumber(of.total), table.concat(told, ','), utc_iso(tonumber(of.closed)),
    utc_iso(tonumber(of.finished)))
end

-- Said before it is written down: so it is said again, and not never, where Redis refuses to write it down.
local function tell_batch(name, of, counts)
  local event = batch_event(name, of, counts)
  redis.call('XADD', keys.batch_events, 'MAXLEN', '~', BATCH_EVENTS, '*', 'event', event)
end

-- Names of batches that Redis has forgotten.
local function forget_batches(now)
  local before = now - 1000 * BATCH_KEEP_S
  local old = redis.call('ZRANGEBYSCORE', keys.batch_names, '-inf', before, 'LIMIT', 0, 100)
  for _, name in ipairs(old) do
    if redis.call('EXISTS', keys.batch(name)) == 0 then redis.call('ZREM', keys.batch_names, name) end
  end
end

-- An hour late at most: it costs nothing between.
local function keep_batch(name, of, now, keep_s)
  if keep_s == 0 and now - (tonumber(of.kept) or 0) < BATCH_KEPT_EVERY_MS then return end
  local key, wanted = keys.batch(name), BATCH_KEEP_S + keep_s
  redis.call('ZADD', keys.batch_names, now, name)
  forget_batches(now)
  if redis.call('TTL', key) < wanted then redis.call('EXPIRE', key, wanted) end
  redis.call('HSET', key, '\n:kept', now)
end

-- By how much each count changes. move: {id, first letter of its entry, workflow or nil for the one it has,
-- when}; when: 'enters' (only if it is not there), 'again' (also if it ended without a purchase), nil (in any
-- case; without a workflow only if it is there).
local function batch_changes(of, moves, entries)
  local changes = {entries = {}, counts = {}, total = 0, waiting = 0, ended = 0}
  local function add(entry, by)
    if entry ~= '' then changes.counts['\n' .. entry] = (changes.counts['\n' .. entry] or 0) + by end
  end
  for _, move in ipairs(moves) do
    local id, letter, workflow, when = unpack(move, 1, 4)
    local old = changes.entries[id] or entries[id]
    local first = string.sub(old, 1, 1)
    local may = old == '' and workflow or old ~= '' and not when
    if when == 'again' and old ~= '' then may = string.find('rxc', first, 1, true) end
    local new = may and letter .. batch_workflow(of, workflow or string.sub(old, 2)) or old
    if new ~= old then
      local waits, did = batch_waits(new), batch_waits(old)
      changes.entries[id] = new
      add(old, -1)
      add(new, 1)
      if old == '' then changes.total = changes.total + 1 end
      changes.waiting = changes.waiting + (waits and 1 or 0) - (did and 1 or 0)
      if not waits and (did or old == '') then changes.ended = changes.ended + 1 end
    end
  end
  return changes
end

-- "<minute> <ended in it> <ended in the one before>"
local function batch_minute(of, now, ended)
  local this = math.floor(now / 60000)
  local minute, count, before = string.match(of.minute, '^(%d+) (%d+) (%d+)$')
  if tonumber(minute) == this then return string.format('%d %d %d', this, count + ended, before) end
  return string.format('%d %d %d', this, ended, tonumber(minute) == this - 1 and count or 0)
end

-- What these changes make of a batch's fields and counts; tells where it has finished.
local function change_batch(name, of, changes, now, how)
  local counts, counters = {}, {}
  for each in pairs(changes.counts) do counters[#counters + 1] = each end
  local stored = batch_fields(name, counters)
  for each, by in pairs(changes.counts) do counts[each] = (tonumber(stored[each]) or 0) + by end
  if changes.total > 0 then of.total = (tonumber(of.total) or 0) + changes.total end
  of.waiting = (tonumber(of.waiting) or 0) + changes.waiting
  of.changed, of.started = now, of.started == '' and now or of.started
  if changes.ended > 0 then of.minute = batch_minute(of, now, changes.ended) end
  if how.reopens and changes.waiting > 0 then of.closed, of.expected = '', '' end
  if of.waiting > 0 or of.closed == '' then
    of.finished = ''
  elseif changes.ended > 0 and tonumber(of.total) >= (tonumber(of.expected) or 0) then
    of.finished = now
    tell_batch(name, of, counts)
  end
  return counts
end

-- A batch's own fields, and the entries of these jobs.
local function read_batch(name, moves)
  local fields, of = {}, {}
  for i, move in ipairs(moves) do fields[i] = move[1] end
  for _, each in ipairs(BATCH_FIELDS) do fields[#fields + 1] = '\n:' .. each end
  local entries = batch_fields(name, fields)
  for _, each in ipairs(BATCH_FIELDS) do of[each] = entries['\n:' .. each] end
  return of, entries
end

-- Note what has become of jobs in a batch, at most a thousand. A repeated call changes nothing. how: reopens
-- (whoever adds jobs closes it again), keep_s (for how much longer than usual it is to be kept).
local function move_in_batch(name, moves, how)
  how = how or {}
  local now, of, entries = now_ms(), read_batch(name, moves)
  local before, written = {}, {}
  for each, value in pairs(of) do before[each] = value end
  local changes = batch_changes(of, moves, entries)
  local function write(each, value) written[#written + 1], written[#written + 2] = each, value end
  for id, entry in pairs(changes.entries) do write(id, entry) end
  if #written > 0 then
    for each, count in pairs(change_batch(name, of, changes, now, how)) do write(each, count) end
    for each, value in pairs(of) do
      if value ~= before[each] then write('\n:' .. each, value) end
    end
    redis.call('HSET', keys.batch(name), unpack(written))
  end
  if of.total ~= '' then keep_batch(name, of, now, how.keep_s or 0) end
end
"""
)
