-- Put a job aside until its own workflow may go on; the jobs of others pass it.
-- ARGV: workflow, holder, tag or '', list index, message if the tag holds none.
--#include _keys
--#include _steps
local workflow, holder, tag = ARGV[1], ARGV[2], ARGV[3]
local raw = tag ~= '' and redis.call('HGET', unacked_key(holder), tag) or ARGV[5]
local siding = key('siding:' .. workflow)
redis.call('SADD', key('sidings'), workflow)
if tag == '' then
  redis.call('LPUSH', siding, ARGV[4] .. '|' .. raw)
else
  move_message({'LPUSH', siding, ARGV[4] .. '|' .. raw}, {'HDEL', unacked_key(holder), tag}, {'LPOP', siding})
end
return 1
