-- Publish the result of a job again that was bought, or may have been, and is submitted again after its end: once for each
-- message. A repeated call does what was refused before.
-- KEYS: queue, results (channel and stream).
-- ARGV: job id, stamp of the message (ms), JSON of the facts (holder and tag of the message), result JSON, JSON of the
--       limits.
-- Returns {published | already | changed, job id}: published already, or another state than one of these: claim it again.
--#include _common
--#include _steps
--#include _slots
--#include _breaker
--#include _effects
--#include _again
local job_id, stamp, record_key = ARGV[1], tonumber(ARGV[2]), keys.job(ARGV[1])
local arguments = {
  kind = 'republished', job_id = job_id, record_key = record_key, fact = cjson.decode(ARGV[3]), results = KEYS[2],
  result = ARGV[4], limits = cjson.decode(ARGV[5]), counts = 'republished',
}
local state, closed, finished_s, left = unpack(redis.call('HMGET', record_key,
  field.state, field.closed_ms, field.finished_s, field.left_steps))
if left then
  local problem = do_what_is_left(record_key)
  if problem then return problem end
end
if not is_bought(state) then return {'changed', job_id} end
if not is_submitted_again(stamp, closed, finished_s, now_ms()) then
  acknowledge(arguments)
  return {'already', job_id}
end
-- Of a held job all of its result is known, of an accepted one what its record has.
if state == 'unknown' then
  arguments.result = redis.call('HGET', keys.dead_letter_results, job_id) or arguments.result
end
redis.call('HSET', record_key, field.closed_ms, stamp)
return do_what_follows(arguments) or {'published', job_id}
