-- Pop up to N waiting messages and record them as held by this worker, in one step: a kill between
-- the two, which plain BRPOP leaves open, cannot lose a message.
-- KEYS: 1 workers, 2 unacked of this worker, then the queue's lists in the order to look.
-- ARGV: 1 owner, 2 most messages, 3 first sequence number, then for each list its index in canonical order.
-- Returns {tag, raw, tag, raw, ...}, a tag being "<list index>.<sequence>"; or nil for a worker declared dead.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return false end
local most, sequence = tonumber(ARGV[2]), tonumber(ARGV[3])
local taken = {}
for i = 3, #KEYS do
  local missing = most - #taken / 2
  if missing < 1 then break end
  local popped = redis.call('RPOP', KEYS[i], missing)
  for _, raw in ipairs(popped or {}) do
    local tag = ARGV[i + 1] .. '.' .. sequence
    sequence = sequence + 1
    redis.call('HSET', KEYS[2], tag, raw)
    taken[#taken + 1] = tag
    taken[#taken + 1] = raw
  end
end
return taken
