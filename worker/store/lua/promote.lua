-- Move jobs that are due from the delayed set, and jobs whose workflow may go on from its backlog, to the front of
-- their lists (due ones to the end while the breaker is open); tell the state of the breaker and of pauses. Bounded.
-- KEYS: queue.
-- ARGV: most jobs.
-- Returns {promoted, ms until the breaker's next probe or -1 where it is closed, paused (0/1), ms by which Redis's
--          clock has stepped back, ms for which the breaker has been open where the caller is to tell so or -1, the
--          cause of the last failure while the breaker is open or ''}.
--          An outage is told by one worker, at most: should this reply be lost, by none.
--#include _common
--#include _clock
local OUTAGE_MS = 5000
local stepped = mend_after_step()
local now, most = now_ms(), tonumber(ARGV[1])
local is_open, next_probe, since, told, cause = unpack(redis.call('HMGET', keys.breaker,
  'open', 'next', 'since', 'told', 'cause'))
-- While the breaker is open behind what is queued: some jobs that fail by themselves would else be each probe, and
-- no other job would ever show that the vendor works.
local push = is_open == '1' and 'LPUSH' or 'RPUSH'
local due = redis.call('ZRANGEBYSCORE', keys.delayed, '-inf', now, 'LIMIT', 0, most)
-- To the front from the last one: what is pushed last is read first there, and that is to be the one due first.
for i = 1, #due do
  local job_id = due[push == 'LPUSH' and i or #due + 1 - i]
  local index, raw = kept_message(redis.call('HGET', keys.delayed_messages, job_id))
  if index then
    redis.call('HDEL', keys.delayed_messages, '')  -- are they allowed? See _steps.lua
    redis.call('ZREM', keys.delayed, '')
    redis.call(push, lists[index], raw)
    redis.call('HDEL', keys.delayed_messages, job_id)
  end
  redis.call('ZREM', keys.delayed, job_id)
end

local promoted = #due
for _, workflow in ipairs(redis.call('SMEMBERS', keys.backlogs)) do
  local backlog = keys.backlog(workflow)
  local free = tonumber(redis.call('GET', keys.workflow_rate(workflow)) or 0)
  if redis.call('LLEN', backlog) == 0 then
    redis.call('SREM', keys.backlogs, workflow)
  elseif free - now < 500 and redis.call('SISMEMBER', keys.paused, workflow) == 0 then
    -- Of a limited workflow about as many as it may send in a second; what is too many comes back.
    local limited = free > 0
    local page = redis.call('LRANGE', backlog, limited and -20 or -most, -1)
    redis.call('RPOP', backlog, 0)  -- is it allowed? See _steps.lua
    for i = #page, 1, -1 do
      local index, raw = kept_message(page[i])
      redis.call('RPUSH', lists[index], raw)
      redis.call('RPOP', backlog)
      if not limited then promoted = promoted + 1 end
    end
  end
end

local outage = -1
if is_open == '1' and since and not told and now - tonumber(since) >= OUTAGE_MS then
  if type(redis.pcall('HSET', keys.breaker, 'told', now)) == 'number' then outage = now - tonumber(since) end
end
local wait = is_open == '1' and math.max(0, tonumber(next_probe) - now) or -1
return {promoted, wait, redis.call('SISMEMBER', keys.paused, '*'), stepped, outage, is_open == '1' and cause or ''}
