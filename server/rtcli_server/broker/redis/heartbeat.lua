-- One heartbeat. KEYS[1] sorted set: instance -> end of its lease (ms since 1970, by the clock of Redis).
-- ARGV: instance, lease_ms. Returns {whether its lease was running, {instance, ...}}: all whose leases run.

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'zset' and kind ~= 'none' then
  redis.call('DEL', KEYS[1])
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local remembered = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', 2 * ARGV[2]))
return {remembered, redis.call('ZRANGE', KEYS[1], 0, -1)}
