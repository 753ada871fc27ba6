#!lua flags=allow-oom
-- Counts a probe, and returns how many there have been. KEYS: the count.
local n = tonumber(redis.call('GET', KEYS[1]) or 0) + 1
redis.call('SET', KEYS[1], string.format('%.0f', n))
return n
