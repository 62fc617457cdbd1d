#!lua name=token_bucket
-- Token bucket: bursts up to `capacity`, and `refill` tokens each period_us in the long run.
--
-- Promises: in every interval of t microseconds at most capacity + t * refill / period_us tokens are taken, however many
-- ask at the same time; and no call is refused for which the tokens are there. Tokens come in evenly, not period by
-- period. The arithmetic is exact to the microsecond of the server's clock: fractions of a token are kept in units of
-- 1/period_us, nothing is rounded and nothing drifts. What is refused takes nothing.
--
--   token_bucket_take  KEYS bucket  ARGS capacity refill period_us [cost]   {1, remaining, 0, full_us}: allowed;
--                                                                           {0, remaining, retry_us, full_us}: refused
--   token_bucket_peek  the same                                             what take would answer, but takes nothing.
--                                                                           Only reads
--
-- remaining: whole tokens that are left. retry_us: when the same call is allowed if nobody else takes any, rounded up; -1:
-- never, the cost exceeds the capacity. full_us: when the bucket is full again. capacity, refill, cost: 1 to 1000000000,
-- cost 1 when it is left out. period_us: 1 to 31536000000000 (a year). (capacity + refill) * period_us: at most 2^52,
-- 4503599627370496. Anything else is an ERR. A new capacity or refill is good at once; a new period_us keeps the whole
-- tokens and drops the fraction of one.
--
-- Keeps: the key `bucket`, a hash (credit, time, period), that lives until the bucket is full again: a missing bucket is a
-- full one. O(1).
-- Expiry: nothing is lost by it. Eviction, FLUSHALL, or a primary that dies before a replica has the key: the bucket is
--   full early, with up to `capacity` more.
-- Clock: after a step forward the tokens of the time skipped are there, up to the capacity. After a step back the bucket
--   has what it had, and fills from the next take on.

local NUMBER_MAX = 1000000000
local PERIOD_US_MAX = 31536000000000
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

-- The credit at `now`, a token being worth period_us; and whether the clock has stepped back since it was written.
local function read_credit(bucket, now, full, refill, period_us)
    local values = redis.call('HMGET', bucket, 'credit', 'time', 'period')
    if not values[1] then return full, false end
    local credit, time, period = tonumber(values[1]), tonumber(values[2]), tonumber(values[3])
    if period ~= period_us then credit = math.floor(credit / period) * period_us end
    local passed, stepped_back = math.max(now - time, 0), time > now
    -- Compared first, because the product of a long time would not be exact.
    if credit >= full or passed >= (full - credit) / refill then return full, stepped_back end
    return credit + passed * refill, stepped_back
end

local function write_credit(bucket, now, credit, period_us, full_us)
    redis.call('HSET', bucket, 'credit', credit, 'time', now, 'period', period_us)
    redis.call('PEXPIREAT', bucket, math.ceil((now + full_us) / 1000))
end

local function bucket(name, keys, args, takes)
    local capacity, refill = integer(args[1], 1, NUMBER_MAX), integer(args[2], 1, NUMBER_MAX)
    local period_us, cost = integer(args[3], 1, PERIOD_US_MAX), integer(args[4] or '1', 1, NUMBER_MAX)
    if #keys ~= 1 or #args > 4 or not capacity or not refill or not period_us or not cost
        or (capacity + refill) * period_us > PRODUCT_MAX then
        return redis.error_reply('ERR ' .. name .. ' takes a key, a capacity, a refill, a period in microseconds '
            .. 'and perhaps a cost; (capacity + refill) * period must not exceed 4503599627370496')
    end
    local now, full = now_us(), capacity * period_us
    local credit, stepped_back = read_credit(keys[1], now, full, refill, period_us)
    local price = cost * period_us
    if price > credit then
        local full_us = math.ceil((full - credit) / refill)
        -- Else nothing would come in until the clock is where it was.
        if takes and stepped_back then write_credit(keys[1], now, credit, period_us, full_us) end
        return {0, math.floor(credit / period_us), cost > capacity and -1 or math.ceil((price - credit) / refill), full_us}
    end
    credit = credit - price
    local full_us = math.ceil((full - credit) / refill)
    if takes then write_credit(keys[1], now, credit, period_us, full_us) end
    return {1, math.floor(credit / period_us), 0, full_us}
end

local function token_bucket_take(keys, args)
    return bucket('token_bucket_take', keys, args, true)
end

local function token_bucket_peek(keys, args)
    return bucket('token_bucket_peek', keys, args, false)
end

if redis.register_function then
    redis.register_function('token_bucket_take', token_bucket_take)
    redis.register_function {function_name = 'token_bucket_peek', callback = token_bucket_peek, flags = {'no-writes'}}
end
