-- Put a shelved job back into its list, as new but for its past: an earlier attempt of an unknown job
-- may still have been accepted.
-- KEYS: 1 job record, 2 shelf, 3 shelved messages, 4 shelved results, 5 decisions, then the lists in canonical order.
-- ARGV: 1 job id, 2 state that it must be in, 3 JSON of the decision.
-- Returns 1, or 0 where the job is not there any more.
if redis.call('HGET', KEYS[1], 's') ~= ARGV[2] then return 0 end
local kept = redis.call('HGET', KEYS[3], ARGV[1])
if not kept then return 0 end
local list, raw = string.match(kept, '^(%d+)|(.*)$')
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 's', 'reserved', 'n', 0, 'u', 0, 'e', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HDEL', KEYS[1], 'f')
if ARGV[2] == 'unknown' then redis.call('HSET', KEYS[1], 'd', 1) end
redis.call('PERSIST', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('RPUSH', KEYS[6 + tonumber(list)], raw)
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 100000, '*', 'decision', ARGV[3])
return 1
