-- now, id, fate
redis.call('SET', LOG, '1', 'PX', PROVEN)
end_lease()
if not held or held.final or held.id ~= ARGV[2] then
  return {0, ended}
end
close(ARGV[3])
return {1, ended, expires, like}
