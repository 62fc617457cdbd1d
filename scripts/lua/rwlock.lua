#!lua name=rwlock
-- Read-write lock: any number of readers, or one writer. Neither starves the other.
--
-- Promises: while a token holds the write lock, no other token holds either lock; while tokens hold the read lock, none
-- gets the write lock. Who does not get in waits in one line, in the order of first asking: a reader enters when no
-- writer holds or waits before it, a writer when nobody holds and it is the first. So a writer waits only for those who
-- were there before it, and so does a reader. To wait is to call again and again: each call keeps the caller's place for
-- wait_ms, and a place that was not kept so long is given up, so the dead hold nobody up for longer. Each reader has a
-- lifetime of its own. A token names one acquisition (draw a random one for each); a holder that acquires the same lock
-- again only gets a new lifetime. There is no way from one lock to the other but by releasing the first: asking for the
-- other one is an ERR.
--
--   rwlock_acquire_read   KEYS writer readers queue places  ARGS token ttl_ms wait_ms
--   rwlock_acquire_write  the same
--       {1, ttl_ms}: held from now on; {0, ms}: not yet. The lifetimes of those who hold it end in ms at the latest (0:
--       nobody holds, and who waits before the caller has not come yet). wait_ms 0: only if nobody is in the way;
--       leaves no place and gives up one held before.
--   rwlock_extend   KEYS writer readers        ARGS token ttl_ms   1: ends ttl_ms from now; 0: holds neither lock
--   rwlock_release  KEYS writer readers        ARGS token          1: released; 0: held neither, nothing changed
--   rwlock_cancel   KEYS queue places          ARGS token          1: gave up its place; 0: had none
--   rwlock_state    KEYS writer readers places  {writer or '', readers, waiting}: a token and two counts. Only reads
--
-- token: 1 to 256 bytes. ttl_ms: 1 to 31536000000 (a year). wait_ms: 0 to 86400000 (a day); at least three times the
-- pause between two calls. 10000 may wait and 100000 read; one more gets an ERR. Bad arguments change nothing.
--
-- Keeps: `writer`, a string with the token, that lives as long as the lock is held; `readers`, a sorted set of tokens by
-- the end of their lifetimes in microseconds, that lives as long as the last; `queue` and `places`, sorted sets of who
-- waits by ticket and by the time until which the place is kept, that live as long as the last place. All four must
-- share a slot. O(log n) with n readers or waiting; a reader that is let in also walks over the readers before it.
--
-- Expiry: after ttl_ms others get in, also if the holder still works. Extend well before the end, and stop work on 0.
-- Eviction, FLUSHALL, or a primary that dies before a replica has the keys: holders are forgotten and both promises of
--   exclusion break for the rest of their lifetimes. Give locks a server whose maxmemory-policy is noeviction.
-- Clock: all ends by the server's wall clock; a step forward ends it early, a step back late, by the step.

local TOKEN_BYTES_MAX = 256
local TTL_MS_MAX = 31536000000
local WAIT_MS_MAX = 86400000
local WAITING_MAX = 10000
local READERS_MAX = 100000
-- So many members are read or removed at a time, which the arguments of one command can hold.
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

-- By TIME like the ends of its members: the key must not be gone before the last of them.
local function live_until(key, us)
    local ms = math.ceil(us / 1000)
    if redis.call('PEXPIRETIME', key) < ms then redis.call('PEXPIREAT', key, ms) end
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

local function writer_waits_before(member, queue, places)
    local start = 0
    repeat
        local some = redis.call('ZRANGE', queue, start, start + CHUNK - 1)
        for _, other in ipairs(some) do
            if other == member then return false end
            if string.sub(other, 1, 2) == 'w:' and redis.call('ZSCORE', places, other) then return true end
        end
        start = start + CHUNK
    until #some < CHUNK
    return false
end

-- Refuses, and keeps the place of who waits.
local function not_yet(keys, member, now, wait_ms, writer)
    local queue, places = keys[3], keys[4]
    if wait_ms == 0 then
        redis.call('ZREM', queue, member)
        redis.call('ZREM', places, member)
    else
        if not redis.call('ZSCORE', queue, member) then
            if redis.call('ZCARD', queue) >= WAITING_MAX then
                return redis.error_reply('ERR too many wait for this lock')
            end
            local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
            redis.call('ZADD', queue, tonumber(last or '0') + 1, member)
        end
        local kept_until = now + wait_ms * 1000
        redis.call('ZADD', places, kept_until, member)
        live_until(queue, kept_until)
        live_until(places, kept_until)
    end
    if writer then return {0, redis.call('PTTL', keys[1])} end
    local last = redis.call('ZRANGE', keys[2], -1, -1, 'WITHSCORES')[2]
    return {0, last and math.ceil((tonumber(last) - now) / 1000) or 0}
end

local function parse(name, keys, args)
    local ttl_ms, wait_ms = integer(args[2], 1, TTL_MS_MAX), integer(args[3], 0, WAIT_MS_MAX)
    if #keys ~= 4 or #args ~= 3 or not is_token(args[1]) or not ttl_ms or not wait_ms then
        return redis.error_reply('ERR ' .. name .. ' takes the keys writer, readers, queue and places, a token, '
            .. 'a lifetime and a time to keep the place in milliseconds')
    end
    return nil, ttl_ms, wait_ms
