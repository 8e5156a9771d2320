-- Ask for the right to POST a job, before the first byte leaves. One round trip.
-- KEYS: 1 job record, 2 sending, 3 workers, 4 waiting, 5 brake, 6 pace, 7 rate, 8 rate of the workflow, 9 paused
-- ARGV: 1 job id, 2 owner, 3 request id (16 bytes), 4 enqueued ms or '', 5 workflow,
--       6 most in flight or 0, 7 ms between two posts or 0, 8 the same for the workflow
-- Returns {verdict, attempts, uncounted, unresolved, age ms, wait ms}.
local job_id, owner, request_id = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local record = redis.call('HMGET', KEYS[1], 's', 'n', 'u', 'r', 'o', 'e', 'd', 'w')
local state, attempts, uncounted = record[1], tonumber(record[2] or 0), tonumber(record[3] or 0)
local request_ids, holder, unresolved = record[4] or '', record[5], record[7] or '0'
local enqueued = tonumber(record[6] or ARGV[4]) or now
local slot = tonumber(record[8])

local function answer(verdict, wait)
  return {verdict, attempts, uncounted, unresolved, math.max(0, now - enqueued), math.ceil(wait or 0)}
end

if state == 'accepted' or state == 'rejected' or state == 'exhausted' or state == 'unknown' then
  return answer('settled')
end
if not redis.call('ZSCORE', KEYS[3], owner) then
  return answer('fenced')  -- declared dead while it was frozen: it must take a new name first
end
if state == 'orphan' then
  return answer('orphan')
end
if state == 'waiting' and redis.call('ZSCORE', KEYS[4], job_id) then
  return answer('parked')
end
if state == 'sending' then
  if holder == owner and string.sub(request_ids, -16) == request_id then
    return answer('go')  -- the same claim again: its first reply was lost on the way
  end
  if redis.call('ZSCORE', KEYS[3], holder) then
    return answer('busy')
  end
  -- The worker that was sending was declared dead (takeover.lua, the only place that does): the vendor may or may not have accepted. From here on the
  -- job is an orphan until somebody decides, also if the one who found it dies before deciding.
  attempts = attempts + 1
  redis.call('ZREM', KEYS[2], holder .. '|' .. job_id)
  redis.call('HSET', KEYS[1], 's', 'orphan', 'n', attempts)
  redis.call('HDEL', KEYS[1], 'o', 'w')
  return answer('orphan')
end

-- Admission: the limits that all workers share. What is denied leaves no trace but its own slot.
if redis.call('EXISTS', KEYS[9]) == 1 and
    (redis.call('SISMEMBER', KEYS[9], '*') == 1 or redis.call('SISMEMBER', KEYS[9], ARGV[5]) == 1) then
  return answer('paused')
end

local function reserve(wait)
  redis.call('HSET', KEYS[1], 's', 'reserved', 'e', enqueued, 'w', now + wait)
  return answer('wait', wait)
end

local in_flight = redis.call('ZCARD', KEYS[2])

local brake = redis.call('HMGET', KEYS[5], 'open', 'next', 'probe', 'probing')
local probe = false
if brake[1] == '1' then
  local probing = brake[3] and brake[3] ~= job_id and tonumber(brake[4] or 0) > now
  if probing or tonumber(brake[2] or 0) > now then
    return answer('brake', math.max(50, tonumber(brake[2] or 0) - now))
  end
  probe = true
elseif tonumber(ARGV[6]) > 0 and in_flight >= tonumber(ARGV[6]) then
  return answer('full', 0)
end

if not probe then
  local at = now
  if slot and now - slot < 500 then
    at = slot  -- given to this job by an earlier call; one missed by far is lost, or many at once would burst
  else
    local function take(key, interval)
      if interval <= 0 then return end
      local mine = math.max(tonumber(redis.call('GET', key) or 0), now)
      redis.call('SET', key, string.format('%.3f', mine + interval), 'PX', 3600000)
      at = math.max(at, mine)
    end
    local pace = redis.call('HMGET', KEYS[6], 'interval', 'until')
    local learned = tonumber(pace[1] or 0)
    take(KEYS[7], math.max(tonumber(ARGV[7]), learned))
    take(KEYS[8], tonumber(ARGV[8]))
    at = math.max(at, tonumber(pace[2] or 0))
  end
  if at - now >= 1 then
    return reserve(at - now)
  end
end

request_ids = string.sub(request_ids .. request_id, -16 * 64)
redis.call('HSET', KEYS[1], 's', 'sending', 'r', request_ids, 'o', owner, 'e', enqueued)
redis.call('HDEL', KEYS[1], 'w')
redis.call('ZADD', KEYS[2], now, owner .. '|' .. job_id)
if probe then
  redis.call('HSET', KEYS[5], 'probe', job_id, 'probing', now + 60000)
  return answer('probe')
end
return answer('go')
