-- Move a message that no worker can read to the list where an operator finds it.
-- ARGV: holder, tag, JSON of time and reason, most to keep.
--#include _keys
local raw = redis.call('HGET', unacked_key(ARGV[1]), ARGV[2])
if not raw then return 0 end
redis.call('HDEL', unacked_key(ARGV[1]), '')  -- is it allowed? See _steps.lua
redis.call('LTRIM', key('malformed'), -tonumber(ARGV[4]), -1)
redis.call('RPUSH', key('malformed'), ARGV[3] .. ' ' .. raw)
redis.call('HDEL', unacked_key(ARGV[1]), ARGV[2])
return 1
