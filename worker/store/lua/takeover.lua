-- Give back what one dead worker held. Its name leaves the set of the living in the same step, so two
-- that notice it at once cannot both do it, and it cannot come back under that name.
-- KEYS: 1 workers, 2 where they live, 3 sending, 4 when they last looked at the queue,
--       5 unacked of the dead worker, then the queue's lists in canonical order.
-- ARGV: 1 owner, 2 silence ms after which a worker is dead (0: its death is known, not presumed).
-- Returns {messages given back, attempts left unresolved}, or {-1, 0} where it is alive or gone.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local beat = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not beat or now - beat < tonumber(ARGV[2]) then return {-1, 0} end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])

local held = redis.call('HGETALL', KEYS[5])
local tags = {}
for i = 1, #held, 2 do tags[#tags + 1] = {held[i], held[i + 1]} end
local function sequence(entry) return tonumber(string.match(entry[1], '(%d+)$')) end
table.sort(tags, function(a, b) return sequence(a) > sequence(b) end)
for _, entry in ipairs(tags) do
  redis.call('RPUSH', KEYS[6 + tonumber(string.match(entry[1], '^%d+'))], entry[2])
end
redis.call('DEL', KEYS[5])

local unresolved = 0
local prefix = ARGV[1] .. '|'
for _, member in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  if string.sub(member, 1, #prefix) == prefix then
    redis.call('ZREM', KEYS[3], member)
    unresolved = unresolved + 1
  end
end
return {#tags, unresolved}
