-- Ask to send what hangs on a job in a canvas, after its end: once, whichever of its messages comes first. Where it
-- was sent, or another message's holder is at it, this message is one too many, and is deleted. That holder may
-- die: then its message is given back, and whoever takes it asks again.
-- KEYS: queue.
-- ARGV: job id, what is to be sent (callbacks | errbacks), holder, tag.
-- Returns 1, also to a repeated call, or 0 where it must not be sent.
--#include _common
local record_key, kind, holder, tag = keys.job(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local sent, following = unpack(redis.call('HMGET', record_key, field.followed_up, field.following))
local at_it, by, its_tag = string.match(following or '', '^(%S+) (.*)/(.*)$')
local by_another = at_it == kind and not (by == holder and its_tag == tag)
  and redis.call('HGET', keys.unacked(by), its_tag)
if by_another or string.find(sent or '', kind, 1, true) then
  redis.call('HDEL', keys.unacked(holder), tag)
  return 0
end
redis.call('HSET', record_key, field.following, kind .. ' ' .. holder .. '/' .. tag)
return 1
