-- What a vendor's refusals (429, 503) say about the rate. Pure: numbers in, numbers out. Rates are posts a second.
-- Two kinds of vendor refuse: one that lets so many through a second, and the rest is refused; and one that refuses a
-- share whatever the rate. Slower helps with the first and only costs with the second, so each slow-down is a test.
local POSTS_LEAST = 20  -- enough to know a share
local POSTS_TO_COMPARE, REFUSALS_TO_COMPARE = 100, 20  -- enough to tell it from another
local LONG_MS, LONG_PART = 3000, 0.4  -- this part of them, where it takes longer
local LEAST_PER_S, GROWS_LEAST_PER_S2, FALLS_MOST, FALLS_MOST_FROM_PEAK = 0.5, 0.1, 4, 8
local MUCH, BORNE_MOST, NEARLY_ALL = 0.2, 0.75, 0.9

-- By how much a share that was counted among so many posts may differ from the true one.
local function noise(share, posts) return 2 * math.sqrt(share * (1 - share) / posts) + 0.02 end

-- Whether so many within so many ms are enough to judge by. `other`: the share to compare theirs with, if any.
local function can_judge(through, refused, elapsed, other)
  local posts, part = through + refused, elapsed >= LONG_MS and LONG_PART or 1
  if not other then return posts >= POSTS_LEAST end
  return posts >= part * POSTS_TO_COMPARE and math.max(refused, other * posts) >= part * REFUSALS_TO_COMPARE
end

-- Whether the last slow-down has changed nothing. `helped`: what share it would be by now, had it helped.
local function was_in_vain(share, posts, before, helped)
  return share >= (before + helped) / 2 and math.abs(share - before) <= noise(share, posts)
end

-- Whether it is the share that no slow-down changes. Where it is more than that, it was not: it depends on the rate.
local function is_borne(share, posts, borne) return share <= borne + math.min(borne, noise(share, posts)) end

-- The next rate, and what share is refused then if it is the rate that the vendor minds. Not below what was let
-- through a second; by a factor of four at most, and of eight from the highest rate lately, since all may be refused
-- for a moment only. `before`: the rate until now; `limit`: the same, where one is set.
local function slower(through, before, share, limit, peak)
  local rate = math.max(LEAST_PER_S, through, before * math.max(1 / FALLS_MOST, 1 - share))
  if share > NEARLY_ALL then rate = math.max(rate, math.min(before, peak / FALLS_MOST_FROM_PEAK)) end
  rate = math.min(limit or rate, rate)
  return rate, math.max(0, 1 - through / rate)
end

-- For how many seconds it takes to see whether this rate has helped.
local function test_s(share, rate)
  local seconds = math.max(POSTS_TO_COMPARE, REFUSALS_TO_COMPARE / share) / rate
  return 1000 * seconds < LONG_MS and seconds or math.max(LONG_MS / 1000, LONG_PART * seconds)
end
