-- now, expires, id, owner, check, ends, final, unknown, signed, recovery, likeness,
-- the webhook's partition, how many seconds are counted as one, how many keys the
-- server has room for or 0, how many slots like this one it has, 1 if it may have
-- been forgotten elsewhere
local OUTCOME = {reserved = 1, copy = 2, copy_unknown = 3, pending = 4, uncertain = 5, full = 6}
local POSSIBLE, REDELIVERED = 2, 3
local final = ARGV[7] == '1'
local new = 0

local function answer(outcome, adopted)
  return {OUTCOME[outcome], held and held.mark or 0, adopted or 0,
    held and not held.final and held.ends or 0, ended, redis.call('EXISTS', LOG), expires or 0, new, held and held.id or '', like}
end

local function hold(mark, absent, final)
  local unknown = ARGV[8]
  if unknown == 'P' then
    unknown = redis.call('EXISTS', LOG) == 1 and 'U' or 'T'
  end
  held = {id = ARGV[3], owners = ARGV[4], check = ARGV[5], ends = tonumber(ARGV[6]), unknown = unknown,
    mark = mark, absent = absent, final = final, counts = '-'}
  if final then
    held.ends = now + ADOPTABLE + SKEW -- by the clock of no replica too early
  end
end

-- has_room reports whether the webhook may have one more nonce. It may grow to a
-- multiple of what is left free, less what is kept for those who have next to
-- nothing. What it has here and what is left for this slot are compared.
local function has_room(s)
  local room, slots = tonumber(ARGV[14]), tonumber(ARGV[15])
  local left = room - redis.call('DBSIZE')
  return left > 0 and (s.nonces * slots < TIMES_FREE * (left - room / RESERVE) or s.nonces * slots < room / LEAST)
end

-- forgotten reports whether what has no signed time may have been accepted before
-- the time since which everything is remembered, or by a replica that went alone:
-- its window has not ended since.
local function forgotten(since, window)
  if ARGV[9] ~= '' then
    return false
  end
  local alone = tonumber(redis.call('GET', ALONE) or 0)
  return ARGV[16] == '1' or now < math.max(since, alone) + window + SKEW
end

if not unbroken() then
  return {-1}
end
end_lease()
if held and held.check ~= '-' and held.check == ARGV[5] then
  if held.owners ~= '*' and not string.find(',' .. held.owners .. ',', ',' .. ARGV[4] .. ',', 1, true) then
    local _, others = string.gsub(held.owners, ',', '')
    held.owners = others + 1 < OWNERS and held.owners .. ',' .. ARGV[4] or '*'
  end
  keep()
  return answer('reserved', 1)
end
if state and now >= expires then
  state, held = nil, nil
end
if state == 'P' then
  return answer('pending')
end
if state == 'D' or state == 'T' then
  local permit = redis.call('GET', PERMIT)
  if permit then
    redis.call('DEL', PERMIT)
    if now < tonumber(permit) then
      hold(REDELIVERED, false, true)
      keep()
      return answer('reserved')
    end
  end
  if held then
    held, expires = nil, nil -- the check that holds it may be repeated: nobody may remember a copy
  end
  return answer(state == 'D' and 'copy' or 'copy_unknown')
end

local wanted = tonumber(ARGV[2])
if wanted <= now then
  return answer('uncertain')
end
if state == 'U' then
  expires = math.max(expires, wanted)
  hold(POSSIBLE, false, final)
else
  -- Nothing is known of it. That means that it is new only if everything has
  -- been remembered since it could first have come: since the signed time less
  -- how far that may be ahead.
  local since = tonumber(string.match(epoch, ' (%d+)'))
  if ARGV[9] ~= '' then
    if tonumber(ARGV[9]) <= since + SKEW then
      return answer('uncertain')
    end
  elseif now < since + tonumber(ARGV[10]) then
    return answer('uncertain')
  end
  expires, new = wanted, 1
  hold(forgotten(since, wanted - now) and POSSIBLE or 0, true, final)
  if ARGV[14] ~= '0' then
    local s, seconds = partition(ARGV[12]), tonumber(ARGV[13])
    if not has_room(s) then
      held, new = nil, 0
      return answer('full')
    end
    local ends = (math.floor((math.max(expires, held.ends) + SKEW) / 1000000 / seconds) + 1) * seconds
    ends = string.format('%.0f', ends)
    held.counts = ARGV[12] .. ':' .. ends
    count(s, ends, 1)
  end
end
state, like = final and 'T' or 'P', ARGV[11]
local life = math.ceil((math.max(expires, held.ends) - now + SKEW) / 1000)
redis.call('SET', NONCE, written(), 'PX', string.format('%.0f', life))
return answer('reserved')
