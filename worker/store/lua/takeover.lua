-- Give back what one dead worker held. Its name leaves the set of the living in the same step, so two
-- that notice it at once cannot both do it, and it cannot come back under that name.
-- KEYS: queue.
-- ARGV: owner, its last beat in ms as its judge saw it ('': its death is known, not presumed from its silence).
-- Returns {messages given back, attempts left unresolved}, or {-1, 0} where it is alive or gone.
--#include _common
--#include _slots
local owner = ARGV[1]
local beat = redis.call('ZSCORE', keys.workers, owner)
if not beat or (ARGV[2] ~= '' and tonumber(beat) ~= tonumber(ARGV[2])) then return {-1, 0} end

local held, tags = redis.call('HGETALL', keys.unacked(owner)), {}
for i = 1, #held, 2 do tags[#tags + 1] = {held[i], held[i + 1]} end
-- In the order in which they were taken, the last one first: what is pushed last is read first. As numbers: as texts, 10
-- would come before 9.
local function sequence(entry) return tonumber(string.match(entry[1], '(%d+)$')) end
table.sort(tags, function(a, b) return sequence(a) > sequence(b) end)
redis.call('HDEL', keys.unacked(owner), '')  -- is it allowed? See _steps.lua
for _, entry in ipairs(tags) do
  redis.call('RPUSH', lists[tonumber(string.match(entry[1], '^%d+'))], entry[2])
  redis.call('HDEL', keys.unacked(owner), entry[1])
end

local unresolved, prefix, limited = 0, owner .. '|', redis.call('EXISTS', keys.slot_waiters) == 1
if limited then forget_waiter(owner) end
redis.pcall('DEL', keys.wake(owner))
for _, member in ipairs(redis.call('ZRANGE', keys.sending, 0, -1)) do
  if string.sub(member, 1, #prefix) == prefix then
    redis.call('ZREM', keys.sending, member)
    unresolved = unresolved + 1
  end
end
if limited and unresolved > 0 then wake(living_waiters(now_ms()), unresolved) end

redis.call('HDEL', keys.last_polls, owner)
redis.call('SREM', keys.refused, owner)
redis.call('HDEL', keys.refusals, owner)
redis.call('HDEL', keys.descriptions, owner)
redis.call('HDEL', keys.troubles, owner)
redis.call('HDEL', keys.routes, owner)
redis.call('HDEL', keys.identities, owner)
-- Last: whoever finds the name gone does nothing for it any more.
redis.call('ZREM', keys.workers, owner)
return {#tags, unresolved}
