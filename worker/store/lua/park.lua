-- Put a job that is not done into the waiting set until it is due, and let go of its message: whoever
-- holds the waiting set holds the job. A crash before leaves the message, a crash after the set.
-- KEYS: 1 job record, 2 sending, 3 waiting, 4 waiting messages, 5 counters, 6 unacked of the holder
-- ARGV: 1 job id, 2 owner, 3 request id or '', 4 attempts, 5 uncounted, 6 unresolved (0/1), 7 delay ms, 8 tag or '',
--       9 message if the tag holds none, 10 counted attempt (0/1), 11 only look again later (0/1), 12 list index
-- Returns parked | stale.
local job_id, request_id, tag = ARGV[1], ARGV[3], ARGV[8]
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[7])
local raw = tag ~= '' and redis.call('HGET', KEYS[6], tag) or ARGV[9]

local function shelve(only_new)
  if only_new and redis.call('ZSCORE', KEYS[3], job_id) then return end
  redis.call('ZADD', KEYS[3], due, job_id)
  redis.call('HSET', KEYS[4], job_id, ARGV[12] .. '|' .. raw)
end

if ARGV[11] == '1' then
  shelve(true)
  if tag ~= '' then redis.call('HDEL', KEYS[6], tag) end
  return 'parked'
end

local record = redis.call('HMGET', KEYS[1], 's', 'r', 'o')
local state, request_ids = record[1], record[2] or ''
local current = state == 'sending' and string.sub(request_ids, -16) == request_id
if request_id == '' then current = state ~= 'sending' end
if not current or state == 'accepted' or state == 'rejected' or state == 'exhausted' or state == 'unknown' then
  return 'stale'
end
if state == 'sending' then redis.call('ZREM', KEYS[2], record[3] .. '|' .. job_id) end
redis.call('HSET', KEYS[1], 's', 'waiting', 'n', ARGV[4], 'u', ARGV[5], 'd', ARGV[6])
redis.call('HDEL', KEYS[1], 'o', 'w')
shelve(false)
if ARGV[10] == '1' then redis.call('HINCRBY', KEYS[5], 'posts', 1) end
if tag ~= '' then redis.call('HDEL', KEYS[6], tag) end
return 'parked'
