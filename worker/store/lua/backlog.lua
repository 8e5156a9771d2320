-- Put a job into its workflow's backlog until the workflow may go on; the jobs of others pass it. A repeated call does
-- nothing.
-- KEYS: queue.
-- ARGV: workflow, holder, tag or '', list index, message if the tag holds none, job id.
-- Returns 1.
--#include _common
local workflow, holder, tag, raw, record_key = ARGV[1], ARGV[2], ARGV[3], ARGV[5], keys.job(ARGV[6])
-- A job out of a batch has no message of its own to be gone: its record says which one was put there.
local digest = redis.sha1hex(raw)
if tag ~= '' then
  raw = redis.call('HGET', keys.unacked(holder), tag)
  if not raw then return 1 end
elseif redis.call('HGET', record_key, field.backlog_digest) == digest then
  return 1
end
redis.call('SADD', keys.backlogs, workflow)
-- Are they allowed? See _steps.lua
redis.call('HDEL', tag ~= '' and keys.unacked(holder) or record_key, '')
if tag == '' then redis.call('HSET', record_key, field.backlog_digest, '') end
redis.call('LPUSH', keys.backlog(workflow), ARGV[4] .. '|' .. raw)
if tag ~= '' then
  redis.call('HDEL', keys.unacked(holder), tag)
else
  redis.call('HSET', record_key, field.backlog_digest, digest)
end
return 1
