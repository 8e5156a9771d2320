-- The vendor asked for less: all workers slow down, to half of what they may do now, and not before the time that
-- the vendor named. Several answers to one burst halve it once. With the next success it begins to grow evenly, and is
-- back where it was after half a minute.
-- KEYS[2]: the results.
-- ARGV: ms to wait or 0, JSON of the limits.
--#include _keys
local LEAST_PER_S, GROWS_PER_S2, BACK_AFTER_S = 0.5, 0.5, 30
local now, limits = now_ms(), cjson.decode(ARGV[2])
local pace = redis.call('HMGET', key('pace'), 'rate', 'since', 'until', 'doubles', 'grows', 'held')
local rate, since, grows = tonumber(pace[1]), tonumber(pace[2] or 0), tonumber(pace[5] or 0)
if not rate or now - since > 1000 then
  local current = limits.interval_ms > 0 and 1000 / limits.interval_ms or nil
  if rate then
    local seconds = pace[6] and 0 or (now - since) / 1000
    local grown = pace[4] == '1' and rate * 2 ^ math.min(seconds, 20) or rate + grows * seconds
    current = current and math.min(current, grown) or grown
  elseif not current then
    -- No limit is set: what went through in the last second is what there was.
    current = #redis.call('XRANGE', KEYS[2], now - 1000, '+', 'COUNT', 2000)
  end
  redis.call('HSET', key('pace'), 'rate', string.format('%.4f', math.max(LEAST_PER_S, current / 2)), 'since', now,
    'doubles', 0, 'grows', math.max(grows, GROWS_PER_S2, current / BACK_AFTER_S))
end
redis.call('HSET', key('pace'), 'held', 1, 'until', math.max(tonumber(pace[3] or 0), now + tonumber(ARGV[1])))
redis.call('EXPIRE', key('pace'), 3600)
return 1
