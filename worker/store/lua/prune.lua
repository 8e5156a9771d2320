-- Take jobs off the shelves of what is settled for good once their records are gone too. Bounded; an unknown
-- job stays until somebody decides.
-- ARGV: seconds to keep, most jobs.  Returns how many.
--#include _keys
--#include _shelf
local before, pruned = redis.call('TIME')[1] - tonumber(ARGV[1]), 0
for _, state in ipairs({'rejected', 'exhausted'}) do
  for _, job_id in ipairs(redis.call('ZRANGEBYSCORE', shelf_key(state), '-inf', before, 'LIMIT', 0, ARGV[2])) do
    take_off_shelf(job_id, state)
    pruned = pruned + 1
  end
end
return pruned
