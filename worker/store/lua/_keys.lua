-- The names of all keys but the public one, made from the queue's name; worker/store/keys.py has the same.
-- Redis Cluster would want them declared, but Celery has no transport for it.
local queue = KEYS[1]
local function key(name) return queue .. ':' .. name end
local function job_key(job_id) return queue .. ':job:' .. job_id end
local function unacked_key(owner) return queue .. ':unacked:' .. owner end
local function shelf_key(status) return queue .. ':shelf:' .. status end

-- The queue's lists in canonical order, most urgent first; a message that waits elsewhere is kept as
-- "<index of its list>|<message>".
local lists = {
  [0] = queue .. '.high', queue, queue .. '\6\22' .. '3', queue .. '\6\22' .. '6', queue .. '\6\22' .. '9',
  queue .. '.low',
}
local function kept_message(kept)
  local index, raw = string.match(kept or '', '^(%d+)|(.*)$')
  return tonumber(index), raw
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
