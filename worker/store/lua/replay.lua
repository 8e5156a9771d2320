-- Put a shelved job back into its list, as new but for its past: an earlier attempt of an unknown job
-- may still have been accepted.
-- ARGV: job id, state that it must be in, JSON of the decision.
-- Returns 1, or 0 where the job is not there any more.
--#include _keys
local job_id, state = ARGV[1], ARGV[2]
if redis.call('HGET', job_key(job_id), 's') ~= state then return 0 end
local kept = redis.call('HGET', key('shelf:messages'), job_id)
if not kept or string.match(kept, '^%d+|$') then return 0 end
redis.call('HSET', job_key(job_id), 's', 'reserved', 'n', 0, 'e', now_ms())
redis.call('HDEL', job_key(job_id), 'f')
if state == 'unknown' then redis.call('HSET', job_key(job_id), 'd', 1) end
redis.call('PERSIST', job_key(job_id))
redis.call('ZREM', shelf_key(state), job_id)
redis.call('HDEL', key('shelf:messages'), job_id)
redis.call('HDEL', key('shelf:results'), job_id)
kept_to_front(kept)
redis.call('XADD', key('decisions'), 'MAXLEN', '~', 100000, '*', 'decision', ARGV[3])
return 1
