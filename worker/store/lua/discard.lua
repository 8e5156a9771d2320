-- Take a job off its shelf for good. One whose fate was unknown ends by this, so it gets its last result.
-- KEYS: 1 job record, 2 shelf, 3 shelved messages, 4 shelved results, 5 decisions, 6 results, 7 counters
-- ARGV: 1 job id, 2 state that it must be in, 3 JSON of the decision, 4 result JSON or '', 5 most results, 6 seconds to keep
-- Returns 1, or 0 where the job is not there any more.
if redis.call('HGET', KEYS[1], 's') ~= ARGV[2] then return 0 end
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 's', 'rejected')
  redis.call('HINCRBY', KEYS[7], 'rejected', 1)
  redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[5], '*', 'result', ARGV[4])
  redis.call('PUBLISH', KEYS[6], ARGV[4])
end
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 100000, '*', 'decision', ARGV[3])
return 1
