-- Ask for the right to POST a job, before the first byte leaves. One round trip, the shared limits included.
-- ARGV: job id, owner, request id (16 bytes), enqueued ms or '', workflow, JSON of the limits, ms between two
--       posts of the workflow or 0.
-- Returns {verdict, attempts, uncounted, unresolved, age ms, wait ms, excused, request id}.
--#include _keys
--#include _steps
--#include _brake
--#include _ending
local FURTHEST_SLOT_MS, KEEP_SLOT_MS = 1500, 60000
local job_id, owner, request_id, workflow = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local record_key = job_key(job_id)
local now = now_ms()

local record = redis.call('HMGET', record_key, 's', 'n', 'u', 'r', 'o', 'e', 'd', 'w', 'x', 'p')
local state, attempts, uncounted = record[1], tonumber(record[2] or 0) or 0, tonumber(record[3] or 0) or 0
local request_ids, holder, unresolved = record[4] or '', record[5], record[7] or '0'
-- A stamp of the producer's may be anything.
local enqueued = math.max(0, math.min(tonumber(record[6] or ARGV[4]) or now, now))
local slot, excused = tonumber(record[8]), tonumber(record[9] or 0) or 0

local function answer(verdict, wait)
  local age = math.max(0, now - enqueued)
  return {verdict, attempts, uncounted, unresolved, age, math.ceil(wait or 0), excused, request_id}
end

if record[10] then
  local problem = do_what_is_left(record_key)
  if problem then return problem end
end
if state == 'accepted' or state == 'rejected' or state == 'exhausted' or state == 'unknown' then
  return answer('settled')
end
if not redis.call('ZSCORE', key('workers'), owner) then
  return answer('fenced')  -- declared dead while it was frozen: it must take a new name first
end
if state == 'orphan' then
  return answer('orphan')
end
if state == 'waiting' and redis.call('ZSCORE', key('waiting'), job_id) and
    redis.call('HEXISTS', key('waiting:messages'), job_id) == 1 then
  return answer('parked')
end
if state == 'sending' then
  if holder == owner and string.sub(request_ids, -16) == request_id then
    return answer('go')  -- the same claim again: its first reply was lost on the way
  end
  if redis.call('ZSCORE', key('workers'), holder) then
    return answer('busy')
  end
  -- The worker that was sending was declared dead (takeover.lua, the only place that does): the
  -- vendor may or may not have accepted. From here on the job is an orphan until somebody decides,
  -- also if the one who found it dies before deciding.
  attempts = attempts + 1
  redis.call('ZREM', key('sending'), holder .. '|' .. job_id)
  redis.call('HSET', record_key, 's', 'orphan', 'n', attempts, 'o', '', 'w', '')
  return answer('orphan')
end

-- Admission. What is denied leaves no trace but a slot of its own.
if redis.call('EXISTS', key('refusing')) == 1 then return answer('refusing') end
if redis.call('EXISTS', key('paused')) == 1 then
  if redis.call('SISMEMBER', key('paused'), '*') == 1 then return answer('paused') end
  if redis.call('SISMEMBER', key('paused'), workflow) == 1 then return answer('siding') end
end

local function go(verdict)
  request_ids = string.sub(request_ids .. request_id, -16 * 64)
  -- In this order: what stands in the record only could not be taken back by who finds this worker dead.
  redis.call('ZADD', key('sending'), now, owner .. '|' .. job_id)
  redis.call('HSET', record_key, 's', 'sending', 'r', request_ids, 'o', owner, 'e', enqueued)
  if slot then redis.call('HDEL', record_key, 'w') end
  return answer(verdict)
end

local limits = cjson.decode(ARGV[6])
local brake = redis.call('HMGET', key('brake'), 'open', 'next', 'probe', 'probing')
if brake[1] == '1' then
  local next_probe = tonumber(brake[2])
  if brake[3] and tonumber(brake[4]) > now then next_probe = math.max(next_probe, now + 100) end
  local free = limits.interval_ms > 0 and redis.call('GET', key('rate')) or 0
  next_probe = math.max(next_probe, tonumber(redis.call('HGET', key('pace'), 'until') or 0), tonumber(free or 0))
  if next_probe > now then return answer('brake', next_probe - now) end
  if limits.interval_ms > 0 then redis.call('SET', key('rate'), string.format('%.3f', now + limits.interval_ms), 'PX',
    KEEP_SLOT_MS + math.ceil(limits.interval_ms)) end
  local granted = go('probe')
  redis.call('HSET', key('brake'), 'probe', job_id, 'probing', now + limits.probe_takes_ms)
  return granted
end

if limits.max_inflight > 0 and redis.call('ZCARD', key('sending')) >= limits.max_inflight then
  return answer('full')
end

-- A slot is a time of its own in the schedule of posts (GCRA without a burst): nobody waits in a crowd.
local interval, of_workflow, not_before = limits.interval_ms, tonumber(ARGV[7]), 0
local pace = redis.call('HMGET', key('pace'), 'rate', 'since', 'until', 'doubles', 'grows', 'held')
if pace[1] then
  local seconds, rate = pace[6] and 0 or (now - tonumber(pace[2])) / 1000, tonumber(pace[1])
  rate = pace[4] == '1' and rate * 2 ^ math.min(seconds, 20) or rate + tonumber(pace[5]) * seconds
  if rate > 2000 or (interval > 0 and 1000 / rate <= interval) then
    redis.call('DEL', key('pace'))
  else
    interval = 1000 / rate
  end
  not_before = tonumber(pace[3] or 0)
end
-- A slot that was given before is used, unless it was missed by far: those would come as a burst.
-- One that is further ahead than any can be was given before Redis's clock stepped back.
local given = slot and now - slot <= 500 and slot - now <= FURTHEST_SLOT_MS
if not given and (interval > 0 or of_workflow > 0 or not_before > now) then
  slot = math.max(now, not_before)
  if interval > 0 then slot = math.max(slot, tonumber(redis.call('GET', key('rate')) or 0)) end
  local free = tonumber(of_workflow > 0 and redis.call('GET', key('rate:' .. workflow)) or 0)
  -- A workflow's own limit must not hold up the others: its jobs wait on a siding.
  if free - now > 1000 then return answer('siding') end
  slot = math.max(slot, free)
  if slot - now > FURTHEST_SLOT_MS then
    -- Slots far ahead would bind the future to a pace that may change. Ask again, at a time of one's own.
    return answer('wait', 250 + 4 * string.byte(request_id))
  end
  if interval > 0 then redis.call('SET', key('rate'), string.format('%.3f', slot + interval), 'PX', KEEP_SLOT_MS + math.ceil(interval)) end
  if of_workflow > 0 then
    redis.call('SET', key('rate:' .. workflow), string.format('%.3f', slot + of_workflow), 'PX',
      KEEP_SLOT_MS + math.ceil(of_workflow))
  end
end
if slot and slot - now >= 1 then
  redis.call('HSET', record_key, 's', 'reserved', 'e', enqueued, 'w', slot)
  return answer('wait', slot - now)
end
return go('go')
