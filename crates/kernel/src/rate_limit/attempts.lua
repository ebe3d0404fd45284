-- Exact sliding windows over one or more keys, all or none: see attempts.rs.
-- KEYS: each holds the times of the attempts that count, in microseconds of Redis' own clock. ARGV: quota and window of
-- each. Returns 0 and the time of the attempt, or the number of the key that refuses and the microseconds until it would
-- not.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i, key in ipairs(KEYS) do
  local quota, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local oldest = redis.call('LINDEX', key, 0)
  while oldest and now - tonumber(oldest) > window do
    redis.call('LPOP', key)
    oldest = redis.call('LINDEX', key, 0)
  end
  local count = redis.call('LLEN', key)
  if count >= quota then
    local frees = tonumber(redis.call('LINDEX', key, count - quota)) + window + 1
    return {i, math.max(frees - now, 1)}
  end
end
for i, key in ipairs(KEYS) do
  redis.call('RPUSH', key, string.format('%.0f', now))
  redis.call('PEXPIRE', key, math.ceil(tonumber(ARGV[2 * i]) / 1000) + 1)
end
return {0, now}
