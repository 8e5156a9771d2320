-- Move a message that no worker can read to the list where an operator finds it.
-- KEYS: queue.
-- ARGV: holder, tag, JSON of time and reason, most to keep.
-- Returns 1, or 0 where the holder does not have it any more.
--#include _common
local raw = redis.call('HGET', keys.unacked(ARGV[1]), ARGV[2])
if not raw then return 0 end
redis.call('HDEL', keys.unacked(ARGV[1]), '')  -- is it allowed? See _steps.lua
redis.call('LTRIM', keys.malformed, -tonumber(ARGV[4]), -1)
redis.call('RPUSH', keys.malformed, ARGV[3] .. ' ' .. raw)
redis.call('HDEL', keys.unacked(ARGV[1]), ARGV[2])
return 1
