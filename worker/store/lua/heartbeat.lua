-- Say that a worker is alive. One that was declared dead meanwhile is told so: what it held is others'
-- now, and it goes on under a new name, so that nobody mistakes its old claims for live ones.
-- KEYS: 1 workers, 2 where they live.  ARGV: 1 owner, 2 where it lives, given the first time only.
-- Returns 1, or 0 for a worker declared dead.
local time = redis.call('TIME')
if ARGV[2] then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
elseif not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
return 1
