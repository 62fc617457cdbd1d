#!lua name=debounce
-- Debounced jobs: of many calls in a row the last one counts, and it fires once, after some quiet.
--
-- Promises: a job fires when nobody has called for it for quiet_ms, or max_wait_ms after the first call of the row,
-- whichever comes first, with the payload of the last call before that. Each row of calls is given to one claim, however
-- many workers claim at the same time. With lease_ms 0 that is all: at most once, lost with a worker that dies. With a
-- lease the job is given out again when the worker has not said debounce_done in time: at least once. A call that comes
-- after the claim begins a new row, which fires by its own rules, also beside a worker that still runs; what that worker
-- says afterwards does not touch it. Nothing fires by itself: workers claim, as often as jobs may be late.
--
--   debounce_call    KEYS due jobs  ARGS id payload quiet_ms max_wait_ms   {version, ms}: fires in ms if nobody calls again
--   debounce_claim   KEYS due jobs  ARGS count lease_ms                    {{id, payload, version}, ...}: at most `count`
--                                                                          jobs whose time has come, earliest first
--   debounce_done    KEYS due jobs  ARGS id version                        1: finished and forgotten; 0: called for again
--                                                                          since, or never claimed, or not known
--   debounce_cancel  KEYS due jobs  ARGS id                                1: will not fire (again); 0: not known
--   debounce_next    KEYS due                                              {jobs, ms}: how many wait or run, and in how
--                                                                          many ms the next is due (0: now, -1: none).
--                                                                          Only reads
--
-- version: a number that grows with each call for the job. id: 1 to 256 bytes. payload: 0 to 1048576 bytes (1 MiB).
-- quiet_ms: 1 to 86400000 (a day), max_wait_ms: quiet_ms to 31536000000 (a year). count: 1 to 1000. lease_ms: 0 to
-- 86400000. 100000 jobs may wait under one pair of keys; one more gets an ERR. Bad arguments are an ERR and change nothing.
--
-- Keeps: `due`, a sorted set of ids by the time in microseconds at which they fire or their lease ends, and `jobs`, a hash
-- of payloads, versions and times of the first calls. Both live 7 days past the latest time in `due`: jobs that nobody
-- claims for so long are dropped. The two must share a slot. O(log n) with n jobs, for a claim O(log n) for each job.
-- Expiry: as said. Eviction, FLUSHALL, or a primary that dies before a replica has the keys: jobs are lost, or fire again;
--   without `jobs` they are dropped when they are claimed. Give jobs a server whose maxmemory-policy is noeviction.
-- Clock: times are the server's wall clock. After a step forward jobs fire early, after a step back late, by the step; a
--   call that follows puts its job right.

local ID_BYTES_MAX = 256
local PAYLOAD_BYTES_MAX = 1048576
local DAY_MS = 86400000
local MAX_WAIT_MS_MAX = 31536000000
local JOBS_MAX = 100000
local CLAIM_MAX = 1000
local VERSION_MAX = 9007199254740992
local UNCLAIMED_US = 604800000000

local function integer(text, min, max)
    if not text or #text > 16 or not string.find(text, '^%d+$') then return nil end
    local number = tonumber(text)
    if number < min or number > max then return nil end
    return number
end

local function is_id(text)
    return text and #text >= 1 and #text <= ID_BYTES_MAX
end

local function now_us()
    local time = redis.call('TIME')
    return time[1] * 1000000 + time[2]
end

local function live_until(key, us)
    local ms = math.ceil(us / 1000)
    if redis.call('PEXPIRETIME', key) < ms then redis.call('PEXPIREAT', key, ms) end
end

local function forget(due, jobs, id)
    redis.call('HDEL', jobs, 'p:' .. id, 'v:' .. id, 'f:' .. id)
    return redis.call('ZREM', due, id)
end

