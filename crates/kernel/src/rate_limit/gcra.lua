-- GCRA over one or more keys, all or nothing: see gcra.rs, whose arithmetic this repeats.
-- KEYS: each holds a theoretical arrival time, in microseconds of Redis' own clock. ARGV: cost and horizon of each.
-- Returns 1 or 0 for admitted or refused, then how far ahead of now each key is.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local held = redis.call('MGET', unpack(KEYS))
local answer = {1}
for i = 1, #KEYS do
  local cost, horizon = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local backlog = math.min(math.max((tonumber(held[i]) or now) - now, 0), horizon)
  if backlog + cost > horizon then
    answer[1] = 0
  end
  answer[i + 1] = backlog
end
if answer[1] == 1 then
  for i = 1, #KEYS do
    local backlog = answer[i + 1] + tonumber(ARGV[2 * i - 1])
    redis.call('SET', KEYS[i], string.format('%.0f', now + backlog), 'PX', math.ceil(backlog / 1000))
    answer[i + 1] = backlog
  end
end
return answer
