#!lua name=muster
-- One call per frame: deduplication, latest states and counts, in one atomic step.
-- A device is a string key (its id, 16 bytes) with a packed state of 32 bytes: seq first, verdict last.
-- MGET and MSET, because the overhead of a command from a script is far larger than the work for one key.

local RECORD = 48
-- The stack of Lua has room for fewer than 8,000 arguments, and MSET takes two per device.
local CHUNK = 2000 * RECORD

local function apply(frame, first, last, moved)
  -- Looked up here, because a library cannot access globals of Redis while it is loaded.
  local sub, byte, number = string.sub, string.byte, struct.unpack
  local ids, count = {}, 0
  for at = first, last, RECORD do
    count = count + 1
    ids[count] = sub(frame, at, at + 15)
  end
  local known = redis.call('MGET', unpack(ids))
  -- A device may be in a frame twice; its second check-in is compared with the first.
  local latest, accepted = {}, 0
  for place = 1, count do
    local id = ids[place]
    local at = first + (place - 1) * RECORD
    local before = latest[id] or known[place]
    if not before or number('<I8', frame, at + 16) > number('<I8', before) then
      accepted = accepted + 1
      latest[id] = sub(frame, at + 16, at + 47)
      local verdict = byte(frame, at + 47)
      local verdict_before = before and byte(before, 32)
      if verdict ~= verdict_before then
        moved[verdict] = (moved[verdict] or 0) + 1
        if before then
          moved[verdict_before] = (moved[verdict_before] or 0) - 1
        end
      end
    end
  end
  local writes, length = {}, 0
  for id, state in pairs(latest) do
    writes[length + 1] = id
    writes[length + 2] = state
    length = length + 2
  end
  if length > 0 then
    redis.call('MSET', unpack(writes))
  end
  return accepted
end

local function check_in(_, arguments)
  local frame = arguments[1]
  local moved, accepted = {}, 0
  for first = 1, #frame, CHUNK do
    accepted = accepted + apply(frame, first, math.min(first + CHUNK - 1, #frame), moved)
  end
  for verdict, by in pairs(moved) do
    if by ~= 0 then
      redis.call('HINCRBY', 'counts', verdict, by)
    end
  end
  return accepted
end

redis.register_function('check_in', check_in)