local function debounce_call(keys, args)
    local id, payload = args[1], args[2]
    local quiet_ms = integer(args[3], 1, DAY_MS)
    local max_wait_ms = integer(args[4], quiet_ms or 1, MAX_WAIT_MS_MAX)
    if #keys ~= 2 or #args ~= 4 or not is_id(id) or #payload > PAYLOAD_BYTES_MAX or not quiet_ms or not max_wait_ms then
        return redis.error_reply('ERR debounce_call takes the keys due and jobs, an id, a payload of at most 1048576 '
            .. 'bytes, a quiet time and a longest wait in milliseconds')
    end
    local due, jobs = keys[1], keys[2]
    if redis.call('ZCARD', due) >= JOBS_MAX and not redis.call('ZSCORE', due, id) then
        return redis.error_reply('ERR too many jobs wait')
    end
    local now = now_us()
    local values = redis.call('HMGET', jobs, 'v:' .. id, 'f:' .. id)
    -- No less than the time, so that it grows also when the job was forgotten in between.
    local version = math.max(tonumber(values[1] or '0') + 1, now)
    -- Since a claim there is no first call; one in the future can only be after a step of the clock.
    local first = math.min(tonumber(values[2] or now), now)
    local fires = math.min(now + quiet_ms * 1000, math.max(first + max_wait_ms * 1000, now))
    redis.call('HSET', jobs, 'p:' .. id, payload, 'v:' .. id, version, 'f:' .. id, first)
    redis.call('ZADD', due, fires, id)
    live_until(due, fires + UNCLAIMED_US)
    live_until(jobs, fires + UNCLAIMED_US)
    return {version, math.ceil((fires - now) / 1000)}
end

local function debounce_claim(keys, args)
    local count, lease_ms = integer(args[1], 1, CLAIM_MAX), integer(args[2], 0, DAY_MS)
    if #keys ~= 2 or #args ~= 2 or not count or not lease_ms then
        return redis.error_reply('ERR debounce_claim takes the keys due and jobs, a count and a lease in milliseconds')
    end
    local due, jobs, now = keys[1], keys[2], now_us()
    local lease_ends, claimed = now + lease_ms * 1000, {}
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, count)) do
        local values = redis.call('HMGET', jobs, 'p:' .. id, 'v:' .. id)
        if values[1] and values[2] then claimed[#claimed + 1] = {id, values[1], tonumber(values[2])} end
        if lease_ms == 0 or not values[1] or not values[2] then
            forget(due, jobs, id)
        else
            redis.call('HDEL', jobs, 'f:' .. id)
            redis.call('ZADD', due, lease_ends, id)
        end
    end
    if lease_ms > 0 and #claimed > 0 then
        live_until(due, lease_ends + UNCLAIMED_US)
        live_until(jobs, lease_ends + UNCLAIMED_US)
    end
    return claimed
end

local function debounce_done(keys, args)
    local id, version = args[1], integer(args[2], 1, VERSION_MAX)
    if #keys ~= 2 or #args ~= 2 or not is_id(id) or not version then
        return redis.error_reply('ERR debounce_done takes the keys due and jobs, an id and a version')
    end
    local values = redis.call('HMGET', keys[2], 'v:' .. id, 'f:' .. id)
    -- What has a first call has not been claimed since its last call.
    if tonumber(values[1] or '0') ~= version or values[2] then return 0 end
    return forget(keys[1], keys[2], id)
end

local function debounce_cancel(keys, args)
    if #keys ~= 2 or #args ~= 1 or not is_id(args[1]) then
        return redis.error_reply('ERR debounce_cancel takes the keys due and jobs, and an id')
    end
    return forget(keys[1], keys[2], args[1])
end

local function debounce_next(keys, args)
    if #keys ~= 1 or #args ~= 0 then
        return redis.error_reply('ERR debounce_next takes the key due')
    end
    local next = tonumber(redis.call('ZRANGE', keys[1], 0, 0, 'WITHSCORES')[2] or '-1')
    if next < 0 then return {0, -1} end
    return {redis.call('ZCARD', keys[1]), math.max(math.ceil((next - now_us()) / 1000), 0)}
end

if redis.register_function then
    redis.register_function('debounce_call', debounce_call)
    redis.register_function('debounce_claim', debounce_claim)
    redis.register_function {function_name = 'debounce_done', callback = debounce_done, flags = {'allow-oom'}}
    redis.register_function {function_name = 'debounce_cancel', callback = debounce_cancel, flags = {'allow-oom'}}
    redis.register_function {function_name = 'debounce_next', callback = debounce_next, flags = {'no-writes'}}
end
