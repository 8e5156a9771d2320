-- The rate that all workers have learned from the vendor's answers; worker/store/stats.py has the same formula.
-- Fields of `adaptive_rate`: rate (posts a second, at `since`), since (ms; it may lie ahead), doubles (1: each second;
-- else it grows by `grows` a second), held (there until the next success: it does not grow yet), until (ms: nothing is
-- sent before).
local DOUBLES_MOST_S = 20

-- Posts a second by now, from these fields as Redis has them; nil where none was learned.
local function current_rate(rate, since, doubles, grows, held, now)
  rate = tonumber(rate)
  if not rate then return nil end
  local seconds = held and 0 or math.max(0, now - tonumber(since or 0)) / 1000
  if doubles == '1' then return rate * 2 ^ math.min(seconds, DOUBLES_MOST_S) end
  return rate + tonumber(grows or 0) * seconds
end
