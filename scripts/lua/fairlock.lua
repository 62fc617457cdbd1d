#!lua name=fairlock
-- Fair lock: one holder at a time, in the order in which they first asked, each with a fencing token that only grows.
--
-- Promises: while a token holds the lock, no other token gets it. A free lock goes to who asked first among those that
-- still wait; nobody overtakes. To wait is to call fairlock_acquire again and again: each call keeps the caller's place
-- for wait_ms, and a place that was not kept so long is given up, so the dead hold nobody up for longer. A token names
-- one acquisition (draw a random one for each); the holder that acquires again gets the same fence and a new lifetime.
-- Each acquisition gets a greater fence than all before it, also after the lock was released or its lifetime ended: the
-- fence is the greater of the last one plus 1 and the server's time in microseconds. Hand it to the resource that the
-- lock guards, and have that refuse a smaller fence than it has seen: then a holder that overslept does no damage.
--
--   fairlock_acquire  KEYS lock queue places  ARGS token ttl_ms wait_ms
--       {1, fence, ttl_ms}: held from now on; {0, ahead, ms}: not yet. `ahead` wait before the caller (all that wait, if
--       it has no place), and the holder's lifetime ends in ms (0: the lock is free, and who is first has not come yet).
--       wait_ms 0: only if it is free and nobody waits; leaves no place and gives up one held before.
--   fairlock_extend   KEYS lock               ARGS token ttl_ms   1: ends ttl_ms from now; 0: not the holder
--   fairlock_release  KEYS lock               ARGS token          1: free; 0: not the holder, nothing changed
--   fairlock_cancel   KEYS queue places       ARGS token          1: gave up its place; 0: had none
--   fairlock_state    KEYS lock queue places  {holder, fence, ms, waiting}: holder '' and ms 0 when it is free, the last
--                                             fence (0: not known), and how many wait. Only reads
--
-- token: 1 to 256 bytes. ttl_ms: 1 to 31536000000 (a year). wait_ms: 0 to 86400000 (a day); at least three times the
-- pause between two calls. 10000 may wait; one more gets an ERR. Bad arguments are an ERR and change nothing.
--
-- Keeps: `lock`, a hash (owner, until in microseconds, fence) that lives 7 days past the end of the lifetime; `queue` and
-- `places`, sorted sets of the waiting tokens by ticket and by the time until which the place is kept, that live as long
-- as the last place. All three must share a slot: job, job:queue and job:places as {job}, {job}:queue and {job}:places.
-- O(log n) with n waiting, and once O(log n) for each place that was given up.
--
-- Expiry: after ttl_ms the next one gets the lock, also if the holder still works: that is what the fence is for.
-- Eviction, FLUSHALL, or a primary that dies before a replica has the keys: the lock is free early and places are lost,
--   but fences still grow, since they are no less than the time. Without `lock` they grow unless the clock has stepped
--   back behind the last acquisition.
-- Clock: lifetimes and places end by the server's wall clock; a step forward ends them early, a step back late, by the
--   step. Fences grow whatever the clock does, as long as `lock` is kept: a step back by 7 days and more is outside.

local TOKEN_BYTES_MAX = 256
local TTL_MS_MAX = 31536000000
local WAIT_MS_MAX = 86400000
local WAITING_MAX = 10000
local FENCE_MEMORY_MS = 604800000
-- Given-up places are removed so many at a time, which the arguments of one command can hold.
local CHUNK = 100

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

-- The holder and when its lifetime ends, both nil when the lock is free; and the last fence.
local function read_lock(lock, now)
    local values = redis.call('HMGET', lock, 'owner', 'until', 'fence')
    local fence = tonumber(values[3] or '0')
    if values[1] and tonumber(values[2]) > now then
        return values[1], tonumber(values[2]), fence
    end
    return nil, nil, fence
end

local function hold(lock, token, now, ttl_ms, fence)
    redis.call('HSET', lock, 'owner', token, 'until', now + ttl_ms * 1000, 'fence', fence)
    redis.call('PEXPIRE', lock, ttl_ms + FENCE_MEMORY_MS)
end

local function drop_lapsed(queue, places, now)
    repeat
        local lapsed = redis.call('ZRANGEBYSCORE', places, '-inf', now, 'LIMIT', 0, CHUNK)
        if #lapsed > 0 then
            redis.call('ZREM', queue, unpack(lapsed))
            redis.call('ZREM', places, unpack(lapsed))
        end
    until #lapsed < CHUNK
end

-- Who is first; whoever has no place any more (because `places` was evicted) is passed over.
local function first_of(queue, places)
    while true do
        local first = redis.call('ZRANGE', queue, 0, 0)[1]
        if not first or redis.call('ZSCORE', places, first) then return first end
        redis.call('ZREM', queue, first)
    end
end

