-- End a job: record, result on the stream, publish, counters, the shelf of what did not end well, and the
-- acknowledgement of its message, in one step. A repeated call changes nothing, but does what was refused before.
-- KEYS[2]: the results, channel and stream.
-- ARGV: job id, request id ('' where no attempt was made), JSON of the facts (see Journal._settle), result JSON,
--       message to shelve if the tag holds none, JSON of the limits.
-- Returns {settled | already | late | stale | paid-twice, job id}, and where the attempt failed on its way what is known of
-- other workers' (see _brake.lua).
--#include _keys
--#include _steps
--#include _brake
--#include _attempts
--#include _ending
local job_id, request_id, fact = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local limits = cjson.decode(ARGV[6])
local record_key, state = job_key(job_id), fact.state
local record = redis.call('HMGET', record_key, 's', 'r', 'o', 'k', 'p', 'k2')
local current, request_ids, holder, known_task = record[1], record[2] or '', record[3], record[4]
local arguments = {
  kind = 'ending', job_id = job_id, record_key = record_key, fact = fact, limits = limits, holder = holder, results = KEYS[2],
  result = ARGV[4], message = ARGV[5],
}

if record[5] then
  local problem = do_what_is_left(record_key)
  if problem then return problem end
end

if current == 'accepted' and state == 'accepted' and known_task ~= fact.task_id then
  arguments.kind = 'paid_twice'
  if record[6] == fact.task_id then
    acknowledge(arguments)  -- the same call again
    return {'paid-twice', job_id}
  end
  redis.call('HSET', record_key, 'k2', fact.task_id)
  return do_what_follows(arguments) or {'paid-twice', job_id}
end
if fact.orphan and current ~= 'orphan' then
  acknowledge(arguments)  -- somebody else has decided about it
  return {'already', job_id}
end
local ended = current == 'accepted' or current == 'rejected' or current == 'exhausted' or current == 'unknown'
if ended and (current == 'accepted' or state ~= 'accepted' or request_id == '') then
  acknowledge(arguments)
  -- Its own settling again, whose first reply was lost on the way, is no news to the journal, but to the caller.
  local own = current == state and request_id ~= '' and string.sub(request_ids, -16) == request_id
  return {own and 'settled' or 'already', job_id}
end

-- An attempt whose job was taken over may not decide any more. Only the truth that it was accepted
-- is still welcome, whenever it comes: it is what the money was paid for.
local mine = current == 'sending' and string.sub(request_ids, -16) == request_id
local forgotten = request_id ~= '' and current ~= 'sending' and not knows_attempt(request_ids, request_id)
local fenced = not mine and not forgotten and (request_id ~= '' or current == 'sending')
if fenced and not fact.late then
  return {state == 'accepted' and 'late' or 'stale', job_id}
end

-- The record decides, so it comes first: nobody sends the job again, whatever is refused after it.
local now = redis.call('TIME')[1]
local written = {'s', state, 'n', fact.attempts, 'f', now}
local function write(field, value) written[#written + 1], written[#written + 2] = field, value end
if forgotten then write('r', request_ids .. request_id) end
if fact.task_id then write('k', fact.task_id) end
if fact.possible_duplicate then write('d', 1) end
if fact.answer then write('b', fact.answer) end
redis.call('HSET', record_key, unpack(written))

arguments.before, arguments.now = ended and current or nil, now
if current ~= 'sending' then arguments.holder = nil end
return do_what_follows(arguments) or {'settled', job_id, arguments.others}
