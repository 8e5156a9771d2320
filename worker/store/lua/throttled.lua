-- The vendor asked for less: all workers slow down, to half of what they may do now, and not before the time that
-- the vendor named. Several answers to one burst halve it once.
-- ARGV: ms to wait or 0, JSON of the limits.
--#include _keys
local UNSET_PER_S, LEAST_PER_S, GROWS_PER_S2 = 20, 0.1, 0.5
local now, limits = now_ms(), cjson.decode(ARGV[2])
local pace = redis.call('HMGET', key('pace'), 'rate', 'since', 'until', 'doubles')
local rate, since = tonumber(pace[1]), tonumber(pace[2] or 0)
if not rate or now - since > 1000 then
  local allowed = limits.interval_ms > 0 and 1000 / limits.interval_ms or nil
  local current = allowed or UNSET_PER_S
  if rate then
    local seconds = (now - since) / 1000
    current = pace[4] == '1' and rate * 2 ^ math.min(seconds, 20) or rate + GROWS_PER_S2 * seconds
    if allowed then current = math.min(current, allowed) end
  end
  rate = string.format('%.4f', math.max(LEAST_PER_S, current / 2))
  redis.call('HSET', key('pace'), 'rate', rate, 'since', now, 'doubles', 0)
end
redis.call('HSET', key('pace'), 'until', math.max(tonumber(pace[3] or 0), now + tonumber(ARGV[1])))
redis.call('EXPIRE', key('pace'), 3600)
return 1
