#!lua name=lock
-- Lock: one holder at a time, known by its token, for a lifetime that the holder may extend.
--
-- Promises: while a token holds the lock, no other token gets it. Only the holder's token extends or releases it. A
-- holder that dies loses it when its lifetime ends. A token names one acquisition: draw a new random one for each (128
-- bits are plenty); who acquires again with the token that holds is the same holder, so a call that was sent twice
-- because its reply got lost does no harm. There is no queue: who asks first after the end gets it (fairlock has one).
--
--   lock_acquire  KEYS lock  ARGS token ttl_ms   {1, ttl_ms}: held from now on; {0, ms}: another token's for ms more
--                                                (-1: for ever, by a key that this library did not make)
--   lock_extend   KEYS lock  ARGS token ttl_ms   1: ends ttl_ms from now, be that later or earlier; 0: not the holder
--   lock_release  KEYS lock  ARGS token          1: free; 0: not the holder, nothing changed
--   lock_holder   KEYS lock                      {token, ms}: whose and for how long; nil: free. Only reads
--
-- token: 1 to 256 bytes. ttl_ms: 1 to 31536000000 (a year). Anything else is an ERR and changes nothing.
--
-- Keeps: the key `lock`, a string with the token, that lives as long as the lock is held. O(1) each.
-- Expiry: after ttl_ms another token gets the lock, also if the holder still works; what it does then should be refused
--   by the resource itself (see the fencing tokens of fairlock). Extend well before the end, and stop work on 0.
-- Eviction, FLUSHALL, or a primary that dies before a replica has the key: the lock is free early. Give locks a server
--   whose maxmemory-policy is noeviction.
-- Clock: lifetimes end by the server's wall clock. A step forward ends locks early, a step back late, by the step.

local TOKEN_BYTES_MAX = 256
local TTL_MS_MAX = 31536000000

local function integer(text, min, max)
    if not text or #text > 16 or not string.find(text, '^%d+$') then return nil end
    local number = tonumber(text)
    if number < min or number > max then return nil end
    return number
end

local function is_token(text)
    return text and #text >= 1 and #text <= TOKEN_BYTES_MAX
end

local function lock_acquire(keys, args)
    local token, ttl_ms = args[1], integer(args[2], 1, TTL_MS_MAX)
    if #keys ~= 1 or #args ~= 2 or not is_token(token) or not ttl_ms then
        return redis.error_reply('ERR lock_acquire takes a key, a token and a lifetime in milliseconds')
    end
    if redis.call('SET', keys[1], token, 'NX', 'PX', ttl_ms) then return {1, ttl_ms} end
    if redis.call('GET', keys[1]) == token then
        redis.call('PEXPIRE', keys[1], ttl_ms)
        return {1, ttl_ms}
    end
    return {0, redis.call('PTTL', keys[1])}
end

local function lock_extend(keys, args)
    local token, ttl_ms = args[1], integer(args[2], 1, TTL_MS_MAX)
    if #keys ~= 1 or #args ~= 2 or not is_token(token) or not ttl_ms then
        return redis.error_reply('ERR lock_extend takes a key, a token and a lifetime in milliseconds')
    end
    if redis.call('GET', keys[1]) ~= token then return 0 end
    return redis.call('PEXPIRE', keys[1], ttl_ms)
end

local function lock_release(keys, args)
    if #keys ~= 1 or #args ~= 1 or not is_token(args[1]) then
        return redis.error_reply('ERR lock_release takes a key and a token')
    end
    if redis.call('GET', keys[1]) ~= args[1] then return 0 end
    return redis.call('DEL', keys[1])
end

local function lock_holder(keys, args)
    if #keys ~= 1 or #args ~= 0 then
        return redis.error_reply('ERR lock_holder takes a key')
    end
    local token = redis.call('GET', keys[1])
    if not token then return false end
    return {token, redis.call('PTTL', keys[1])}
end

if redis.register_function then
    redis.register_function('lock_acquire', lock_acquire)
    redis.register_function {function_name = 'lock_extend', callback = lock_extend, flags = {'allow-oom'}}
    redis.register_function {function_name = 'lock_release', callback = lock_release, flags = {'allow-oom'}}
    redis.register_function {function_name = 'lock_holder', callback = lock_holder, flags = {'no-writes'}}
end
