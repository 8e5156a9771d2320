-- Move a message that no worker can read to the list where an operator finds it.
-- ARGV: holder, tag, JSON of time and reason, most to keep.
--#include _keys
--#include _steps
local raw = redis.call('HGET', unacked_key(ARGV[1]), ARGV[2])
if not raw then return 0 end
local aside = key('malformed')
move_message({'RPUSH', aside, ARGV[3] .. ' ' .. raw}, {'HDEL', unacked_key(ARGV[1]), ARGV[2]}, {'RPOP', aside})
redis.call('LTRIM', aside, -tonumber(ARGV[4]), -1)
return 1
