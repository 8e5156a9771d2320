-- Pop up to N waiting messages and record them as held by this worker, in one step: a kill between
-- the two, which plain BRPOP leaves open, cannot lose a message.
-- ARGV: owner, most messages, first sequence number, then the indexes of the lists in the order to look.
-- Returns {tag, raw, tag, raw, ...}, a tag being "<list index>.<sequence>"; or nil for a worker declared dead.
--#include _keys
local owner, most, sequence = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if not redis.call('ZSCORE', key('workers'), owner) then return false end
local taken = {}
for i = 4, #ARGV do
  local missing = most - #taken / 2
  if missing < 1 then break end
  for _, raw in ipairs(redis.call('RPOP', lists[tonumber(ARGV[i])], missing) or {}) do
    local tag = ARGV[i] .. '.' .. sequence
    sequence = sequence + 1
    redis.call('HSET', unacked_key(owner), tag, raw)
    taken[#taken + 1] = tag
    taken[#taken + 1] = raw
  end
end
return taken
