"""What do the functions do with arguments and keys that are wrong, without memory, and what do they leave behind?"""
import random

import redis

from harness import FUNCTIONS, TEXTS, eval_text, refused

# For each function a call that is right: its keys, and the arguments. `N` marks a number that has a range.
RIGHT = {
    "lock_acquire": ("key", ["t", "N60000"]), "lock_extend": ("key", ["t", "N60000"]), "lock_release": ("key", ["t"]),
    "lock_holder": ("key", []),
    "fairlock_acquire": ("lock queue places", ["t", "N60000", "N60000"]), "fairlock_extend": ("lock", ["t", "N60000"]),
    "fairlock_release": ("lock", ["t"]), "fairlock_cancel": ("queue places", ["t"]), "fairlock_state": ("lock queue places", []),
    "rwlock_acquire_read": ("writer readers queue places", ["t", "N60000", "N60000"]), "rwlock_acquire_write": ("writer readers queue places", ["t", "N60000", "N60000"]),
    "rwlock_extend": ("writer readers", ["t", "N60000"]), "rwlock_release": ("writer readers", ["t"]), "rwlock_cancel": ("queue places", ["t"]),
    "rwlock_state": ("writer readers places", []),
    "semaphore_acquire": ("key", ["t", "N5", "N60000"]), "semaphore_extend": ("key", ["t", "N60000"]),
    "semaphore_release": ("key", ["t"]), "semaphore_held": ("key", []),
    "fixed_window_take": ("key", ["N5", "N60000"]), "fixed_window_peek": ("key", ["N5", "N60000"]),
    "sliding_log_take": ("key", ["N5", "N60000"]), "sliding_log_peek": ("key", ["N5", "N60000"]),
    "sliding_counter_take": ("key", ["N5", "N60000"]), "sliding_counter_peek": ("key", ["N5", "N60000"]),
    "token_bucket_take": ("key", ["N5", "N1", "N60000000"]), "token_bucket_peek": ("key", ["N5", "N1", "N60000000"]),
    "gcra_take": ("key", ["N60000000", "N5"]), "gcra_peek": ("key", ["N60000000", "N5"]),
    "leaky_bucket_enter": ("key", ["N60000000", "N5"]), "leaky_bucket_peek": ("key", ["N60000000", "N5"]),
    "idempotency_begin": ("key", ["t", "N60000"]), "idempotency_extend": ("key", ["t", "N60000"]),
    "idempotency_complete": ("key", ["t", "result", "N60000"]), "idempotency_abandon": ("key", ["t"]),
    "idempotency_peek": ("key", []),
    "debounce_call": ("due jobs", ["t", "payload", "N60000", "N60000"]), "debounce_claim": ("due jobs", ["N5", "N60000"]),
    "debounce_done": ("due jobs", ["t", "N1"]), "debounce_cancel": ("due jobs", ["t"]), "debounce_next": ("due", []),
}
TAKES_A_COST = ["fixed_window", "sliding_counter", "token_bucket", "gcra"]
BAD_NUMBERS = ["", "x", "-1", "1.5", "0x10", " 1", "1 ", "1e3", "nan", "inf", "99999999999999999999", "31536000000001"]


def keys_of(function):
    return ["{%s}:%s" % (FUNCTIONS[function][0], name) for name in RIGHT[function][0].split()]


def right(function):
    return keys_of(function), [arg.lstrip("N") for arg in RIGHT[function][1]]


def contents(r):
    """All that is there, but for how long it still lives."""
    found = {}
    for key in sorted(r.scan_iter()):
        found[key] = describe(r, key)
    return found


def describe(r, key):
    kind = r.type(key)
    return kind, {
        "string": lambda: r.get(key), "hash": lambda: r.hgetall(key), "list": lambda: r.lrange(key, 0, -1),
        "zset": lambda: r.zrange(key, 0, -1, withscores=True)}[kind]()


def every_function_is_here(call):
    assert sorted(RIGHT) == sorted(FUNCTIONS)
    if call.way == "FCALL":
        listed = call.r.execute_command("FUNCTION", "LIST")
        names = [library["library_name"] for library in listed]
        assert sorted(names) == sorted(TEXTS)


def bad_arguments_change_nothing(call):
    # Once with nothing there, once with what right calls leave.
    for fill in (False, True):
        call.r.flushall()
        if fill:
            for function in FUNCTIONS:
                keys, args = right(function)
                try:
                    call(function, keys, *args)
                except redis.exceptions.ResponseError as error:
                    assert "holds the" in str(error), (function, error)
        before = contents(call.r)
        for function in FUNCTIONS:
            keys, args = right(function)
            for bad in bad_calls(function, keys, args):
                text = refused(lambda: call(function, *bad))
                assert "takes" in text, (function, bad, text)
        assert contents(call.r) == before


