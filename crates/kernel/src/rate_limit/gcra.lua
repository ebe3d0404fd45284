-- GCRA over one or more keys, all or nothing: see gcra.rs, whose arithmetic this repeats.
-- KEYS: each holds a theoretical arrival time, in microseconds of Redis' own clock. ARGV: of each, cost, horizon, and how
-- many requests to admit if there is room. More than one is a lease: at most a quarter of the room.
-- Returns 1 or 0 for admitted or refused, then of each key how far it is ahead of now and how many requests were admitted.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = redis.call('MGET', unpack(KEYS))
local answer = {1}
for i = 1, #KEYS do
  local cost, horizon = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  local ahead = (tonumber(stored[i]) or now) - now
  -- The clock was set back, or this is another node with another one.
  if ahead > horizon + 1000000 then
    ahead = 0
  end
  local backlog = math.min(math.max(ahead, 0), horizon)
  local room = math.floor((horizon - backlog) / cost)
  if room < 1 then
    answer[1] = 0
  end
  answer[2 * i] = backlog
  answer[2 * i + 1] = math.max(1, math.min(tonumber(ARGV[3 * i]), math.floor(room / 4)))
end
for i = 1, #KEYS do
  if answer[1] == 1 then
    local backlog = answer[2 * i] + answer[2 * i + 1] * tonumber(ARGV[3 * i - 2])
    redis.call('SET', KEYS[i], string.format('%.0f', now + backlog), 'PX', math.ceil(backlog / 1000))
    answer[2 * i] = backlog
  else
    answer[2 * i + 1] = 0
  end
end
return answer
