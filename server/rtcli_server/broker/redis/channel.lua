-- The state of one channel. Keys, all with the channel's hash tag: KEYS[1] hash `epoch top bytes`,
-- KEYS[2] stream whose entry `N-0` is the publication with offset N. This is prepended to publish.lua and
-- history.lua, after `local` lines for: ttl_ms (stream), meta_ttl_ms, max_count, max_bytes, max_entry_bytes, key_ttl_ms.

local meta, stream = KEYS[1], KEYS[2]

-- Numbers stay below 2^53, where a double is exact; tostring() would write large ones as 1e+15.
local function decimal(number)
  return string.format('%.0f', number)
end

local function is_epoch(text)
  return type(text) == 'string' and string.match(text, '^[a-z0-9]+$') and #text >= 4 and #text <= 16
end

-- Reads a key that anybody may have written: nil when it is of another type. Another error (the user may not
-- read it) says nothing about the key, and ends the script.
local function try(command, key, ...)
  local found = redis.pcall(command, key, ...)
  if type(found) == 'table' and found.err then
    if not string.find(found.err, 'WRONGTYPE', 1, true) then
      redis.call(command, key, ...)
    end
    return nil
  end
  return found
end

-- The latest offset that an instance has seen in this epoch. It may have seen several epochs: then the texts are
-- lists with spaces.
local function seen_in(epoch, seen_epochs, seen_offsets)
  if epoch == seen_epochs then
    return tonumber(seen_offsets)
  elseif seen_epochs == '' then
    return 0
  end
  local next_offset = string.gmatch(seen_offsets, '%d+')
  for seen_epoch in string.gmatch(seen_epochs, '%w+') do
    local offset = tonumber(next_offset())
    if seen_epoch == epoch then
      return offset
    end
  end
  return 0
end

-- Returns epoch, top, bytes, fresh. The channel starts anew, with the epoch offered, when it is unknown,
-- when its state is damaged, or when it is behind a position that an instance has seen: then Redis has lost
-- its latest writes, and their offsets must not be given to other publications.
local function open_channel(new_epoch, seen_epochs, seen_offsets)
  local found = try('HMGET', meta, 'epoch', 'top', 'bytes') or {}
  local epoch, top, bytes = found[1], tonumber(found[2] or nil), tonumber(found[3] or nil)
  local whole = is_epoch(epoch)
    and top and top >= 0 and top < 2^53 and bytes and bytes >= 0
  if whole and top >= seen_in(epoch, seen_epochs, seen_offsets) then
    return epoch, top, bytes, false
  end
  if redis.call('EXISTS', meta, stream) > 0 then -- as little as possible is written before XADD has succeeded
    redis.call('DEL', meta, stream)
  end
  return new_epoch, 0, 0, true
end