end

local function rwlock_acquire_read(keys, args)
    local problem, ttl_ms, wait_ms = parse('rwlock_acquire_read', keys, args)
    if problem then return problem end
    local token, now = args[1], now_us()
    local readers, queue, places = keys[2], keys[3], keys[4]
    local writer = redis.call('GET', keys[1])
    if writer == token then
        return redis.error_reply('ERR the token holds the write lock')
    end
    redis.call('ZREMRANGEBYSCORE', readers, '-inf', now)
    if not redis.call('ZSCORE', readers, token) then
        local member = 'r:' .. token
        drop_lapsed(queue, places, now)
        if writer or writer_waits_before(member, queue, places) then
            return not_yet(keys, member, now, wait_ms, writer)
        end
        if redis.call('ZCARD', readers) >= READERS_MAX then
            return redis.error_reply('ERR too many read under this lock')
        end
        redis.call('ZREM', queue, member)
        redis.call('ZREM', places, member)
    end
    redis.call('ZADD', readers, now + ttl_ms * 1000, token)
    live_until(readers, now + ttl_ms * 1000)
    return {1, ttl_ms}
end

local function rwlock_acquire_write(keys, args)
    local problem, ttl_ms, wait_ms = parse('rwlock_acquire_write', keys, args)
    if problem then return problem end
    local token, now = args[1], now_us()
    local readers, queue, places = keys[2], keys[3], keys[4]
    local writer = redis.call('GET', keys[1])
    if writer == token then
        redis.call('PEXPIRE', keys[1], ttl_ms)
        return {1, ttl_ms}
    end
    redis.call('ZREMRANGEBYSCORE', readers, '-inf', now)
    if redis.call('ZSCORE', readers, token) then
        return redis.error_reply('ERR the token holds the read lock')
    end
    local member = 'w:' .. token
    drop_lapsed(queue, places, now)
    local first = first_of(queue, places)
    if writer or redis.call('ZCARD', readers) > 0 or (first and first ~= member) then
        return not_yet(keys, member, now, wait_ms, writer)
    end
    if first then
        redis.call('ZREM', queue, member)
        redis.call('ZREM', places, member)
    end
    redis.call('SET', keys[1], token, 'PX', ttl_ms)
    return {1, ttl_ms}
end

local function rwlock_extend(keys, args)
    local token, ttl_ms = args[1], integer(args[2], 1, TTL_MS_MAX)
    if #keys ~= 2 or #args ~= 2 or not is_token(token) or not ttl_ms then
        return redis.error_reply('ERR rwlock_extend takes the keys writer and readers, a token '
            .. 'and a lifetime in milliseconds')
    end
    if redis.call('GET', keys[1]) == token then return redis.call('PEXPIRE', keys[1], ttl_ms) end
    local now, ends = now_us(), redis.call('ZSCORE', keys[2], token)
    if not ends or tonumber(ends) <= now then return 0 end
    redis.call('ZADD', keys[2], now + ttl_ms * 1000, token)
    live_until(keys[2], now + ttl_ms * 1000)
    return 1
end

local function rwlock_release(keys, args)
    local token = args[1]
    if #keys ~= 2 or #args ~= 1 or not is_token(token) then
        return redis.error_reply('ERR rwlock_release takes the keys writer and readers, and a token')
    end
    if redis.call('GET', keys[1]) == token then return redis.call('DEL', keys[1]) end
    local ends = redis.call('ZSCORE', keys[2], token)
    if not ends then return 0 end
    redis.call('ZREM', keys[2], token)
    return tonumber(ends) > now_us() and 1 or 0
end

local function rwlock_cancel(keys, args)
    if #keys ~= 2 or #args ~= 1 or not is_token(args[1]) then
        return redis.error_reply('ERR rwlock_cancel takes the keys queue and places, and a token')
    end
    local now, had = now_us(), 0
    for _, member in ipairs({'r:' .. args[1], 'w:' .. args[1]}) do
        local kept_until = redis.call('ZSCORE', keys[2], member)
        if kept_until and tonumber(kept_until) > now then had = 1 end
        redis.call('ZREM', keys[1], member)
        redis.call('ZREM', keys[2], member)
    end
    return had
end

local function rwlock_state(keys, args)
    if #keys ~= 3 or #args ~= 0 then
        return redis.error_reply('ERR rwlock_state takes the keys writer, readers and places')
    end
    local from = string.format('(%.0f', now_us())
    local readers = redis.call('ZCOUNT', keys[2], from, '+inf')
    return {redis.call('GET', keys[1]) or '', readers, redis.call('ZCOUNT', keys[3], from, '+inf')}
end

if redis.register_function then
    redis.register_function('rwlock_acquire_read', rwlock_acquire_read)
    redis.register_function('rwlock_acquire_write', rwlock_acquire_write)
    redis.register_function {function_name = 'rwlock_extend', callback = rwlock_extend, flags = {'allow-oom'}}
    redis.register_function {function_name = 'rwlock_release', callback = rwlock_release, flags = {'allow-oom'}}
    redis.register_function {function_name = 'rwlock_cancel', callback = rwlock_cancel, flags = {'allow-oom'}}
    redis.register_function {function_name = 'rwlock_state', callback = rwlock_state, flags = {'no-writes'}}
end
