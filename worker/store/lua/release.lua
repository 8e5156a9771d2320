-- Give messages back to the end of their lists that is read next, unharmed.
-- KEYS: 1 unacked of the holder, then the queue's lists in canonical order.
-- ARGV: tags, the one to be read first last.
-- Returns how many were given back.
local released = 0
for _, tag in ipairs(ARGV) do
  local raw = redis.call('HGET', KEYS[1], tag)
  if raw then
    redis.call('RPUSH', KEYS[2 + tonumber(string.match(tag, '^%d+'))], raw)
    redis.call('HDEL', KEYS[1], tag)
    released = released + 1
  end
end
return released
