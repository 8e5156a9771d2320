-- Ask about a task again later, and note what was learned; or lease it for longer, while its file is being kept. Nothing
-- where another worker has leased it since, or it is not open any more. A repeated call writes the same again.
-- KEYS: queue.
-- ARGV: task id, token, ms until then, and then, each '' where it stays: how often it was asked about, the vendor's
--       status, the URL of its file, since when that is known (ms), how often that was tried.
-- Returns 1 or 0.
--#include _common
local task_id, key = ARGV[1], keys.task(ARGV[1])
local token, output = unpack(redis.call('HMGET', key, task_field.token, task_field.output))
if token ~= ARGV[2] or output or not redis.call('ZSCORE', keys.open_tasks, task_id) then return 0 end
local now, written = now_ms(), {}
local function write(name, value)
  if value ~= '' then written[#written + 1], written[#written + 2] = name, value end
end
write(task_field.asked, ARGV[4])
if ARGV[4] ~= '' then write(task_field.looked_ms, string.format('%.0f', now)) end
write(task_field.vendor_status, ARGV[5])
write(task_field.url, ARGV[6])
write(task_field.succeeded_ms, ARGV[7])
write(task_field.keep_tries, ARGV[8])
if #written > 0 then redis.call('HSET', key, unpack(written)) end
redis.call('ZADD', keys.open_tasks, now + tonumber(ARGV[3]), task_id)
return 1
