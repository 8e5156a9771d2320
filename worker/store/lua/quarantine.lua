-- Move a message that no worker can read to the list where an operator finds it, and end the job of which it was to be
-- the message, if it can be told which: as rejected, unless anything is known of a job of that id. What is in work,
-- waits, was bought or has ended otherwise has, or will have, a result of its own. With the record a good message of that
-- id, should one come, is not bought after its producer was told so.
-- KEYS: queue, results (channel and stream).
-- ARGV: holder, tag, JSON of time and reason, most to keep, job id or '', result JSON, JSON of the limits,
--       and where it names one the job's batch, and the workflow.
-- Returns 1, or 0 where the holder does not have it any more.
--#include _common
--#include _steps
--#include _slots
--#include _breaker
--#include _effects
local holder, tag, job_id = ARGV[1], ARGV[2], ARGV[5]
local raw = redis.call('HGET', keys.unacked(holder), tag)
if not raw then return 0 end
redis.call('HDEL', keys.unacked(holder), '')  -- is it allowed? See _steps.lua

-- nil, or the reply where some of it is refused.
local function reject()
  local record_key = keys.job(job_id)
  local record = redis.pcall('HMGET', record_key, field.left_steps, field.state, field.enqueued_ms, field.backlog_digest,
    field.dedupe)
  -- A key of another type is nobody's record, and none can be written beside it.
  if record.err then return not string.find(record.err, 'WRONGTYPE', 1, true) and record or nil end
  if record[1] then return do_what_is_left(record_key) end  -- maybe this script's own, of a call before
  if record[2] or record[3] or record[4] or redis.call('ZSCORE', keys.delayed, job_id) then return nil end
  local ms = now_ms()
  local now = math.floor(ms / 1000)
  redis.call('HSET', record_key, field.state, 'rejected', field.attempts, 0, field.finished_s, now,
    field.closed_ms, ms)
  if ARGV[8] then redis.call('HSET', record_key, field.batch, ARGV[8]) end
  return do_what_follows({
    kind = 'ending', job_id = job_id, record_key = record_key, results = KEYS[2], result = ARGV[6], message = '',
    limits = cjson.decode(ARGV[7]), now = now, batches = ARGV[8], workflow = ARGV[9], dedupe = record[5] or nil,
    fact = {state = 'rejected', status = 'rejected', tag = '', holder = holder, list = 0, put_aside = true,
      metrics = {workflow = ARGV[9]}},
  })
end

-- In this order: a message that was put aside already would be put aside again with each repetition.
if job_id ~= '' then
  local problem = reject()
  if problem then return problem end
end
redis.call('LTRIM', keys.malformed, -tonumber(ARGV[4]), -1)
redis.call('RPUSH', keys.malformed, ARGV[3] .. ' ' .. raw)
redis.call('HDEL', keys.unacked(holder), tag)
return 1
