-- Which of these dead letters cannot be queued again, for their messages were not kept: what replay answers -1 to.
-- Writes nothing, so it may be run again. One script, so that no message goes over the network for it.
-- KEYS: queue.
-- ARGV: job ids.
-- Returns those.
--#include _common
local found = {}
for _, job_id in ipairs(ARGV) do
  local _, raw = kept_message(redis.call('HGET', keys.dead_letter_messages, job_id))
  if (raw or '') == '' then found[#found + 1] = job_id end
end
return found
