-- The same job submitted again after its end, told from a message of before its end that comes once more. Needs _common,
-- _steps, _slots, _breaker, _effects.
-- The stamp of the message tells: ms, on the producer's clock. A doubt is decided so that nothing is bought: a message
-- without a stamp, one of before the end, and one further ahead of Redis's clock than clocks differ is an old one.
local AHEAD_MOST_MS = 60000

-- What is stamped later was sent after the job's end. `closed` is at least as late as the end that it was written at; if
-- not, a worker that did not know of it has ended the job since.
local function end_of(closed, finished_s)
  local second = (tonumber(finished_s or 0) or 0) * 1000
  closed = tonumber(closed or 0) or 0
  return closed >= second and closed or second + 999
end

local function is_submitted_again(stamp, closed, finished_s, now)
  stamp = tonumber(stamp)
  return stamp ~= nil and stamp > end_of(closed, finished_s) and stamp <= now + AHEAD_MOST_MS
end

-- Of a job that was submitted again and runs: whether a message is an older one, whose payload may be another.
local function is_outdated(stamp, again) return again and (tonumber(stamp) or 0) < tonumber(again) end

-- Whether the vendor accepted it, or may have: then it is not bought again, but its result is published again.
local function is_bought(state) return state == 'accepted' or state == 'unknown' end

-- A message of a job that has ended, and not a later one: whether it is surely that which was worked on.
local function is_redelivered(stamp, enqueued)
  stamp = tonumber(stamp)
  return stamp ~= nil and stamp == tonumber(enqueued)
end

-- Whether a job that was submitted again was cancelled after that, and not before.
local function is_cancelled_since(stamp, cancelled)
  return cancelled and (tonumber(cancelled) or 0) >= tonumber(stamp)
end

local function count_ignored() redis.pcall('HINCRBY', keys.counters, 'repeats_ignored', 1) end

-- Begin anew with a job that ended without a purchase: all its attempts before it, its past kept. What an operator
-- discarded may have been accepted once. A cancellation of before it was submitted again is over.
-- batch: the one that it is submitted in now; in earlier ones it stays as it ended.
-- nil, or the reply where some of it is refused.
local function run_again(job_id, record_key, state, stamp, now, batch, workflow, cancelled)
  local attempts, was_held, had_batch = unpack(redis.call('HMGET', record_key,
    field.attempts, field.keep_s, field.batch))
  attempts = attempts or 0
  local written = {
    field.state, 'reserved', field.attempts, attempts, field.excused, attempts,
    field.enqueued_ms, math.min(stamp, now), field.again_ms, stamp,
  }
  local function write(name, value) written[#written + 1], written[#written + 2] = name, value end
  if was_held then write(field.possible_duplicate, 1) end
  if batch or had_batch then write(field.batch, batch or '') end
  redis.call('HSET', record_key, unpack(written))
  return do_what_follows({
    kind = 'queued_again', job_id = job_id, record_key = record_key, before = state, counts = 'run_again',
    forgets = true, batches = batch, workflow = workflow, uncancels = not is_cancelled_since(stamp, cancelled),
  })
end
