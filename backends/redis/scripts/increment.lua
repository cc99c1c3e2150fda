-- Add ARGV[1] to a number that is there; counting down stops at ARGV[2]. An absent one is created
-- with ARGV[3], if that is given, for ARGV[4] milliseconds, "" for ever.
-- The count is returned as text: a number of Lua holds 53 bits only.
if redis.call('EXISTS', KEYS[1]) == 0 then
    if not ARGV[3] then
        return false
    end
    if ARGV[4] == '' then
        redis.call('SET', KEYS[1], ARGV[3])
    elseif string.sub(ARGV[4], 1, 1) ~= '-' and ARGV[4] ~= '0' then
        redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
    end
    return ARGV[3]
end
local reply = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(reply) == 'table' and reply.err then
    if not (string.find(reply.err, 'overflow') and string.sub(ARGV[1], 1, 1) == '-') then
        return reply
    end
    redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
end
return redis.call('GET', KEYS[1])
