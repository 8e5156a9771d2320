-- The brake that all workers share, for the scripts that learn how an attempt ended. Needs _keys.
-- Fields: open, next (ms of the next probe), interval (ms), probe and probing (job, and until when it may be),
-- jobs (distinct jobs that failed in a row), owners (whose workers' failures on the way to the vendor those were), from,
-- bad, ok (posts since `from` in the current window).
-- Beside it `routes`: of each worker s<ms of its last success>, or f<ms of its first failure on the way since>.
local BRAKE_FIRST_MS, BRAKE_WINDOW_POSTS, BRAKE_FORGET_S = 500, 20, 3600
local RAMP_FIRST_PER_S = 10
local BEATS_MS, OTHERS_SUCCEED_MS = 10000, 60000

-- Whether another worker has had a success since then.
local function another_succeeded(owner, since)
  local routes = redis.call('HGETALL', key('routes'))
  for i = 1, #routes, 2 do
    local state, at = string.sub(routes[i + 1], 1, 1), tonumber(string.sub(routes[i + 1], 2))
    if routes[i] ~= owner and state == 's' and at > since then return true end
  end
  return false
end

-- An attempt of this worker did not come through to the vendor's application; whether others have succeeded since the
-- first one in a row that did not: then it is this worker's own way that is broken.
local function route_fault(owner)
  local now, route = now_ms(), redis.call('HGET', key('routes'), owner) or ''
  if string.sub(route, 1, 1) ~= 'f' then
    redis.call('HSET', key('routes'), owner, 'f' .. string.format('%.0f', now))
    return false
  end
  return another_succeeded(owner, math.max(tonumber(string.sub(route, 2)), now - OTHERS_SUCCEED_MS))
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
-- owner: whose it was, where it failed on the way to the vendor. Those of one worker are no outage where there are others:
-- it goes on alone and with pauses, and if it is an outage, others soon fail, too. entry: what counts once in a row.
local function brake_fault(job_id, limits, owner, entry)
  local now = now_ms()
  local b = redis.call('HMGET', key('brake'), 'open', 'probe', 'interval', 'jobs', 'from', 'bad', 'ok', 'owners')
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
  local jobs, owners = with_entry(b[4], entry), owner and with_entry(b[8], owner) or b[8] or ''
  local count = entries_in(jobs)
  local several = count > 1
  local enough = count >= limits.brake_after or (several and bad + ok >= BRAKE_WINDOW_POSTS and bad > ok)
  local one_only = owner and entries_in(owners) == 1 and redis.call('ZCOUNT', key('workers'), now - BEATS_MS, '+inf') > 1
  if enough and not one_only then
    redis.call('DEL', key('brake'))
    redis.call('HSET', key('brake'), 'open', 1, 'since', now, 'interval', BRAKE_FIRST_MS, 'next', now + BRAKE_FIRST_MS)
    return
  end
  redis.call('HSET', key('brake'), 'jobs', jobs, 'owners', owners, 'from', from, 'bad', bad, 'ok', ok)
  redis.pcall('EXPIRE', key('brake'), BRAKE_FORGET_S)  -- were it refused, the failure would be counted again
end

-- The vendor's application took or refused a job: it works. Closes the brake, and lets the pace grow.
local function brake_ok(owner)
  if owner then redis.call('HSET', key('routes'), owner, 's' .. string.format('%.0f', now_ms())) end
  if redis.call('HDEL', key('pace'), 'held') == 1 then redis.call('HSET', key('pace'), 'since', now_ms()) end
  local b = redis.call('HMGET', key('brake'), 'open', 'ok')
  if b[1] == '1' then
    redis.call('DEL', key('brake'))
    redis.call('DEL', key('pace'))
    redis.call('HSET', key('pace'), 'rate', RAMP_FIRST_PER_S, 'since', now_ms(), 'doubles', 1)
    redis.call('EXPIRE', key('pace'), BRAKE_FORGET_S)
  elseif b[2] then
    redis.call('HSET', key('brake'), 'jobs', '', 'owners', '', 'ok', tonumber(b[2]) + 1)
  end
end
