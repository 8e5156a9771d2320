-- Give messages back to the end of their lists that is read next, unharmed.
-- ARGV: holder, then tags, the one to be read first last.  Returns how many were given back.
--#include _keys
--#include _steps
local holder, released = ARGV[1], 0
for i = 2, #ARGV do
  local raw = redis.call('HGET', unacked_key(holder), ARGV[i])
  if raw then
    local list = lists[tonumber(string.match(ARGV[i], '^%d+'))]
    move_message({'RPUSH', list, raw}, {'HDEL', unacked_key(holder), ARGV[i]}, {'RPOP', list})
    released = released + 1
  end
end
return released
