-- Delete a message of which all is done. A repeated call does nothing.
-- ARGV: holder, tag.  Returns how many were deleted.
--#include _keys
return redis.call('HDEL', unacked_key(ARGV[1]), ARGV[2])
