-- Put a job aside until its own workflow may go on; the jobs of others pass it.
-- ARGV: workflow, holder, tag or '', list index, message if the tag holds none.
--#include _keys
local workflow, holder, tag = ARGV[1], ARGV[2], ARGV[3]
local raw = tag ~= '' and redis.call('HGET', unacked_key(holder), tag) or ARGV[5]
local siding = key('siding:' .. workflow)
redis.call('SADD', key('sidings'), workflow)
redis.call('HDEL', unacked_key(holder), '')  -- is it allowed? See _steps.lua
redis.call('LPUSH', siding, ARGV[4] .. '|' .. raw)
if tag ~= '' then redis.call('HDEL', unacked_key(holder), tag) end
return 1
