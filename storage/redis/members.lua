-- Returns one page of a set's members. KEYS: the set. ARGV: cursor ('0' to start).
-- Returns the next cursor ('0' at the end), then the members that have not expired.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local page = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', 500)
local reply = { page[1] }
for i = 1, #page[2], 2 do
  local score = page[2][i + 1]
  if score == 'inf' or tonumber(score) > now then
    reply[#reply + 1] = page[2][i]
  end
end
return reply
