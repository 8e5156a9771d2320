-- Dead letters, for the scripts that take a job from among them. Needs _common.

-- Whether the job was among them, and is one that ended so. Records expire before dead letters do: a job may have been
-- queued anew since under its old id, and then what stands here is its past.
local function remove_dead_letter(job_id, state)
  local was_there = redis.call('ZREM', keys.dead_letters(state), job_id) == 1
  local current = redis.call('HGET', keys.job(job_id), field.state)
  if not (current and redis.call('ZSCORE', keys.dead_letters(current), job_id)) then
    redis.call('HDEL', keys.dead_letter_messages, job_id)
    redis.call('HDEL', keys.dead_letter_results, job_id)
  end
  return was_there and (current == state or not current)
end
