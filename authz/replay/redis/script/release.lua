-- now, id or 0 for any, owner, until when a permit is good that is given back
-- Replies with 1 if that was the last owner, 2 if others are left, 0 if it was none.
if not held or (ARGV[2] ~= '0' and held.id ~= ARGV[2]) then
  return {0}
end
local owners = ',' .. held.owners .. ','
local from, to = string.find(owners, ',' .. ARGV[3] .. ',', 1, true)
if not from then
  return {0}
end
owners = string.sub(owners, 1, from) .. string.sub(owners, to + 1)
held.owners = string.match(owners, '^,*(.-),*$')
if held.owners ~= '' then
  keep()
  return {2}
end
if held.mark == 3 then
  redis.call('SET', PERMIT, ARGV[4], 'PX', PERMITTED)
  held = nil
  keep()
else
  close('R')
end
return {1}
