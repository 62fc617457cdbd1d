#!lua name=semaphore
-- Semaphore: at most `limit` holders at a time, each with a lease of its own.
--
-- Promises: at no time do more than `limit` tokens hold a lease, if all callers give the same limit; a smaller one lets
-- nobody in until enough leases have ended, and takes none away. Leases end one by one, each ttl_ms after its holder
-- last acquired or extended it, so a holder that dies gives up its own and nothing else. A token names one acquisition
-- (draw a random one for each); a holder that acquires again only gets a new lease. There is no queue: who asks first
-- after a lease has ended gets it.
--
--   semaphore_acquire  KEYS semaphore  ARGS token limit ttl_ms   {1, free}: held from now on, `free` are left;
--                                                                {0, ms}: all taken, the next lease ends in ms
--   semaphore_extend   KEYS semaphore  ARGS token ttl_ms         1: the lease ends ttl_ms from now; 0: holds none
--   semaphore_release  KEYS semaphore  ARGS token                1: given back; 0: held none, nothing changed
--   semaphore_held     KEYS semaphore                            how many hold a lease. Only reads
--
-- token: 1 to 256 bytes. limit: 1 to 1000000. ttl_ms: 1 to 31536000000 (a year). Anything else is an ERR.
--
-- Keeps: the key `semaphore`, a sorted set of tokens by the end of their leases in microseconds, that lives as long as
-- the last of them. O(log n) with n holders, and once O(log n) for each lease that has ended.
-- Expiry: a lease that was not extended is another's, also if its holder still works: extend in time, stop work on 0.
-- Eviction, FLUSHALL, or a primary that dies before a replica has the key: all leases are forgotten, and up to `limit`
--   more get in. Give semaphores a server whose maxmemory-policy is noeviction.
-- Clock: leases end by the server's wall clock; a step forward ends them early, a step back late, by the step.

local TOKEN_BYTES_MAX = 256
local TTL_MS_MAX = 31536000000
local LIMIT_MAX = 1000000

local function integer(text, min, max)
    if not text or #text > 16 or not string.find(text, '^%d+$') then return nil end
    local number = tonumber(text)
    if number < min or number > max then return nil end
    return number
end

local function is_token(text)
    return text and #text >= 1 and #text <= TOKEN_BYTES_MAX
end

local function now_us()
    local time = redis.call('TIME')
    return time[1] * 1000000 + time[2]
end

local function lease(semaphore, token, now, ttl_ms)
    local ends = now + ttl_ms * 1000
    redis.call('ZADD', semaphore, ends, token)
    -- By TIME like the leases: the key must not be gone before the last of them.
    local ends_ms = math.ceil(ends / 1000)
    if redis.call('PEXPIRETIME', semaphore) < ends_ms then redis.call('PEXPIREAT', semaphore, ends_ms) end
end

local function semaphore_acquire(keys, args)
    local token = args[1]
    local limit, ttl_ms = integer(args[2], 1, LIMIT_MAX), integer(args[3], 1, TTL_MS_MAX)
    if #keys ~= 1 or #args ~= 3 or not is_token(token) or not limit or not ttl_ms then
        return redis.error_reply('ERR semaphore_acquire takes a key, a token, a limit and a lease in milliseconds')
    end
    local now = now_us()
    redis.call('ZREMRANGEBYSCORE', keys[1], '-inf', now)
    local held = redis.call('ZCARD', keys[1])
    if redis.call('ZSCORE', keys[1], token) then
        held = held - 1
    elseif held >= limit then
        -- With a limit that was greater before, several leases must end.
        local next = redis.call('ZRANGE', keys[1], held - limit, held - limit, 'WITHSCORES')[2]
        return {0, math.ceil((tonumber(next) - now) / 1000)}
    end
    lease(keys[1], token, now, ttl_ms)
    return {1, math.max(limit - held - 1, 0)}
end

local function semaphore_extend(keys, args)
    local token, ttl_ms = args[1], integer(args[2], 1, TTL_MS_MAX)
    if #keys ~= 1 or #args ~= 2 or not is_token(token) or not ttl_ms then
        return redis.error_reply('ERR semaphore_extend takes a key, a token and a lease in milliseconds')
    end
    local now, ends = now_us(), redis.call('ZSCORE', keys[1], token)
    if not ends or tonumber(ends) <= now then return 0 end
    lease(keys[1], token, now, ttl_ms)
    return 1
end

local function semaphore_release(keys, args)
    if #keys ~= 1 or #args ~= 1 or not is_token(args[1]) then
        return redis.error_reply('ERR semaphore_release takes a key and a token')
    end
    local ends = redis.call('ZSCORE', keys[1], args[1])
    if not ends then return 0 end
    redis.call('ZREM', keys[1], args[1])
    return tonumber(ends) > now_us() and 1 or 0
end

local function semaphore_held(keys, args)
    if #keys ~= 1 or #args ~= 0 then
        return redis.error_reply('ERR semaphore_held takes a key')
    end
    return redis.call('ZCOUNT', keys[1], string.format('(%.0f', now_us()), '+inf')
end

if redis.register_function then
    redis.register_function('semaphore_acquire', semaphore_acquire)
    redis.register_function {function_name = 'semaphore_extend', callback = semaphore_extend, flags = {'allow-oom'}}
    redis.register_function {function_name = 'semaphore_release', callback = semaphore_release, flags = {'allow-oom'}}
    redis.register_function {function_name = 'semaphore_held', callback = semaphore_held, flags = {'no-writes'}}
end
