-- Begins a generation. KEYS: the epoch. ARGV: the generation whose scripts the
-- server lacks, or nothing; the new one; now; 1 if an empty server may be a new
-- one; 1 if a restarted server is trusted to have kept all.
local epoch = redis.call('GET', KEYS[1])
local since, what = ARGV[3], 'lost'
if epoch then
  if string.sub(epoch, 1, 16) ~= ARGV[1] then
    return {epoch, 'known'} -- another replica was faster
  end
  what = 'restarted'
  local before = string.sub(epoch, 18)
  if ARGV[5] == '1' then
    since = before
  elseif tonumber(before) > tonumber(since) then
    since = before
  end
elseif ARGV[4] == '1' then
  since, what = '0', 'new'
end
epoch = ARGV[2] .. ' ' .. since
redis.call('SET', KEYS[1], epoch)
return {epoch, what}
