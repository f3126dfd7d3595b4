-- Stores a value if the key has the expected revision, and publishes the change.
-- KEYS: the key. ARGV: expected revision ('' absent, '*' any), value, ttl in ms
-- (0: none), channel. Returns 1 if stored, 0 if the revision differs.
if ARGV[1] ~= '*' then
  local now = redis.call('GET', KEYS[1])
  local revision = ''
  if now and now ~= '' then revision = redis.sha1hex(now) end
  if revision ~= ARGV[1] then return 0 end
end
if ARGV[3] == '0' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
-- pcall: the value is stored, so a refused PUBLISH must not look like a refused swap.
redis.pcall('PUBLISH', ARGV[4], 'W' .. ARGV[2])
return 1
