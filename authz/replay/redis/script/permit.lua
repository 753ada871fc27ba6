-- now, until, milliseconds until then
end_lease()
if not state or now >= expires or (state ~= 'D' and state ~= 'T') then
  return {0, ended}
end
redis.call('SET', PERMIT, ARGV[2], 'PX', ARGV[3])
return {1, ended}
