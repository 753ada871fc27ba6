-- now, id or 0 for any, owner, until when a permit is good that is given back
if not held or held.owner ~= ARGV[3] or (ARGV[2] ~= '0' and held.id ~= ARGV[2]) then
  return {0}
end
if held.mark == 3 then
  redis.call('SET', PERMIT, ARGV[4], 'PX', PERMITTED)
  held = nil
  keep()
else
  close('R')
end
return {1}
