-- Keeps a revocation. KEYS[1] hash: kind:subject -> "before_ms until_ms", and `until` -> when the last one ends.
-- ARGV: kind:subject, before_ms, until_ms. One about the same is merged: the later times hold.

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then
  redis.call('DEL', KEYS[1])
end

-- A time as servers write it: digits, up to the end of the year 9999. Whatever else stands there is replaced.
local function time_of(text)
  if text and string.match(text, '^%d+$') and #text < 16 and tonumber(text) <= 253402300799999 then
    return tonumber(text)
  end
  return 0
end

local before_ms, until_ms = tonumber(ARGV[2]), tonumber(ARGV[3])
local found = redis.call('HGET', KEYS[1], ARGV[1])
local old_before, old_until = string.match(found or '', '^(%d+) (%d+)$')
if time_of(old_until) > 0 then
  before_ms = math.max(before_ms, time_of(old_before))
  until_ms = math.max(until_ms, time_of(old_until))
end
local last_ms = math.max(until_ms, time_of(redis.call('HGET', KEYS[1], 'until')))
redis.call('HSET', KEYS[1],
  ARGV[1], string.format('%.0f %.0f', before_ms, until_ms),
  'until', string.format('%.0f', last_ms))
local time = redis.call('TIME')
local left_ms = last_ms - (time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(1, left_ms)))
return 1
