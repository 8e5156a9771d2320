-- The brake that all workers share, for the scripts that learn how an attempt ended. Needs _keys.
-- Fields: open, next (ms of the next probe), interval (ms), probe and probing (job, and until when it may be),
-- jobs (distinct jobs that failed in a row), from, bad, ok (posts since `from` in the current window).
local BRAKE_FIRST_MS, BRAKE_WINDOW_POSTS, BRAKE_FORGET_S = 500, 20, 3600
local RAMP_FIRST_PER_S = 10

-- An attempt failed as it would in an outage. Opens the brake after so many distinct jobs in a row (a job that
-- fails alone, again and again, is no outage), or when most of the window's posts failed. 0 is never.
local function brake_fault(job_id, limits)
  local now = now_ms()
  local b = redis.call('HMGET', key('brake'), 'open', 'probe', 'interval', 'jobs', 'from', 'bad', 'ok')
  if b[1] == '1' then
    if b[2] == job_id then
      local interval = math.min(limits.probe_longest_ms, tonumber(b[3]) * 2)
      redis.call('HSET', key('brake'), 'interval', interval, 'next', now + interval)
      redis.call('HDEL', key('brake'), 'probe', 'probing')
    end
    return
  end
  if limits.brake_after == 0 then return end
  local from, bad, ok = tonumber(b[5] or 0), tonumber(b[6] or 0), tonumber(b[7] or 0)
  if now - from > limits.brake_window_ms then from, bad, ok = now, 0, 0 end
  bad = bad + 1
  local jobs, count = b[4] or '', 0
  if not string.find(jobs, '\n' .. job_id .. '\n', 1, true) then jobs = (jobs == '' and '\n' or jobs) .. job_id .. '\n' end
  for _ in string.gmatch(jobs, '[^\n]+') do count = count + 1 end
  local several = count > 1
  if count >= limits.brake_after or (several and bad + ok >= BRAKE_WINDOW_POSTS and bad > ok) then
    redis.call('DEL', key('brake'))
    redis.call('HSET', key('brake'), 'open', 1, 'since', now, 'interval', BRAKE_FIRST_MS, 'next', now + BRAKE_FIRST_MS)
    return
  end
  redis.call('HSET', key('brake'), 'jobs', jobs, 'from', from, 'bad', bad, 'ok', ok)
  redis.call('EXPIRE', key('brake'), BRAKE_FORGET_S)
end

-- The vendor's application took or refused a job: it works. Closes the brake, and lets the pace grow.
local function brake_ok()
  local b = redis.call('HMGET', key('brake'), 'open', 'ok')
  if b[1] == '1' then
    redis.call('DEL', key('brake'))
    redis.call('DEL', key('pace'))
    redis.call('HSET', key('pace'), 'rate', RAMP_FIRST_PER_S, 'since', now_ms(), 'doubles', 1)
    redis.call('EXPIRE', key('pace'), BRAKE_FORGET_S)
  elseif b[2] then
    redis.call('HSET', key('brake'), 'jobs', '', 'ok', tonumber(b[2]) + 1)
  end
  if redis.call('HDEL', key('pace'), 'held') == 1 then redis.call('HSET', key('pace'), 'since', now_ms()) end
end
