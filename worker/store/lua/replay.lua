-- Queue a shelved job again, with all its attempts before it but none held against it. An attempt of an
-- unknown job may have been accepted, so whatever comes of it now is a possible duplicate.
-- ARGV: job id, state that it must be in, JSON of the decision.
-- Returns 1; 0 where the job is not there any more; -1 where its message was not kept.
--#include _keys
--#include _shelf
local job_id, state = ARGV[1], ARGV[2]
local index, raw = string.match(redis.call('HGET', key('shelf:messages'), job_id) or '', '^(%d+)|(.*)$')
if (raw or '') == '' then return redis.call('ZSCORE', shelf_key(state), job_id) and -1 or 0 end
if not take_off_shelf(job_id, state) then return 0 end
local attempts = redis.call('HGET', job_key(job_id), 'n') or 0
redis.call('HSET', job_key(job_id), 's', 'reserved', 'n', attempts, 'x', attempts, 'e', now_ms())
redis.call('HDEL', job_key(job_id), 'f')
if state == 'unknown' then redis.call('HSET', job_key(job_id), 'd', 1) end
redis.call('PERSIST', job_key(job_id))
redis.call('LPUSH', lists[tonumber(index)], raw)  -- behind what waits already
redis.call('XADD', key('decisions'), 'MAXLEN', '~', 100000, '*', 'decision', ARGV[3])
return 1
