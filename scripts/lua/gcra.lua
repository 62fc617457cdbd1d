#!lua name=gcra
-- GCRA (generic cell rate algorithm): one each interval_us in the long run, bursts up to `burst`, one number of state.
--
-- How it works: the key holds the time at which all that was allowed will have been worked off at the even rate. A call
-- moves it by cost * interval_us, and is refused if that lies more than burst * interval_us ahead of now. It allows what
-- a token bucket of capacity `burst` allows; choose token_bucket when the interval is not a whole number of microseconds.
--
-- Promises: in every interval of t microseconds at most burst + t / interval_us (the sum of the costs) are allowed,
-- however many ask at the same time; and no call is refused that fits. Exact to the microsecond of the server's clock.
-- What is refused takes nothing.
--
--   gcra_take  KEYS limiter  ARGS interval_us burst [cost]   {1, remaining, 0, reset_us}: allowed;
--                                                            {0, remaining, retry_us, reset_us}: refused
--   gcra_peek  the same                                      what take would answer, but takes nothing. Only reads
--
-- remaining: what would be allowed at once. retry_us: when the same call is allowed if nobody else takes any; -1: never, the
-- cost exceeds the burst. reset_us: when the whole burst is there again. interval_us: 1 to 31536000000000 (a year). burst,
-- cost: 1 to 1000000000, cost 1 when it is left out. burst * interval_us: at most 2^52, 4503599627370496. Anything else is
-- an ERR. 100 a second with bursts of 20: interval_us 10000, burst 20. New numbers are good at once.
--
-- Keeps: the key `limiter`, a string with a time in microseconds, that lives until then: a missing one is at rest. O(1).
-- Expiry: nothing is lost by it. Eviction, FLUSHALL, or a primary that dies before a replica has the key: up to `burst`
--   more are allowed.
-- Clock: after a step forward what the time skipped would have allowed is there, up to `burst`. After a step back nobody
--   waits longer than for a whole burst, from the next take on.

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

local function write_time(limiter, us)
    redis.call('SET', limiter, us, 'PXAT', math.ceil(us / 1000))
end

local function limiter(name, keys, args, takes)
    local interval_us, burst = integer(args[1], 1, INTERVAL_US_MAX), integer(args[2], 1, NUMBER_MAX)
    local cost = integer(args[3] or '1', 1, NUMBER_MAX)
    if #keys ~= 1 or #args > 3 or not interval_us or not burst or not cost
        or burst * interval_us > PRODUCT_MAX then
        return redis.error_reply('ERR ' .. name .. ' takes a key, an interval in microseconds, a burst '
            .. 'and perhaps a cost; interval * burst must not exceed 4503599627370496')
    end
    local now, tolerance = now_us(), burst * interval_us
    local stored = tonumber(redis.call('GET', keys[1]) or '0')
    if not stored then
        return redis.error_reply('ERR the key does not hold a limiter')
    end
    -- Farther ahead than a whole burst it can only be after a step of the clock, or of the numbers.
    local ahead = math.min(math.max(stored - now, 0), tolerance)
    local is_beyond = stored - now > tolerance
    local free = tolerance - ahead
    -- Compared as a number of intervals, because cost * interval_us might not be exact.
    if cost > math.floor(free / interval_us) then
        -- Else all would be refused until the clock is where it was.
        if takes and is_beyond then write_time(keys[1], now + ahead) end
        return {0, math.floor(free / interval_us), cost > burst and -1 or cost * interval_us - free, ahead}
    end
    ahead = ahead + cost * interval_us
    if takes then write_time(keys[1], now + ahead) end
    return {1, math.floor((tolerance - ahead) / interval_us), 0, ahead}
end

local function gcra_take(keys, args)
    return limiter('gcra_take', keys, args, true)
end

local function gcra_peek(keys, args)
    return limiter('gcra_peek', keys, args, false)
end

if redis.register_function then
    redis.register_function('gcra_take', gcra_take)
    redis.register_function {function_name = 'gcra_peek', callback = gcra_peek, flags = {'no-writes'}}
end
