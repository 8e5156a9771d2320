-- Take a job off its shelf for good, as an operator decided. One whose fate was unknown ends by this, so it gets
-- its last result; the others have had theirs.
-- KEYS[2]: the results.
-- ARGV: job id, state that it must be in, JSON of the decision, and for an unknown job: result JSON, status, state,
--       task id or '', seconds to keep its record.
-- Returns 1, or 0 where the job is not there any more.
--#include _keys
--#include _shelf
local job_id, state = ARGV[1], ARGV[2]
if not take_off_shelf(job_id, state) then return 0 end
if state == 'unknown' then
  redis.call('HSET', job_key(job_id), 's', ARGV[6], 'f', redis.call('TIME')[1])
  if ARGV[7] ~= '' then redis.call('HSET', job_key(job_id), 'k', ARGV[7]) end
  redis.call('EXPIRE', job_key(job_id), ARGV[8])
  redis.call('HINCRBY', key('counters'), ARGV[5], 1)
  redis.call('XADD', KEYS[2], '*', 'result', ARGV[4])  -- the workers keep the stream at its length
  redis.call('PUBLISH', KEYS[2], ARGV[4])
end
redis.call('XADD', key('decisions'), 'MAXLEN', '~', 100000, '*', 'decision', ARGV[3])
return 1
