-- Queue a shelved job again, with all its attempts before it but none held against it. An attempt of an
-- unknown job may have been accepted, so whatever comes of it now is a possible duplicate.
-- ARGV: job id, state that it must be in, JSON of the decision.
-- Returns 1; 0 where the job is not there any more; -1 where its message was not kept.
--#include _keys
--#include _steps
--#include _brake
--#include _ending
--#include _shelf
local job_id, state, record_key, now = ARGV[1], ARGV[2], job_key(ARGV[1]), now_ms()
local record = redis.call('HMGET', record_key, 's', 'n', 'p')
if record[3] then
  local problem = do_what_is_left(record_key)
  if problem then return problem end
  if record[1] == 'reserved' then return 1 end  -- it was this that had been refused in part
end
local index, raw = kept_message(redis.call('HGET', key('shelf:messages'), job_id))
if (raw or '') == '' then return redis.call('ZSCORE', shelf_key(state), job_id) and -1 or 0 end
local current, attempts = record[1], record[2] or 0
if not redis.call('ZSCORE', shelf_key(state), job_id) or (current and current ~= state) then
  take_off_shelf(job_id, state)
  return 0
end
-- Are they allowed? Refused later, they would leave a job in the queue that stands on its shelf still.
redis.call('HSET', record_key, 'n', attempts)
redis.call('ZREM', shelf_key(state), '')
redis.call('LPUSH', lists[index], raw)  -- behind what waits already
local written = {'s', 'reserved', 'n', attempts, 'x', attempts, 'e', now}
if state == 'unknown' then written[9], written[10] = 'd', 1 end
redis.call('HSET', record_key, unpack(written))
return do_what_follows({
  kind = 'queued_again', job_id = job_id, record_key = record_key, before = state, decision = ARGV[3],
}) or 1