-- By TIME like the ends of its members: the key must not be gone before the last of them.
local function live_until(key, us)
    local ms = math.ceil(us / 1000)
    if redis.call('PEXPIRETIME', key) < ms then redis.call('PEXPIREAT', key, ms) end
end

local function keep_place(queue, places, token, now, wait_ms)
    if not redis.call('ZSCORE', queue, token) then
        local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
        redis.call('ZADD', queue, tonumber(last or '0') + 1, token)
    end
    local kept_until = now + wait_ms * 1000
    redis.call('ZADD', places, kept_until, token)
    live_until(queue, kept_until)
    live_until(places, kept_until)
end

local function leave(queue, places, token)
    redis.call('ZREM', queue, token)
    redis.call('ZREM', places, token)
end

local function fairlock_acquire(keys, args)
    local token = args[1]
    local ttl_ms, wait_ms = integer(args[2], 1, TTL_MS_MAX), integer(args[3], 0, WAIT_MS_MAX)
    if #keys ~= 3 or #args ~= 3 or not is_token(token) or not ttl_ms or not wait_ms then
        return redis.error_reply('ERR fairlock_acquire takes the keys lock, queue and places, a token, '
            .. 'a lifetime and a time to keep the place in milliseconds')
    end
    local lock, queue, places = keys[1], keys[2], keys[3]
    local now = now_us()
    local owner, ends, fence = read_lock(lock, now)
    if owner == token then
        hold(lock, token, now, ttl_ms, fence)
        return {1, fence, ttl_ms}
    end
    drop_lapsed(queue, places, now)
    local first = first_of(queue, places)
    if not owner and (not first or first == token) then
        if first then leave(queue, places, token) end
        fence = math.max(fence + 1, now)
        hold(lock, token, now, ttl_ms, fence)
        return {1, fence, ttl_ms}
    end
    if wait_ms == 0 then
        leave(queue, places, token)
    elseif redis.call('ZCARD', queue) >= WAITING_MAX and not redis.call('ZSCORE', queue, token) then
        return redis.error_reply('ERR too many wait for this lock')
    else
        keep_place(queue, places, token, now, wait_ms)
    end
    local ahead = redis.call('ZRANK', queue, token) or redis.call('ZCARD', queue)
    return {0, ahead, owner and math.ceil((ends - now) / 1000) or 0}
end

local function fairlock_extend(keys, args)
    local token, ttl_ms = args[1], integer(args[2], 1, TTL_MS_MAX)
    if #keys ~= 1 or #args ~= 2 or not is_token(token) or not ttl_ms then
        return redis.error_reply('ERR fairlock_extend takes the key lock, a token and a lifetime in milliseconds')
    end
    local now = now_us()
    local owner, _, fence = read_lock(keys[1], now)
    if owner ~= token then return 0 end
    hold(keys[1], token, now, ttl_ms, fence)
    return 1
end

local function fairlock_release(keys, args)
    if #keys ~= 1 or #args ~= 1 or not is_token(args[1]) then
        return redis.error_reply('ERR fairlock_release takes the key lock and a token')
    end
    if read_lock(keys[1], now_us()) ~= args[1] then return 0 end
    redis.call('HDEL', keys[1], 'owner', 'until')
    redis.call('PEXPIRE', keys[1], FENCE_MEMORY_MS)
    return 1
end

local function fairlock_cancel(keys, args)
    if #keys ~= 2 or #args ~= 1 or not is_token(args[1]) then
        return redis.error_reply('ERR fairlock_cancel takes the keys queue and places, and a token')
    end
    local kept_until = redis.call('ZSCORE', keys[2], args[1])
    leave(keys[1], keys[2], args[1])
    return kept_until and tonumber(kept_until) > now_us() and 1 or 0
end

local function fairlock_state(keys, args)
    if #keys ~= 3 or #args ~= 0 then
        return redis.error_reply('ERR fairlock_state takes the keys lock, queue and places')
    end
    local now = now_us()
    local owner, ends, fence = read_lock(keys[1], now)
    local waiting = redis.call('ZCOUNT', keys[3], string.format('(%.0f', now), '+inf')
    return {owner or '', fence, owner and math.ceil((ends - now) / 1000) or 0, waiting}
end

if redis.register_function then
    redis.register_function('fairlock_acquire', fairlock_acquire)
    redis.register_function {function_name = 'fairlock_extend', callback = fairlock_extend, flags = {'allow-oom'}}
    redis.register_function {function_name = 'fairlock_release', callback = fairlock_release, flags = {'allow-oom'}}
    redis.register_function {function_name = 'fairlock_cancel', callback = fairlock_cancel, flags = {'allow-oom'}}
    redis.register_function {function_name = 'fairlock_state', callback = fairlock_state, flags = {'no-writes'}}
end
