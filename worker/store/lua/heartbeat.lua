-- Say that a worker is alive. One that was declared dead meanwhile is told so: what it held is others'
-- now, and it goes on under a new name, so that nobody mistakes its old claims for live ones.
-- KEYS: queue.
-- ARGV: owner, whether it polls the queue (0/1), what the vendor answered where it refuses it or '', what else keeps
--       it from working in words or '', its process identity and its description (given the first time only).
-- Returns 1, or 0 for a worker declared dead, or gone.
--#include _common
local owner, now = ARGV[1], now_ms()
if ARGV[5] then
  redis.call('HSET', keys.identities, owner, ARGV[5])
  redis.call('HSET', keys.descriptions, owner, ARGV[6])
elseif not redis.call('ZSCORE', keys.workers, owner) then
  return 0
end
redis.call('ZADD', keys.workers, now, owner)
if ARGV[2] == '1' then redis.call('HSET', keys.last_polls, owner, now) end
if ARGV[3] == '' then
  redis.call('SREM', keys.refused, owner)
  redis.call('HDEL', keys.refusals, owner)
else
  redis.call('HSET', keys.refusals, owner, ARGV[3])
  redis.call('SADD', keys.refused, owner)
end
if ARGV[4] == '' then
  redis.call('HDEL', keys.troubles, owner)
else
  redis.call('HSET', keys.troubles, owner, ARGV[4])
end
return 1
