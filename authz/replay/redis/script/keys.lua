-- Returns the shared keys, after making the list if there is none. KEYS: the
-- list. ARGV: the keys to make it of.
if redis.call('LLEN', KEYS[1]) == 0 then
  redis.call('RPUSH', KEYS[1], unpack(ARGV))
end
return redis.call('LRANGE', KEYS[1], 0, -1)
