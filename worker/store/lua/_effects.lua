-- What follows once a record says how its job ended, or that it waits: as steps. Needs _common, _slots, _breaker,
-- _steps.
--#include _batches
--#include _tasks
--#include _metrics
-- Arguments: kind (of the steps), job_id, record_key, fact, limits, holder (who was sending it), results (their name);
-- where a job ends: result, message (to keep with a dead letter if the tag holds none), before (the state before), now
-- (seconds), decision (JSON, where an operator made it), lasted_ms (since it was queued, at its first end), batches (their names, with blanks between), workflow, dedupe
-- (that field of the record), follow (where the task that the vendor gave is to be followed: what begin_task is told).
-- Names of kinds, steps and arguments are stored with what Redis refused, and read by other versions: they stay.

local function count(name, by) redis.call('HINCRBY', keys.counters, name, by or 1) end

local function leave_sending(a)
  local limited = a.limits and (a.limits.max_inflight or 0) > 0
  if a.holder then free_slot(a.holder, a.job_id, limited) end
end

-- What hangs on a job is sent after its end, and its message goes after that: followed_up.lua.
local function acknowledge(a)
  if a.fact.tag ~= '' and not a.fact.linked then redis.call('HDEL', keys.unacked(a.fact.holder), a.fact.tag) end
end

local function judge_vendor(a)
  local fact = a.fact
  if fact.vendor == 'ok' then
    breaker_ok(fact.by)
  elseif fact.vendor == 'fault' or fact.probe then
    local others = fact.route and route_failed(fact.by) or NO_OTHERS
    a.others = others
    if others == OTHERS_SUCCEED and not fact.probe then return end
    -- What was not sent is never the job's own fault, so the same job again is another failure.
    local again = fact.route and not fact.counted and ' ' .. now_ms() or ''
    breaker_fault(a.job_id, a.limits, others ~= NO_OTHERS and fact.by or nil, a.job_id .. again, fact)
  elseif fact.by and not fact.route then
    answer_heard()
  end
end

local function add_to_stream(a)
  local entry
  if a.decision then
    -- An operator may have other settings than the workers, who trim the stream with their next result.
    entry = redis.call('XADD', a.results, '*', 'result', a.result)
  else
    entry = redis.call('XADD', a.results, 'MAXLEN', '~', a.limits.results_maxlen, '*', 'result', a.result)
  end
  -- In its record the result is found: tasks/results/lookup.py.
  redis.call('HSET', a.record_key, field.result_entry, entry)
end

local function leave_delayed(a)
  redis.call('ZREM', keys.delayed, a.job_id)
  redis.call('HDEL', keys.delayed_messages, a.job_id)
end

local function tidy_record(a)
  redis.call('HDEL', a.record_key, field.owner, field.uncounted, field.slot, field.excused, field.refusals,
    field.backlog_digest, field.cancel_asked_ms)
  if not (a.fact.possible_duplicate or a.decision) then
    redis.call('HDEL', a.record_key, field.possible_duplicate)
  end
end

-- The dedupe key that the job holds. After an end without a purchase it is free for as long as the record says so: the
-- record's last moment must be the key's, or it would be held for its whole time by a job that nobody knows any more.
-- After a purchase, and with an attempt under way or in doubt, it holds until the moment that was asked for.
-- No step of its own, and not reported: without it the key is held too long.
local function mend_key(a, is_free)
  local digest, until_s = string.match(a.dedupe or '', '^(%S+) (%d+)$')
  if not digest then return end
  local key, left_s = keys.dedupe(digest), until_s - math.floor(now_ms() / 1000)
  local held = redis.pcall('GET', key)
  local holder = type(held) == 'string' and string.match(held, '^[^\n]*')
  if is_free then
    if holder == a.job_id then redis.pcall('EXPIRE', key, a.limits.keep_s, 'LT') end
  elseif left_s > 0 and holder == a.job_id then
    redis.pcall('EXPIRE', key, left_s)
  elseif left_s > 0 and held == false then
    redis.pcall('SET', key, a.job_id, 'EX', left_s)
  end
end

-- For how long the record is kept. Not before all else is done: what is left to do is in it.
local function keep_record(a)
  if a.fact.state == 'unknown' then
    redis.call('PERSIST', a.record_key)
  else
    redis.call('EXPIRE', a.record_key, a.limits.keep_s)
  end
  local state = a.fact.state
  local is_free = state == 'rejected' or state == 'exhausted' or state == 'cancelled'
  mend_key(a, is_free and not (a.fact.possible_duplicate or a.decision))
end

local function add_dead_letter(a)
  local state = a.fact.state
  if state == 'accepted' or state == 'cancelled' or a.decision or a.fact.put_aside then return end
  local raw = a.fact.tag ~= '' and redis.call('HGET', keys.unacked(a.fact.holder), a.fact.tag) or a.message
  redis.call('HSET', keys.dead_letter_messages, a.job_id, a.fact.list .. '|' .. raw)
  redis.call('HSET', keys.dead_letter_results, a.job_id, a.result)
  redis.call('ZADD', keys.dead_letters(state), a.now, a.job_id)
end

-- Take a job that ended otherwise before from among the dead letters, where people find it. Not before all else is
-- done.
local function drop_dead_letter(a)
  if not a.before then return end
  redis.call('HDEL', keys.dead_letter_messages, a.job_id)
  redis.call('HDEL', keys.dead_letter_results, a.job_id)
  redis.call('ZREM', keys.dead_letters(a.before), a.job_id)
end

local function count_end(a)
  count(a.fact.status)
  if a.fact.counted then count('posts') end
  if a.fact.possible_duplicate then count('possible_duplicates') end
