-- Take a job off its shelf for good, as an operator decided. One whose fate was unknown ends by this, so it gets
-- its last result; the others have had theirs. A repeated call does what was refused before.
-- KEYS[2]: the results.
-- ARGV: job id, state that it must be in, JSON of the decision, and for an unknown job: result JSON, status, state,
--       task id or '', seconds to keep its record, results to keep in the stream.
-- Returns 1, or 0 where the job is not there any more.
--#include _keys
--#include _steps
--#include _brake
--#include _ending
--#include _shelf
local job_id, state, record_key = ARGV[1], ARGV[2], job_key(ARGV[1])

if state ~= 'unknown' then
  if not take_off_shelf(job_id, state) then return 0 end
  note_decision({decision = ARGV[3]})
  return 1
end
local record = redis.call('HMGET', record_key, 's', 'p')
if record[2] then
  local problem = do_what_is_left(record_key)
  if problem then return problem end
  if record[1] == ARGV[6] then return 1 end  -- it was this that had been refused in part
end
if not redis.call('ZSCORE', shelf_key(state), job_id) or (record[1] and record[1] ~= state) then
  take_off_shelf(job_id, state)
  return 0
end
local now = redis.call('TIME')[1]
redis.call('HSET', record_key, 's', ARGV[6], 'f', now, unpack(ARGV[7] ~= '' and {'k', ARGV[7]} or {}))
return do_what_follows({
  kind = 'ending', job_id = job_id, record_key = record_key, before = state, now = now, results = KEYS[2], result = ARGV[4],
  decision = ARGV[3], limits = {keep_s = tonumber(ARGV[8]), results_maxlen = tonumber(ARGV[9])},
  fact = {state = ARGV[6], status = ARGV[5], tag = ''},
}) or 1
