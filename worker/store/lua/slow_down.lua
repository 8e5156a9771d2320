-- The vendor asked for less: all workers slow down, to half of what they may do now, and not before the time that
-- the vendor named. Several answers to one burst halve it once. With the next success it begins to grow evenly, and is
-- back where it was after half a minute.
-- KEYS: queue, results.
-- ARGV: ms to wait or 0, JSON of the limits.
-- Returns 1.
--#include _common
--#include _adaptive_rate
local LEAST_PER_S, GROWS_PER_S2, BACK_AFTER_S, FORGET_S = 0.5, 0.5, 30, 3600
local now, limits = now_ms(), cjson.decode(ARGV[2])
local rate, since, not_until, doubles, grows, held = unpack(redis.call('HMGET', keys.adaptive_rate,
  'rate', 'since', 'until', 'doubles', 'grows', 'held'))
if not rate or now - tonumber(since or 0) > 1000 then
  local current = limits.interval_ms > 0 and 1000 / limits.interval_ms or nil
  local learned = current_rate(rate, since, doubles, grows, held, now)
  if learned then
    current = current and math.min(current, learned) or learned
  elseif not current then
    -- No limit is set: what went through in the last second is what there was.
    current = #redis.call('XRANGE', KEYS[2], now - 1000, '+', 'COUNT', 2000)
  end
  redis.call('HSET', keys.adaptive_rate, 'rate', string.format('%.4f', math.max(LEAST_PER_S, current / 2)),
    'since', now, 'doubles', 0, 'grows', math.max(tonumber(grows or 0), GROWS_PER_S2, current / BACK_AFTER_S))
end
redis.call('HSET', keys.adaptive_rate, 'held', 1, 'until', math.max(tonumber(not_until or 0), now + tonumber(ARGV[1])))
redis.call('EXPIRE', keys.adaptive_rate, FORGET_S)
return 1