def bad_calls(function, keys, args):
    """Each a list of keys, and arguments."""
    yield [keys[:-1], *args]
    yield [keys + ["{%s}more" % FUNCTIONS[function][0]], *args]
    yield [keys, *args, *["1"] * 5]
    if args:
        yield [keys, *args[:-1]]
    for index, arg in enumerate(RIGHT[function][1]):
        if arg.startswith("N"):
            # A version may be as great as a number gets.
            for bad in BAD_NUMBERS[:-1] if function == "debounce_done" else BAD_NUMBERS:
                yield [keys, *args[:index], bad, *args[index + 1:]]
        elif arg == "t":
            for bad in ("", "x" * 257):
                yield [keys, *args[:index], bad, *args[index + 1:]]
        else:
            yield [keys, *args[:index], "x" * (1024 * 1024 + 1), *args[index + 1:]]
    library = FUNCTIONS[function][0]
    if library in TAKES_A_COST:
        for bad in BAD_NUMBERS + ["0"]:
            yield [keys, *args, bad]
    products = {"sliding_counter": ["1000000000", "4503600"], "token_bucket": ["1000", "1000", "31536000000000"],
                "gcra": ["31536000000000", "143"], "leaky_bucket": ["31536000000000", "143"]}
    if library in products:
        yield [keys, *products[library]]
    if function == "debounce_call":
        yield [keys, "t", "payload", "60000", "59999"]


def what_is_left_has_a_lifetime(call):
    for function in FUNCTIONS:
        keys, args = right(function)
        call.r.flushall()
        reply = call(function, keys, *args)
        if FUNCTIONS[function][1]:
            assert call.r.dbsize() == 0, function
        for key in call.r.scan_iter():
            assert key in keys and call.r.pttl(key) > 0, (function, key)
        if "acquire" in function:
            assert reply[0] == 1, (function, reply)
            call(function, keys, "other", *args[1:])
            for key in call.r.scan_iter():
                assert key in keys and call.r.pttl(key) > 0, (function, key)


def keys_of_another_type_are_refused_and_stay(call):
    for function in FUNCTIONS:
        keys, args = right(function)
        refusals = 0
        for key in keys:
            call.r.flushall()
            call.r.rpush(key, "x")
            try:
                call(function, keys, *args)
            except redis.exceptions.ResponseError as error:
                assert "WRONGTYPE" in str(error) or "does not hold" in str(error), (function, error)
                refusals += 1
                assert contents(call.r) == {key: ("list", ["x"])}, function
            assert call.r.lrange(key, 0, -1) == ["x"], function
        # A key that a call need not look at is not looked at.
        assert refusals > 0, function


def without_memory_what_frees_still_works(call):
    take = ["lock_acquire", "semaphore_acquire", "fairlock_acquire", "rwlock_acquire_read", "idempotency_begin", "debounce_call"]
    for function in take:
        keys, args = right(function)
        call(function, keys, *args)
    call("fairlock_acquire", keys_of("fairlock_acquire"), "waits", 60000, 60000)
    call.r.config_set("maxmemory", 1)
    try:
        before = contents(call.r)
        for function in FUNCTIONS:
            keys, args = right(function)
            # By EVAL, what first removes what has lapsed is not refused afterwards.
            if call.way == "FCALL" and (function in take or function.endswith(("_take", "_enter"))):
                fresh = ["{fresh}" + key for key in keys]
                refused(lambda: call(function, fresh, *args), redis.exceptions.OutOfMemoryError)
        assert contents(call.r) == before
        for function in ("lock_release", "semaphore_release", "rwlock_release", "fairlock_release",
                         "idempotency_abandon", "debounce_cancel"):
            assert call(function, keys_of(function), "t") == 1, function
        assert call("fairlock_cancel", keys_of("fairlock_cancel"), "waits") == 1
        assert call("semaphore_held", keys_of("semaphore_held")) == 0
    finally:
        call.r.config_set("maxmemory", 0)


def both_ways_say_the_same(call):
    """The same random calls by FCALL and by EVAL, each on keys of its own: only times may differ a little."""
    if call.way != "FCALL":
        return
    rng = random.Random(7)
    names = sorted(FUNCTIONS)
    for _ in range(1500):
        function = rng.choice(names)
        keys, args = right(function)
        args = ["t%d" % rng.randrange(3) if arg == "t" else arg for arg in args]
        replies = []
        for way in "ab":
            own = [key.replace("{", "{" + way) for key in keys]
            try:
                if way == "a":
                    replies.append(call(function, own, *args))
                else:
                    command = "EVAL_RO" if FUNCTIONS[function][1] else "EVAL"
                    replies.append(call.r.execute_command(command, eval_text(function), len(own), *own, *args))
            except redis.exceptions.ResponseError as error:
                replies.append(str(error))
        assert alike(*replies), (function, args, replies)


def alike(a, b):
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, int) and isinstance(b, int) and min(a, b) > 1000:
        # Milliseconds and microseconds that are left, and fences and versions, which are times.
        return abs(a - b) < 10000000
    return a == b


TESTS = [
    every_function_is_here, bad_arguments_change_nothing, what_is_left_has_a_lifetime,
    keys_of_another_type_are_refused_and_stay, without_memory_what_frees_still_works, both_ways_say_the_same,
]
