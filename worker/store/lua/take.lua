-- Move up to N waiting messages from the queue to this worker, in one step: a kill between
-- the two, which plain BRPOP leaves open, cannot lose a message.
-- KEYS: queue.
-- ARGV: owner, most messages, first sequence number, then the indexes of the lists in the order to look.
-- Returns {tag, raw, tag, raw, ...}, a tag being "<list index>.<sequence>"; or nil for a worker declared dead.
--         A repeated call, with the same sequence number, is given the same again, for each number is used but once.
--#include _common
local owner, most, sequence = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if not redis.call('ZSCORE', keys.workers, owner) then return false end
local taken, held, firsts = {}, keys.unacked(owner), {}
for i = 4, #ARGV do firsts[#firsts + 1] = ARGV[i] .. '.' .. sequence end
for _, raw in ipairs(redis.call('HMGET', held, unpack(firsts))) do
  if raw then
    local all = redis.call('HGETALL', held)
    for i = 1, #all, 2 do
      local number = tonumber(string.match(all[i], '(%d+)$'))
      if number >= sequence and number < sequence + most then
        taken[#taken + 1], taken[#taken + 2] = all[i], all[i + 1]
      end
    end
    return taken
  end
end

local function take_from(list, index, missing)
  local waiting, part = redis.call('LRANGE', list, -missing, -1), {}
  for n = #waiting, 1, -1 do
    local tag = index .. '.' .. sequence
    sequence = sequence + 1
    part[#part + 1], part[#part + 2] = tag, waiting[n]
    taken[#taken + 1], taken[#taken + 2] = tag, waiting[n]
  end
  if #part > 0 then
    redis.call('RPOP', list, 0)  -- is it allowed? See _steps.lua
    redis.call('HSET', held, unpack(part))
    redis.call('RPOP', list, #waiting)
  end
end

local no_further = redis.call('EXISTS', unpack(further_lists)) == 0
for i = 4, #ARGV do
  local index = tonumber(ARGV[i])
  for _, list in ipairs(no_further and {lists[index]} or lists_read_as[index]) do
    local missing = most - #taken / 2
    if missing < 1 then return taken end
    take_from(list, ARGV[i], missing)
  end
end
return taken
