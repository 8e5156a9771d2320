-- What is counted for whoever looks at all workers together, in one hash of which worker/store/metric_fields.py says what
-- is in it. Needs _common.
-- Names of fields are stored, and added to by workers of other versions: they stay.
local MOST_WORKFLOWS, OTHER_WORKFLOWS = 50, '-'

local function add_metric(field_name, by) redis.call('HINCRBY', keys.metrics, field_name, by) end

-- The name under which a workflow is counted: unlisted ones are anybody's, and the hash must not grow without end.
-- Whoever ends a job asks here, for the same workflow must never be counted under two names.
local function measured_workflow(about)
  local workflow = about.workflow
  if type(workflow) ~= 'string' or workflow == '' or #workflow > 100 or string.find(workflow, '%c') then
    return OTHER_WORKFLOWS
  end
  if is_listed(workflow) then return workflow end
  local known, count = unpack(redis.call('HMGET', keys.metrics, 'w|' .. workflow, 'workflows'))
  if known then return workflow end
  if (tonumber(count or 0) or 0) >= MOST_WORKFLOWS then return OTHER_WORKFLOWS end
  add_metric('workflows', 1)
  add_metric('w|' .. workflow, 1)
  return workflow
end

-- How many, by label and by the least bound (seconds) that the time is not above, and the sum of that; '-' where it is
-- not known.
local function add_measured(kind, label, ms, bounds, workflow)
  local least = ms and 'inf' or '-'
  if ms then
    for _, bound in ipairs(bounds) do
      if ms <= 1000 * bound then
        least = bound
        break
      end
    end
    add_metric(kind .. 'ms|' .. workflow, ms)
  end
  add_metric(kind .. '|' .. label .. '|' .. least .. '|' .. workflow, 1)
end

-- Arguments: fact.metrics (absent where an earlier version has left the step): workflow, and of an attempt outcome, ms,
-- price (millionths, where it bought something that has one); fact.status and lasted_ms, where the job ends.
local function measure(a, ends)
  local about = a.fact and a.fact.metrics
  if not about then return end
  local workflow = measured_workflow(about)
  if about.outcome then add_measured('a', about.outcome, about.ms, attempt_bounds(), workflow) end
  if ends then add_measured('j', a.fact.status, a.lasted_ms, job_bounds(), workflow) end
  if about.price then add_metric('spent|' .. workflow, about.price) end
end

local function measure_attempt(a) measure(a, false) end
local function measure_end(a) measure(a, true) end
