-- Put a job that is not done into the waiting set until it is due, and let go of its message: whoever
-- holds the waiting set holds the job. A crash before leaves the message, a crash after the set.
-- ARGV: job id, request id or '', JSON of the facts (see Journal.park), message if the tag holds none,
--       JSON of the limits.
-- Returns parked | stale.
--#include _keys
--#include _brake
--#include _attempts
local job_id, request_id, fact = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local limits = cjson.decode(ARGV[5])
local record_key = job_key(job_id)

local function wait()
  local raw = fact.tag ~= '' and redis.call('HGET', unacked_key(fact.holder), fact.tag) or ARGV[4]
  -- The message first: nothing is rolled back should the rest fail, and a due time alone would lose the job.
  redis.call('HSET', key('waiting:messages'), job_id, fact.list .. '|' .. raw)
  redis.call('ZADD', key('waiting'), now_ms() + fact.delay_ms, job_id)
end
local function acknowledge()
  if fact.tag ~= '' then redis.call('HDEL', unacked_key(fact.holder), fact.tag) end
end

local record = redis.call('HMGET', record_key, 's', 'r', 'o')
local state = record[1]
local ended = state == 'accepted' or state == 'rejected' or state == 'exhausted' or state == 'unknown'

if fact.look_again then
  if not ended and not redis.call('ZSCORE', key('waiting'), job_id) then wait() end
  acknowledge()
  return 'parked'
end

local mine = state == 'sending' and string.sub(record[2] or '', -16) == request_id
local forgotten = request_id ~= '' and state ~= 'sending' and not knows_attempt(record[2] or '', request_id)
if fact.orphan and state ~= 'orphan' then
  acknowledge()  -- somebody else has decided about it
  return 'parked'
end
if ended or not (mine or forgotten or (request_id == '' and state ~= 'sending')) then return 'stale' end

if fact.vendor == 'fault' or fact.probe then brake_fault(job_id, limits) end
if fact.probe then
  -- The next probe is another job's turn: one that always fails would keep the brake on for ever.
  local brake = redis.call('HMGET', key('brake'), 'next', 'interval')
  if brake[1] then fact.delay_ms = math.max(fact.delay_ms, brake[1] + brake[2] - now_ms()) end
end
wait()
if state == 'sending' then redis.call('ZREM', key('sending'), record[3] .. '|' .. job_id) end
redis.call('HSET', record_key, 's', 'waiting', 'n', fact.attempts, 'u', fact.uncounted,
  'd', fact.unresolved and 1 or 0)
redis.call('HDEL', record_key, 'o', 'w')
if forgotten then redis.call('HSET', record_key, 'r', (record[2] or '') .. request_id) end
if fact.counted then
  redis.call('HINCRBY', key('counters'), 'posts', 1)
  -- An attempt that an outage spoiled is not held against the job.
  if fact.probe or redis.call('HGET', key('brake'), 'open') == '1' then redis.call('HINCRBY', record_key, 'x', 1) end
end
acknowledge()
return 'parked'
