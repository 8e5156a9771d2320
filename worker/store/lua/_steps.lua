-- Steps of which each is done once, though another one is refused. Redis rolls nothing back: where an access list
-- forbids one command of a script, or one key is of another type, what was written before stands, and what would have
-- come after does not. What is left is noted in the job's record (left_steps, left_arguments), and done by whichever
-- script comes by the job next, and by finish.lua. Needs _common.
--
-- A script that moves a message asks first for what will take it out of its old place, with arguments that change
-- nothing: refused only after the message was put into its new place, each repetition would double it.

-- How long all workers hold back after a refusal; the worker that waits to settle repeats it more often.
local REFUSING_MS = 6000

-- Do the steps, each {name, what it writes to, function, whether only once all before it are done}, with these
-- arguments; nil, or the reply where one was refused. The job's record has been written to in the same script: so it
-- can be written to again.
local function do_steps(record_key, steps, arguments)
  local left, problem, refused_at = {}, nil, nil
  for _, step in ipairs(steps) do
    local ok, found
    if not (step[4] and problem) then ok, found = pcall(step[3], arguments) end
    if not ok then
      left[#left + 1] = step[1]
      if not problem then problem, refused_at = found, step[2] end
    end
  end
  if not problem then return nil end
  redis.call('HSET', record_key, field.left_steps, table.concat(left, ' '),
    field.left_arguments, cjson.encode(arguments))
  local words = (type(problem) == 'table' and problem.err or tostring(problem)) .. ' (' .. refused_at .. ')'
  redis.pcall('SADD', keys.unfinished, arguments.job_id)
  -- Not for an operator, who may have other rights than the workers.
  if not arguments.decision then redis.pcall('SET', keys.refusing, words, 'PX', REFUSING_MS) end
  return {err = words}
end

-- Do what was left of the steps, with their arguments; nil, or the reply where one is refused still. Steps that this version
-- does not know are a later one's: they stay noted for it, as do those that come only once all before them are done.
local function do_rest(record_key, steps, names, arguments)
  local wanted, rest, waiting, known = ' ' .. names .. ' ', {}, {}, {}
  for _, step in ipairs(steps) do known[step[1]] = true end
  for name in string.gmatch(names, '%S+') do
    if not known[name] then waiting[#waiting + 1] = name end
  end
  local is_later = #waiting > 0
  for _, step in ipairs(steps) do
    if string.find(wanted, ' ' .. step[1] .. ' ', 1, true) then
      if is_later and step[4] then waiting[#waiting + 1] = step[1] else rest[#rest + 1] = step end
    end
  end
  if is_later then
    waiting = table.concat(waiting, ' ')
    redis.call('HSET', record_key, field.left_steps, waiting)
  else
    redis.call('SREM', keys.unfinished, arguments.job_id)
    redis.call('HDEL', record_key, field.left_steps, field.left_arguments)
  end
  local problem = do_steps(record_key, rest, arguments)
  if problem and is_later then
    redis.call('HSET', record_key, field.left_steps, redis.call('HGET', record_key, field.left_steps) .. ' ' .. waiting)
  end
  return problem
end
