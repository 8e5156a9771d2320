-- Ask about a task no more, as an operator decided: it gets no output. Of one whose file could not be kept, the file is
-- given up. A repeated call does what was refused before.
-- KEYS: queue.
-- ARGV: task id.
-- Returns {forgotten | given-up | ended | unknown, task id}.
--#include _common
local task_id, key = ARGV[1], keys.task(ARGV[1])
if redis.call('HEXISTS', key, task_field.output) == 1 then
  return {redis.call('ZREM', keys.unstored_tasks, task_id) == 1 and 'given-up' or 'ended', task_id}
end
if not redis.call('ZSCORE', keys.open_tasks, task_id) then return {'unknown', task_id} end
redis.call('DEL', key)
redis.call('ZREM', keys.tasks_accepted, task_id)
-- Last: while it is here, a repeated call finds it.
redis.call('ZREM', keys.open_tasks, task_id)
return {'forgotten', task_id}
