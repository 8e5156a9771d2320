-- Lease tasks that are due, to be asked about each in its turn of the schedule that all workers share. A lease moves a
-- task's due time forward: should its worker die, it falls due again.
-- Run again after a lost reply it leases others; the first ones fall due again, too.
-- KEYS: queue.
-- ARGV: most tasks, ms between two queries of all workers, ms of a lease, ms for which tasks are followed.
-- Returns {ms by Redis's clock, ms until somebody should ask again or -1 where no task is open, then of each task
--          {task id, token, ms to wait for its turn, ms when it was due, what its record has of TAKEN}}; of one whose
--          record is none {task id, why}.
--#include _common
local most, interval, lease, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), now_ms()

-- No turn further ahead is given: a worker that dies wastes it.
local AHEAD_MS = 250
-- While submits are throttled or fail, queries take a part of their rate only: they may share the account's limit.
-- When submits were throttled last, the time to live of what was learned tells: FORGET_S, as in slow_down.lua.
local GIVES_WAY, THROTTLED_LATELY_S, FORGET_S = 4, 10, 3600
local KNOWN_FOR_MS, KEPT_MS, UNREADABLE_MS = 3600000, 60000, 60000

local TAKEN = {task_field.job_id, task_field.workflow, task_field.version, task_field.metadata,
  task_field.accepted_ms, task_field.deadline_ms, task_field.is_adopted, task_field.asked, task_field.looked_ms,
  task_field.vendor_status, task_field.url, task_field.succeeded_ms, task_field.keep_tries, task_field.output,
  task_field.traceparent, task_field.tracestate}

redis.call('SET', keys.task_deadline, ARGV[4], 'PX', KNOWN_FOR_MS)

local first = redis.call('ZRANGE', keys.open_tasks, 0, 0, 'WITHSCORES')
if not first[1] then return {now, -1} end
local wait = tonumber(first[2]) - now
if wait > 0 then return {now, math.ceil(wait)} end

local function next_turn()
  local submits_until = tonumber(redis.call('HGET', keys.adaptive_rate, 'until') or 0)
  local throttled = redis.call('TTL', keys.adaptive_rate) > FORGET_S - THROTTLED_LATELY_S
  if throttled or redis.call('HGET', keys.breaker, 'open') == '1' then interval = GIVES_WAY * interval end
  return math.max(now, tonumber(redis.call('GET', keys.query_rate) or 0), submits_until)
end

local turn = next_turn()
if turn > now + AHEAD_MS then return {now, math.ceil(turn - now - AHEAD_MS)} end
local turns = math.min(most, 1 + math.floor((now + AHEAD_MS - turn) / interval))
local due = redis.call('ZRANGEBYSCORE', keys.open_tasks, '-inf', now, 'WITHSCORES', 'LIMIT', 0, turns)
-- First: what is refused after it wastes turns, and none is given twice.
local free = turn + #due / 2 * interval
redis.call('SET', keys.query_rate, string.format('%.3f', free), 'PX', math.ceil(free - now) + KEPT_MS)

-- Lease one; what of it is returned.
local function lease_task(task_id, was_due, at)
  local key = keys.task(task_id)
  local record = redis.call('HMGET', key, unpack(TAKEN))
  if not record[5] then
    redis.call('ZREM', keys.tasks_accepted, task_id)
    redis.call('ZREM', keys.open_tasks, task_id)
    return {task_id, 'its record is gone, and it is followed no more'}
  end
  local token = redis.call('HINCRBY', key, task_field.token, 1)
  redis.call('ZADD', keys.open_tasks, at + lease, task_id)
  local taken = {task_id, token, math.ceil(at - now), math.floor(was_due)}
  for i = 1, #TAKEN do taken[4 + i] = record[i] end
  return taken
end

local reply = {now, 0}
for i = 1, #due, 2 do
  local ok, taken = pcall(lease_task, due[i], tonumber(due[i + 1]), turn)
  if not ok then
    local why = type(taken) == 'table' and taken.err or tostring(taken)
    if not (string.find(why, 'WRONGTYPE') or string.find(why, 'not an integer')) then return {err = why} end
    -- A record that is none must not hold up the others.
    redis.call('ZADD', keys.open_tasks, now + UNREADABLE_MS, due[i])
    taken = {due[i], 'it waits for a minute: ' .. why}
  end
  reply[#reply + 1] = taken
  turn = turn + interval
end
return reply
