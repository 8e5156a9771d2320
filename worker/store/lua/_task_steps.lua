-- What follows once the record of a task has its output: as steps, of which each is done once though another one is
-- refused (_steps.lua has the reasons). What is left is noted in the record. Needs _common.
-- Arguments: task_id, outputs (their name), output (JSON), maxlen, status, keep_s, and where there are any workflow and
-- took_ms (how long it took), unstored (true: its file could not be kept).
-- Names of steps and arguments are stored with what Redis refused, and read by other versions: they stay.
local SMOOTHING = 0.2

local TASK_STEPS = {
  stream = function(a)
    local entry
    if a.maxlen then
      entry = redis.call('XADD', a.outputs, 'MAXLEN', '~', a.maxlen, '*', 'output', a.output)
    else
      -- An operator may have other settings than the workers, who trim the stream with their next output.
      entry = redis.call('XADD', a.outputs, '*', 'output', a.output)
    end
    redis.call('HSET', keys.task(a.task_id), task_field.output_entry, entry)
  end,
  unstored = function(a)
    if a.unstored then redis.call('ZADD', keys.unstored_tasks, now_ms(), a.task_id) end
  end,
  counters = function(a) redis.call('HINCRBY', keys.counters, 'tasks_' .. a.status, 1) end,
  duration = function(a)
    if not (a.took_ms and a.workflow) then return end
    local known = tonumber(redis.call('HGET', keys.task_durations, a.workflow) or a.took_ms) or a.took_ms
    local smooth = known + SMOOTHING * (a.took_ms - known)
    redis.call('HSET', keys.task_durations, a.workflow, string.format('%.0f', smooth))
  end,
  publish = function(a) redis.call('PUBLISH', a.outputs, a.output) end,
}

-- Whether some of these steps are a later version's, which alone can do them.
local function has_later_steps(names)
  for name in string.gmatch(names, '%S+') do
    if not TASK_STEPS[name] then return true end
  end
  return false
end

-- Do these steps of a task, of which the record says that they are left; nil, or the reply where one is refused. Steps of
-- a later version stay noted for it.
local function do_task_steps(names, arguments)
  local left, problem, key = {}, nil, keys.task(arguments.task_id)
  -- May it be written to? Refused only after a step was done, each repetition would do that once more.
  redis.call('HSET', key, task_field.left_steps, names)
  for name in string.gmatch(names, '%S+') do
    local step, ok, found = TASK_STEPS[name], true, nil
    if step then ok, found = pcall(step, arguments) end
    if not (step and ok) then left[#left + 1] = name end
    if not ok then
      problem = problem or {err = (type(found) == 'table' and found.err or tostring(found)) .. ' (' .. name .. ')'}
    end
  end
  redis.call('HSET', key, task_field.left_steps, table.concat(left, ' '))
  return problem
end

-- All is done: from now on the record is kept for so many seconds, and nobody asks about the task. In this order: while
-- the task is open, somebody comes and does what was refused of it.
local function close_task(task_id, keep_s)
  local key = keys.task(task_id)
  redis.call('EXPIRE', key, keep_s)
  redis.call('ZREM', keys.tasks_accepted, task_id)
  redis.call('ZREM', keys.open_tasks, task_id)
  -- What its output says as well, and what was for asking only: there are many such records.
  redis.call('HDEL', key, task_field.left_steps, task_field.left_arguments, task_field.url, task_field.succeeded_ms,
    task_field.keep_tries, task_field.job_id, task_field.workflow, task_field.version, task_field.metadata,
    task_field.deadline_ms, task_field.is_adopted, task_field.looked_ms)
end
