-- The circuit breaker that all workers share, for the scripts that learn how an attempt ended. Needs _common.
-- Fields: open, since (ms), next (ms of the next probe), interval (ms), probe and probing (job, and until when it may
-- be), told (ms at which a worker told that the outage lasts), jobs (distinct jobs that failed in a row), owners
-- (whose workers' failures on the way to the vendor those were), from, bad, ok (posts since `from` in the current
-- window), cause (of the last failure, in words), silent (ms of the first of the attempts in a row that had no answer at
-- all), lost (ms of the last one), unanswered (how many).
-- Beside it `routes`: of each worker "s <ms>", of its last success, or "f <ms> <ms>", of the first and the last of its
-- attempts in a row that failed on their way to the vendor.
local FIRST_INTERVAL_MS, WINDOW_POSTS, FORGET_S = 500, 20, 3600
local RAMP_FIRST_PER_S = 10
local RECENT_MS = 60000
-- Attempts without an answer are in a row as long as no more time than this is between two of them.
local SILENCE_GAP_MS, UNANSWERED_LEAST = 120000, 3
local NO_OTHERS, OTHERS_SEND, OTHERS_SUCCEED = 0, 1, 2

-- An attempt of this worker failed on its way to the vendor. What is known of other workers: whether any has had a
-- success since the first one in a row that failed here (then it is this worker's own way that is broken), or has sent
-- anything lately.
local function route_failed(owner)
  local now, others, since = now_ms(), NO_OTHERS, nil
  local routes = redis.call('HGETALL', keys.routes)
  for i = 1, #routes, 2 do
    if routes[i] == owner then since = tonumber(string.match(routes[i + 1], '^f (%d+)')) end
  end
  redis.call('HSET', keys.routes, owner, string.format('f %.0f %.0f', since or now, now))
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

-- An attempt failed while the breaker is open: if it was the probe, the next one comes later.
local function probe_failed(job_id, limits, probe, interval, now)
  if probe ~= job_id then return end
  interval = math.min(limits.probe_longest_ms, tonumber(interval) * 2)
  -- First what makes a repeated call another one's, so that the interval is doubled once.
  redis.call('HDEL', keys.breaker, 'probe', 'probing')
  redis.call('HSET', keys.breaker, 'interval', interval, 'next', now + interval)
end

local function open_breaker(now, cause)
  redis.call('DEL', keys.breaker)
  redis.call('HSET', keys.breaker, 'open', 1, 'since', now, 'interval', FIRST_INTERVAL_MS,
    'next', now + FIRST_INTERVAL_MS, 'cause', cause)
end

-- Since when no attempt of any worker has had an answer, and how many those were, this failure included.
local function silence(now, silent, lost, unanswered)
  silent, unanswered = tonumber(silent), tonumber(unanswered or 0)
  if not silent or now - tonumber(lost or 0) > SILENCE_GAP_MS then return now, 1 end
  return silent, unanswered + 1
end

-- The vendor answered, in whatever words.
local function answer_heard()
  if (redis.call('HGET', keys.breaker, 'silent') or '') ~= '' then redis.call('HSET', keys.breaker, 'silent', '') end
end

-- An attempt failed as it would in an outage. Opens the breaker after so many distinct jobs in a row (a job that
-- fails by itself, again and again, is no outage), or when most of the window's posts failed. 0 is never.
-- owner: whose it was, where it failed on the way to the vendor and other workers send as well. Those of one of several
-- are no outage: it goes on with pauses, and if it is an outage, others soon fail, too.
-- entry: what counts once in a row. fact: with `route`, where no answer came, and `cause`.
-- A whole window without a single answer is an outage, whoever's attempts those were: few jobs that each wait long
-- before they fail would take very long to be enough.
local function breaker_fault(job_id, limits, owner, entry, fact)
  local now = now_ms()
  local is_open, probe, interval, jobs, from, bad, ok, owners, silent, lost, unanswered = unpack(redis.call('HMGET',
    keys.breaker, 'open', 'probe', 'interval', 'jobs', 'from', 'bad', 'ok', 'owners', 'silent', 'lost', 'unanswered'))
  local cause = fact.cause or ''
  if is_open == '1' then
    if cause ~= '' then redis.call('HSET', keys.breaker, 'cause', cause) end
    return probe_failed(job_id, limits, probe, interval, now)
  end
  if limits.breaker_after == 0 then return end
  from, bad, ok = tonumber(from or 0), tonumber(bad or 0), tonumber(ok or 0)
  if now - from > limits.breaker_window_ms then from, bad, ok = now, 0, 0 end
  bad = bad + 1
  local now_failed, now_owners = with_entry(jobs, entry), owner and with_entry(owners, owner) or owners or ''
  local count = entries_in(now_failed)
  local most_failed = count > 1 and bad + ok >= WINDOW_POSTS and bad > ok
  local of_one_of_several = owner and entries_in(now_owners) == 1
  local all_silent = false
  if fact.route then
    silent, unanswered = silence(now, silent, lost, unanswered)
    all_silent = unanswered >= UNANSWERED_LEAST and now - silent >= limits.breaker_window_ms
  else
    silent, unanswered = '', 0
  end
  if all_silent or (count >= limits.breaker_after or most_failed) and not of_one_of_several then
    return open_breaker(now, cause)
  end
  if count > limits.breaker_after then now_failed = jobs end  -- enough are known
  redis.call('HSET', keys.breaker, 'jobs', now_failed, 'owners', now_owners, 'from', from, 'bad', bad, 'ok', ok,
    'cause', cause, 'silent', silent, 'lost', now, 'unanswered', unanswered)
  redis.pcall('EXPIRE', keys.breaker, FORGET_S)  -- were it refused, the failure would be counted again
end

-- The vendor's application took or refused a job: it works. Closes the breaker, and lets the adaptive rate grow.
local function breaker_ok(owner)
  if owner then redis.call('HSET', keys.routes, owner, string.format('s %.0f', now_ms())) end
  if redis.call('HDEL', keys.adaptive_rate, 'held') == 1 then
    local since = tonumber(redis.call('HGET', keys.adaptive_rate, 'since') or 0)
    redis.call('HSET', keys.adaptive_rate, 'since', math.max(now_ms(), since))
  end
  local is_open, ok = unpack(redis.call('HMGET', keys.breaker, 'open', 'ok'))
  if is_open == '1' then
    redis.call('DEL', keys.adaptive_rate)
    redis.call('HSET', keys.adaptive_rate, 'rate', RAMP_FIRST_PER_S, 'since', now_ms(), 'doubles', 1)
    redis.pcall('EXPIRE', keys.adaptive_rate, FORGET_S)
    redis.call('DEL', keys.breaker)
  elseif ok then
    redis.call('HSET', keys.breaker, 'jobs', '', 'owners', '', 'ok', tonumber(ok) + 1, 'silent', '')
  end
end
