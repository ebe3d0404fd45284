-- Raises the floor of a tag, and tells every process.
-- KEYS: the floor. ARGV: the version, the milliseconds to remember it, the channel, the tag.
if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
redis.call('PUBLISH', ARGV[3], ARGV[1] .. ' ' .. ARGV[4])
