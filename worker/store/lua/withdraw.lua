-- Take back a claim of which surely nothing was sent: the job is as if it had not been tried.
-- KEYS: 1 job record, 2 sending, 3 brake.  ARGV: 1 job id, 2 owner, 3 request id.
local record = redis.call('HMGET', KEYS[1], 's', 'r')
if record[1] ~= 'sending' or string.sub(record[2] or '', -16) ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], 's', 'reserved', 'r', string.sub(record[2], 1, -17))
redis.call('HDEL', KEYS[1], 'o', 'w')
redis.call('ZREM', KEYS[2], ARGV[2] .. '|' .. ARGV[1])
if redis.call('HGET', KEYS[3], 'probe') == ARGV[1] then redis.call('HDEL', KEYS[3], 'probe', 'probing') end
return 1
