-- Queue a dead letter again, with all its attempts before it but none held against it. An attempt of an
-- unknown job may have been accepted, so whatever comes of it now is a possible duplicate.
-- KEYS: queue, results.
-- ARGV: job id, state that it must be in, JSON of the decision.
-- Returns 1; 0 where the job is not there any more, or not as it was (in a state of a later version it stays where it
--         is, for its operators to decide); -1 where its message was not kept; -2 where another job was queued under
--         its dedupe key since: both would be bought.
--#include _common
--#include _steps
--#include _slots
--#include _breaker
--#include _effects
--#include _dead_letters
local job_id, state, record_key, now = ARGV[1], ARGV[2], keys.job(ARGV[1]), now_ms()
local current, attempts, left, batches, dedupe = unpack(redis.call('HMGET', record_key,
  field.state, field.attempts, field.left_steps, field.batch, field.dedupe))
if is_of_later_version(current) then return 0 end
attempts = attempts or 0
if left then
  local problem = do_what_is_left(record_key)
  if problem then return problem end
  if current == 'reserved' then return 1 end  -- it was this that had been refused in part
end
local index, raw = kept_message(redis.call('HGET', keys.dead_letter_messages, job_id))
local is_there = redis.call('ZSCORE', keys.dead_letters(state), job_id)
if (raw or '') == '' then return is_there and -1 or 0 end
if not is_there or (current and current ~= state) then
  remove_dead_letter(job_id, state)
  return 0
end
local digest, until_s = string.match(dedupe or '', '^(%S+) (%d+)$')
if digest then
  local holder = holder_of(keys.dedupe(digest), keys.job(''), '', 0)
  if holder and holder ~= job_id then return -2 end
  redis.call('SET', keys.dedupe(digest), job_id, 'EX', math.max(1, until_s - math.floor(now / 1000)))
end
-- Are they allowed? Refused later, they would leave a job in the queue that stands among the dead letters still.
redis.call('HSET', record_key, field.attempts, attempts)
redis.call('ZREM', keys.dead_letters(state), '')
redis.call('LPUSH', lists[index], raw)  -- behind what waits already
local written = {
  field.state, 'reserved', field.attempts, attempts, field.excused, attempts, field.enqueued_ms, now,
}
if state == 'unknown' then written[9], written[10] = field.possible_duplicate, 1 end
redis.call('HSET', record_key, unpack(written))
return do_what_follows({
  kind = 'queued_again', job_id = job_id, record_key = record_key, before = state, decision = ARGV[3],
  batches = batches or nil, uncancels = true,
}) or 1
