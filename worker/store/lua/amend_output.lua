-- The file of a task that had ended without it is kept now: its output says so, and is told once more. A repeated call
-- does what was refused before.
-- KEYS: queue.
-- ARGV: task id, the output JSON that it has, the one that it is to have, the outputs' name.
-- Returns {amended | already | changed, task id}: already where its output has been amended; changed where it is neither
--         of these two, or its end is not told in full yet: by a later version, perhaps.
--#include _common
--#include _task_steps
local task_id, key = ARGV[1], keys.task(ARGV[1])
local output, left = unpack(redis.call('HMGET', key, task_field.output, task_field.left_steps))
if redis.call('ZSCORE', keys.open_tasks, task_id) or output ~= ARGV[2] and output ~= ARGV[3]
  or has_later_steps(left or '') then
  return {'changed', task_id}
end
local verdict = output == ARGV[3] and not left and 'already' or 'amended'
if output ~= ARGV[3] then
  left = 'stream publish'
  redis.call('HSET', key, task_field.output, ARGV[3], task_field.left_steps, left)
end
if left then
  local problem = do_task_steps(left, {task_id = task_id, outputs = ARGV[4], output = ARGV[3]})
  if problem then return problem end
end
-- In this order: while it is among these, an operator comes for it again.
redis.call('HDEL', key, task_field.left_steps)
redis.call('ZREM', keys.unstored_tasks, task_id)
return {verdict, task_id}
