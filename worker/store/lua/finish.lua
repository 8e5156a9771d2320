-- Do for some jobs what an earlier script had to leave because it was refused; see _steps.lua. Bounded.
-- KEYS: queue, results.
-- ARGV: most jobs.
-- Returns how many are finished.
--#include _common
--#include _steps
--#include _slots
--#include _breaker
--#include _effects
local finished = 0
for _, job_id in ipairs(redis.call('SRANDMEMBER', keys.unfinished, ARGV[1])) do
  local ok, problem = pcall(do_what_is_left, keys.job(job_id))
  -- What is left then is for workers of a later version.
  if ok and not problem and not redis.call('HGET', keys.job(job_id), field.left_steps) then
    redis.call('SREM', keys.unfinished, job_id)  -- its record may be gone
    finished = finished + 1
  end
end
return finished
