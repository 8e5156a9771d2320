-- End a job: record, result on the stream, publish, counters, the dead-letter shelf and the
-- acknowledgement of its message, in one step. A repeated call changes nothing.
-- KEYS: 1 job record, 2 sending, 3 waiting, 4 waiting messages, 5 results, 6 shelf of the status, 7 shelved messages,
--       8 counters, 9 unacked of the worker that holds the message, 10 shelf of the unknown, 11 shelved results
-- ARGV: 1 job id, 2 owner, 3 request id ('' where no attempt was made), 4 status, 5 state, 6 result JSON, 7 attempts,
--       8 task id or '', 9 possible duplicate (0/1), 10 most results, 11 seconds to keep, 12 tag or '',
--       13 message to shelve if the tag holds none, 14 counted attempt (0/1), 15 late (0/1): settle although fenced,
--       16 list index
-- Returns settled | already | late | stale | paid-twice.
local job_id, owner, request_id, status, state = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local task_id, tag = ARGV[8], ARGV[12]
local record = redis.call('HMGET', KEYS[1], 's', 'r', 'o', 'k')
local current, request_ids, holder, known_task = record[1], record[2] or '', record[3], record[4]
local mine = request_id ~= '' and string.sub(request_ids, -16) == request_id

local function acknowledge()
  if tag ~= '' then redis.call('HDEL', KEYS[9], tag) end
end

if current == 'accepted' or current == 'rejected' or current == 'exhausted' or
    (current == 'unknown' and state ~= 'accepted') then
  acknowledge()
  if current == 'accepted' and state == 'accepted' and known_task ~= task_id then
    redis.call('HINCRBY', KEYS[8], 'paid_twice', 1)
    redis.call('HSET', KEYS[1], 'k2', task_id)
    return 'paid-twice'
  end
  if state ~= 'accepted' or current == 'accepted' then return 'already' end
end

-- An attempt whose job was taken over may not decide any more. Only the truth that it was accepted
-- is still welcome, whenever it comes: it is what the money was paid for.
local fenced = request_id ~= '' and not (current == 'sending' and mine)
if request_id == '' and current == 'sending' then fenced = true end
if fenced and ARGV[15] ~= '1' then
  if state == 'accepted' then return 'late' end
  return 'stale'
end

if current == 'sending' then redis.call('ZREM', KEYS[2], holder .. '|' .. job_id) end
if redis.call('ZREM', KEYS[3], job_id) == 1 then redis.call('HDEL', KEYS[4], job_id) end

local now = redis.call('TIME')[1]
redis.call('HSET', KEYS[1], 's', state, 'n', ARGV[7], 'f', now)
redis.call('HDEL', KEYS[1], 'o', 'u', 'w', 'd', 'e')
if task_id ~= '' then redis.call('HSET', KEYS[1], 'k', task_id) end
if ARGV[9] == '1' then redis.call('HSET', KEYS[1], 'd', 1) end

if state == 'accepted' then
  redis.call('EXPIRE', KEYS[1], ARGV[11])
  if current == 'unknown' then
    redis.call('ZREM', KEYS[10], job_id)
    redis.call('HDEL', KEYS[7], job_id)
    redis.call('HDEL', KEYS[11], job_id)
  end
else
  if state == 'unknown' then redis.call('PERSIST', KEYS[1]) else redis.call('EXPIRE', KEYS[1], ARGV[11]) end
  local raw = tag ~= '' and redis.call('HGET', KEYS[9], tag) or ARGV[13]
  redis.call('HSET', KEYS[7], job_id, ARGV[16] .. '|' .. raw)
  redis.call('HSET', KEYS[11], job_id, ARGV[6])
  redis.call('ZADD', KEYS[6], now, job_id)
end

redis.call('HINCRBY', KEYS[8], status, 1)
if ARGV[14] == '1' then redis.call('HINCRBY', KEYS[8], 'posts', 1) end
if ARGV[9] == '1' then redis.call('HINCRBY', KEYS[8], 'possible_duplicates', 1) end
redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[10], '*', 'result', ARGV[6])
redis.call('PUBLISH', KEYS[5], ARGV[6])
acknowledge()
return 'settled'
