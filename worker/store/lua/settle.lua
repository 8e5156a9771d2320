-- End a job: record, result on the stream, publish, counters, the dead letter of what did not end well, and the
-- acknowledgement of its message, in one step. A repeated call changes nothing, but does what was refused before.
-- KEYS: queue, results (channel and stream).
-- ARGV: job id, request id ('' where no attempt was made), JSON of the facts (see JobStore), result JSON,
--       message to keep with a dead letter if the tag holds none, JSON of the limits.
-- Returns {settled | already | late | stale | paid-twice | repeated | ignored | in-doubt, job id}, and where the attempt
-- failed on its way what is known of other workers' (see _breaker.lua). Of a job that must not be sent, and has ended
-- before: repeated where it was bought and is submitted again, ignored where its message is no newer; in-doubt where an
-- earlier attempt may have been accepted, which the result has to say.
--#include _common
--#include _steps
--#include _slots
--#include _breaker
--#include _attempts
--#include _effects
--#include _again
local job_id, request_id, fact = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local limits = cjson.decode(ARGV[6])
local record_key, state = keys.job(job_id), fact.state
local current, request_ids, holder, known_task, left, more_tasks, closed, again, finished_s, enqueued,
  in_doubt, batches, dedupe = unpack(
  redis.call('HMGET', record_key, field.state, field.request_ids, field.owner, field.task_id, field.left_steps,
    field.more_task_ids, field.closed_ms, field.again_ms, field.finished_s, field.enqueued_ms,
    field.possible_duplicate, field.batch, field.dedupe))
request_ids = request_ids or ''
local arguments = {
  kind = 'ending', job_id = job_id, record_key = record_key, fact = fact, limits = limits, holder = holder,
  results = KEYS[2], result = ARGV[4], message = ARGV[5], dedupe = dedupe or nil,
}

if left then
  local problem = do_what_is_left(record_key)
  if problem then return problem end
end

if current == 'accepted' and state == 'accepted' and known_task ~= fact.task_id then
  arguments.kind = 'paid_twice'
  local known = '\n' .. (more_tasks or '') .. '\n'
  if string.find(known, '\n' .. fact.task_id .. '\n', 1, true) then
    acknowledge(arguments)  -- the same call again
    return {'paid-twice', job_id}
  end
  arguments.follow = task_of(fact.follow, job_id, fact.task_id, now_ms())
  redis.call('HSET', record_key, field.more_task_ids, (more_tasks and more_tasks .. '\n' or '') .. fact.task_id)
  return do_what_follows(arguments) or {'paid-twice', job_id}
end
if fact.orphan and current ~= 'orphan' then
  acknowledge(arguments)  -- somebody else has decided about it
  return {'already', job_id}
end
local now, stamp = now_ms(), tonumber(fact.stamp)
if request_id == '' and not fact.orphan then
  if has_ended(current) then
    if is_submitted_again(stamp, closed, finished_s, now) then
      if is_bought(current) then
        join_batch(record_key, job_id, fact.batch, fact.workflow, current)
        return {'repeated', job_id}
      end
      local problem = run_again(job_id, record_key, current, stamp, now, fact.batch, fact.workflow)
      if problem then return problem end
      current, in_doubt, batches, enqueued = 'reserved', nil, fact.batch, math.min(stamp, now)
    elseif not is_redelivered(stamp, enqueued) then
      join_batch(record_key, job_id, fact.batch, fact.workflow, current)
      count_ignored()
      acknowledge(arguments)
      return {'ignored', job_id}
    end
  elseif is_outdated(stamp, again) then
    join_batch(record_key, job_id, fact.batch, fact.workflow)
    acknowledge(arguments)
    return {'already', job_id}
  end
end
local ended, is_last = has_ended(current), is_last_attempt(request_ids, request_id)
if ended and (current == 'accepted' or state ~= 'accepted' or request_id == '') then
  join_batch(record_key, job_id, fact.batch, fact.workflow, current)
  acknowledge(arguments)
  -- Its own settling again, whose first reply was lost on the way, is no news to the record, but to the caller.
  local own = current == state and request_id ~= '' and is_last
  return {own and 'settled' or 'already', job_id}
end

-- A bad message under the id of a job that waits for its next attempt: that one may have been accepted, and its own
-- message waits. To refuse the job for this one would tell its producer that nothing was bought.
if state == 'rejected' and request_id == '' and current == 'waiting' and redis.call('ZSCORE', keys.delayed, job_id)
    and redis.call('HEXISTS', keys.delayed_messages, job_id) == 1 then
  join_batch(record_key, job_id, fact.batch, fact.workflow)
  acknowledge(arguments)
  return {'already', job_id}
end

-- An attempt whose job was taken over may not decide any more. Only the truth that it was accepted
-- is still welcome, whenever it comes: it is what the money was paid for.
local mine = current == 'sending' and is_last
local is_later = is_of_later_version(current)
local forgotten = request_id ~= '' and current ~= 'sending' and not is_later
  and not knows_attempt(request_ids, request_id)
-- Nor may a message for which none was made call off what a dead worker was sending: the job's own message decides.
local undecided = current == 'sending' or current == 'orphan' and not fact.orphan and state ~= 'unknown'
  or is_later
local fenced = not mine and not forgotten and (request_id ~= '' or undecided)
if fenced and not fact.late then
  return {state == 'accepted' and 'late' or 'stale', job_id}
end

-- Who refuses a job before any claim does not know that an earlier attempt of it may have been accepted.
if request_id == '' and in_doubt == '1' and not fact.possible_duplicate then return {'in-doubt', job_id} end

-- The record decides, so it comes first: nobody sends the job again, whatever is refused after it.
local written = {
  field.state, state, field.attempts, fact.attempts, field.finished_s, math.floor(now / 1000),
  field.closed_ms, math.max(now, stamp or 0, tonumber(closed or 0), tonumber(again or 0)),
}
local function write(name, value) written[#written + 1], written[#written + 2] = name, value end
if forgotten then write(field.request_ids, request_ids .. request_id) end
if fact.task_id then write(field.task_id, fact.task_id) end
if fact.possible_duplicate then write(field.possible_duplicate, 1) end
if fact.answer then write(field.answer, fact.answer) end
if fact.linked then write(field.result, ARGV[4]) end
-- Without a claim nobody has noted it yet.
if stamp and not enqueued then write(field.enqueued_ms, math.min(stamp, now)) end
-- An operator ends it later, whose environment may not say for how long records are kept.
if state == 'unknown' then write(field.keep_s, limits.keep_s) end
local joined = fact.batch and with_batch(batches, fact.batch)
if joined then write(field.batch, joined) end
redis.call('HSET', record_key, unpack(written))

arguments.batches, arguments.workflow = joined or batches or nil, fact.workflow
local since = tonumber(enqueued or stamp)
if since and not ended then arguments.lasted_ms = math.max(0, now - since) end
arguments.before, arguments.now = ended and current or nil, math.floor(now / 1000)
arguments.follow = task_of(fact.follow, job_id, fact.task_id, now)
if current ~= 'sending' then arguments.holder = nil end
return do_what_follows(arguments) or {'settled', job_id, arguments.others}
