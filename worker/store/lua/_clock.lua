-- Redis's clock may step back, or a new primary's be behind. Whatever was to happen at a time of the old clock would
-- wait for as long as the step. Needs _common.
-- Fields of `clock`: last (ms, when it was looked at), back (ms to take off due times of jobs), from (of those above this
-- score), and tasks_back, tasks_from: the same for the tasks that are followed.
local STEP_MS, SHIFT_MOST = 2000, 2000

local function shift_due_times(set, prefix, back, from)
  -- From the last score on: those of it that were seen to are below it now.
  local page = redis.call('ZRANGEBYSCORE', set, from, '+inf', 'WITHSCORES', 'LIMIT', 0, SHIFT_MOST)
  for i = 1, #page, 2 do
    redis.call('ZADD', set, 'XX', page[i + 1] - back, page[i])
    from = page[i + 1]
  end
  if #page < 2 * SHIFT_MOST then
    redis.call('HDEL', keys.clock, prefix .. 'back', prefix .. 'from')
  else
    redis.call('HSET', keys.clock, prefix .. 'from', from)
  end
end

local function take_for_now(key, ...)
  local now = now_ms()
  for _, name in ipairs({...}) do
    local at = tonumber(redis.call('HGET', key, name) or 0)
    if at and at > now then redis.call('HSET', key, name, now) end
  end
end

-- Look at the clock; how far it has stepped back since the last look, in ms, or 0.
local function mend_after_step()
  local now = now_ms()
  local last, back, from, tasks_back, tasks_from = unpack(redis.call('HMGET', keys.clock,
    'last', 'back', 'from', 'tasks_back', 'tasks_from'))
  redis.call('HSET', keys.clock, 'last', now)
  local step = (tonumber(last) or now) - now
  if step < STEP_MS then
    if back then shift_due_times(keys.delayed, '', back, from) end
    if tasks_back then shift_due_times(keys.open_tasks, 'tasks_', tasks_back, tasks_from) end
    return 0
  end
  redis.call('DEL', keys.rate)
  redis.call('DEL', keys.query_rate)
  redis.call('DEL', keys.routes)
  -- A time to live is a time of the old clock, too; whoever is still refused sets it again.
  redis.call('DEL', keys.refusing)
  for _, workflow in ipairs(redis.call('SMEMBERS', keys.backlogs)) do
    redis.call('DEL', keys.workflow_rate(workflow))
  end
  if redis.call('EXISTS', keys.breaker) == 1 then
    take_for_now(keys.breaker, 'since', 'next', 'probing', 'from', 'silent', 'lost')
  end
  if redis.call('EXISTS', keys.adaptive_rate) == 1 then take_for_now(keys.adaptive_rate, 'since', 'until') end
  redis.call('HSET', keys.clock, 'back', step, 'from', '-inf', 'tasks_back', step, 'tasks_from', '-inf')
  shift_due_times(keys.delayed, '', step, '-inf')
  shift_due_times(keys.open_tasks, 'tasks_', step, '-inf')
  return step
end
