-- Put a job aside until its own workflow may go on; the jobs of others pass it. A repeated call does nothing.
-- ARGV: workflow, holder, tag or '', list index, message if the tag holds none.
--#include _keys
local workflow, holder, tag = ARGV[1], ARGV[2], ARGV[3]
local siding = key('siding:' .. workflow)
local raw = ARGV[5]
if tag ~= '' then raw = redis.call('HGET', unacked_key(holder), tag) end
local kept = raw and ARGV[4] .. '|' .. raw
if not kept or (tag == '' and redis.call('LINDEX', siding, 0) == kept) then return 1 end
redis.call('SADD', key('sidings'), workflow)
redis.call('HDEL', unacked_key(holder), '')  -- is it allowed? See _steps.lua
redis.call('LPUSH', siding, kept)
if tag ~= '' then redis.call('HDEL', unacked_key(holder), tag) end
return 1
