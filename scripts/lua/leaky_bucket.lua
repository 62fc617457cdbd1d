#!lua name=leaky_bucket
-- Leaky bucket, the queue: calls leave it one by one, interval_us apart, and at most `capacity` wait in it.
--
-- It shapes where the limiters refuse: each call is told how long to wait before it acts. (The other thing of that name,
-- the meter that refuses what would overflow, is a token bucket read from the other end: use token_bucket or gcra.)
--
-- Promises: the times at which accepted calls may act (when they were accepted, plus delay_us) lie at least interval_us
-- apart, in the order of acceptance, however many ask at the same time; and no later than that needs. At most `capacity`
-- accepted calls have a time that is still to come. Exact to the microsecond of the server's clock; how exactly the
-- caller keeps to its delay, and how long the reply was under way, is its own affair.
--
--   leaky_bucket_enter  KEYS bucket  ARGS interval_us capacity   {1, free, delay_us, empty_us}: act in delay_us;
--                                                                {0, 0, retry_us, empty_us}: full, ask again in retry_us
--   leaky_bucket_peek   the same                                 what enter would answer, but enters nothing. Only reads
--
-- free: how many more may still wait. empty_us: when a call need not wait any more. interval_us: 1 to 31536000000000 (a
-- year). capacity: 0 (nobody waits: one each interval, or refused) to 1000000000. (capacity + 1) * interval_us: at most
-- 2^52, 4503599627370496. Anything else is an ERR. New numbers are good at once, for calls to come.
--
-- Keeps: the key `bucket`, a string with the next free time in microseconds, that lives until then: a missing bucket is an
-- empty one. O(1). A call that gives up keeps its time; nobody else gets it.
-- Expiry: nothing is lost by it. Eviction, FLUSHALL, or a primary that dies before a replica has the key: calls that come
--   then act beside those that wait already.
-- Clock: after a step forward new calls act beside those that wait already; after a step back nobody waits longer than for
--   a full bucket, from the next call on.

local NUMBER_MAX = 1000000000
local INTERVAL_US_MAX = 31536000000000
local PRODUCT_MAX = 4503599627370496

local function integer(text, min, max)
    if not text or #text > 16 or not string.find(text, '^%d+$') then return nil end
    local number = tonumber(text)
    if number < min or number > max then return nil end
    return number
end

local function now_us()
    local time = redis.call('TIME')
    return time[1] * 1000000 + time[2]
end

local function write_time(bucket, us)
    redis.call('SET', bucket, us, 'PXAT', math.ceil(us / 1000))
end

local function bucket(name, keys, args, enters)
    local interval_us, capacity = integer(args[1], 1, INTERVAL_US_MAX), integer(args[2], 0, NUMBER_MAX)
    if #keys ~= 1 or #args ~= 2 or not interval_us or not capacity
        or (capacity + 1) * interval_us > PRODUCT_MAX then
        return redis.error_reply('ERR ' .. name .. ' takes a key, an interval in microseconds and a capacity; '
            .. 'interval * (capacity + 1) must not exceed 4503599627370496')
    end
    local now, longest_delay = now_us(), capacity * interval_us
    local stored = tonumber(redis.call('GET', keys[1]) or '0')
    if not stored then
        return redis.error_reply('ERR the key does not hold a bucket')
    end
    -- Farther ahead it can only be after a step of the clock, or of the numbers.
    local delay = math.min(math.max(stored - now, 0), longest_delay + interval_us)
    if delay > longest_delay then
        -- Else all would be refused until the clock is where it was.
        if enters and stored - now > delay then write_time(keys[1], now + delay) end
        return {0, 0, delay - longest_delay, delay}
    end
    local empty = delay + interval_us
    if enters then write_time(keys[1], now + empty) end
    return {1, capacity - math.ceil(delay / interval_us), delay, empty}
end

local function leaky_bucket_enter(keys, args)
    return bucket('leaky_bucket_enter', keys, args, true)
end

local function leaky_bucket_peek(keys, args)
    return bucket('leaky_bucket_peek', keys, args, false)
end

if redis.register_function then
    redis.register_function('leaky_bucket_enter', leaky_bucket_enter)
    redis.register_function {function_name = 'leaky_bucket_peek', callback = leaky_bucket_peek, flags = {'no-writes'}}
end
