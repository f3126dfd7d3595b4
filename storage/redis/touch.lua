-- Sets the ttl of a key. KEYS: the key. ARGV: ttl in ms (0: none).
-- Returns 1, or 0 if the key does not exist.
if redis.call('STRLEN', KEYS[1]) == 0 then return 0 end
if ARGV[1] == '0' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 1
