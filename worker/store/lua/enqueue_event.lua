-- Queue what a product event asks for, once: jobs whose purchase key nobody holds. With a debounce key they go into the
-- delayed set, in the place of those of an earlier event of that key which wait there still and which only it asked for.
-- KEYS: queue.
-- ARGV: JSON of {list, marks, mark_ms, debounce, wait_ms, longest_ms, modified, shop}; then of each job: id, SHA-256 of its
--       purchase key, ms for which it holds, stamp of the message in ms, whether the key is renewed (1), message.
-- Returns {queued | seen | outdated, jobs replaced, which job holds each purchase key now...}.
--         A repeated call is told that it was seen; without marks, of its own jobs that they hold their keys.
--#include _common
local order, jobs, own = cjson.decode(ARGV[1]), {}, {}
for n = 2, #ARGV, 6 do
  jobs[#jobs + 1] = {
    id = ARGV[n], key = keys.dedupe(ARGV[n + 1]), digest = ARGV[n + 1], hold_ms = ARGV[n + 2],
    stamp = tonumber(ARGV[n + 3]), renews = ARGV[n + 4] == '1', message = ARGV[n + 5],
  }
  own[ARGV[n]] = true
end
for _, mark in ipairs(order.marks) do
  if redis.call('EXISTS', keys.event(mark)) == 1 then return {'seen', 0} end
end

local function remember()
  for _, mark in ipairs(order.marks) do redis.call('SET', keys.event(mark), 1, 'PX', order.mark_ms) end
end

-- What an earlier event of the key left: {first (ms of the first event), modified, jobs {{id, digest}...}}.
local now, before, waiting = now_ms(), nil, {}
if order.debounce then
  local stored = redis.call('GET', keys.debounce(order.debounce))
  before = stored and cjson.decode(stored) or {first = now, jobs = {}}
  if order.modified and before.modified and order.modified < before.modified then
    remember()
    return {'outdated', 0}
  end
  for _, job in ipairs(before.jobs) do
    -- Only what nobody has touched yet, for the record would say that it was claimed once; and nobody else asked for: a
    -- catalogue, or another product with the same picture, was told that this job does it.
    local state, relied_on = unpack(redis.call('HMGET', keys.job(job[1]), field.state, field.asked_by_others))
    if redis.call('ZSCORE', keys.delayed, job[1]) and not state and not relied_on then
      waiting[job[1]] = keys.dedupe(job[2])
    end
  end
  redis.call('ZADD', keys.delayed, 'XX', 0, '')  -- are they allowed? See _steps.lua
  redis.call('ZREM', keys.delayed, '')
  redis.call('HDEL', keys.delayed_messages, '')
end

local wanted, holders = {}, {}
for n, job in ipairs(jobs) do
  local holder = holder_of(job.key, keys.job(''), job.id, job.stamp)
  if not holder or (waiting[holder] and holder ~= job.id) then
    wanted[#wanted + 1], holder = job, job.id
    -- Now, so that a second job of one key in this event finds it held.
    hold(job.key, keys.job(''), job.id, job.stamp, job.hold_ms)
  else
    if not own[holder] then rely_on(keys.job(''), holder) end
    if job.renews then renew(job.key, keys.job(''), holder, job.hold_ms) end
  end
  holders[n] = holder
end

local due = before and math.min(now + order.wait_ms, before.first + order.longest_ms)
local function put(job)
  if not due then return redis.pcall('LPUSH', lists[order.list], job.message) end
  local kept = redis.pcall('HSET', keys.delayed_messages, job.id, order.list .. '|' .. job.message)
  return type(kept) == 'table' and kept or redis.pcall('ZADD', keys.delayed, due, job.id)
end
for n, job in ipairs(wanted) do
  local done = put(job)
  if type(done) == 'table' then
    -- Nothing is rolled back: a key that stood for a job which was refused would keep it from ever being queued.
    for left = n, #wanted do let_go(wanted[left].key, keys.job(''), wanted[left].id) end
    return done
  end
end

local replaced = 0
for id, key in pairs(waiting) do
  local is_asked_again = false
  for _, holder in ipairs(holders) do is_asked_again = is_asked_again or holder == id end
  if not is_asked_again then
    -- The key first: what is still in the set is found again, should this be refused.
    if string.match(redis.call('GET', key) or '', '^[^\n]*') == id then redis.call('DEL', key) end
    redis.call('ZREM', keys.delayed, id)
    redis.call('HDEL', keys.delayed_messages, id)
    redis.call('HDEL', keys.job(id), field.dedupe)
    replaced = replaced + 1
  end
end
if before then
  before.modified, before.jobs = order.modified or before.modified, {}
  for n, job in ipairs(jobs) do
    if holders[n] == job.id then before.jobs[#before.jobs + 1] = {job.id, job.digest} end
  end
  redis.call('SET', keys.debounce(order.debounce), cjson.encode(before), 'PX', math.max(1, due - now))
end
if order.shop and #jobs > 0 then redis.pcall('SADD', keys.shops, order.shop) end
remember()
return {'queued', replaced, unpack(holders)}
