-- Do for some jobs what an earlier script had to leave because it was refused; see _steps.lua. Bounded.
-- ARGV: most jobs.  Returns how many are finished.
--#include _keys
--#include _steps
--#include _brake
--#include _ending
local finished = 0
for _, job_id in ipairs(redis.call('SRANDMEMBER', key('unfinished'), ARGV[1])) do
  local ok, problem = pcall(do_what_is_left, job_key(job_id))
  if ok and not problem then
    redis.call('SREM', key('unfinished'), job_id)  -- its record may be gone
    finished = finished + 1
  end
end
return finished
