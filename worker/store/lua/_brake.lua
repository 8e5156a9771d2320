-- The brake that all workers share, for the scripts that learn how an attempt ended. Needs _keys.
-- Fields: open, next (ms of the next probe), interval (ms), probe and probing (job, and until when it may be),
-- jobs (distinct jobs that failed in a row), owners (whose workers' failures on the way to the vendor those were), from,
-- bad, ok (posts since `from` in the current window).
-- Beside it `routes`: of each worker "s <ms>", of its last success, or "f <ms> <ms>", of the first and the last of its
-- attempts in a row that failed on their way to the vendor.
local BRAKE_FIRST_MS, BRAKE_WINDOW_POSTS, BRAKE_FORGET_S = 500, 20, 3600
local RAMP_FIRST_PER_S = 10
local RECENT_MS = 60000
local NO_OTHERS, OTHERS_SEND, OTHERS_SUCCEED = 0, 1, 2

-- An attempt of this worker failed on its way to the vendor. What is known of other workers: whether any has had a
-- success since the first one in a row that failed here (then it is this worker's own way that is broken), or has sent
-- anything lately.
local function route_fault(owner)
  local now, others, since = now_ms(), NO_OTHERS, nil
  local routes = redis.call('HGETALL', key('routes'))
  for i = 1, #routes, 2 do
    if routes[i] == owner then since = tonumber(string.match(routes[i + 1], '^f (%d+)')) end
  end
  redis.call('HSET', key('routes'), owner, string.format('f %.0f %.0f', since or now, now))
  for i = 1, #routes, 2 do
    local state, at = string.match(routes[i + 1], '^(%a).* (%d+)$')
    at = tonumber(at or 0)
    if routes[i] ~= owner and now - at < RECENT_MS then
      others = math.max(others, state == 's' and since and at > since and OTHERS_SUCCEED or OTHERS_SEND)
    end
  end
  return others
end

local function with_entry(entries, entry)
  entries = entries or ''
  if string.find(entries, '\n' .. entry .. '\n', 1, true) then return entries end
  return (entries == '' and '\n' or entries) .. entry .. '\n'
end

local function entries_in(entries)
  local count = 0
  for _ in string.gmatch(entries, '[^\n]+') do count = count + 1 end
  return count
end

-- An attempt failed as it would in an outage. Opens the brake after so many distinct jobs in a row (a job that
-- fails alone, again and again, is no outage), or when most of the window's posts failed. 0 is never.
-- owner: whose it was, where it failed on the way to the vendor and other workers send as well. Those of one of several
-- are no outage: it goes on alone and with pauses, and if it is an outage, others soon fail, too.
-- entry: what counts once in a row.
local function brake_fault(job_id, limits, owner, entry)
  local now = now_ms()
  local b = redis.call('HMGET', key('brake'), 'open', 'probe', 'interval', 'jobs', 'from', 'bad', 'ok', 'owners')
  if b[1] == '1' then
    if b[2] == job_id then
      local interval = math.min(limits.probe_longest_ms, tonumber(b[3]) * 2)
      -- First what makes a repeated call another one's, so that the interval is doubled once.
      redis.call('HDEL', key('brake'), 'probe', 'probing')
      redis.call('HSET', key('brake'), 'interval', interval, 'next', now + interval)
    end
    return
  end
  if limits.breaker_after == 0 then return end
  local from, bad, ok = tonumber(b[5] or 0), tonumber(b[6] or 0), tonumber(b[7] or 0)
  if now - from > limits.breaker_window_ms then from, bad, ok = now, 0, 0 end
  bad = bad + 1
  local jobs, owners = with_entry(b[4], entry), owner and with_entry(b[8], owner) or b[8] or ''
  local count = entries_in(jobs)
  local several = count > 1
  local enough = count >= limits.breaker_after or (several and bad + ok >= BRAKE_WINDOW_POSTS and bad > ok)
  if enough and not (owner and entries_in(owners) == 1) then
    redis.call('DEL', key('brake'))
    redis.call('HSET', key('brake'), 'open', 1, 'since', now, 'interval', BRAKE_FIRST_MS, 'next', now + BRAKE_FIRST_MS)
    return
  end
  if count > limits.breaker_after then jobs = b[4] end  -- enough are known
  redis.call('HSET', key('brake'), 'jobs', jobs, 'owners', owners, 'from', from, 'bad', bad, 'ok', ok)
  redis.pcall('EXPIRE', key('brake'), BRAKE_FORGET_S)  -- were it refused, the failure would be counted again
end

-- The vendor's application took or refused a job: it works. Closes the brake, and lets the pace grow.
local function brake_ok(owner)
  if owner then redis.call('HSET', key('routes'), owner, string.format('s %.0f', now_ms())) end
  if redis.call('HDEL', key('pace'), 'held') == 1 then redis.call('HSET', key('pace'), 'since', now_ms()) end
  local b = redis.call('HMGET', key('brake'), 'open', 'ok')
  if b[1] == '1' then
    redis.call('DEL', key('pace'))
    redis.call('HSET', key('pace'), 'rate', RAMP_FIRST_PER_S, 'since', now_ms(), 'doubles', 1)
    redis.pcall('EXPIRE', key('pace'), BRAKE_FORGET_S)
    redis.call('DEL', key('brake'))
  elseif b[2] then
    redis.call('HSET', key('brake'), 'jobs', '', 'owners', '', 'ok', tonumber(b[2]) + 1)
  end
end
