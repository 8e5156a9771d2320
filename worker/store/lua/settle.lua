-- End a job: record, result on the stream, publish, counters, the shelf of what did not end well, and the
-- acknowledgement of its message, in one step. A repeated call changes nothing.
-- KEYS[2]: the results, channel and stream.
-- ARGV: job id, request id ('' where no attempt was made), JSON of the facts (see Journal.settle), result JSON,
--       message to shelve if the tag holds none, JSON of the limits.
-- Returns settled | already | late | stale | paid-twice.
--#include _keys
--#include _brake
--#include _attempts
local job_id, request_id, fact = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local limits = cjson.decode(ARGV[6])
local record_key, state = job_key(job_id), fact.state
local record = redis.call('HMGET', record_key, 's', 'r', 'o', 'k')
local current, request_ids, holder, known_task = record[1], record[2] or '', record[3], record[4]

local function acknowledge()
  if fact.tag ~= '' then redis.call('HDEL', unacked_key(fact.holder), fact.tag) end
end

if current == 'accepted' and state == 'accepted' and known_task ~= fact.task_id then
  redis.call('HINCRBY', key('counters'), 'paid_twice', 1)
  redis.call('HSET', record_key, 'k2', fact.task_id)
  acknowledge()
  return 'paid-twice'
end
if fact.orphan and current ~= 'orphan' then
  acknowledge()  -- somebody else has decided about it
  return 'already'
end
local ended = current == 'accepted' or current == 'rejected' or current == 'exhausted' or current == 'unknown'
if ended and (current == 'accepted' or state ~= 'accepted' or request_id == '') then
  acknowledge()
  -- Its own settling again, whose first reply was lost on the way, is no news to the journal, but to the caller.
  local own = current == state and request_id ~= '' and string.sub(request_ids, -16) == request_id
  return own and 'settled' or 'already'
end

-- An attempt whose job was taken over may not decide any more. Only the truth that it was accepted
-- is still welcome, whenever it comes: it is what the money was paid for.
local mine = current == 'sending' and string.sub(request_ids, -16) == request_id
local forgotten = request_id ~= '' and current ~= 'sending' and not knows_attempt(request_ids, request_id)
local fenced = not mine and not forgotten and (request_id ~= '' or current == 'sending')
if fenced and not fact.late then
  return state == 'accepted' and 'late' or 'stale'
end

-- First what may fail, for nothing is rolled back.
redis.call('XADD', KEYS[2], 'MAXLEN', '~', limits.results_maxlen, '*', 'result', ARGV[4])

if current == 'sending' then redis.call('ZREM', key('sending'), holder .. '|' .. job_id) end
if redis.call('ZREM', key('waiting'), job_id) == 1 then redis.call('HDEL', key('waiting:messages'), job_id) end

local now = redis.call('TIME')[1]
redis.call('HSET', record_key, 's', state, 'n', fact.attempts, 'f', now)
redis.call('HDEL', record_key, 'o', 'u', 'w', 'd', 'e', 'x')
if forgotten then redis.call('HSET', record_key, 'r', request_ids .. request_id) end
if fact.task_id then redis.call('HSET', record_key, 'k', fact.task_id) end
if fact.possible_duplicate then redis.call('HSET', record_key, 'd', 1) end
if state == 'unknown' then
  redis.call('PERSIST', record_key)
else
  redis.call('EXPIRE', record_key, limits.keep_s)
end

if state ~= 'accepted' then
  local raw = fact.tag ~= '' and redis.call('HGET', unacked_key(fact.holder), fact.tag) or ARGV[5]
  redis.call('HSET', key('shelf:messages'), job_id, fact.list .. '|' .. raw)
  redis.call('HSET', key('shelf:results'), job_id, ARGV[4])
  redis.call('ZADD', shelf_key(state), now, job_id)
elseif ended then
  redis.call('ZREM', shelf_key(current), job_id)
  redis.call('HDEL', key('shelf:messages'), job_id)
  redis.call('HDEL', key('shelf:results'), job_id)
end

redis.call('HINCRBY', key('counters'), fact.status, 1)
if fact.counted then redis.call('HINCRBY', key('counters'), 'posts', 1) end
if fact.possible_duplicate then redis.call('HINCRBY', key('counters'), 'possible_duplicates', 1) end
if fact.vendor == 'ok' then brake_ok() elseif fact.vendor == 'fault' then brake_fault(job_id, limits) end
acknowledge()
redis.pcall('PUBLISH', KEYS[2], ARGV[4])  -- what an access list forbids must not undo the rest
return 'settled'
