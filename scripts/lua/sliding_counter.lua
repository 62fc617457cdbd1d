#!lua name=sliding_counter
-- Sliding counter: about `limit` in every interval as long as the window, with two counters instead of a log.
--
-- How it works: time is cut into windows that begin at multiples of window_ms since 1970. What was allowed in the window
-- before counts by the part of it that the last window_ms still cover: 70% when 30% of this window have passed.
--
-- Promises: in each of those windows at most `limit` (the sum of the costs) are allowed, however many ask at the same
-- time, and the estimate never exceeds `limit`. Error bound: the estimate differs from what was really allowed in the last
-- window_ms by at most p * max(f, 1 - f), where p was allowed in the window before and the fraction f of this one has
-- passed; it is exact when those came evenly. So no interval of window_ms ever holds 2 * limit, and it holds more than
-- `limit` only if the calls before came late in their window. The arithmetic is in integers and exact.
--
--   sliding_counter_take  KEYS counter  ARGS limit window_ms [cost]   {1, remaining, 0, reset_ms}: allowed;
--                                                                     {0, remaining, retry_ms, reset_ms}: refused
--   sliding_counter_peek  the same                                    what take would answer, but takes nothing. Only reads
--
-- remaining: what could still be taken now. retry_ms: when the same call is allowed if nobody else takes anything, rounded
-- up; -1: never, the cost exceeds the limit. reset_ms: when all is forgotten. limit: 1 to 1000000000. window_ms: 1 to
-- 31536000000 (a year). limit * window_ms: at most 4503599627370 (2^52 in microseconds). cost: 1 to 1000000000, 1 when it
-- is left out. Anything else is an ERR. All callers of a key give the same window.
--
-- Keeps: the key `counter`, a hash of three numbers, that lives to the end of the window after this one. O(1).
-- Expiry: nothing is lost by it. Eviction, FLUSHALL, or a primary that dies before a replica has the key: what was taken
--   is forgotten, and up to `limit` more are allowed.
-- Clock: a step forward forgets as much as the time skipped. After a step back the next take finds the counters in the
--   future, and moves them into the window of now: nobody waits longer than two windows from there.

local LIMIT_MAX = 1000000000
local WINDOW_MS_MAX = 31536000000
-- Twice this is still exact in a double.
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

-- What was allowed in the window `index` and in the one before it, and whether the clock has stepped back since.
local function read_counts(counter, index)
    local values = redis.call('HMGET', counter, 'window', 'current', 'previous')
    local stored, current = tonumber(values[1] or '-1'), tonumber(values[2] or '0')
    if stored >= index then return current, tonumber(values[3] or '0'), stored > index end
    if stored == index - 1 then return 0, current, false end
    return 0, 0, false
end

local function write_counts(counter, index, current, previous, window_ms)
    redis.call('HSET', counter, 'window', index, 'current', current, 'previous', previous)
    redis.call('PEXPIREAT', counter, (index + 2) * window_ms)
end

-- In how many microseconds `cost` more fit, when `passed` of this window have passed and they do not fit now.
local function until_fits(limit, cost, current, previous, passed, window_us)
    local free = limit - cost - current
    if free >= 0 then
        -- Later in this window, when enough of `previous` has slid out.
        return window_us - math.floor(free * window_us / previous) - passed
    end
    -- In the next one, when enough of `current` has.
    local needed = window_us - math.floor((limit - cost) * window_us / current)
    return window_us - passed + math.max(needed, 0)
end

local function counter(name, keys, args, takes)
    local limit, window_ms = integer(args[1], 1, LIMIT_MAX), integer(args[2], 1, WINDOW_MS_MAX)
    local cost = integer(args[3] or '1', 1, LIMIT_MAX)
    if #keys ~= 1 or #args > 3 or not limit or not window_ms or not cost
        or limit * window_ms * 1000 > PRODUCT_MAX then
        return redis.error_reply('ERR ' .. name .. ' takes a key, a limit, a window in milliseconds and perhaps a cost; '
            .. 'limit * window must not exceed 4503599627370')
    end
    local now, window_us = now_us(), window_ms * 1000
    local passed = now % window_us
    local index = (now - passed) / window_us
    local current, previous, stepped_back = read_counts(keys[1], index)
    -- All times the window, so that nothing is rounded.
    local room = limit * window_us - previous * (window_us - passed) - current * window_us
    if cost * window_us > room then
        -- Else the counters would stay those of the window of now until the clock is where it was.
        if takes and stepped_back then write_counts(keys[1], index, current, previous, window_ms) end
        local retry_us = cost > limit and -1000 or until_fits(limit, cost, current, previous, passed, window_us)
        local reset_us = (current > 0 and 2 or 1) * window_us - passed
        if current + previous == 0 then reset_us = 0 end
        return {0, math.max(math.floor(room / window_us), 0), math.ceil(retry_us / 1000), math.ceil(reset_us / 1000)}
    end
    if takes then write_counts(keys[1], index, current + cost, previous, window_ms) end
    return {1, math.floor(room / window_us) - cost, 0, math.ceil((2 * window_us - passed) / 1000)}
end

local function sliding_counter_take(keys, args)
    return counter('sliding_counter_take', keys, args, true)
end

local function sliding_counter_peek(keys, args)
    return counter('sliding_counter_peek', keys, args, false)
end

if redis.register_function then
    redis.register_function('sliding_counter_take', sliding_counter_take)
    redis.register_function {
        function_name = 'sliding_counter_peek', callback = sliding_counter_peek, flags = {'no-writes'}}
end
