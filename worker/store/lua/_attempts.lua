-- Attempts, for the scripts that hear how one ended.

-- Whether the record has this attempt among its own. One that it has not was claimed in a Redis that has since
-- forgotten it, in a failover or a crash of its machine: nobody has fenced it.
local function knows_attempt(request_ids, request_id)
  for i = 1, #request_ids, 16 do
    if string.sub(request_ids, i, i + 15) == request_id then return true end
  end
  return false
end

-- Whether it is the one that the record names last: only that one may decide.
local function is_last_attempt(request_ids, request_id) return string.sub(request_ids, -16) == request_id end
