-- Adds a member to a set. The set is a sorted set whose scores are the members'
-- expiry in Unix ms of the server's clock, so nodes need not agree on the time.
-- KEYS: the set. ARGV: member, ttl in ms (0: none).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = '+inf'
if ARGV[2] ~= '0' then expiry = string.format('%.0f', now + ARGV[2]) end
redis.call('ZADD', KEYS[1], expiry, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
-- The set expires with its last member.
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] == 'inf' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last[2]))
end
return 1
