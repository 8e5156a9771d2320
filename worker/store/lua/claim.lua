-- Ask for the right to POST a job, before the first byte leaves. One round trip, the shared limits included.
-- KEYS: queue, results.
-- ARGV: job id, owner, request id (16 bytes), enqueued ms or '', workflow, JSON of the limits, ms between two
--       posts of the workflow or 0, and where the message names one the job's batch.
-- Returns {verdict, attempts, uncounted, possible duplicate (0/1), age ms, wait ms, excused, refusals, request id}, and
--         of a job that had ended what had become of it: state, second of its end, task id or '', last request id.
--#include _common
--#include _steps
--#include _slots
--#include _breaker
--#include _attempts
--#include _effects
--#include _again
--#include _adaptive_rate
--#include _cancels
local FURTHEST_SLOT_MS, KEEP_SLOT_MS, RATE_MOST, NOTHING = 1500, 60000, 2000, {}
local job_id, owner, request_id, workflow, batch = ARGV[1], ARGV[2], ARGV[3], ARGV[5], ARGV[8]
local record_key = keys.job(job_id)
local now = now_ms()

local state, attempts, uncounted, request_ids, holder, enqueued, possible_duplicate, slot, excused, left, again,
  cancelled, refusals = unpack(
  redis.call('HMGET', record_key, field.state, field.attempts, field.uncounted, field.request_ids, field.owner,
    field.enqueued_ms, field.possible_duplicate, field.slot, field.excused, field.left_steps, field.again_ms,
    field.cancel_asked_ms, field.refusals))
attempts, uncounted = tonumber(attempts or 0) or 0, tonumber(uncounted or 0) or 0
request_ids, possible_duplicate = request_ids or '', possible_duplicate or '0'
local first_enqueued, past = enqueued, nil
-- A stamp of the producer's may be anything.
enqueued = math.max(0, math.min(tonumber(enqueued or ARGV[4]) or now, now))
slot, excused = tonumber(slot), tonumber(excused or 0) or 0

