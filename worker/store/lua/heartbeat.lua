-- Say that a worker is alive. One that was declared dead meanwhile is told so: what it held is others'
-- now, and it goes on under a new name, so that nobody mistakes its old claims for live ones.
-- ARGV: owner, whether it looks at the queue (0/1), whether the vendor refuses it (0/1), what else keeps it from working
--       in words or '', where it lives (given the first time only).
-- Returns 1, or 0 for a worker declared dead.
--#include _keys
local owner, now = ARGV[1], now_ms()
if ARGV[5] then
  redis.call('HSET', key('homes'), owner, ARGV[5])
elseif not redis.call('ZSCORE', key('workers'), owner) then
  return 0
end
redis.call('ZADD', key('workers'), now, owner)
if ARGV[2] == '1' then redis.call('HSET', key('pulses'), owner, now) end
redis.call(ARGV[3] == '1' and 'SADD' or 'SREM', key('refused'), owner)
if ARGV[4] == '' then
  redis.call('HDEL', key('troubles'), owner)
else
  redis.call('HSET', key('troubles'), owner, ARGV[4])
end
return 1
