#!lua name=idempotency
-- Idempotency key: a request is worked on by one caller at a time, and answered from its stored result afterwards.
--
-- Promises: of all callers that begin with the same key, one is told to run, and no other is until that one completes,
-- abandons, or its lease ends. After completion everybody gets the stored result, byte for byte, for keep_ms. Only the
-- holder of the lease stores a result: one that overslept is told so and changes nothing. A fingerprint of the request, if
-- given, is compared: the same key for another request is a mismatch and never gets this one's result. A token names
-- one attempt (draw a random one for each); a call that is sent twice because its reply got lost gets the same answer.
-- What cannot be promised: that the work is done once. Who dies between doing it and completing leaves it to be done
-- again; make that step one with the effect (a database transaction), or the effect repeatable.
--
--   idempotency_begin     KEYS key  ARGS token lease_ms [fingerprint]   {'run', lease_ms}: it is yours to do;
--                                   {'running', ms}: another has it, for ms more; {'done', result}; {'mismatch'}
--   idempotency_extend    KEYS key  ARGS token lease_ms         1: the lease ends lease_ms from now; 0: not yours any more
--   idempotency_complete  KEYS key  ARGS token result keep_ms   1: stored (or was, by this token: the first result stays);
--                                                               0: not yours any more, nothing stored
--   idempotency_abandon   KEYS key  ARGS token                  1: free for the next to try at once; 0: not yours or done
--   idempotency_peek      KEYS key                              as begin, with {'none'} for 'run'. Only reads
--
-- token: 1 to 256 bytes. fingerprint: 0 to 256 bytes, none the same as empty. lease_ms, keep_ms: 1 to 31536000000 (a
-- year). result: 0 to 1048576 bytes (1 MiB). Anything else is an ERR and changes nothing.
--
-- Keeps: the key `key`, a hash (owner, fingerprint, result), that lives for the lease, and after completion for keep_ms.
-- O(1) in calls, O(length) in the result.
-- Expiry: when the lease ends the next one that begins runs; when keep_ms is over the request would be done anew: keep
--   longer than any client tries again. Eviction, FLUSHALL, or a primary that dies before a replica has the key: the same.
--   Give such keys a server whose maxmemory-policy is noeviction.
-- Clock: leases and results end by the server's wall clock; a step forward ends them early, a step back late, by the step.

local TOKEN_BYTES_MAX = 256
local RESULT_BYTES_MAX = 1048576
local TTL_MS_MAX = 31536000000

local function integer(text, min, max)
    if not text or #text > 16 or not string.find(text, '^%d+$') then return nil end
    local number = tonumber(text)
    if number < min or number > max then return nil end
    return number
end

local function is_token(text)
    return text and #text >= 1 and #text <= TOKEN_BYTES_MAX
end

-- Whether the token has the lease and the work is still to be done.
local function runs(key, token)
    local values = redis.call('HMGET', key, 'owner', 'result')
    return values[1] == token and not values[2]
end

local function idempotency_begin(keys, args)
    local token, lease_ms, fingerprint = args[1], integer(args[2], 1, TTL_MS_MAX), args[3] or ''
    if #keys ~= 1 or #args > 3 or not is_token(token) or not lease_ms or #fingerprint > TOKEN_BYTES_MAX then
        return redis.error_reply('ERR idempotency_begin takes a key, a token, a lease in milliseconds '
            .. 'and perhaps a fingerprint')
    end
    local values = redis.call('HMGET', keys[1], 'owner', 'fingerprint', 'result')
    local owner, known, result = values[1], values[2], values[3]
    if owner and known ~= fingerprint then return {'mismatch'} end
    if result then return {'done', result} end
    if owner and owner ~= token then return {'running', redis.call('PTTL', keys[1])} end
    if not owner then redis.call('HSET', keys[1], 'owner', token, 'fingerprint', fingerprint) end
    redis.call('PEXPIRE', keys[1], lease_ms)
    return {'run', lease_ms}
end

local function idempotency_extend(keys, args)
    local lease_ms = integer(args[2], 1, TTL_MS_MAX)
    if #keys ~= 1 or #args ~= 2 or not is_token(args[1]) or not lease_ms then
        return redis.error_reply('ERR idempotency_extend takes a key, a token and a lease in milliseconds')
    end
    if not runs(keys[1], args[1]) then return 0 end
    return redis.call('PEXPIRE', keys[1], lease_ms)
end

local function idempotency_complete(keys, args)
    local token, result, keep_ms = args[1], args[2], integer(args[3], 1, TTL_MS_MAX)
    if #keys ~= 1 or #args ~= 3 or not is_token(token) or #result > RESULT_BYTES_MAX or not keep_ms then
        return redis.error_reply('ERR idempotency_complete takes a key, a token, a result of at most 1048576 bytes '
            .. 'and a time to keep it in milliseconds')
    end
    local values = redis.call('HMGET', keys[1], 'owner', 'result')
    if values[1] ~= token then return 0 end
    if not values[2] then
        redis.call('HSET', keys[1], 'result', result)
        redis.call('PEXPIRE', keys[1], keep_ms)
    end
    return 1
end

local function idempotency_abandon(keys, args)
    if #keys ~= 1 or #args ~= 1 or not is_token(args[1]) then
        return redis.error_reply('ERR idempotency_abandon takes a key and a token')
    end
    if not runs(keys[1], args[1]) then return 0 end
    return redis.call('DEL', keys[1])
end

local function idempotency_peek(keys, args)
    if #keys ~= 1 or #args ~= 0 then
        return redis.error_reply('ERR idempotency_peek takes a key')
    end
    local values = redis.call('HMGET', keys[1], 'owner', 'result')
    if values[2] then return {'done', values[2]} end
    if values[1] then return {'running', redis.call('PTTL', keys[1])} end
    return {'none'}
end

if redis.register_function then
    redis.register_function('idempotency_begin', idempotency_begin)
    redis.register_function {
        function_name = 'idempotency_extend', callback = idempotency_extend, flags = {'allow-oom'}}
    redis.register_function('idempotency_complete', idempotency_complete)
    redis.register_function {
        function_name = 'idempotency_abandon', callback = idempotency_abandon, flags = {'allow-oom'}}
    redis.register_function {function_name = 'idempotency_peek', callback = idempotency_peek, flags = {'no-writes'}}
end
