-- Say that a worker is alive. One that was declared dead meanwhile is told so: what it held is others'
-- now, and it goes on under a new name, so that nobody mistakes its old claims for live ones.
-- KEYS: 1 workers, 2 where they live, 3 when they last looked at the queue.
-- ARGV: 1 owner, 2 whether it looks at the queue (0/1), 3 where it lives, given the first time only.
-- Returns 1, or 0 for a worker declared dead.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[3] then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
elseif not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
if ARGV[2] == '1' then redis.call('HSET', KEYS[3], ARGV[1], now) end
return 1
