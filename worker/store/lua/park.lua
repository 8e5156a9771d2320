-- Put a job that is not done into the waiting set until it is due, and let go of its message: whoever
-- holds the waiting set holds the job. A crash before leaves the message, a crash after the set. A repeated call does
-- what was refused before.
-- KEYS[2]: the results.
-- ARGV: job id, request id or '', JSON of the facts (see Journal._park), message if the tag holds none,
--       JSON of the limits.
-- Returns {parked | stale, job id}, and a third element as settle.lua does.
--#include _keys
--#include _steps
--#include _brake
--#include _attempts
--#include _ending
local job_id, request_id, fact = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local limits = cjson.decode(ARGV[5])
local record_key = job_key(job_id)
local arguments = {kind = 'waiting', job_id = job_id, record_key = record_key, fact = fact, limits = limits, results = KEYS[2]}

local function wait()
  local raw = fact.tag ~= '' and redis.call('HGET', unacked_key(fact.holder), fact.tag) or ARGV[4]
  -- The message first: nothing is rolled back should the rest fail, and a due time alone would lose the job.
  redis.call('HSET', key('waiting:messages'), job_id, fact.list .. '|' .. raw)
  redis.call('ZADD', key('waiting'), now_ms() + fact.delay_ms, job_id)
end

local record = redis.pcall('HMGET', record_key, 's', 'r', 'o', 'p')
if record.err then
  -- A delivery can wait though the record is none: an operator has to see to it.
  if not fact.look_again then return record end
  record = {}
end
local state = record[1]
local ended = state == 'accepted' or state == 'rejected' or state == 'exhausted' or state == 'unknown'

if fact.look_again then
  local waits = redis.call('ZSCORE', key('waiting'), job_id) and
    redis.call('HEXISTS', key('waiting:messages'), job_id) == 1
  if not ended and not waits then wait() end
  acknowledge(arguments)
  return {'parked', job_id}
end

if record[4] then
  local problem = do_what_is_left(record_key)
  if problem then return problem end
end

local mine = state == 'sending' and string.sub(record[2] or '', -16) == request_id
local forgotten = request_id ~= '' and state ~= 'sending' and not knows_attempt(record[2] or '', request_id)
if fact.orphan and state ~= 'orphan' then
  acknowledge(arguments)  -- somebody else has decided about it
  return {'parked', job_id}
end
if ended or not (mine or forgotten or (request_id == '' and state ~= 'sending')) then return {'stale', job_id} end

if fact.probe then
  -- The next probe is another job's turn: one that always fails would keep the brake on for ever.
  local brake = redis.call('HMGET', key('brake'), 'next', 'interval', 'probe')
  if brake[1] then
    local interval, ahead = tonumber(brake[2]), tonumber(brake[1]) - now_ms()
    if brake[3] == job_id then
      interval = math.min(limits.probe_longest_ms, interval * 2)
      ahead = interval
    end
    fact.delay_ms = math.max(fact.delay_ms, ahead + interval)
  end
end
wait()
local written = {'s', 'waiting', 'n', fact.attempts, 'u', fact.uncounted, 'd', fact.unresolved and 1 or 0}
if forgotten then written[9], written[10] = 'r', (record[2] or '') .. request_id end
redis.call('HSET', record_key, unpack(written))
if state == 'sending' then arguments.holder = record[3] end
return do_what_follows(arguments) or {'parked', job_id, arguments.others}
