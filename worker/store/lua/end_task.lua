-- End a task: its output into its record, onto the stream and the channel, and nobody asks about it any more. Once: a
-- worker whose lease is over changes nothing, and a repeated call does what was refused before.
-- KEYS: queue.
-- ARGV: task id, token, output JSON, JSON of the arguments of its steps (_task_steps.lua), ms when it ended, the vendor's
--       status or ''.
-- Returns {ended | already | stale | left, task id}: already where another worker has ended it; stale where another one has
--         leased it since, or nobody follows it any more; left where it stays open for steps of a later version.
--#include _common
--#include _task_steps
-- When to look again at what is left to a later version, whose workers do it.
local LATER_MS = 60000
local task_id, token, key = ARGV[1], ARGV[2], keys.task(ARGV[1])
local output, current, left, arguments = unpack(redis.call('HMGET', key, task_field.output, task_field.token,
  task_field.left_steps, task_field.left_arguments))
local verdict = output and current ~= token and 'already' or 'ended'
if not output then
  if current ~= token or not redis.call('ZSCORE', keys.open_tasks, task_id) then return {'stale', task_id} end
  left, arguments = 'stream unstored counters duration publish', ARGV[4]
  -- The record decides, so it comes first: whatever is refused after it, there is no other output.
  redis.call('HSET', key, task_field.output, ARGV[3], task_field.finished_ms, ARGV[5], task_field.left_steps, left,
    task_field.left_arguments, arguments, unpack(ARGV[6] ~= '' and {task_field.vendor_status, ARGV[6]} or {}))
end
if not arguments then return {verdict, task_id} end
local told = cjson.decode(arguments)
told.task_id, told.output = task_id, output or ARGV[3]
local problem = do_task_steps(left or '', told)
if problem then return problem end
if has_later_steps(left or '') then
  redis.call('ZADD', keys.open_tasks, 'XX', now_ms() + LATER_MS, task_id)
  return {'left', task_id}
end
close_task(task_id, told.keep_s)
return {verdict, task_id}
