-- Raises the floors of tags, and tells every process.
-- KEYS: the floors. ARGV: the version, the milliseconds to remember it, the channel, the tags.
for index, key in ipairs(KEYS) do
    if tonumber(redis.call('GET', key) or 0) < tonumber(ARGV[1]) then
        redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    end
    redis.call('PUBLISH', ARGV[3], ARGV[1] .. ' ' .. ARGV[3 + index])
end
