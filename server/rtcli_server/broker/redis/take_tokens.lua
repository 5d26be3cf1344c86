-- A user's token bucket, shared by all instances: "virtual scheduling" of GCRA (ITU-T I.371).
-- KEYS[1]: when it will be full again (microseconds since 1970, by the clock of Redis).
-- ARGV: tokens taken, interval between two tokens in microseconds. Returns the microseconds until it is full.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local found = redis.pcall('GET', KEYS[1])
local full = type(found) == 'string' and tonumber(found) or 0
if full < now or full > now + 86400e6 then -- no bucket takes a day to be full: that is not ours
  full = now
end
full = full + ARGV[1] * ARGV[2]
local ahead = full - now
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', string.format('%.0f', math.ceil(ahead / 1000) + 1))
return ahead
