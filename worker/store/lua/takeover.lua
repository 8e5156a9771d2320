-- Give back what one dead worker held. Its name leaves the set of the living in the same step, so two
-- that notice it at once cannot both do it, and it cannot come back under that name.
-- ARGV: owner, its last beat in ms as its judge saw it ('': its death is known, not presumed from its silence).
-- Returns {messages given back, attempts left unresolved}, or {-1, 0} where it is alive or gone.
--#include _keys
local owner = ARGV[1]
local beat = redis.call('ZSCORE', key('workers'), owner)
if not beat or (ARGV[2] ~= '' and tonumber(beat) ~= tonumber(ARGV[2])) then return {-1, 0} end

local held, tags = redis.call('HGETALL', unacked_key(owner)), {}
for i = 1, #held, 2 do tags[#tags + 1] = {held[i], held[i + 1]} end
local function sequence(entry) return tonumber(string.match(entry[1], '(%d+)$')) end
table.sort(tags, function(a, b) return sequence(a) > sequence(b) end)
redis.call('HDEL', unacked_key(owner), '')  -- is it allowed? See _steps.lua
for _, entry in ipairs(tags) do
  redis.call('RPUSH', lists[tonumber(string.match(entry[1], '^%d+'))], entry[2])
  redis.call('HDEL', unacked_key(owner), entry[1])
end

local unresolved, prefix = 0, owner .. '|'
for _, member in ipairs(redis.call('ZRANGE', key('sending'), 0, -1)) do
  if string.sub(member, 1, #prefix) == prefix then
    redis.call('ZREM', key('sending'), member)
    unresolved = unresolved + 1
  end
end

redis.call('HDEL', key('pulses'), owner)
redis.call('SREM', key('refused'), owner)
redis.call('HDEL', key('troubles'), owner)
redis.call('HDEL', key('routes'), owner)
redis.call('HDEL', key('homes'), owner)
-- Last: whoever finds the name gone does nothing for it any more.
redis.call('ZREM', key('workers'), owner)
return {#tags, unresolved}
