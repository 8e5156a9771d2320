-- To which batches a job belongs, and what has become of it there. Needs _common.
local BATCH_WAITS = 'w'
-- More than the same job is ever submitted in; the last ones are kept.
local BATCHES_MOST = 8

-- Made only where it is needed: a script of a job without a batch does not pay for it.
local made_move
local function make_move()
--#include tasks.batch_store
  return move_in_batch
end
local function move_in_batch(name, moves)
  made_move = made_move or make_move()
  return made_move(name, moves)
end

local function batch_letter(state)
  local letters = {accepted = 'a', rejected = 'r', exhausted = 'x', unknown = 'u', cancelled = 'c'}
  return letters[state]
end

-- A record's list of batches with this one in it, or nil where it is there already.
local function with_batch(batches, batch)
  if string.find(' ' .. (batches or '') .. ' ', ' ' .. batch .. ' ', 1, true) then return nil end
  local names = {}
  for name in string.gmatch(batches or '', '%S+') do names[#names + 1] = name end
  names[#names + 1] = batch
  return table.concat(names, ' ', math.max(1, #names + 1 - BATCHES_MOST))
end

-- Whether a job is entered, and all that belongs to that done.
local function is_in_batch(batch, job_id)
  local entry, kept = unpack(redis.call('HMGET', keys.batch(batch), job_id, '\n:kept'))
  return entry and kept
end

-- A message of the job names a batch, and its record is, or goes on, by another message: what becomes of the job counts
-- there as well. state: how it ended, or nil where it has not.
local function join_batch(record_key, job_id, batch, workflow, state)
  if not batch then return end
  local joined = with_batch(redis.call('HGET', record_key, field.batch), batch)
  if joined then redis.call('HSET', record_key, field.batch, joined) end
  local letter = batch_letter(state)
  move_in_batch(batch, {{job_id, letter or BATCH_WAITS, workflow, not letter and 'enters' or nil}})
end

-- The step: what has become of a job, in each of its batches. Arguments: batches, workflow (nil: that which it has there),
-- fact.state (none: it waits).
local function count_in_batches(a)
  if not a.batches then return end
  for name in string.gmatch(a.batches, '%S+') do
    move_in_batch(name, {{a.job_id, batch_letter(a.fact and a.fact.state or '') or BATCH_WAITS, a.workflow}})
  end
end
