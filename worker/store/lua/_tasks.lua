-- Tasks of the vendor's that are followed until they end: since when, and when to look first. Needs _common.
local FIRST_LOOK_MS, FIRST_LEAST_MS, FIRST_MOST_MS = 3000, 1000, 600000

-- After how long to look first: as long as tasks of this workflow took lately.
local function first_look_ms(workflow)
  local took = tonumber(redis.call('HGET', keys.task_durations, workflow) or FIRST_LOOK_MS) or FIRST_LOOK_MS
  return math.max(FIRST_LEAST_MS, math.min(FIRST_MOST_MS, took))
end

-- Begin to follow a task; whether that is news. A repeated call does what was refused before, and else nothing.
-- about: task_id, workflow, version, metadata (JSON), accepted_ms, deadline_ms (counted from then), job_id or nil,
-- traceparent and tracestate or nil, adopted (true where an operator wants it: look at once).
local function begin_task(about)
  local task_id, key, written = about.task_id, keys.task(about.task_id), {}
  local function write(name, value)
    if value then written[#written + 1], written[#written + 2] = name, value end
  end
  if redis.call('HEXISTS', key, task_field.output) == 1 then return false end
  local is_open = redis.call('ZSCORE', keys.open_tasks, task_id)
  -- Of one that an operator had followed before its job was settled, the job is news: its output has to say it.
  if is_open and not (about.job_id and redis.call('HEXISTS', key, task_field.job_id) == 0) then return false end
  local since = about.accepted_ms
  if not is_open then
    -- As text: a number of this size would be written with an exponent.
    write(task_field.accepted_ms, string.format('%.0f', since))
    write(task_field.deadline_ms, string.format('%.0f', since + about.deadline_ms))
    write(task_field.is_adopted, about.adopted and 1)
  end
  write(task_field.metadata, about.metadata)
  write(task_field.workflow, about.workflow)
  write(task_field.version, about.version)
  write(task_field.job_id, about.job_id)
  write(task_field.traceparent, about.traceparent)
  write(task_field.tracestate, about.tracestate)
  redis.call('HSET', key, unpack(written))
  if is_open then return false end
  redis.call('ZADD', keys.tasks_accepted, since, task_id)
  -- Last: what is here is asked about, so its record has to be there.
  local look_ms = about.adopted and 0 or math.min(first_look_ms(about.workflow or ''), about.deadline_ms)
  redis.call('ZADD', keys.open_tasks, since + look_ms, task_id)
  return true
end
