-- Returns the value of a key unless it is outdated, the time in milliseconds, the floor of the key's tag, and whether the
-- caller has the lease to read the source, which is given while there is no fresh value.
-- KEYS: value, floor, lease. ARGV: the caller's token, the milliseconds of a lease.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local floor = tonumber(redis.call('GET', KEYS[2]) or 0)
local value = redis.call('GET', KEYS[1])
if value then
    local version, read_at, ttl = string.match(value, '^(%d+) (%d+) (%d+) ')
    if tonumber(version) < floor then
        value = false
    elseif now < read_at + ttl then
        return { value, now, floor, 0 }
    end
end
local leased = redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[2])
return { value, now, floor, leased and 1 or 0 }
