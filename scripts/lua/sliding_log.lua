#!lua name=sliding_log
-- Sliding log: at most `limit` calls in every interval as long as the window. Exact, and the only limiter here whose
-- memory grows with the limit.
--
-- Promises: in no interval of window_ms, wherever it begins, are more than `limit` calls allowed, however many ask at the
-- same time; and no call is refused that could be allowed. Time is the server's, in microseconds; a call that is
-- exactly one window old does not count any more. What is refused counts nothing.
--
--   sliding_log_take  KEYS log  ARGS limit window_ms   {1, remaining, 0, reset_ms}: allowed;
--                                                      {0, 0, retry_ms, reset_ms}: refused
--   sliding_log_peek  the same                         what take would answer, but takes nothing. Only reads
--
-- remaining: how many more would be allowed now. retry_ms: when the next call will be allowed, rounded up. reset_ms: when
-- all is forgotten. limit: 1 to 100000. window_ms: 1 to 31536000000 (a year). Anything else is an ERR. If callers give
-- different limits, each is allowed as if all calls had been counted under its own.
--
-- Keeps: the key `log`, a sorted set with one member for each allowed call by its time in microseconds (some 40 to 100
-- bytes each), that lives until the last is one window old. O(log n), and once O(log n) for each call that falls out.
-- Expiry: nothing is lost by it. Eviction, FLUSHALL, or a primary that dies before a replica has the key: calls are
--   forgotten, and up to `limit` more are allowed.
-- Clock: after a step forward calls count too short, after a step back those that lie in the future are taken to be of
--   now: nothing is allowed too much, and nobody waits longer than one window.

local LIMIT_MAX = 100000
local WINDOW_MS_MAX = 31536000000
-- So many calls are moved at a time after a step of the clock, which the arguments of one command can hold.
local CHUNK = 100

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

local function after(us)
    return string.format('(%.0f', us)
end

local function count_future_as_now(log, now)
    local moved = redis.call('ZRANGEBYSCORE', log, after(now), '+inf')
    for begin = 1, #moved, CHUNK do
        local arguments = {}
        for index = begin, math.min(begin + CHUNK - 1, #moved) do
            arguments[#arguments + 1] = now
            arguments[#arguments + 1] = moved[index]
        end
        redis.call('ZADD', log, unpack(arguments))
    end
end

-- Notes a call. Several may come in one microsecond, and each needs a name of its own.
local function note(log, now, is_first_of_now)
    local number = is_first_of_now and 0 or redis.call('ZCOUNT', log, now, now)
    while redis.call('ZADD', log, 'NX', now, string.format('%.0f-%d', now, number)) == 0 do
        number = number + 1
    end
end

-- In how many milliseconds a call of this time has fallen out.
local function until_gone(time, now, window_us)
    return math.ceil((math.min(time, now) + window_us - now) / 1000)
end

local function log(name, keys, args, takes)
    local limit, window_ms = integer(args[1], 1, LIMIT_MAX), integer(args[2], 1, WINDOW_MS_MAX)
    if #keys ~= 1 or #args ~= 2 or not limit or not window_ms then
        return redis.error_reply('ERR ' .. name .. ' takes a key, a limit and a window in milliseconds')
    end
    local now, window_us = now_us(), window_ms * 1000
    local last = tonumber(redis.call('ZRANGE', keys[1], -1, -1, 'WITHSCORES')[2] or '0')
    if takes and last > now then count_future_as_now(keys[1], now) end
    local from = after(now - window_us)
    local count = redis.call('ZCOUNT', keys[1], from, '+inf')
    if count >= limit then
        -- The oldest that counts must go, or with a limit that was greater before, several.
        local blocking = redis.call('ZRANGEBYSCORE', keys[1], from, '+inf', 'WITHSCORES', 'LIMIT', count - limit, 1)
        return {0, 0, until_gone(tonumber(blocking[2]), now, window_us), until_gone(last, now, window_us)}
    end
    if takes then
        redis.call('ZREMRANGEBYSCORE', keys[1], '-inf', now - window_us)
        note(keys[1], now, last < now)
        redis.call('PEXPIREAT', keys[1], math.ceil(now / 1000) + window_ms)
    end
    return {1, limit - count - 1, 0, window_ms}
end

local function sliding_log_take(keys, args)
    return log('sliding_log_take', keys, args, true)
end

local function sliding_log_peek(keys, args)
    return log('sliding_log_peek', keys, args, false)
end

if redis.register_function then
    redis.register_function('sliding_log_take', sliding_log_take)
    redis.register_function {function_name = 'sliding_log_peek', callback = sliding_log_peek, flags = {'no-writes'}}
end
