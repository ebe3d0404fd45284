-- Stores a value unless it is outdated, too old, or older than what is there, and gives the caller's lease back.
-- KEYS: value, floor, lease. ARGV: the version, the milliseconds to keep the value since it was read, the token of the
-- lease, the value.
if redis.call('GET', KEYS[3]) == ARGV[3] then
    redis.call('DEL', KEYS[3])
end
local version = tonumber(ARGV[1])
if tonumber(redis.call('GET', KEYS[2]) or 0) > version then
    return 0
end
local known = string.match(redis.call('GETRANGE', KEYS[1], 0, 20), '^%d+')
if known and tonumber(known) > version then
    return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left = string.match(ARGV[4], '^%d+ (%d+)') + ARGV[2] - now
if left <= 0 then
    return 0
end
redis.call('SET', KEYS[1], ARGV[4], 'PX', string.format('%d', left))
return 1
