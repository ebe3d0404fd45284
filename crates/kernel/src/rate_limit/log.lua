-- An exact sliding window: the times of the requests admitted in the last ARGV[2] microseconds, at most ARGV[1] of them.
-- See login.rs. Returns 1 or 0 for admitted or refused, the number of further requests admitted, and after a refusal
-- the microseconds until one would be.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local key, limit, window = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = redis.call('LINDEX', key, 0)
while oldest and now - tonumber(oldest) > window do
  redis.call('LPOP', key)
  oldest = redis.call('LINDEX', key, 0)
end
local held = redis.call('LLEN', key)
if held >= limit then
  local frees = tonumber(redis.call('LINDEX', key, held - limit)) + window + 1
  return {0, 0, math.max(frees - now, 1)}
end
redis.call('RPUSH', key, string.format('%.0f', now))
redis.call('PEXPIRE', key, math.ceil(window / 1000) + 1)
return {1, limit - held - 1, 0}
