-- The number of connections of one user. KEYS[1] hash: instance -> count.
-- ARGV: instance, count, ttl_ms, instances that are dead, separated by spaces. Returns the count elsewhere.

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then
  redis.call('DEL', KEYS[1])
end
for instance in string.gmatch(ARGV[4], '%S+') do
  redis.call('HDEL', KEYS[1], instance)
end
if ARGV[2] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local elsewhere = 0
local counts = redis.call('HGETALL', KEYS[1])
for i = 1, #counts, 2 do
  if counts[i] ~= ARGV[1] and string.match(counts[i + 1], '^%d+$') and #counts[i + 1] < 8 then
    elsewhere = elsewhere + tonumber(counts[i + 1])
  end
end
return elsewhere