end

local function note_decision(a)
  if a.decision then redis.call('XADD', keys.decisions, 'MAXLEN', '~', 100000, '*', 'decision', a.decision) end
end

local function publish(a) redis.call('PUBLISH', a.results, a.result) end

-- What a job's settling says of the task that was bought by it; nil where tasks are not followed. follow: its workflow,
-- version, metadata (JSON) and deadline_ms.
local function task_of(follow, job_id, task_id, ms)
  if not (follow and task_id) then return nil end
  follow.task_id, follow.job_id, follow.accepted_ms = task_id, job_id, ms
  return follow
end

-- In the same script as the settling: a crash between buying and following loses nothing.
local function follow_task(a) begin_task(a.follow) end

local function free_record(a) redis.call('HDEL', a.record_key, field.owner, field.slot) end

-- An attempt that an outage spoiled is not held against the job.
local function excuse(a)
  if a.fact.counted and (a.fact.probe or redis.call('HGET', keys.breaker, 'open') == '1') then
    redis.call('HINCRBY', a.record_key, field.excused, 1)
  end
end

local function count_attempt(a)
  if a.fact.counted then count('posts') end
end

local function reopen_record(a)
  redis.call('PERSIST', a.record_key)
  redis.call('HDEL', a.record_key, field.finished_s, field.closed_ms, field.answer, field.result,
    field.refusals, field.result_entry)
  -- What hangs on a message that was submitted again has not been sent.
  if a.forgets then redis.call('HDEL', a.record_key, field.followed_up, field.following) end
  if a.uncancels then redis.call('HDEL', a.record_key, field.cancel_asked_ms) end
end

local function count_repeat(a)
  if a.counts then count(a.counts) end
end

local RECORD, BATCHES = 'the job\'s record', 'HSET the job\'s batch'

-- Put before the other steps, where a task is to be followed.
local function with_follow_step(a, steps)
  if a.follow then
    local written = keys.open_tasks .. ', ' .. keys.tasks_accepted .. ', the task\'s record'
    table.insert(steps, 1, {'follow', written, follow_task})
  end
  return steps
end

-- The steps of each kind, made only where they are done: most claims have none to do.
local STEPS = {
  ending = function(a)
    local dead_letters = keys.dead_letters('*')
    return with_follow_step(a, {
      {'stream', 'XADD ' .. KEYS[2], add_to_stream},
      {'sending', 'ZREM ' .. keys.sending, leave_sending},
      {'waiting', 'ZREM ' .. keys.delayed, leave_delayed},
      {'record', RECORD, tidy_record},
      {'shelf', dead_letters, add_dead_letter},
      {'counters', 'HINCRBY ' .. keys.counters, count_end},
      {'metrics', 'HINCRBY ' .. keys.metrics, measure_end},
      {'batches', BATCHES, count_in_batches},
      {'vendor', keys.breaker .. ', ' .. keys.adaptive_rate .. ', ' .. keys.routes, judge_vendor},
      {'decision', 'XADD ' .. keys.decisions, note_decision},
      {'publish', 'PUBLISH ' .. KEYS[2], publish},
      {'unshelve', dead_letters, drop_dead_letter, true},
      {'keep', 'EXPIRE the job\'s record', keep_record, true},
      {'acknowledge', 'HDEL ' .. keys.unacked('*'), acknowledge, true},
    })
  end,
  waiting = function()
    return {
      {'sending', 'ZREM ' .. keys.sending, leave_sending},
      {'free', RECORD, free_record},
      {'vendor', keys.breaker .. ', ' .. keys.adaptive_rate .. ', ' .. keys.routes, judge_vendor},
      {'excuse', RECORD, excuse},
      {'attempt', 'HINCRBY ' .. keys.counters, count_attempt},
      {'metrics', 'HINCRBY ' .. keys.metrics, measure_attempt},
      {'acknowledge', 'HDEL ' .. keys.unacked('*'), acknowledge, true},
    }
  end,
  paid_twice = function(a)
    return with_follow_step(a, {
      {'counters', 'HINCRBY ' .. keys.counters, function() count('paid_twice') end},
      {'metrics', 'HINCRBY ' .. keys.metrics, measure_attempt},
      {'acknowledge', 'HDEL ' .. keys.unacked('*'), acknowledge, true},
    })
  end,
  queued_again = function()
    return {
      {'record', RECORD, reopen_record},
      {'decision', 'XADD ' .. keys.decisions, note_decision},
      {'counters', 'HINCRBY ' .. keys.counters, count_repeat},
      {'batches', BATCHES, count_in_batches},
      {'unshelve', keys.dead_letters('*'), drop_dead_letter, true},
    }
  end,
  republished = function()
    return {
      {'stream', 'XADD ' .. KEYS[2], add_to_stream},
      {'counters', 'HINCRBY ' .. keys.counters, count_repeat},
      {'publish', 'PUBLISH ' .. KEYS[2], publish},
      {'acknowledge', 'HDEL ' .. keys.unacked('*'), acknowledge, true},
    }
  end,
}

-- Do what follows; nil, or the reply where some of it is refused.
local function do_what_follows(a) return do_steps(a.record_key, STEPS[a.kind](a), a) end

-- Do what an earlier script had to leave; nil, or the reply where it is refused still.
local function do_what_is_left(record_key)
  local left, arguments = unpack(redis.call('HMGET', record_key, field.left_steps, field.left_arguments))
  if not left then return nil end
  local told = cjson.decode(arguments)
  local make_steps = STEPS[told.kind]
  return make_steps and do_rest(record_key, make_steps(told), left, told) or nil  -- or it is of a later version
end
