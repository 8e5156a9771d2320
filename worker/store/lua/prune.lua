-- Clear dead letters of what is settled for good once their records are gone too, and tasks whose file was not kept.
-- Bounded; an unknown job stays until somebody decides.
-- KEYS: queue.
-- ARGV: seconds to keep, most jobs of a state.
-- Returns how many.
--#include _common
--#include _dead_letters
local before, pruned = redis.call('TIME')[1] - tonumber(ARGV[1]), 0
for _, state in ipairs({'rejected', 'exhausted'}) do
  local old = redis.call('ZRANGEBYSCORE', keys.dead_letters(state), '-inf', before, 'LIMIT', 0, ARGV[2])
  for _, job_id in ipairs(old) do
    remove_dead_letter(job_id, state)
    pruned = pruned + 1
  end
end
-- The record of such a task is gone by now, and its link has ended.
local given_up = redis.call('ZRANGEBYSCORE', keys.unstored_tasks, '-inf', before * 1000, 'LIMIT', 0, ARGV[2])
for _, task_id in ipairs(given_up) do
  redis.call('ZREM', keys.unstored_tasks, task_id)
  pruned = pruned + 1
end
return pruned
