-- One page of a channel and its top, as one snapshot.
-- ARGV: new epoch, known epoch, known offset, limit, since epoch ('': the last ones), since offset.
-- Returns {epoch, top, entries}. An unknown channel gets its epoch here, so that the position a reader starts
-- from is valid afterwards; a read keeps a channel's state alive.

local epoch, top, bytes, fresh = open_channel(ARGV[1], ARGV[2], ARGV[3])
if fresh then
  redis.call('HSET', meta, 'epoch', epoch, 'top', '0', 'bytes', '0')
end
redis.pcall('PEXPIRE', meta, meta_ttl_ms) -- what can be read is read, also while Redis refuses every write

local limit, since_epoch, since = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local entries = {}
if limit > 0 and since_epoch == '' then
  entries = try('XREVRANGE', stream, '+', '-', 'COUNT', limit)
elseif limit > 0 and since_epoch == epoch and since < top then
  entries = try('XRANGE', stream, '(' .. decimal(since) .. '-0', '+', 'COUNT', limit)
end
return {epoch, decimal(top), entries or {}}
