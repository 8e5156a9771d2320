-- Move jobs that are due from the waiting set, and jobs whose workflow may go on from its siding, to the front of
-- their lists; tell the state of the brake and of pauses. Bounded.
-- ARGV: most jobs.
-- Returns {moved, ms until the brake's next probe or -1 where it is not on, paused (0/1), ms by which Redis's clock has
--          stepped back}.
--#include _keys
--#include _clock
local stepped = mend_after_step()
local now, most = now_ms(), tonumber(ARGV[1])
local due = redis.call('ZRANGEBYSCORE', key('waiting'), '-inf', now, 'LIMIT', 0, most)
for i = #due, 1, -1 do
  local job_id = due[i]
  local index, raw = kept_message(redis.call('HGET', key('waiting:messages'), job_id))
  if index then
    redis.call('HDEL', key('waiting:messages'), '')  -- are they allowed? See _steps.lua
    redis.call('ZREM', key('waiting'), '')
    redis.call('RPUSH', lists[index], raw)
    redis.call('HDEL', key('waiting:messages'), job_id)
  end
  redis.call('ZREM', key('waiting'), job_id)
end

local moved = #due
for _, workflow in ipairs(redis.call('SMEMBERS', key('sidings'))) do
  local siding = key('siding:' .. workflow)
  local free = tonumber(redis.call('GET', key('rate:' .. workflow)) or 0)
  if redis.call('LLEN', siding) == 0 then
    redis.call('SREM', key('sidings'), workflow)
  elseif free - now < 500 and redis.call('SISMEMBER', key('paused'), workflow) == 0 then
    -- Of a limited workflow about as many as it may send in a second; what is too many comes back.
    local limited = free > 0
    local page = redis.call('LRANGE', siding, limited and -20 or -most, -1)
    redis.call('RPOP', siding, 0)  -- is it allowed? See _steps.lua
    for i = #page, 1, -1 do
      local index, raw = kept_message(page[i])
      redis.call('RPUSH', lists[index], raw)
      redis.call('RPOP', siding)
      if not limited then moved = moved + 1 end
    end
  end
end

local brake = redis.call('HMGET', key('brake'), 'open', 'next')
local wait = brake[1] == '1' and math.max(0, tonumber(brake[2]) - now) or -1
return {moved, wait, redis.call('SISMEMBER', key('paused'), '*'), stepped}
