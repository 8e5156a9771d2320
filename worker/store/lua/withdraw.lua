-- Take back a claim of which surely nothing was sent: the job is as if it had not been tried.
-- ARGV: job id, owner, request id.  Returns 1, or 0 where the claim does not stand.
--#include _keys
local job_id, owner, request_id = ARGV[1], ARGV[2], ARGV[3]
local record = redis.call('HMGET', job_key(job_id), 's', 'r', 'o')
-- Its owner's, and no other's: a slow neighbour may come with an old list of a dead worker's claims.
if record[1] ~= 'sending' or record[3] ~= owner or string.sub(record[2] or '', -16) ~= request_id then return 0 end
redis.call('ZREM', key('sending'), owner .. '|' .. job_id)
redis.call('HSET', job_key(job_id), 's', 'reserved', 'r', string.sub(record[2], 1, -17), 'o', '', 'w', '')
if redis.call('HGET', key('brake'), 'probe') == job_id then redis.call('HDEL', key('brake'), 'probe', 'probing') end
return 1
