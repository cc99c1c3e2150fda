-- Before a script that would change a key of whatever type: refuse what is no string.
local kind = redis.pcall('TYPE', KEYS[1])
if kind.err then
    -- A user without that right finds out by what it has.
    local value = redis.pcall('GET', KEYS[1])
    if type(value) == 'table' and value.err then
        return value
    end
elseif kind.ok ~= 'string' and kind.ok ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. kind.ok)
end
