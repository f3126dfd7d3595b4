-- Removes a key if its content is the expected one, and tells the watches.
-- KEYS: the key. ARGV: expected revision ('*' whatever), channel.
-- Returns 1 if removed, 0 if the revision is another, -1 if the key is not there.
if ARGV[1] ~= '*' then
  local now = redis.call('GET', KEYS[1])
  if not now or now == '' then return -1 end
  if redis.sha1hex(now) ~= ARGV[1] then return 0 end
end
if redis.call('DEL', KEYS[1]) == 0 then return -1 end
redis.pcall('PUBLISH', ARGV[2], 'D')
return 1
