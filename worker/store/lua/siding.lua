-- Put a job aside until its own workflow may go on; the jobs of others pass it. A repeated call does nothing.
-- ARGV: workflow, holder, tag or '', list index, message if the tag holds none, job id.
--#include _keys
local workflow, holder, tag, raw, record_key = ARGV[1], ARGV[2], ARGV[3], ARGV[5], job_key(ARGV[6])
-- A job out of a batch has no message of its own to be gone: its record says which one was put aside (m).
local digest = redis.sha1hex(raw)
if tag ~= '' then
  raw = redis.call('HGET', unacked_key(holder), tag)
  if not raw then return 1 end
elseif redis.call('HGET', record_key, 'm') == digest then
  return 1
end
redis.call('SADD', key('sidings'), workflow)
-- Are they allowed? See _steps.lua
redis.call('HDEL', tag ~= '' and unacked_key(holder) or record_key, '')
if tag == '' then redis.call('HSET', record_key, 'm', '') end
redis.call('LPUSH', key('siding:' .. workflow), ARGV[4] .. '|' .. raw)
if tag ~= '' then
  redis.call('HDEL', unacked_key(holder), tag)
else
  redis.call('HSET', record_key, 'm', digest)
end
return 1
