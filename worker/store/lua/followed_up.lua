-- Note that what hangs on a job in a canvas was sent after its end, and delete its message. A repeated call changes
-- nothing.
-- KEYS: queue.
-- ARGV: job id, what was sent (callbacks | errbacks), holder, tag.
-- Returns how many messages were deleted.
--#include _common
local record_key, kind = keys.job(ARGV[1]), ARGV[2]
local sent, following = unpack(redis.call('HMGET', record_key, field.followed_up, field.following))
-- Else the job was submitted again meanwhile, and what hangs on its next end is another's to send.
if following == kind .. ' ' .. ARGV[3] .. '/' .. ARGV[4] then
  if not string.find(sent or '', kind, 1, true) then
    redis.call('HSET', record_key, field.followed_up, (sent and sent .. ' ' or '') .. kind)
  end
  redis.call('HDEL', record_key, field.result, field.following)
end
return redis.call('HDEL', keys.unacked(ARGV[3]), ARGV[4])
