#!lua flags=allow-oom
-- Begins a generation. KEYS: the epoch, the names of the shared keys. ARGV: the generation that the caller
-- does not believe, or nothing; the new one; now; 1 if an empty server may be a
-- new one; 1 if a restarted server is trusted to have kept all; 1 if the server
-- knows the scripts of the first; the least time that it may be said to have
-- begun at, which is later than that of all that the caller knows; the names of the
-- caller's keys, or nothing.
local info = redis.call('INFO', 'replication', 'stats')
local function field(name)
  return string.match(info, '\r\n' .. name .. ':([^\r]+)') or '-'
end
if field('role') ~= 'master' then
  return redis.error_reply('READONLY it is no master')
end
local history, evicted, fed = field('master_replid'), field('evicted_keys'), field('total_net_repl_input_bytes')

local epoch = redis.call('GET', KEYS[1])
local since, begun, what = ARGV[3], ARGV[7], 'lost'
if epoch then
  local id, since_before, history_before, evicted_before, fed_before, begun_before =
    string.match(epoch, '^(%x+) (%d+) (%S+) (%d+) (%S+) (%d+)$')
  if (id or string.sub(epoch, 1, 16)) ~= ARGV[1] then
    return {epoch, 'known'} -- another replica was faster
  end
  -- A master also takes a new name for its history when it gets its first
  -- replica, and when it has had none for an hour. Then it was not fed by
  -- another in between, and the name has no predecessor.
  if ARGV[6] == '1' and id and history ~= history_before and evicted == evicted_before and fed == fed_before and
    field('second_repl_offset') == '-1' then
    epoch = table.concat({id, since_before, history, evicted, fed, begun_before}, ' ')
    redis.call('SET', KEYS[1], epoch)
    return {epoch, 'kept'}
  end
  what = 'restarted'
  since_before = since_before or string.match(epoch, ' (%d+)') or since
  if id and tonumber(evicted) > tonumber(evicted_before) then
    what = 'evicted'
  end
  if what == 'restarted' and ARGV[5] == '1' or tonumber(since_before) > tonumber(since) then
    since = since_before
  end
  if id and tonumber(begun_before) >= tonumber(begun) then
    begun = string.format('%.0f', tonumber(begun_before) + 1)
  end
elseif ARGV[4] == '1' then
  since, what = '0', 'new'
end
epoch = table.concat({ARGV[2], since, history, evicted, fed, begun}, ' ')
redis.call('SET', KEYS[1], epoch)
if ARGV[8] ~= '' then
  redis.call('SET', KEYS[2], ARGV[8])
end
return {epoch, what}
