-- Move a message that no worker can read to the list where an operator finds it.
-- KEYS: 1 unacked of the holder, 2 malformed.  ARGV: 1 tag, 2 JSON of time and reason, 3 most to keep.
local raw = redis.call('HGET', KEYS[1], ARGV[1])
if raw then
  redis.call('RPUSH', KEYS[2], ARGV[2] .. ' ' .. raw)
  redis.call('LTRIM', KEYS[2], -tonumber(ARGV[3]), -1)
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return raw and 1 or 0