local function answer(verdict, wait)
  local age = math.max(0, now - enqueued)
  local found = {verdict, attempts, uncounted, possible_duplicate, age, math.ceil(wait or 0), excused,
    tonumber(refusals or 0), request_id}
  for _, value in ipairs(past or {}) do found[#found + 1] = value end
  return found
end

if left then
  local problem = do_what_is_left(record_key)
  if problem then return problem end
  cancelled = redis.call('HGET', record_key, field.cancel_asked_ms)  -- that may have been left to do
end
if has_ended(state) then
  local closed, finished_s, task_id = unpack(redis.call('HMGET', record_key,
    field.closed_ms, field.finished_s, field.task_id))
  past = {state, tonumber(finished_s or 0), task_id or '', string.sub(request_ids, -16)}
  if not is_submitted_again(ARGV[4], closed, finished_s, now) then
    join_batch(record_key, job_id, batch, workflow, state)
    if is_redelivered(ARGV[4], first_enqueued) then past = nil else count_ignored() end
    return answer('settled')
  end
  if is_bought(state) then
    join_batch(record_key, job_id, batch, workflow, state)
    return answer('repeated')
  end
elseif is_outdated(ARGV[4], again) then
  join_batch(record_key, job_id, batch, workflow)
  return answer('settled')
end
if not redis.call('ZSCORE', keys.workers, owner) then
  return answer('fenced')  -- declared dead while it was frozen: it must take a new name first
end
if has_ended(state) then
  local problem = run_again(job_id, record_key, state, tonumber(ARGV[4]), now, batch, workflow, cancelled)
  if problem then return problem end
  cancelled = is_cancelled_since(ARGV[4], cancelled)
  state, uncounted, excused, slot, refusals = 'reserved', 0, attempts, nil, 0
  enqueued = math.min(tonumber(ARGV[4]), now)
  possible_duplicate = redis.call('HGET', record_key, field.possible_duplicate) or '0'
end
-- What that means only later versions know. For this one somebody else sees to the job: it must not be bought again.
if is_of_later_version(state) then return answer('busy') end
if state == 'orphan' then return answer('orphan') end
if state == 'waiting' and redis.call('ZSCORE', keys.delayed, job_id) and
    redis.call('HEXISTS', keys.delayed_messages, job_id) == 1 then
  join_batch(record_key, job_id, batch, workflow)
  return answer('delayed')
end
local limits = cjson.decode(ARGV[6])
if state == 'sending' then
  if holder == owner and is_last_attempt(request_ids, request_id) then
    return answer('go')  -- the same claim again: its first reply was lost on the way
  end
  join_batch(record_key, job_id, batch, workflow)
  if redis.call('ZSCORE', keys.workers, holder) then return answer('busy') end
  -- The worker that was sending was declared dead (takeover.lua, the only place that does): the
  -- vendor may or may not have accepted. From here on the job is an orphan until somebody decides,
  -- also if the one who found it dies before deciding.
  attempts = attempts + 1
  free_slot(holder, job_id, limits.max_inflight > 0)
  redis.call('HSET', record_key, field.state, 'orphan', field.attempts, attempts, field.owner, '', field.slot, '')
  return answer('orphan')
end

-- Mostly none of them is there.
local held_up = redis.call('EXISTS', keys.refusing, keys.paused, keys.cancels) > 0
if cancelled or held_up and is_called_off(workflow, batch, enqueued) then return answer('cancelled') end

-- Admission. What is denied leaves no trace but its turn for a slot, and its batch's knowledge of it: who cancels a batch
-- would miss a message of a foreign producer that goes back to a list which was read before.
if held_up then
  if batch and not is_in_batch(batch, job_id) then
    move_in_batch(batch, {{job_id, BATCH_WAITS, workflow, 'enters'}})
  end
  if redis.call('EXISTS', keys.refusing) == 1 then return answer('refusing') end
  if redis.call('SISMEMBER', keys.paused, '*') == 1 then return answer('paused') end
  if redis.call('SISMEMBER', keys.paused, workflow) == 1 then return answer('backlog') end
end

local function grant(verdict)
  -- The last 64: an outage of days must not grow a record without end. An attempt before those, should it ever be heard
  -- of, would pass for one that this Redis has forgotten (_attempts.lua): its worker must have been silent all that time.
  request_ids = string.sub(request_ids .. request_id, -16 * 64)
  -- Its producer may have been none of ours. Before all else: a job that cannot be counted is not sent, for its end could
  -- not be written down either.
  if batch and not is_in_batch(batch, job_id) then
    move_in_batch(batch, {{job_id, BATCH_WAITS, workflow, 'enters'}})
  end
  -- In this order: what stands in the record only could not be taken back by who finds this worker dead.
  redis.call('ZADD', keys.sending, now, owner .. '|' .. job_id)
  local joined = batch and with_batch(state and redis.call('HGET', record_key, field.batch), batch)
  redis.call('HSET', record_key, field.state, 'sending', field.request_ids, request_ids, field.owner, owner,
    field.enqueued_ms, enqueued, unpack(joined and {field.batch, joined} or NOTHING))
  if slot then redis.call('HDEL', record_key, field.slot) end
  return answer(verdict)
end

-- Keep the time of the next free slot in a schedule.
local function book(key, at, interval)
  redis.call('SET', key, string.format('%.3f', at), 'PX', KEEP_SLOT_MS + math.ceil(interval))
end

local is_open, next_probe, probe, probing = unpack(redis.call('HMGET', keys.breaker,
  'open', 'next', 'probe', 'probing'))
if is_open == '1' then
  next_probe = tonumber(next_probe)
  if probe and tonumber(probing) > now then next_probe = math.max(next_probe, now + 100) end
  local free = limits.interval_ms > 0 and redis.call('GET', keys.rate) or 0
  next_probe = math.max(next_probe, tonumber(redis.call('HGET', keys.adaptive_rate, 'until') or 0), tonumber(free or 0))
  if next_probe > now then return answer('breaker', next_probe - now) end
  if limits.interval_ms > 0 then book(keys.rate, now + limits.interval_ms, limits.interval_ms) end
  local granted = grant('probe')
  redis.call('HSET', keys.breaker, 'probe', job_id, 'probing', now + limits.probe_takes_ms)
  return granted
end

-- Slots in flight: as many as are free beside those that others have waited for longer.
local in_line, waiters, left_free = false, {}, 0
if limits.max_inflight > 0 then
  local free, ahead = limits.max_inflight - redis.call('ZCARD', keys.sending), 0
  if free > 0 then
    waiters = living_waiters(now)
    for i, waiter in ipairs(waiters) do
      if waiter == owner then
        in_line = true
        redis.call('HSET', keys.slot_asks, owner, now)
        table.remove(waiters, i)
        break
      end
      ahead = ahead + 1
    end
  end
  if free <= ahead then
    wait_in_line(owner, now)
    return answer('full')
  end
  left_free = free - 1
end

-- A slot of the schedule is a time of its own for a post (GCRA without a burst): nobody waits in a crowd.
local interval, of_workflow, not_before = limits.interval_ms, tonumber(ARGV[7]), 0
local rate, since, not_until, doubles, grows, held = unpack(redis.call('HMGET', keys.adaptive_rate,
  'rate', 'since', 'until', 'doubles', 'grows', 'held'))
local adaptive = current_rate(rate, since, doubles, grows, held, now)
not_before = tonumber(not_until or 0)
if adaptive then
  if adaptive <= RATE_MOST and (interval == 0 or 1000 / adaptive > interval) then
    interval = 1000 / adaptive
  elseif not_before <= now then
    -- The rate only: what is known of the vendor's refusals stays, until it is forgotten.
    redis.call('HDEL', keys.adaptive_rate, 'rate', 'since', 'until', 'doubles', 'grows', 'held')
  end
end
-- A slot that was given before is used, unless it was missed by far: those would come as a burst.
-- One that is further ahead than any can be was given before Redis's clock stepped back.
local given = slot and now - slot <= 500 and slot - now <= FURTHEST_SLOT_MS
if not given and (interval > 0 or of_workflow > 0 or not_before > now) then
  slot = math.max(now, not_before)
  if interval > 0 then slot = math.max(slot, tonumber(redis.call('GET', keys.rate) or 0)) end
  local free = tonumber(of_workflow > 0 and redis.call('GET', keys.workflow_rate(workflow)) or 0)
  -- A workflow's own limit must not hold up the others: its jobs wait in its backlog.
  if free - now > 1000 then return answer('backlog') end
  slot = math.max(slot, free)
  if slot - now > FURTHEST_SLOT_MS then
    -- Slots far ahead would bind the future to a rate that may change. Ask again, at a time of one's own.
    return answer('wait', 250 + 4 * string.byte(request_id))
  end
  if interval > 0 then book(keys.rate, slot + interval, interval) end
  if of_workflow > 0 then book(keys.workflow_rate(workflow), slot + of_workflow, of_workflow) end
end
if slot and slot - now >= 1 then
  redis.call('HSET', record_key, field.state, 'reserved', field.enqueued_ms, enqueued, field.slot, slot)
  return answer('wait', slot - now)
end
if in_line then forget_waiter(owner) end
local granted = grant('go')
wake(waiters, left_free)
return granted
