-- Store ARGV[1] if there is something, for ARGV[2] milliseconds, "" for ever.
local stored
if ARGV[2] == '' then
    stored = redis.call('SET', KEYS[1], ARGV[1], 'XX')
elseif string.sub(ARGV[2], 1, 1) == '-' or ARGV[2] == '0' then
    return redis.call('DEL', KEYS[1])
else
    stored = redis.call('SET', KEYS[1], ARGV[1], 'XX', 'PX', ARGV[2])
end
return stored and 1 or 0
