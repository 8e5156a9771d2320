-- Follow a task that an operator names, bought before tasks were followed, or elsewhere. A repeated call changes nothing.
-- KEYS: queue.
-- ARGV: task id, JSON: metadata (JSON text), deadline_ms, and where they are given workflow and version.
-- Returns {adopted | open | ended, task id}: open where it is followed already.
--#include _common
--#include _tasks
local task_id, about = ARGV[1], cjson.decode(ARGV[2])
about.task_id, about.accepted_ms, about.adopted = task_id, now_ms(), true
if begin_task(about) then return {'adopted', task_id} end
return {redis.call('HEXISTS', keys.task(task_id), task_field.output) == 1 and 'ended' or 'open', task_id}
