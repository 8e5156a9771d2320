-- What follows once a record says how its job ended, or that it waits: as steps. Needs _keys, _brake, _steps.
-- Arguments: kind (of the steps), job_id, record_key, fact, limits, holder (who was sending it), results (their name); for an ending: result,
-- message (to keep with a dead letter if the tag holds none), before (the state before), now (seconds), decision (JSON,
-- where an operator made it).

local function count(name, by) redis.call('HINCRBY', key('counters'), name, by or 1) end

local function leave_sending(a)
  if a.holder then redis.call('ZREM', key('sending'), a.holder .. '|' .. a.job_id) end
end

local function acknowledge(a)
  if a.fact.tag ~= '' then redis.call('HDEL', unacked_key(a.fact.holder), a.fact.tag) end
end

local function judge_vendor(a)
  local fact = a.fact
  if fact.vendor == 'ok' then
    brake_ok(fact.by)
  elseif fact.vendor == 'fault' or fact.probe then
    local others = fact.route and route_fault(fact.by) or NO_OTHERS
    a.others = others
    if others == OTHERS_SUCCEED and not fact.probe then return end
    -- What was not sent is never the job's own fault, so the same job again is another failure.
    local again = fact.route and not fact.counted and ' ' .. now_ms() or ''
    brake_fault(a.job_id, a.limits, others ~= NO_OTHERS and fact.by or nil, a.job_id .. again)
  end
end

local function add_to_stream(a)
  redis.call('XADD', a.results, 'MAXLEN', '~', a.limits.results_maxlen, '*', 'result', a.result)
end

local function leave_waiting(a)
  redis.call('ZREM', key('waiting'), a.job_id)
  redis.call('HDEL', key('waiting:messages'), a.job_id)
end

local function tidy_record(a)
  redis.call('HDEL', a.record_key, 'o', 'u', 'w', 'e', 'x', 'm')
  if not (a.fact.possible_duplicate or a.decision) then redis.call('HDEL', a.record_key, 'd') end
end

-- For how long the record is kept. Not before all else is done: what is left to do is in it.
local function keep_record(a)
  if a.fact.state == 'unknown' then
    redis.call('PERSIST', a.record_key)
  else
    redis.call('EXPIRE', a.record_key, a.limits.keep_s)
  end
end

local function shelve(a)
  local state = a.fact.state
  if state == 'accepted' or a.decision then return end
  local raw = a.fact.tag ~= '' and redis.call('HGET', unacked_key(a.fact.holder), a.fact.tag) or a.message
  redis.call('HSET', key('shelf:messages'), a.job_id, a.fact.list .. '|' .. raw)
  redis.call('HSET', key('shelf:results'), a.job_id, a.result)
  redis.call('ZADD', shelf_key(state), a.now, a.job_id)
end

-- Take a job that ended otherwise before off the shelf. Not before all else is done: by the shelf people find it.
local function unshelve(a)
  if not a.before then return end
  redis.call('HDEL', key('shelf:messages'), a.job_id)
  redis.call('HDEL', key('shelf:results'), a.job_id)
  redis.call('ZREM', shelf_key(a.before), a.job_id)
end

local function count_ending(a)
  count(a.fact.status)
  if a.fact.counted then count('posts') end
  if a.fact.possible_duplicate then count('possible_duplicates') end
end

local function note_decision(a)
  if a.decision then redis.call('XADD', key('decisions'), 'MAXLEN', '~', 100000, '*', 'decision', a.decision) end
end

local function publish(a) redis.call('PUBLISH', a.results, a.result) end

local VENDOR = key('brake') .. ', ' .. key('pace') .. ', ' .. key('routes')

local function free_record(a) redis.call('HDEL', a.record_key, 'o', 'w') end

-- An attempt that an outage spoiled is not held against the job.
local function excuse(a)
  if a.fact.counted and (a.fact.probe or redis.call('HGET', key('brake'), 'open') == '1') then
    redis.call('HINCRBY', a.record_key, 'x', 1)
  end
end

local function count_attempt(a)
  if a.fact.counted then count('posts') end
end

local function reopen_record(a)
  redis.call('PERSIST', a.record_key)
  redis.call('HDEL', a.record_key, 'f', 'b')
end

local STEPS = {
  ending = {
    {'stream', 'XADD ' .. KEYS[2], add_to_stream},
    {'sending', 'ZREM ' .. key('sending'), leave_sending},
    {'waiting', 'ZREM ' .. key('waiting'), leave_waiting},
    {'record', 'the job\'s record', tidy_record},
    {'shelf', key('shelf:*'), shelve},
    {'counters', 'HINCRBY ' .. key('counters'), count_ending},
    {'vendor', VENDOR, judge_vendor},
    {'decision', 'XADD ' .. key('decisions'), note_decision},
    {'publish', 'PUBLISH ' .. KEYS[2], publish},
    {'unshelve', key('shelf:*'), unshelve, true},
    {'keep', 'EXPIRE the job\'s record', keep_record, true},
    {'acknowledge', 'HDEL ' .. key('unacked:*'), acknowledge, true},
  },
  waiting = {
    {'sending', 'ZREM ' .. key('sending'), leave_sending},
    {'free', 'the job\'s record', free_record},
    {'vendor', VENDOR, judge_vendor},
    {'excuse', 'the job\'s record', excuse},
    {'attempt', 'HINCRBY ' .. key('counters'), count_attempt},
    {'acknowledge', 'HDEL ' .. key('unacked:*'), acknowledge, true},
  },
  paid_twice = {
    {'counters', 'HINCRBY ' .. key('counters'), function() count('paid_twice') end},
    {'acknowledge', 'HDEL ' .. key('unacked:*'), acknowledge, true},
  },
  queued_again = {
    {'record', 'the job\'s record', reopen_record},
    {'decision', 'XADD ' .. key('decisions'), note_decision},
    {'unshelve', key('shelf:*'), unshelve, true},
  },
}

-- Do what follows; nil, or the reply where some of it is refused.
local function do_what_follows(a) return do_steps(a.record_key, STEPS[a.kind], a) end

-- Do what an earlier script had to leave; nil, or the reply where it is refused still.
local function do_what_is_left(record_key)
  local left = redis.call('HMGET', record_key, 'p', 'j')
  if not left[1] then return nil end
  return do_rest(record_key, STEPS[cjson.decode(left[2]).kind], left[1], left[2])
end
