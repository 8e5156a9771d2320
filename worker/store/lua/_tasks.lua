-- Tasks of the vendor's that are followed until they end: since when, and when to look first. Needs _common.
local FIRST_LOOK_MS, FIRST_LEAST_MS, FIRST_MOST_MS = 3000, 1000, 600000

-- After how long to look first: as long as tasks of this workflow took lately.
local function first_look_ms(workflow)
  local took = tonumber(redis.call('HGET', keys.task_durations, workflow) or FIRST_LOOK_MS) or FIRST_LOOK_MS
  return math.max(FIRST_LEAST_MS, math.min(FIRST_MOST_MS, took))
end

-- Begin to follow a task; whether that is news. A repeated call does what was refused before, and else nothing.
-- about: task_id, workflow, version, metadata (JSON), accepted_ms, deadline_ms (counted from then), job_id or nil,
-- adopted (true where an operator wants it: look at once).
local function begin_task(about)
  local task_id, key = about.task_id, keys.task(about.task_id)
  if redis.call('ZSCORE', keys.open_tasks, task_id) or redis.call('HEXISTS', key, task_field.output) == 1 then
    return false
  end
  local since, written = about.accepted_ms, {}
  local function write(name, value) written[#written + 1], written[#written + 2] = name, value end
  -- As text: a number of this size would be written with an exponent.
  write(task_field.accepted_ms, string.format('%.0f', since))
  write(task_field.deadline_ms, string.format('%.0f', since + about.deadline_ms))
  write(task_field.metadata, about.metadata)
  if about.workflow then write(task_field.workflow, about.workflow) end
  if about.version then write(task_field.version, about.version) end
  if about.job_id then write(task_field.job_id, about.job_id) end
  if about.adopted then write(task_field.is_adopted, 1) end
  redis.call('HSET', key, unpack(written))
  redis.call('ZADD', keys.tasks_accepted, since, task_id)
  -- Last: what is here is asked about, so its record has to be there.
  local look_ms = about.adopted and 0 or math.min(first_look_ms(about.workflow or ''), about.deadline_ms)
  redis.call('ZADD', keys.open_tasks, since + look_ms, task_id)
  return true
end
