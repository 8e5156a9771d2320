-- Take a job off its shelf for good. One whose fate was unknown ends by this, so it gets its last result.
-- KEYS[2]: the results.
-- ARGV: job id, state that it must be in, JSON of the decision, result JSON or '', JSON of the limits.
-- Returns 1, or 0 where the job is not there any more.
--#include _keys
local job_id, state, limits = ARGV[1], ARGV[2], cjson.decode(ARGV[5])
if redis.call('HGET', job_key(job_id), 's') ~= state then return 0 end
if redis.call('ZREM', shelf_key(state), job_id) == 0 then return 0 end
redis.call('HDEL', key('shelf:messages'), job_id)
redis.call('HDEL', key('shelf:results'), job_id)
if ARGV[4] ~= '' then
  redis.call('HSET', job_key(job_id), 's', 'rejected')
  redis.call('HINCRBY', key('counters'), 'rejected', 1)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', limits.results_maxlen, '*', 'result', ARGV[4])
  redis.call('PUBLISH', KEYS[2], ARGV[4])
end
redis.call('EXPIRE', job_key(job_id), limits.keep_s)
redis.call('XADD', key('decisions'), 'MAXLEN', '~', 100000, '*', 'decision', ARGV[3])
return 1
