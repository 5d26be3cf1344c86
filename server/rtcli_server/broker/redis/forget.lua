-- Removes revocations that ended before a time. KEYS[1] hash: see revoke.lua. ARGV: that time in ms, then fields.
-- Whoever asks has read them a moment ago: one that was extended since then stays.

for i = 2, #ARGV do
  local until_ms = string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', '^%d+ (%d+)$')
  if until_ms and tonumber(until_ms) < tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
return 1
