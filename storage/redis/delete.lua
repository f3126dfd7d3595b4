-- Removes a key if it has the expected revision, and publishes the change.
-- KEYS: the key. ARGV: expected revision ('*' any), channel.
-- Returns 1 if removed, 0 if the revision differs, -1 if the key does not exist.
if ARGV[1] ~= '*' then
  local now = redis.call('GET', KEYS[1])
  if not now or now == '' then return -1 end
  if redis.sha1hex(now) ~= ARGV[1] then return 0 end
end
if redis.call('DEL', KEYS[1]) == 0 then return -1 end
-- pcall: the key is removed, so a refused PUBLISH must not look like a refused delete.
redis.pcall('PUBLISH', ARGV[2], 'D')
return 1
