-- Clear dead letters of what is settled for good once their records are gone too. Bounded; an unknown job stays until
-- somebody decides.
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
return pruned
