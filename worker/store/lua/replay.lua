-- Queue a shelved job again, with all its attempts before it but none held against it. An attempt of an
-- unknown job may have been accepted, so whatever comes of it now is a possible duplicate.
-- ARGV: job id, state that it must be in, JSON of the decision.
-- Returns 1; 0 where the job is not there any more; -1 where its message was not kept.
--#include _keys
--#include _steps
--#include _shelf
local job_id, state, record_key = ARGV[1], ARGV[2], job_key(ARGV[1])
local index, raw = kept_message(redis.call('HGET', key('shelf:messages'), job_id))
if (raw or '') == '' then return redis.call('ZSCORE', shelf_key(state), job_id) and -1 or 0 end
local current = redis.call('HGET', record_key, 's')
if not redis.call('ZSCORE', shelf_key(state), job_id) or (current and current ~= state) then
  take_off_shelf(job_id, state)
  return 0
end
local attempts = redis.call('HGET', record_key, 'n') or 0
redis.call('HSET', record_key, 'n', attempts)  -- if the record cannot be written to, then before anything else is
-- Behind what waits already.
move_message({'LPUSH', lists[index], raw}, {'ZREM', shelf_key(state), job_id}, {'LPOP', lists[index]})
redis.call('HSET', record_key, 's', 'reserved', 'n', attempts, 'x', attempts, 'e', now_ms())
if state == 'unknown' then redis.call('HSET', record_key, 'd', 1) end
redis.call('PERSIST', record_key)
redis.call('HDEL', record_key, 'f', 'b')
redis.call('HDEL', key('shelf:messages'), job_id)
redis.call('HDEL', key('shelf:results'), job_id)
redis.call('XADD', key('decisions'), 'MAXLEN', '~', 100000, '*', 'decision', ARGV[3])
return 1
