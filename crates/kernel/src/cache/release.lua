-- Gives a lease back. KEYS: the lease. ARGV: its token.
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
