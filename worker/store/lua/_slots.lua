-- Slots of AIGC_MAX_INFLIGHT, given to the workers in the order in which they began to wait. Needs _common.
-- A worker that was denied one is registered, asks again when it is woken, and every second at the latest; one that
-- does not is dead or has nothing to send any more, and holds up nobody.
local FORGET_AFTER_MS, KEEP_WAKE_S = 3000, 60

local function forget_waiter(owner)
  redis.call('HDEL', keys.slot_asks, owner)  -- first: one that has not asked is forgotten by whoever comes next
  redis.call('ZREM', keys.slot_waiters, owner)
end

-- The workers that wait for a slot, the first one first, and only those that live and went on asking.
local function living_waiters(now)
  local found = {}
  for _, owner in ipairs(redis.call('ZRANGE', keys.slot_waiters, 0, -1)) do
    local silent_ms = now - tonumber(redis.call('HGET', keys.slot_asks, owner) or 0)
    -- Either way: Redis's clock may have stepped back.
    if math.abs(silent_ms) > FORGET_AFTER_MS or not redis.call('ZSCORE', keys.workers, owner) then
      forget_waiter(owner)
    else
      found[#found + 1] = owner
    end
  end
  return found
end

-- Let a worker wait behind those who wait already, unless it is one of them, and note that it has asked.
local function wait_in_line(owner, now)
  -- Turns are counted, not timed: several come within a millisecond, and Redis's clock may step back.
  local last = redis.call('ZRANGE', keys.slot_waiters, -1, -1, 'WITHSCORES')
  redis.call('ZADD', keys.slot_waiters, 'NX', tonumber(last[2] or 0) + 1, owner)
  redis.call('HSET', keys.slot_asks, owner, now)
end

-- Wake the first `count` of them: one that sleeps finds the mark in its list. A mark that cannot be written must not
-- keep an attempt from being settled: whoever is not woken asks again by itself.
local function wake(waiters, count)
  for i = 1, math.min(count, #waiters) do
    local list = keys.wake(waiters[i])
    redis.pcall('RPUSH', list, 1)
    redis.pcall('LTRIM', list, -1, -1)
    redis.pcall('EXPIRE', list, KEEP_WAKE_S)
  end
end

-- An attempt is in flight no longer; whoever waits for its slot is woken. `limited`: whether slots are limited, as far
-- as the caller knows: where they are not, it costs no command to find out.
local function free_slot(owner, job_id, limited)
  local freed = redis.call('ZREM', keys.sending, owner .. '|' .. job_id)
  if freed == 1 and limited then
    local ok, waiters = pcall(living_waiters, now_ms())
    if ok then wake(waiters, 1) end
  end
end
