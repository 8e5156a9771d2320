-- Delete a message of which all is done. A repeated call does nothing.
-- KEYS: queue.
-- ARGV: holder, tag.
-- Returns how many were deleted.
--#include _common
return redis.call('HDEL', keys.unacked(ARGV[1]), ARGV[2])
