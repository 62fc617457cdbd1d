#!lua name=fixed_window
-- Fixed window: at most `limit` in each window. The cheapest limiter, and the coarsest.
--
-- Promises: a window begins with the first call that is allowed after the last one has ended, lasts window_ms, and at
-- most `limit` (the sum of the costs) are allowed in it, however many ask at the same time. What is refused counts
-- nothing. Since the end of one window and the beginning of the next may be close together, an interval as long as a
-- window holds up to 2 * limit; sliding_log and gcra are exact, sliding_counter is close.
--
--   fixed_window_take  KEYS window  ARGS limit window_ms [cost]   {1, remaining, 0, reset_ms}: allowed;
--                                                                 {0, remaining, retry_ms, reset_ms}: refused
--   fixed_window_peek  the same                                   what take would answer, but takes nothing. Only reads
--
-- remaining: what may still be taken in this window. retry_ms: when to ask again; -1: never, the cost exceeds the limit.
-- reset_ms: when the window ends. limit: 1 to 1000000000. window_ms: 1 to 31536000000 (a year). cost: 1 to 1000000000,
-- 1 when it is left out. Anything else is an ERR and changes nothing. A new window_ms is good from the next window on.
--
-- Keeps: the key `window`, a string with the sum of the costs, that lives to the end of the window. O(1).
-- Expiry: the end of the key is the end of the window. Eviction, FLUSHALL, or a primary that dies before a replica has
--   the key: a new window begins early, with up to `limit` more.
-- Clock: the window ends by the server's wall clock; a step forward ends it early, a step back late, by the step.

local LIMIT_MAX = 1000000000
local WINDOW_MS_MAX = 31536000000

local function integer(text, min, max)
    if not text or #text > 16 or not string.find(text, '^%d+$') then return nil end
    local number = tonumber(text)
    if number < min or number > max then return nil end
    return number
end

local function window(name, keys, args, takes)
    local limit, window_ms = integer(args[1], 1, LIMIT_MAX), integer(args[2], 1, WINDOW_MS_MAX)
    local cost = integer(args[3] or '1', 1, LIMIT_MAX)
    if #keys ~= 1 or #args > 3 or not limit or not window_ms or not cost then
        return redis.error_reply('ERR ' .. name .. ' takes a key, a limit, a window in milliseconds and perhaps a cost')
    end
    local text = redis.call('GET', keys[1])
    if not text then
        if cost > limit then return {0, limit, -1, 0} end
        if takes then redis.call('SET', keys[1], cost, 'PX', window_ms) end
        return {1, limit - cost, 0, window_ms}
    end
    local used, left_ms = tonumber(text), redis.call('PTTL', keys[1])
    if not used or left_ms < 0 then
        return redis.error_reply('ERR the key does not hold a window')
    end
    left_ms = math.max(left_ms, 1)
    if used + cost > limit then
        return {0, math.max(limit - used, 0), cost > limit and -1 or left_ms, left_ms}
    end
    if takes then redis.call('INCRBY', keys[1], cost) end
    return {1, limit - used - cost, 0, left_ms}
end

local function fixed_window_take(keys, args)
    return window('fixed_window_take', keys, args, true)
end

local function fixed_window_peek(keys, args)
    return window('fixed_window_peek', keys, args, false)
end

if redis.register_function then
    redis.register_function('fixed_window_take', fixed_window_take)
    redis.register_function {function_name = 'fixed_window_peek', callback = fixed_window_peek, flags = {'no-writes'}}
end
