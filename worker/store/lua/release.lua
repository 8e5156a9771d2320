-- Give messages back to the end of their lists that is read next, unharmed.
-- ARGV: holder, then tags, the one to be read first last.  Returns how many were given back.
--#include _keys
local released = 0
for i = 2, #ARGV do
  local raw = redis.call('HGET', unacked_key(ARGV[1]), ARGV[i])
  if raw then
    to_front(string.match(ARGV[i], '^%d+'), raw)
    redis.call('HDEL', unacked_key(ARGV[1]), ARGV[i])
    released = released + 1
  end
end
return released
