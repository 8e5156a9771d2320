-- Cancellations of all that was enqueued before, of a batch or a workflow. Fields of `cancels`: "batch <name>" and
-- "workflow <name>", ms of Redis's clock.
-- A message without a stamp that nobody has met before does not say when it was enqueued: it may be later, and is not
-- called off. Whoever cancels looks for those himself: tasks/cancelling.

-- enqueued: ms, as far as it is known; else now.
local function is_called_off(workflow, batch, enqueued)
  local of_workflow, of_batch = unpack(redis.call('HMGET', keys.cancels,
    'workflow ' .. workflow, batch and 'batch ' .. batch or ''))
  return enqueued <= math.max(tonumber(of_workflow or 0), tonumber(of_batch or 0))
end
