-- Shelves, for the scripts that take a job off one. Needs _keys.

-- Whether the job was on the shelf, and is one that ended so. Records expire, shelves do not: a job may have been
-- queued anew since under its old id, and then what the shelf shows is its past.
local function take_off_shelf(job_id, state)
  local was_on_it = redis.call('ZREM', shelf_key(state), job_id) == 1
  local current = redis.call('HGET', job_key(job_id), 's')
  if not (current and redis.call('ZSCORE', shelf_key(current), job_id)) then
    redis.call('HDEL', key('shelf:messages'), job_id)
    redis.call('HDEL', key('shelf:results'), job_id)
  end
  return was_on_it and (current == state or not current)
end
