-- What most scripts need. `keys`, `lists`, `field` and `has_ended` are put before each script: worker/store/sources.py.
-- Redis Cluster would want all keys declared, but Celery has no transport for it.

-- A message that waits elsewhere is kept as "<index of its list>|<message>".
local function kept_message(kept)
  local index, raw = string.match(kept or '', '^(%d+)|(.*)$')
  return tonumber(index), raw
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
