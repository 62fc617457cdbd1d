"""Do idempotency keys and debounced jobs keep their promises among clients that run side by side?"""
import threading
import time

from harness import together, wait_until

JOBS = ["{jobs}:due", "{jobs}"]


def one_of_many_runs_and_all_get_its_result(call):
    for round in range(10):
        key, ran = "key:%d" % round, []

        def work(number):
            mine = "t%d" % number
            while True:
                reply = call("idempotency_begin", [key], mine, 60000, "POST /pay 5")
                if reply[0] == "run":
                    ran.append(mine)
                    assert call("idempotency_complete", [key], mine, "paid by " + mine, 60000) == 1
                elif reply[0] == "done":
                    return reply[1]
                else:
                    assert reply[0] == "running" and 0 < reply[1] <= 60000, reply

        results = together(8, work)
        assert len(ran) == 1 and results == ["paid by " + ran[0]] * 8, (ran, results)


def only_the_lease_stores(call):
    assert call("idempotency_peek", ["key"]) == ["none"]
    assert call("idempotency_begin", ["key"], "a", 60000) == ["run", 60000]
    assert call("idempotency_begin", ["key"], "a", 70000, "") == ["run", 70000]
    assert call("idempotency_begin", ["key"], "b", 60000, "other request") == ["mismatch"]
    assert call("idempotency_begin", ["key"], "b", 60000)[0] == "running"
    assert call("idempotency_peek", ["key"])[0] == "running"
    for name, args in (("complete", ("x", 60000)), ("extend", (60000,)), ("abandon", ())):
        assert call("idempotency_" + name, ["key"], "b", *args) == 0, name
    assert call("idempotency_extend", ["key"], "a", 90000) == 1
    assert 80000 < call.r.pttl("key") <= 90000
    assert call("idempotency_abandon", ["key"], "a") == 1
    assert call("idempotency_begin", ["key"], "b", 60000, "request") == ["run", 60000]
    result = "".join(map(chr, range(128)))
    assert call("idempotency_complete", ["key"], "b", result, 60000) == 1
    assert call("idempotency_complete", ["key"], "b", "another", 60000) == 1
    assert call("idempotency_begin", ["key"], "c", 60000, "request") == ["done", result]
    assert call("idempotency_begin", ["key"], "b", 60000, "request") == ["done", result]
    assert call("idempotency_peek", ["key"]) == ["done", result]
    assert call("idempotency_begin", ["key"], "c", 60000, "other") == ["mismatch"]
    assert call("idempotency_abandon", ["key"], "b") == 0
    assert call("idempotency_extend", ["key"], "b", 60000) == 0


def a_lease_ends_and_the_next_one_runs(call):
    assert call("idempotency_begin", ["key"], "dead", 80)[0] == "run"
    wait_until(lambda: call("idempotency_begin", ["key"], "next", 60000)[0] == "run", "the end of the lease")
    assert call("idempotency_complete", ["key"], "dead", "late", 60000) == 0
    assert call("idempotency_complete", ["key"], "next", "", 80) == 1
    assert call("idempotency_begin", ["key"], "third", 60000) in (["done", ""], ["run", 60000])
    wait_until(lambda: call("idempotency_begin", ["key"], "third", 60000)[0] == "run", "the end of the result")


def a_row_of_calls_fires_once_with_the_last(call):
    calls, fired, mutex, stop = [], [], threading.Lock(), threading.Event()

    def worker():
        while not stop.is_set():
            for id, payload, version in call("debounce_claim", JOBS, 10, 60000):
                with mutex:
                    fired.append((id, payload, version, time.monotonic()))
                assert call("debounce_done", JOBS, id, version) == 1

    workers = [threading.Thread(target=worker) for _ in range(4)]
    for thread in workers:
        thread.start()

    def caller(number):
        for index in range(10):
            payload = "%d/%d" % (number, index)
            sent = time.monotonic()
            version, ms = call("debounce_call", JOBS, "job", payload, 1000, 60000)
            assert 0 < ms <= 1000
            with mutex:
                calls.append((version, payload, sent))

    try:
        together(6, caller)
        assert not fired, "fired before it was quiet"
        wait_until(lambda: fired, "the job")
        wait_until(lambda: call("debounce_next", JOBS[:1]) == [0, -1], "the job to be forgotten")
    finally:
        stop.set()
        for thread in workers:
            thread.join()
    last = max(calls)
    assert len(set(version for version, _, _ in calls)) == 60
    assert len(fired) == 1 and fired[0][:3] == ("job", last[1], last[0]), (fired, last)
    assert fired[0][3] - last[2] >= 1


def calls_without_end_still_fire(call):
    began, rounds = time.monotonic(), 0
    while True:
        call("debounce_call", JOBS, "job", str(rounds), 100, 250)
        rounds += 1
        claimed = call("debounce_claim", JOBS, 10, 0)
        if claimed:
            break
        assert time.monotonic() < began + 20
    # Either the calls never paused for 100 ms, and it fired at 250; or this machine did pause.
    assert time.monotonic() - began >= 0.1
    assert claimed[0][:2] == ["job", str(rounds - 1)]
    assert call("debounce_next", JOBS[:1]) == [0, -1]


def claims_share_the_jobs_out(call):
    for number in range(40):
        call("debounce_call", JOBS, "job%d" % number, "p%d" % number, 1, 1000)
    wait_until(lambda: call("debounce_next", JOBS[:1])[1] == 0, "the first to be due")

    def worker(_):
        mine = []
        end = time.monotonic() + 10
        while call("debounce_next", JOBS[:1])[0] and time.monotonic() < end:
            mine += call("debounce_claim", JOBS, 3, 0)
        return mine

    claimed = sum(together(4, worker), [])
    assert sorted(id for id, _, _ in claimed) == sorted("job%d" % number for number in range(40))
    assert all(payload == "p" + id[3:] for id, payload, _ in claimed)


def a_lease_gives_a_job_out_again(call):
    version, _ = call("debounce_call", JOBS, "job", "x", 1, 1000)
    assert call("debounce_done", JOBS, "job", version) == 0, "never claimed"
    first = wait_until(lambda: call("debounce_claim", JOBS, 10, 80), "the job")
    assert first == [["job", "x", version]]
    again = wait_until(lambda: call("debounce_claim", JOBS, 10, 60000), "the end of the lease")
    assert again == first
    # A call after the claim is a new row, which the old worker does not end.
    newer, ms = call("debounce_call", JOBS, "job", "y", 1, 1000)
    assert newer > version and ms == 1
    assert call("debounce_done", JOBS, "job", version) == 0
    assert wait_until(lambda: call("debounce_claim", JOBS, 10, 60000), "the new row") == [["job", "y", newer]]
    assert call("debounce_done", JOBS, "job", newer) == 1
    assert call("debounce_done", JOBS, "job", newer) == 0
    later, _ = call("debounce_call", JOBS, "job", "z", 60000, 60000)
    assert later > newer
    assert call("debounce_cancel", JOBS, "job") == 1
    assert call("debounce_cancel", JOBS, "job") == 0
    assert call.r.dbsize() == 0


TESTS = [
    one_of_many_runs_and_all_get_its_result, only_the_lease_stores, a_lease_ends_and_the_next_one_runs,
    a_row_of_calls_fires_once_with_the_last, calls_without_end_still_fire, claims_share_the_jobs_out,
    a_lease_gives_a_job_out_again,
]
