-- The vendor refused a post for there were too many (429, 503). Once in a round trip, or a second, what it refused
-- since the last time is weighed against what it let through, and all workers slow down in proportion (_refusals.lua).
-- A slow-down after which the same share is refused is taken back, and that share borne for a while.
-- A Retry-After is for all workers where nearly all is refused, else for that job alone.
-- Run again after a lost reply it counts a refusal twice: one of many.
-- Fields of `adaptive_rate` beside those of _adaptive_rate.lua: from, posts, refused (what is counted: since when in
-- ms, the counter of posts then, refusals since), due (ms: when to judge), share, helped, before (of the slow-down that
-- is being tested: the share before, the one that it should lead to, the rate before or ''), borne, borne_since (ms),
-- peak, peak_at (ms: the highest rate before a slow-down, lately).
-- KEYS: queue, results.
-- ARGV: ms to wait or 0, JSON of the limits, ms that the attempt took.
-- Returns 1.
--#include _common
--#include _adaptive_rate
--#include _refusals
local LOOK_MS, STALE_MS, QUIET_MS, TEST_MOST_MS, BEAR_MS, PEAK_MS = 1000, 30000, 3000, 15000, 30000, 30000
local NONE_THROUGH, FIRST_PER_S, FORGET_S = 15, 10, 3600
local now, limits, wait, took = now_ms(), cjson.decode(ARGV[2]), tonumber(ARGV[1]), tonumber(ARGV[3]) or LOOK_MS
local posts = tonumber(redis.call('HGET', keys.counters, 'posts') or 0)
local has, names = {}, {'rate', 'since', 'until', 'doubles', 'grows', 'held', 'from', 'posts', 'refused', 'due',
  'share', 'helped', 'before', 'borne', 'borne_since', 'peak', 'peak_at'}
for i, value in ipairs(redis.call('HMGET', keys.adaptive_rate, unpack(names))) do has[names[i]] = value end

local function put(...) redis.call('HSET', keys.adaptive_rate, ...) end
local function drop(...) redis.call('HDEL', keys.adaptive_rate, ...) end

-- How many results there were in the last second, up to 2000, and when the first one was.
local function results_of_last_second()
  local found = redis.call('XRANGE', KEYS[2], now - 1000, '+', 'COUNT', 2000)
  return #found, found[1] and tonumber(string.match(found[1][1], '^%d+')) or now
end

local function any_result_within(ms) return #redis.call('XRANGE', KEYS[2], now - ms, '+', 'COUNT', 1) > 0 end

-- Count anew from this time on, and from so many posts that were let through.
local function count_from(at, let_through, due)
  put('from', at, 'posts', let_through, 'refused', 0, 'due', due or at + math.max(LOOK_MS, took))
end

local function rate_now()
  local configured = limits.interval_ms > 0 and 1000 / limits.interval_ms or nil
  local learned = current_rate(has.rate, has.since, has.doubles, has.grows, has.held, now)
  return configured and learned and math.min(configured, learned) or configured or learned
end

local function take_back(borne)
  put('borne', borne, 'borne_since', now)
  if has.before == '' then
    drop('rate', 'since', 'doubles', 'grows', 'held')
  else
    put('rate', has.before, 'since', now, 'doubles', borne >= MUCH and 1 or 0)
  end
  count_from(now, posts)
end

local function slow_down(through, refused, elapsed)
  local share, limit = refused / (through + refused), rate_now()
  if has.doubles == '1' and share < MUCH then
    -- It is on its way up, and ahead of what was sent: what is too much for the vendor will show.
    put('rate', string.format('%.4f', limit * (1 - share)), 'since', now)
    return count_from(now, posts)
  end
  local through_per_s, recent = 1000 * through / elapsed, results_of_last_second()
  -- Within the time there may have been nothing to send.
  if recent >= POSTS_LEAST then through_per_s = math.max(through_per_s, recent) end
  local offered_per_s = through_per_s + 1000 * refused / elapsed
  -- A limit far above what is sent does not bind. One that grows is ahead of what was sent.
  local before, peak = limit and limit <= 2 * offered_per_s and limit or offered_per_s, tonumber(has.peak)
  if not peak or before >= peak or now - has.peak_at > PEAK_MS then
    peak = before
    put('peak', peak, 'peak_at', now)
  end
  local rate, helped = slower(through_per_s, before, share, limit, peak)
  -- It does not grow while it is being tested. Where all is refused it is no limit, and soon over or not at all.
  local nearly_all = share > NEARLY_ALL
  local flat = nearly_all and 0 or math.min(TEST_MOST_MS, math.max(LOOK_MS, 1000 * test_s(share, rate)))
  put('rate', string.format('%.4f', rate), 'since', now + took + flat, 'held', 1, 'doubles', nearly_all and 1 or 0,
    'grows', math.max(GROWS_LEAST_PER_S2, rate / 10))
  if share <= BORNE_MOST and rate < offered_per_s and helped < 0.8 * share then
    put('share', share, 'helped', helped, 'before', has.rate and limit or '')
  end
  -- What comes within a round trip was sent before.
  count_from(now + took, posts + through_per_s * took / 1000)
end

local function judge(through, refused, elapsed)
  local all, before, borne = through + refused, tonumber(has.share), tonumber(has.borne)
  local share = refused / all
  drop('share', 'helped', 'before')
  if before and was_in_vain(share, all, before, tonumber(has.helped)) then return take_back(math.min(share, before)) end
  if borne and now - has.borne_since <= BEAR_MS and is_borne(share, all, borne) then return count_from(now, posts) end
  drop('borne', 'borne_since')
  slow_down(through, refused, elapsed)
end

-- Count this refusal, and judge when it is time; returns whether nearly all is refused.
local function refuse()
  if not has.from or math.abs(now - has.from) > STALE_MS or posts < has.posts - 1000 then
    local recent, first = results_of_last_second()
    drop('share', 'helped', 'before')
    count_from(first, posts - recent, now + math.max(LOOK_MS, took))
    return not any_result_within(math.max(QUIET_MS, 2 * took))
  end
  if now < tonumber(has.from) then return false end
  local through, refused, elapsed = math.max(0, posts - has.posts), has.refused + 1, math.max(1, now - has.from)
  local is_due = now >= tonumber(has.due)
  put('refused', refused)
  local nearly_all = refused > NEARLY_ALL * (through + refused) and
    (is_due and can_judge(through, refused, elapsed) or refused >= NONE_THROUGH and not any_result_within(LOOK_MS))
  if is_due and nearly_all or is_due and can_judge(through, refused, elapsed, tonumber(has.share or has.borne)) then
    judge(through, refused, elapsed)
  end
  return nearly_all
end

if refuse() and wait > 0 then
  local rate, since = unpack(redis.call('HMGET', keys.adaptive_rate, 'rate', 'since'))
  if not rate then put('rate', FIRST_PER_S, 'doubles', 1, 'held', 1) end
  local not_until = math.max(tonumber(has['until'] or 0), now + wait)
  put('until', not_until, 'since', math.max(not_until, tonumber(since or 0)))
  count_from(not_until, posts)
end
redis.call('EXPIRE', keys.adaptive_rate, FORGET_S)
return 1
