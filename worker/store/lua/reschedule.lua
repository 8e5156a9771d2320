-- Put a job that is not done into the delayed set until it is due, and let go of its message: whoever
-- holds the delayed set holds the job. A crash before leaves the message, a crash after the set. A repeated call does
-- what was refused before.
-- KEYS: queue, results.
-- ARGV: job id, request id or '', JSON of the facts (see JobStore), message if the tag holds none,
--       JSON of the limits.
-- Returns {rescheduled | stale | cancelled, job id} (cancelled: a message is not to wait for its ETA, for its job was
-- cancelled; nothing was done), and a third element as settle.lua does.
--#include _common
--#include _steps
--#include _slots
--#include _breaker
--#include _attempts
--#include _effects
--#include _again
local job_id, request_id, fact = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local limits = cjson.decode(ARGV[5])
local record_key = keys.job(job_id)
local arguments = {
  kind = 'waiting', job_id = job_id, record_key = record_key, fact = fact, limits = limits, results = KEYS[2],
}

local function delay()
  local raw = fact.tag ~= '' and redis.call('HGET', keys.unacked(fact.holder), fact.tag) or ARGV[4]
  -- The message first: nothing is rolled back should the rest fail, and a due time without one would lose the job.
  redis.call('HSET', keys.delayed_messages, job_id, fact.list .. '|' .. raw)
  redis.call('ZADD', keys.delayed, now_ms() + fact.delay_ms, job_id)
end

local record = redis.pcall('HMGET', record_key, field.state, field.request_ids, field.owner, field.left_steps,
  field.closed_ms, field.finished_s, field.again_ms, field.cancel_asked_ms)
if record.err then
  -- A delivery can wait though the record is none: an operator has to see to it.
  if not fact.look_again then return record end
  record = {}
end
local state, request_ids, holder, left = record[1], record[2] or '', record[3], record[4]

if fact.look_again then
  local waits = redis.call('ZSCORE', keys.delayed, job_id) and
    redis.call('HEXISTS', keys.delayed_messages, job_id) == 1
  if fact.eta and record[8] and not has_ended(state) and not waits then return {'cancelled', job_id} end
  local is_over = has_ended(state) and not is_submitted_again(fact.stamp, record[5], record[6], now_ms())
  if not (is_over or waits or is_outdated(fact.stamp, record[7])) then
    -- Since when it is known (0: since now), where neither a claim nor an operator has said so.
    if fact.first_seen and not redis.call('HGET', record_key, field.enqueued_ms) then
      redis.call('HSET', record_key, field.enqueued_ms, fact.first_seen > 0 and fact.first_seen or now_ms())
    end
    -- Cancelled before it was queued: the mark is to last as long as it waits.
    if state == false then redis.call('PERSIST', record_key) end
    delay()
  end
  acknowledge(arguments)
  return {'rescheduled', job_id}
end

if left then
  local problem = do_what_is_left(record_key)
  if problem then return problem end
end

local mine = state == 'sending' and is_last_attempt(request_ids, request_id)
local forgotten = request_id ~= '' and state ~= 'sending' and not knows_attempt(request_ids, request_id)
if fact.orphan and state ~= 'orphan' then
  acknowledge(arguments)  -- somebody else has decided about it
  return {'rescheduled', job_id}
end
local may_decide = mine or forgotten or (request_id == '' and state ~= 'sending')
if has_ended(state) or is_of_later_version(state) or not may_decide then return {'stale', job_id} end

if fact.probe then
  -- The next probe is another job's turn: one that always fails would keep the breaker open for ever.
  local next_probe, interval, probe = unpack(redis.call('HMGET', keys.breaker, 'next', 'interval', 'probe'))
  if next_probe then
    interval = tonumber(interval)
    local ahead = tonumber(next_probe) - now_ms()
    if probe == job_id then
      interval = math.min(limits.probe_longest_ms, interval * 2)
      ahead = interval
    end
    fact.delay_ms = math.max(fact.delay_ms, ahead + interval)
  end
end
delay()
local written = {
  field.state, 'waiting', field.attempts, fact.attempts, field.uncounted, fact.uncounted,
  field.possible_duplicate, fact.unresolved and 1 or 0,
}
local function write(name, value) written[#written + 1], written[#written + 2] = name, value end
if forgotten then write(field.request_ids, request_ids .. request_id) end
if fact.refusals then write(field.refusals, fact.refusals) end
redis.call('HSET', record_key, unpack(written))
if state == 'sending' then arguments.holder = holder end
return do_what_follows(arguments) or {'rescheduled', job_id, arguments.others}
