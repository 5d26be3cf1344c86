-- Who is in one room, over all instances, as one step: remove users, add users, notify of changes.
-- KEYS[1] hash: instance -> '1' for each that has users there. KEYS[2] hash: user -> 'INSTANCE INSTANCE\nNAME'.
-- ARGV: instance; '1' it has users there, '0' it has none, '' it only reads; ttl_ms; limit; pub/sub channel;
-- instances that are dead, separated by spaces; then for each change '+' user name, or '-' user ''.
-- Returns {count, {instance, ...}, {user, value, ...}}.

local instances, users = KEYS[1], KEYS[2]
local own, here, ttl_ms, limit, pubsub_channel = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]

local function hash_at(key) -- a key of another type is foreign
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'hash' and kind ~= 'none' then
    redis.call('DEL', key)
  end
end
hash_at(instances)
hash_at(users)

local function notify(kind, user, name)
  redis.call('PUBLISH', pubsub_channel, '0 ' .. cjson.encode({kind = kind, user = user, name = name}))
end

local function read(value)
  return string.match(value or '', '^([^\n]*)\n(.*)$')
end

local function remove(user, value, gone)
  local places, name = read(value)
  local kept = {}
  for place in string.gmatch(places or '', '%S+') do
    if not gone[place] then
      table.insert(kept, place)
    end
  end
  local left = table.concat(kept, ' ')
  if left == '' then
    redis.call('HDEL', users, user)
    notify('left', user, name or '')
  elseif left ~= places then
    redis.call('HSET', users, user, left .. '\n' .. name)
  end
end

local gone, some = {}, false
for instance in string.gmatch(ARGV[6], '%S+') do
  if redis.call('HDEL', instances, instance) == 1 then
    gone[instance], some = true, true
  end
end
if some then
  local all = redis.call('HGETALL', users)
  for i = 1, #all, 2 do
    remove(all[i], all[i + 1], gone)
  end
end

for i = 7, #ARGV, 3 do
  local user, name = ARGV[i + 1], ARGV[i + 2]
  local value = redis.call('HGET', users, user)
  local places = read(value)
  if ARGV[i] == '-' then
    if value then
      remove(user, value, {[own] = true})
    end
  elseif not places or places == '' then
    redis.call('HSET', users, user, own .. '\n' .. name)
    notify('joined', user, name)
  else
    if not string.find(places, own, 1, true) then
      places = places .. ' ' .. own
    end
    redis.call('HSET', users, user, places .. '\n' .. name)
  end
end

if here ~= '' then
  if here == '1' then
    redis.call('HSET', instances, own, '1')
  else
    redis.call('HDEL', instances, own)
  end
  redis.call('PEXPIRE', instances, ttl_ms)
  redis.call('PEXPIRE', users, ttl_ms)
end

local shown = {}
local cursor = '0'
while limit > 0 and #shown < 2 * limit do
  local page = redis.call('HSCAN', users, cursor, 'COUNT', limit)
  for _, text in ipairs(page[2]) do
    table.insert(shown, text)
  end
  cursor = page[1]
  if cursor == '0' then
    break
  end
end
return {redis.call('HLEN', users), redis.call('HKEYS', instances), shown}
