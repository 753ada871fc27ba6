-- What all operations begin with. Times are microseconds since 1970 by the
-- clock of the replica that asks: numbers hold them exactly until 2255.
local EPOCH, NONCE, PERMIT, LOG, ALONE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch = redis.call('GET', EPOCH)
if not epoch or string.sub(epoch, 1, 16) ~= GENERATION then
  return {-1}
end
local now = tonumber(ARGV[1])

-- unbroken reports whether this server has remembered everything since the
-- epoch says so: it is a master, its history of replication has the name that it
-- had then (it changes with each demotion, promotion and restart), and nothing
-- was evicted. It must hold where anything is let through.
local function unbroken()
  local history, evicted = string.match(epoch, '^%x+ %d+ (%S+) (%d+)')
  local info = redis.call('INFO', 'replication', 'stats')
  local function has(line) return string.find(info, '\r\n' .. line .. '\r\n', 1, true) end
  return history and has('role:master') and has('master_replid:' .. history) and has('evicted_keys:' .. evicted)
end

-- A webhook's partition of this slot is how many of its nonces expire before which
-- second, for a few seconds, so that they leave it when they leave Redis. Its key has
-- the name that it had in the first version.
local function partition(id)
  local s = {key = string.gsub(EPOCH, 'epoch$', 'share:' .. id), nonces = 0, before = {}}
  for ends, n in string.gmatch(redis.call('GET', s.key) or '', '(%d+):(%d+)') do
    if tonumber(ends) * 1000000 > now then
      s.before[ends] = tonumber(n)
      s.nonces = s.nonces + tonumber(n)
    end
  end
  return s
end

-- count adds n nonces that expire before then to a partition.
local function count(s, ends, n)
  s.before[ends] = (s.before[ends] or 0) + n
  local list, last = {}, 0
  for before, nonces in pairs(s.before) do
    if nonces > 0 then
      list[#list + 1] = before .. ':' .. string.format('%.0f', nonces)
      last = math.max(last, tonumber(before))
    end
  end
  if last == 0 then
    redis.call('DEL', s.key)
  else
    redis.call('SET', s.key, table.concat(list, ' '), 'PX', string.format('%.0f', last * 1000 - math.floor(now / 1000) + 1))
  end
end

-- A nonce is its state (D done, P pending, T taken, U unsure), when it expires,
-- its likeness, where copies are compared, and, while it is held, by whom: by all
-- attempts of one check that have not given back, with commas between, or by more
-- than are told apart, '*', of which none can. Last comes what it counts for:
-- whose partition, and when it leaves it, or '-'.
local state, expires, held
local like = ''
local text = redis.call('GET', NONCE)
if text then
  local rest
  state, expires, like, rest = string.match(text, '^(%u)(%d+)#?(%x*)(.*)$')
  expires = tonumber(expires)
  local id, owners, check, ends, unknown, mark, absent, final, counts =
    string.match(rest, '^ (%x+) (%S+) (%S+) (%d+) (%u)(%d)(%d)(%d) (%S+)$')
  if id then
    held = {id = id, owners = owners, check = check, ends = tonumber(ends), unknown = unknown,
      mark = tonumber(mark), absent = absent == '1', final = final == '1', counts = counts}
  end
end

local function written()
  local v = state .. string.format('%.0f', expires)
  if like ~= '' then
    v = v .. '#' .. like
  end
  if held then
    v = v .. string.format(' %s %s %s %.0f %s%d%d%d %s', held.id, held.owners, held.check, held.ends, held.unknown,
      held.mark, held.absent and 1 or 0, held.final and 1 or 0, held.counts)
  end
  return v
end

-- keep writes the nonce and leaves its time to live as it is.
local function keep()
  redis.call('SET', NONCE, written(), 'KEEPTTL')
end

-- close ends a reservation: D delivered, T taken, U unsure, R as it was before.
local function close(fate)
  local absent, id, ends = held.absent, string.match(held.counts, '^(%x+):(%d+)$')
  held = nil
  if fate == 'D' or fate == 'T' then
    state = fate
  elseif fate == 'U' or not absent then
    state = 'U' -- what came before is as uncertain as it was
  else
    redis.call('DEL', NONCE)
    if id then
      count(partition(id), ends, -1)
    end
    return
  end
  keep()
end

-- end_lease does what the end of the lease means, if it has come: 1 it was
-- taken, 2 it may come once more.
local ended = 0
local function end_lease()
  if not held or now < held.ends then
    return
  end
  if held.final then
    held = nil
    keep()
    return
  end
  ended = held.unknown == 'U' and 2 or 1
  close(held.unknown)
end
