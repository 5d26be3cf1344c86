-- One publication, as one step: dedupe, epoch, offset, append with retention, publish.
-- KEYS[3], optional: its idempotency key.
-- ARGV: new epoch, seen epochs, seen offsets, event, data, time_ms, pub/sub channel, prefix of its messages; and,
-- optional, whom it excludes, as one line.
-- Returns 'EPOCH-OFFSET 0', or 'EPOCH-OFFSET 1' for a repeat. Nothing is written before XADD succeeded, so an
-- error (out of memory, read only) means that nothing was published. Only a right that is missing ends the
-- script in between: then the publication is in the stream, and those after it follow it.

local new_epoch, event, data, time_ms = ARGV[1], ARGV[4], ARGV[5], ARGV[6]
local pubsub_channel, prefix, exclude = ARGV[7], ARGV[8], ARGV[9]
local key = KEYS[3]

if key then
  local first = try('GET', key)
  if type(first) == 'string' and string.match(first, '^[a-z0-9]+%-%d+$') then
    return first .. ' 1'
  end
end

local epoch, top, bytes = open_channel(new_epoch, ARGV[2], ARGV[3])
local size = #data + 100 + #(exclude or '')
local offset = decimal(top + 1)
bytes = bytes + size

local function append()
  if exclude then
    -- `E`, and not `e`: a server that knows of no exclusions must take it for nothing that it can show.
    return redis.pcall('XADD', stream, 'MAXLEN', max_count, offset .. '-0',
      'E', event, 'd', data, 't', time_ms, 'b', decimal(bytes), 'x', exclude)
  end
  return redis.pcall('XADD', stream, 'MAXLEN', max_count, offset .. '-0',
    'e', event, 'd', data, 't', time_ms, 'b', decimal(bytes))
end

-- The last entry of the stream when it is ours and the state does not know of it: offset and bytes.
local function unfinished()
  local last = try('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  local id, fields = unpack(last and last[1] or {})
  local found = id and tonumber(string.match(id, '^(%d+)%-0$') or nil)
  local named = fields and (fields[1] == 'e' or fields[1] == 'E') and fields[3] == 'd' and fields[5] == 't'
  if found and found > top and found < 2^53 and named then
    return found, tonumber(fields[8] or nil)
  end
end

local added = append()
if added.err and string.find(added.err, 'equal or smaller', 1, true) then
  local last, sum = unfinished()
  if last and sum then
    offset, bytes = decimal(last + 1), sum + size
    added = append()
  end
end
if added.err and (string.find(added.err, 'WRONGTYPE', 1, true) or string.find(added.err, 'equal or smaller', 1, true)) then
  -- Another program wrote under this key: its content is no log any more.
  redis.call('DEL', meta, stream)
  epoch, offset, bytes = new_epoch, '1', size
  added = append()
end
if added.err then
  return added
end

redis.call('HSET', meta, 'epoch', epoch, 'top', offset, 'bytes', decimal(bytes))
redis.call('PEXPIRE', meta, meta_ttl_ms)
redis.call('PEXPIRE', stream, ttl_ms)

-- `b` of an entry is the sum of sizes up to it. Checked each time a sixteenth of the limit was written.
local step = max_bytes / 16
if bytes > max_bytes - step and math.floor(bytes / step) ~= math.floor((bytes - size) / step) then
  local keep_after = bytes - max_bytes + step
  local from = '-'
  while from do
    local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', 100)
    from = nil
    for _, entry in ipairs(entries) do
      if (tonumber(entry[2][8]) or 0) > keep_after then
        redis.call('XTRIM', stream, 'MINID', entry[1])
        from = nil
        break
      end
      from = '(' .. entry[1]
    end
  end
end

local position = epoch .. '-' .. offset
if key then
  redis.call('SET', key, position, 'PX', key_ttl_ms)
end
local header = prefix .. '1 ' .. position .. ' ' .. time_ms .. ' ' .. event
if exclude then
  header = header .. ' x\n' .. exclude
end
redis.call('PUBLISH', pubsub_channel, header .. '\n' .. data)
return position .. ' 0'
