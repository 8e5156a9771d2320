-- Take back a claim of which surely nothing was sent: the job is as if it had not been tried.
-- KEYS: queue.
-- ARGV: job id, owner, request id.
-- Returns 1, or 0 where the claim does not stand.
--#include _common
--#include _slots
--#include _attempts
local job_id, owner, request_id = ARGV[1], ARGV[2], ARGV[3]
local record_key = keys.job(job_id)
local state, request_ids, holder = unpack(redis.call('HMGET', record_key,
  field.state, field.request_ids, field.owner))
-- Its owner's, and no other's: a slow neighbour may come with an old list of a dead worker's claims.
local mine = state == 'sending' and holder == owner and is_last_attempt(request_ids or '', request_id)
if not mine then return 0 end
free_slot(owner, job_id, redis.call('EXISTS', keys.slot_waiters) == 1)
redis.call('HSET', record_key, field.state, 'reserved', field.request_ids, string.sub(request_ids, 1, -17),
  field.owner, '', field.slot, '')
if redis.call('HGET', keys.breaker, 'probe') == job_id then
  redis.call('HDEL', keys.breaker, 'probe', 'probing')
end
return 1
