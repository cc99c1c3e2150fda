-- Give the lifetime of ARGV[1] milliseconds, "" for ever, to a key that is there.
if ARGV[1] ~= '' then
    return redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
redis.call('PERSIST', KEYS[1])
return redis.call('EXISTS', KEYS[1])
