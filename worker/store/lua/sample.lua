-- Add a sample of the totals to the history, if the last one is old enough; or ask only whether it is. So it is added
-- once, by whichever worker comes first; a call that is repeated after a lost reply finds it there.
-- A sample is kept as "<ms by Redis's clock>|<JSON>". Where that clock went back, one is due at once: else there would
-- be none until it has come by where it was.
-- KEYS: queue.
-- ARGV: the sample's JSON or '' to ask, ms after which one is due, most samples to keep.
-- Returns 1 where one is due, and was added unless this call only asks; else 0.
--#include _common
local now, last = now_ms(), redis.call('LRANGE', keys.history, -1, -1)[1]
local age = last and now - (tonumber(string.match(last, '^(%d+)|') or 0) or 0)
if age and age >= 0 and age < tonumber(ARGV[2]) then return 0 end
if ARGV[1] ~= '' then
  redis.call('RPUSH', keys.history, string.format('%d|%s', now, ARGV[1]))
  redis.call('LTRIM', keys.history, -tonumber(ARGV[3]), -1)
end
return 1
