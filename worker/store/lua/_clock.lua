-- Redis's clock may step back, or a new primary's be behind. Whatever was to happen at a time of the old clock would
-- wait for as long as the step. Needs _keys.
-- Fields of `clock`: last (ms, when it was looked at), back (ms to take off due times), from (of those above this score).
local STEP_MS, SHIFT_MOST = 2000, 2000

local function shift_due_times(back, from)
  -- From the last score on: those of it that were seen to are below it now.
  local page = redis.call('ZRANGEBYSCORE', key('waiting'), from, '+inf', 'WITHSCORES', 'LIMIT', 0, SHIFT_MOST)
  for i = 1, #page, 2 do
    redis.call('ZADD', key('waiting'), 'XX', page[i + 1] - back, page[i])
    from = page[i + 1]
  end
  if #page < 2 * SHIFT_MOST then
    redis.call('HDEL', key('clock'), 'back', 'from')
  else
    redis.call('HSET', key('clock'), 'from', from)
  end
end

local function take_for_now(name, ...)
  local now = now_ms()
  for _, field in ipairs({...}) do
    local at = tonumber(redis.call('HGET', key(name), field) or 0)
    if at > now then redis.call('HSET', key(name), field, now) end
  end
end

-- Look at the clock; how far it has stepped back since the last look, in ms, or 0.
local function mend_after_step()
  local now, clock = now_ms(), redis.call('HMGET', key('clock'), 'last', 'back', 'from')
  redis.call('HSET', key('clock'), 'last', now)
  local step = (tonumber(clock[1]) or now) - now
  if step < STEP_MS then
    if clock[2] then shift_due_times(clock[2], clock[3]) end
    return 0
  end
  redis.call('DEL', key('rate'))
  redis.call('DEL', key('routes'))
  -- A time to live is a time of the old clock, too; whoever is still refused sets it again.
  redis.call('DEL', key('refusing'))
  for _, workflow in ipairs(redis.call('SMEMBERS', key('sidings'))) do redis.call('DEL', key('rate:' .. workflow)) end
  if redis.call('EXISTS', key('brake')) == 1 then
    take_for_now('brake', 'since', 'next', 'probing', 'from')
  end
  if redis.call('EXISTS', key('pace')) == 1 then take_for_now('pace', 'since', 'until') end
  redis.call('HSET', key('clock'), 'back', step, 'from', '-inf')
  shift_due_times(step, '-inf')
  return step
end
