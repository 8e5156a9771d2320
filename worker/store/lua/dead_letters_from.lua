-- Dead letters on one side of a place, those nearest to it: from newer to older ones, or the other way. A place is a
-- second and a job's id, whether or not there is such a dead letter: of one second they are in the order of their ids'
-- bytes. Writes nothing. One script, so that what is decided meanwhile shifts nothing.
-- KEYS: queue.
-- ARGV: 'older' or 'newer', the place's second ('+inf' before all) and job id, least and most second ('-inf' and '+inf'
--       for none), how many, states.
-- Returns {state, second, job id, result or '' ...}, nearest first.
--#include _common
local side, place_second, place_id, least, most, count = unpack(ARGV, 1, 6)
count = tonumber(count)
local place = tonumber(place_second)

-- Not by <, which follows the locale of the server: zsets compare bytes.
local function is_less(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = string.byte(one, at), string.byte(other, at)
    if a ~= b then return a < b end
  end
  return #one < #other
end

-- How many are newer than the place, and how many newer or at it. Those of its second are looked for by halving.
local function ranks(key)
  local newer = redis.call('ZCOUNT', key, '(' .. place_second, '+inf')
  local past = newer + redis.call('ZCOUNT', key, place_second, place_second)
  local low, high = newer, past
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_less(place_id, redis.call('ZRANGE', key, middle, middle, 'REV')[1]) then
      low = middle + 1
    else
      high = middle
    end
  end
  local is_there = low < past and redis.call('ZRANGE', key, low, low, 'REV')[1] == place_id
  return low, low + (is_there and 1 or 0)
end

-- {job id, second...} of one state, nearest first.
local function nearest(key)
  local newer, newer_or_at = ranks(key)
  if side == 'older' then
    local first = math.max(newer_or_at, redis.call('ZCOUNT', key, '(' .. most, '+inf'))
    return redis.call('ZRANGE', key, first, first + count - 1, 'REV', 'WITHSCORES')
  end
  local first = math.max(redis.call('ZCARD', key) - newer, redis.call('ZCOUNT', key, '-inf', '(' .. least))
  return redis.call('ZRANGE', key, first, first + count - 1, 'WITHSCORES')
end

local function is_in_time(second)
  return (least == '-inf' or second >= tonumber(least)) and (most == '+inf' or second <= tonumber(most))
end

-- Of each state what comes next: {state, page, where in it, second}.
local function step(head)
  head[3] = head[3] + 2
  head[4] = tonumber(head[2][head[3] + 1])
  return head[4] and is_in_time(head[4])
end

local function comes_first(one, other)
  if side == 'newer' then one, other = other, one end
  if one[4] ~= other[4] then return one[4] > other[4] end
  return is_less(other[2][other[3]], one[2][one[3]])
end

local heads, ids, answer = {}, {}, {}
for n = 7, #ARGV do
  local head = {ARGV[n], nearest(keys.dead_letters(ARGV[n])), -1}
  if step(head) then heads[#heads + 1] = head end
end
while #ids < count and #heads > 0 do
  local first = 1
  for n = 2, #heads do
    if comes_first(heads[n], heads[first]) then first = n end
  end
  local head = heads[first]
  ids[#ids + 1] = head[2][head[3]]
  answer[4 * #ids - 3], answer[4 * #ids - 2], answer[4 * #ids - 1] = head[1], head[2][head[3] + 1], ids[#ids]
  if not step(head) then table.remove(heads, first) end
end
local results = #ids > 0 and redis.call('HMGET', keys.dead_letter_results, unpack(ids)) or {}
for n = 1, #ids do answer[4 * n] = results[n] or '' end
return answer
