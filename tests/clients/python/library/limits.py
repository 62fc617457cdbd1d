"""Do the rate limiters allow exactly what they promise, when many clients ask at the same time?"""
import threading
import time

from harness import together, wait_until

# Function, arguments that allow 25 in an hour and no more before the test is over, retry's limit in its unit.
HOUR_MS, HOUR_US = 3600000, 3600000000
EXACT = [
    ("fixed_window", (25, HOUR_MS)),
    ("sliding_log", (25, HOUR_MS)),
    ("sliding_counter", (25, HOUR_MS)),
    ("token_bucket", (25, 1, HOUR_US)),
    ("gcra", (HOUR_US, 25)),
]


def never_more_than_the_limit(call):
    for name, args in EXACT:
        def work(_):
            return [call(name + "_take", [name], *args) for _ in range(20)]

        replies = sum(together(8, work), [])
        allowed = [reply for reply in replies if reply[0] == 1]
        assert len(allowed) == 25, (name, len(allowed))
        # Each was told another remainder: 24 down to 0.
        assert sorted(reply[1] for reply in allowed) == list(range(25)), name
        for reply in replies:
            assert reply[0] == 1 or (reply[1] == 0 and reply[2] > 0), (name, reply)
        assert call(name + "_peek", [name], *args)[:2] == [0, 0], name


def a_look_takes_nothing(call):
    for name, args in EXACT:
        for _ in range(3):
            assert call(name + "_peek", [name], *args)[:2] == [1, 24], name
        assert not call.r.exists(name), name
        assert call(name + "_take", [name], *args)[:2] == [1, 24], name
        for _ in range(3):
            assert call(name + "_peek", [name], *args)[:2] == [1, 23], name
    assert call("leaky_bucket_peek", ["bucket"], HOUR_US, 5)[:3] == [1, 5, 0]
    assert not call.r.exists("bucket")


def costs_add_up(call):
    for name, args in EXACT:
        if name == "sliding_log":
            continue
        assert call(name + "_take", [name], *args, 20)[:2] == [1, 5], name
        reply = call(name + "_take", [name], *args, 6)
        assert reply[:2] == [0, 5] and reply[2] > 0, (name, reply)
        assert call(name + "_take", [name], *args, 26)[:3] == [0, 5, -1], name
        assert call(name + "_take", [name], *args, 5)[:2] == [1, 0], name


def intervals_hold(call):
    """Hammers for a while; what was sent and answered within a window was allowed within it."""
    window = 0.2
    for name, args in (("sliding_log", (10, 200)), ("token_bucket", (10, 10, 200000)), ("gcra", (20000, 10))):
        spans, mutex = [], threading.Lock()
        began = time.monotonic()

        def work(_):
            while time.monotonic() < began + 4 * window:
                sent = time.monotonic()
                if call(name + "_take", [name], *args)[0]:
                    with mutex:
                        spans.append((sent, time.monotonic()))

        together(8, work)
        lasted = time.monotonic() - began
        most = 10 if name == "sliding_log" else 20  # a bucket and what comes in meanwhile
        for start, _ in spans:
            inside = [end for sent, end in spans if sent >= start and end < start + window]
            assert len(inside) <= most, (name, len(inside))
        if name != "sliding_log":
            assert 10 < len(spans) <= 10 + lasted / 0.02 + 1, (name, len(spans), lasted)
        else:
            # Each window after the first lets in as many again.
            assert 20 <= len(spans) <= 10 * (lasted / window + 1), (name, len(spans), lasted)


def what_was_refused_is_allowed_in_time(call):
    """After the time that a refusal tells the same call is allowed, and not before."""
    for name, args, unit in (
            ("fixed_window", (2, 120), 0.001), ("sliding_log", (2, 120), 0.001), ("sliding_counter", (2, 120), 0.001),
            ("token_bucket", (2, 1, 60000), 1e-6), ("gcra", (60000, 2), 1e-6)):
        reply, spent = [1], 0
        while reply[0]:
            asked = time.monotonic()  # refused no earlier than this
            reply = call(name + "_take", [name], *args)
            spent += 1
            assert spent < 100, name
        assert 0 < reply[2] * unit <= 0.26, (name, reply)
        wait_until(lambda: call(name + "_take", [name], *args)[0], name)
        # A millisecond is what rounding up may add.
        assert time.monotonic() - asked >= reply[2] * unit - 0.002, (name, reply, time.monotonic() - asked)
        # All that there is ends by itself.
        wait_until(lambda: not call.r.exists(name), name + " to be forgotten")


def a_queue_hands_out_every_place_once(call):
    interval = 10000000  # 10 s: the test is over before a place gets free

    def work(_):
        return [call("leaky_bucket_enter", ["bucket"], interval, 20) for _ in range(5)]

    replies = sum(together(8, work), [])
    accepted = [reply for reply in replies if reply[0] == 1]
    assert len(accepted) == 21, len(accepted)  # one acts at once, twenty wait
    places = sorted(-(-reply[2] // interval) for reply in accepted)
    assert places == list(range(21)), places
    assert sorted(reply[1] for reply in accepted) == list(range(21))
    refused = [reply for reply in replies if reply[0] == 0]
    assert len(refused) == 19 and all(0 < reply[2] <= interval for reply in refused), refused


def a_queue_spaces_what_it_accepts(call):
    interval = 20000
    acts, mutex = [], threading.Lock()

    def work(_):
        for _ in range(3):
            sent = time.monotonic()
            reply = call("leaky_bucket_enter", ["bucket"], interval, 100)
            assert reply[0] == 1, reply
            with mutex:
                acts.append((sent + reply[2] / 1e6, time.monotonic() + reply[2] / 1e6))

    together(6, work)
    acts.sort(key=lambda act: act[1])
    # Each acts somewhere between its two bounds; n of them cannot have been closer than that allows.
    for index, (earliest, _) in enumerate(acts):
        for later in range(index + 1, len(acts)):
            assert acts[later][1] - earliest >= (later - index) * interval / 1e6 - 1e-3, (index, later)


TESTS = [
    never_more_than_the_limit, a_look_takes_nothing, costs_add_up, intervals_hold, what_was_refused_is_allowed_in_time,
    a_queue_hands_out_every_place_once, a_queue_spaces_what_it_accepts,
]
