-- One page of a channel and its top, as one snapshot.
-- ARGV: new epoch, seen epochs, seen offsets, limit, since epoch ('': the last ones), since offset.
-- Returns {epoch, top, entries}: fewer than `limit` where they are large. An unknown channel gets its epoch here, so that the position a reader starts
-- from is valid afterwards; a read keeps a channel's state alive.

local epoch, top, bytes, fresh = open_channel(ARGV[1], ARGV[2], ARGV[3])
if fresh then
  redis.call('HSET', meta, 'epoch', epoch, 'top', '0', 'bytes', '0')
end
redis.pcall('PEXPIRE', meta, meta_ttl_ms) -- what can be read is read, also while Redis refuses every write

-- Others may have written entries of any size. One that cannot be ours goes without its fields. A page of more
-- than a channel may have ends early; the reader goes on behind it.
local function bounded(page)
  local bytes = 0
  for i = 1, #page do
    local fields = page[i][2]
    local size = 16 * #fields
    for n = 1, #fields do
      size = size + #fields[n]
    end
    if size > max_entry_bytes then
      page[i][2], size = {}, 0
    end
    bytes = bytes + size
    if bytes > 2 * max_bytes and i > 1 then
      return {unpack(page, 1, i - 1)}
    end
  end
  return page
end

local limit, since_epoch, since = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local entries = {}
if limit > 0 and since_epoch == '' then
  entries = try('XREVRANGE', stream, '+', '-', 'COUNT', limit)
elseif limit > 0 and since_epoch == epoch and since < top then
  entries = try('XRANGE', stream, '(' .. decimal(since) .. '-0', '+', 'COUNT', limit)
end
return {epoch, decimal(top), bounded(entries or {})}
