-- Give messages back to the end of their lists that is read next, unharmed.
-- KEYS: queue.
-- ARGV: holder, then tags, the one to be read first last.
-- Returns how many were given back.
--#include _common
local holder, released = ARGV[1], 0
redis.call('HDEL', keys.unacked(holder), '')  -- is it allowed? See _steps.lua
for i = 2, #ARGV do
  local raw = redis.call('HGET', keys.unacked(holder), ARGV[i])
  if raw then
    redis.call('RPUSH', lists[tonumber(string.match(ARGV[i], '^%d+'))], raw)
    redis.call('HDEL', keys.unacked(holder), ARGV[i])
    released = released + 1
  end
end
return released
