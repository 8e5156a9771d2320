-- Take a job from among the dead letters for good, as an operator decided. One whose fate was unknown ends by this, so
-- it gets its last result; the others have had theirs. A repeated call does what was refused before.
-- KEYS: queue, results.
-- ARGV: job id, state that it must be in, JSON of the decision, and for an unknown job: result JSON, status, state,
--       task id or '', seconds to keep its record as the operator's environment says or 0, JSON of what its task is
--       followed with: workflow, version, metadata (JSON text); and where it was accepted and it is known what the
--       job costs, in millionths.
-- Returns 1, or 0 where the job is not there any more, or not as it was: so is one in a state of a later version, which
--         stays where it is, for its operators to decide.
--#include _common
--#include _steps
--#include _slots
--#include _breaker
--#include _effects
--#include _dead_letters
local job_id, state, record_key = ARGV[1], ARGV[2], keys.job(ARGV[1])

-- A record that a worker of before this was noted has written. A redelivery after its end would be a second purchase.
local KEEP_OLD_S = 90 * 86400

local current, left, keep_s, closed, batches = unpack(redis.call('HMGET', record_key,
  field.state, field.left_steps, field.keep_s, field.closed_ms, field.batch))
if is_of_later_version(current) then return 0 end
if state ~= 'unknown' then
  if not remove_dead_letter(job_id, state) then return 0 end
  note_decision({decision = ARGV[3]})
  return 1
end
if left then
  local problem = do_what_is_left(record_key)
  if problem then return problem end
  if current == ARGV[6] then return 1 end  -- it was this that had been refused in part
end
if not redis.call('ZSCORE', keys.dead_letters(state), job_id) or (current and current ~= state) then
  remove_dead_letter(job_id, state)
  return 0
end
-- The longer of what the worker was told and what the operator was: never less than whoever held it meant to keep it.
keep_s = math.max(tonumber(keep_s or KEEP_OLD_S), tonumber(ARGV[8]))
local ms = now_ms()
local now = math.floor(ms / 1000)
-- For as long as the workers follow tasks; where none does, nobody would ask.
local follow = ARGV[9] and cjson.decode(ARGV[9]) or {}
local followed_ms = ARGV[9] and ARGV[7] ~= '' and redis.call('GET', keys.task_deadline)
if followed_ms then follow.deadline_ms = tonumber(followed_ms) end
-- What is discarded may have been accepted: should it be submitted again, whatever comes of that may be a duplicate.
redis.call('HSET', record_key, field.state, ARGV[6], field.finished_s, now,
  field.closed_ms, math.max(ms, tonumber(closed or 0)),
  unpack(ARGV[7] ~= '' and {field.task_id, ARGV[7]} or {field.possible_duplicate, 1}))
return do_what_follows({
  kind = 'ending', job_id = job_id, record_key = record_key, before = state, now = now, results = KEYS[2],
  result = ARGV[4], decision = ARGV[3], limits = {keep_s = keep_s}, batches = batches or nil,
  fact = {state = ARGV[6], status = ARGV[5], tag = '',
    metrics = {workflow = follow.workflow, price = tonumber(ARGV[10])}},
  follow = followed_ms and task_of(follow, job_id, ARGV[7], ms) or nil,
}) or 1
