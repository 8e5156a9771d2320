-- Move jobs that are due from the waiting set to the front of their lists. Bounded.
-- KEYS: 1 waiting, 2 waiting messages, then the queue's lists in canonical order.  ARGV: 1 most jobs.
-- Returns how many were moved.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for i = #due, 1, -1 do
  local kept = redis.call('HGET', KEYS[2], due[i])
  if kept then
    local list, raw = string.match(kept, '^(%d+)|(.*)$')
    redis.call('RPUSH', KEYS[3 + tonumber(list)], raw)
  end
  redis.call('ZREM', KEYS[1], due[i])
  redis.call('HDEL', KEYS[2], due[i])
end
return #due
