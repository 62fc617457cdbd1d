"""Are the functions exact to the microsecond, and what does a step of the clock do? Random calls at times that the test
sets, against naive models in exact arithmetic.
"""
import random
from fractions import Fraction

START_US = 1800000000123456


class Clock:
    """Goes on by random steps, many of them short."""

    def __init__(self, rng, scale_us):
        # Not into times that are no exact doubles any more, which begin in the year 2255.
        self.rng, self.scale_us = rng, min(scale_us, 5000000000000)
        self.now = START_US + rng.randrange(self.scale_us)

    def step(self):
        kind = self.rng.randrange(10)
        if kind < 4:
            self.now += self.rng.randrange(3)
        elif kind < 9:
            self.now += self.rng.randrange(max(self.scale_us // 4, 2))
        else:
            self.now += self.rng.randrange(3 * self.scale_us)
        return self.now


class Log:
    def __init__(self, limit, window_us):
        self.limit, self.window, self.times = limit, window_us, []

    def take(self, now, cost):
        inside = [time for time in self.times if time > now - self.window]
        if len(inside) + cost > self.limit:
            return False, self.limit - len(inside)
        self.times.append(now)
        return True, self.limit - len(inside) - cost


class Counter:
    def __init__(self, limit, window_us):
        self.limit, self.window, self.counts = limit, window_us, {}

    def take(self, now, cost):
        index, passed = divmod(now, self.window)
        before = self.counts.get(index - 1, 0) * Fraction(self.window - passed, self.window)
        used = before + self.counts.get(index, 0)
        if used + cost > self.limit:
            return False, max(int((self.limit - used) // 1), 0)
        self.counts[index] = self.counts.get(index, 0) + cost
        return True, int((self.limit - used) // 1) - cost


class Bucket:
    def __init__(self, capacity, refill, period_us):
        self.capacity, self.rate = capacity, Fraction(refill, period_us)
        self.tokens, self.time = Fraction(capacity), 0

    def take(self, now, cost):
        self.tokens = min(self.tokens + (now - self.time) * self.rate, Fraction(self.capacity))
        self.time = now
        if cost > self.tokens:
            return False, int(self.tokens // 1)
        self.tokens -= cost
        return True, int(self.tokens // 1)


def against(call, rng, name, args, model, scale_us, unit_us, has_cost=True):
    """Plays a hundred calls, and holds peek, the remainder and the time to ask again to what take does."""
    clock = Clock(rng, scale_us)
    for number in range(100):
        now = clock.step()
        cost = rng.choice([1, 1, 1, 2, 3]) if has_cost else 1
        given = [*args, cost] if has_cost else args
        looked = call.at(now, name + "_peek", [name], *given)
        took = call.at(now, name + "_take", [name], *given)
        allowed, remaining = model.take(now, cost)
        what = (name, args, number, now, cost, took)
        assert took[:2] == [int(allowed), remaining], (what, allowed, remaining)
        assert looked == took, (what, looked)
        if not allowed and took[2] >= 0:
            # Allowed at that time, and not a unit before: refused a moment earlier still.
            later = now + took[2] * unit_us
            assert call.at(later, name + "_peek", [name], *given)[0] == 1, what
            assert call.at(later - unit_us, name + "_peek", [name], *given)[0] == 0 or took[2] == 0, what
        if not allowed and took[2] < 0:
            assert cost > args[1 if name == "gcra" else 0], what
        # At rest after the last time told.
        rest = call.at(now + took[3] * unit_us, name + "_peek", [name], *given)
        full = args[1] if name == "gcra" else args[0]
        assert rest[1] == (full - cost if cost <= full else full), (what, rest)


def sliding_log_is_exact(call, rng):
    for _ in range(3):
        limit, window_ms = rng.randrange(1, 12), rng.randrange(1, 500)
        call.r.flushall()
        against(call, rng, "sliding_log", [limit, window_ms], Log(limit, window_ms * 1000), window_ms * 1000, 1000, False)


def sliding_counter_is_exact(call, rng):
    for _ in range(3):
        limit, window_ms = rng.randrange(1, 40), rng.randrange(1, 500)
        call.r.flushall()
        model = Counter(limit, window_ms * 1000)
        against(call, rng, "sliding_counter", [limit, window_ms], model, window_ms * 1000, 1000)


def sliding_counter_keeps_its_bound(call, rng):
    """The worst case: all at the end of a window, then as many as the estimate lets in. 2 * limit - 1 is the most."""
    limit, window_us = 10, 1000000
    end = START_US - START_US % window_us + window_us
    times = []
    for now in [end - 1] * 12 + list(range(end, end + window_us - 1, 1000)):
        if call.at(now, "sliding_counter_take", ["worst"], limit, 1000)[0]:
            times.append(now)
    most = max(sum(1 for time in times if first <= time < first + window_us) for first in times)
    assert most == 2 * limit - 1, most


def token_bucket_is_exact(call, rng):
    for capacity, refill, period_us in (
            (rng.randrange(1, 20), rng.randrange(1, 20), rng.randrange(1, 1000000)), (7, 3, 1000003), (1, 1, 1),
            (100, 7, 44000000000003)):
        call.r.flushall()
        if period_us > 31536000000000:
            period_us = 31536000000000
        scale = max(capacity * period_us // refill, 8)
        args = [capacity, refill, period_us]
        against(call, rng, "token_bucket", args, Bucket(*args), scale, 1)


def gcra_is_a_token_bucket(call, rng):
    for interval_us, burst in ((rng.randrange(1, 100000), rng.randrange(1, 20)), (1, 1), (333333, 3), (450359962737, 9999)):
        call.r.flushall()
        model = Bucket(burst, 1, interval_us)
        against(call, rng, "gcra", [interval_us, burst], model, burst * interval_us, 1)


def leaky_bucket_is_exact(call, rng):
    for _ in range(3):
        interval_us, capacity = rng.randrange(1, 100000), rng.randrange(0, 8)
        call.r.flushall()
        clock, acts = Clock(rng, (capacity + 1) * interval_us), []
        for number in range(100):
            now = clock.step()
            looked = call.at(now, "leaky_bucket_peek", ["bucket"], interval_us, capacity)
            reply = call.at(now, "leaky_bucket_enter", ["bucket"], interval_us, capacity)
            assert looked == reply, (looked, reply)
            act = max(now, acts[-1] + interval_us) if acts else now
            # With nobody in the way a call does not wait, so it needs no room.
            waiting = sum(1 for time in acts if time > now)
            if act > now and waiting >= capacity:
                assert reply[:2] == [0, 0], (number, reply)
                assert call.at(now + reply[2], "leaky_bucket_peek", ["bucket"], interval_us, capacity)[0] == 1
                assert call.at(now + reply[2] - 1, "leaky_bucket_peek", ["bucket"], interval_us, capacity)[0] == 0
            else:
                acts.append(act)
                assert reply == [1, capacity - waiting - (act > now), act - now, act - now + interval_us], (number, reply)


def semaphore_is_exact(call, rng):
    clock, leases = Clock(rng, 100000), {}
    for number in range(300):
        now = clock.step()
        leases = {token: end for token, end in leases.items() if end > now}
        token, limit, ttl_ms = "t%d" % rng.randrange(8), rng.choice([3, 3, 2]), rng.randrange(1, 100)
        kind = rng.randrange(4)
        assert call.at(now, "semaphore_held", ["sem"]) == len(leases)
        if kind < 2:
            reply = call.at(now, "semaphore_acquire", ["sem"], token, limit, ttl_ms)
            if token in leases or len(leases) < limit:
                leases[token] = now + ttl_ms * 1000
                assert reply == [1, max(limit - len(leases), 0)], (number, reply, leases)
            else:
                end = sorted(leases.values())[len(leases) - limit]
                assert reply == [0, -(-(end - now) // 1000)], (number, reply, leases)
        elif kind == 2:
            reply = call.at(now, "semaphore_extend", ["sem"], token, ttl_ms)
            assert reply == int(token in leases)
            if token in leases:
                leases[token] = now + ttl_ms * 1000
        else:
            assert call.at(now, "semaphore_release", ["sem"], token) == int(token in leases)
            leases.pop(token, None)


def fair_lock_is_exact(call, rng):
    keys = ["{f}", "{f}:queue", "{f}:places"]
    clock, owner, ends, line, fence = Clock(rng, 100000), None, 0, [], 0
    for number in range(500):
        now = clock.step()
        if owner and ends <= now:
            owner = None
        line = [(token, kept) for token, kept in line if kept > now]
        token, ttl_ms = "t%d" % rng.randrange(6), rng.randrange(1, 100)
        wait_ms = rng.choice([0, rng.randrange(1, 100), rng.randrange(1, 100)])
        kind, names = rng.randrange(6), [name for name, _ in line]
        if kind < 4:
            reply = call.at(now, "fairlock_acquire", keys, token, ttl_ms, wait_ms)
            if owner == token or (not owner and (not line or names[0] == token)):
                if owner != token:
                    assert reply[1] > fence and reply[1] >= now, (number, reply)
                    line = [place for place in line if place[0] != token]
                    fence = reply[1]
                assert reply == [1, fence, ttl_ms], (number, reply, owner, line)
                owner, ends = token, now + ttl_ms * 1000
            else:
                if wait_ms == 0:
                    line = [place for place in line if place[0] != token]
                elif token in names:
                    line = [(name, now + wait_ms * 1000 if name == token else kept) for name, kept in line]
                else:
                    line.append((token, now + wait_ms * 1000))
                names = [name for name, _ in line]
                ahead = names.index(token) if token in names else len(names)
                assert reply == [0, ahead, -(-(ends - now) // 1000) if owner else 0], (number, reply, owner, line)
        elif kind == 4:
            assert call.at(now, "fairlock_release", keys[:1], token) == int(owner == token)
            owner = None if owner == token else owner
        else:
            assert call.at(now, "fairlock_cancel", keys[1:], token) == int(token in names)
            line = [place for place in line if place[0] != token]
        state = call.at(now, "fairlock_state", keys)
        left = -(-(ends - now) // 1000) if owner else 0
        assert state == [owner or "", fence, left, len(line)], (number, state, owner, line)


def read_write_lock_is_exact(call, rng):
    keys = ["{w}:writer", "{w}:readers", "{w}:queue", "{w}:places"]
    clock, writer, readers, line = Clock(rng, 100000), None, {}, []
    for number in range(500):
        now = clock.step()
        readers = {token: end for token, end in readers.items() if end > now}
        line = [(member, kept) for member, kept in line if kept > now]
        token, ttl_ms = "t%d" % rng.randrange(7), rng.randrange(1, 60)
        wait_ms, kind = rng.choice([0, rng.randrange(1, 100), rng.randrange(1, 100)]), rng.randrange(7)
        # The writer's key ends by the server's own time; here it stays until it is released.
        if kind < 5:
            reads = kind < 3
            member, members = ("r:" if reads else "w:") + token, [name for name, _ in line]
            before = members[:members.index(member)] if member in members else members
            try:
                name = "rwlock_acquire_read" if reads else "rwlock_acquire_write"
                reply = call.at(now, name, keys, token, ttl_ms, wait_ms)
            except Exception as error:
                assert "holds the" in str(error), error
                assert (writer == token) if reads else (token in readers), (number, error)
                continue
            if reads:
                granted = token in readers or (writer is None and not any(m[0] == "w" for m in before))
            else:
                granted = writer == token or (writer is None and not readers and not before)
            assert reply[0] == int(granted), (number, name, token, reply, writer, readers, line)
            if granted:
                if not (reads and token in readers):
                    line = [place for place in line if place[0] != member]
                if reads:
                    readers[token] = now + ttl_ms * 1000
                else:
                    writer = token
            elif wait_ms == 0:
                line = [place for place in line if place[0] != member]
            elif member in members:
                line = [(m, now + wait_ms * 1000 if m == member else kept) for m, kept in line]
            else:
                line.append((member, now + wait_ms * 1000))
        elif kind == 5:
            holds = writer == token or token in readers
            assert call.at(now, "rwlock_release", keys[:2], token) == int(holds), (number, token, writer, readers)
            if writer == token:
                writer = None
            else:
                readers.pop(token, None)
        else:
            left = [place for place in line if place[0][2:] != token]
            assert call.at(now, "rwlock_cancel", keys[2:], token) == int(len(left) < len(line))
            line = left
        state = call.at(now, "rwlock_state", [keys[0], keys[1], keys[3]])
        assert state == [writer or "", len(readers), len(line)], (number, state, writer, readers, line)


def debounce_is_exact(call, rng):
    keys = ["{d}:due", "{d}"]
    clock, jobs, versions = Clock(rng, 200000), {}, {}
    for number in range(400):
        now = clock.step()
        id, kind = "j%d" % rng.randrange(4), rng.randrange(6)
        if kind < 3:
            quiet_ms = rng.randrange(1, 100)
            max_wait_ms = quiet_ms + rng.randrange(200)
            first = jobs[id]["first"] if id in jobs and jobs[id]["first"] is not None else now
            fires = min(now + quiet_ms * 1000, max(first + max_wait_ms * 1000, now))
            version, ms = call.at(now, "debounce_call", keys, id, str(number), quiet_ms, max_wait_ms)
            assert version > versions.get(id, 0) and ms == -(-(fires - now) // 1000), (number, version, ms)
            versions[id] = version
            jobs[id] = {"at": fires, "first": first, "payload": str(number)}
        elif kind < 5:
            count, lease_ms = rng.randrange(1, 4), rng.choice([0, 30])
            due = sorted((job["at"], id) for id, job in jobs.items() if job["at"] <= now)[:count]
            reply = call.at(now, "debounce_claim", keys, count, lease_ms)
            assert reply == [[id, jobs[id]["payload"], versions[id]] for _, id in due], (number, reply, jobs)
            for _, id in due:
                if lease_ms:
                    jobs[id].update(at=now + lease_ms * 1000, first=None)
                else:
                    del jobs[id]
        else:
            claimed = id in jobs and jobs[id]["first"] is None
            assert call.at(now, "debounce_done", keys, id, versions.get(id, 1)) == int(claimed), number
            if claimed:
                del jobs[id]
        earliest = min((job["at"] for job in jobs.values()), default=None)
        wait = -1 if earliest is None else max(-(-(earliest - now) // 1000), 0)
        assert call.at(now, "debounce_next", keys[:1]) == [len(jobs), wait]


def a_clock_that_steps_back_locks_nobody_out(call, rng):
    """After a step back by an hour nothing is allowed too much, and all goes on within the time that each file names."""
    hour = 3600000000
    now = START_US + hour
    cases = [("sliding_log", [5, 1000], 1000000), ("sliding_counter", [5, 1000], 2000000),
             ("token_bucket", [5, 5, 1000000], 200000), ("gcra", [200000, 5], 1000000)]
    for name, args, within_us in cases:
        while call.at(now, name + "_take", [name], *args)[0]:
            pass
        assert call.at(now - hour, name + "_peek", [name], *args)[0] == 0, name
        back = now - hour
        assert call.at(back, name + "_take", [name], *args)[0] == 0, name
        assert call.at(back + within_us, name + "_take", [name], *args)[0] == 1, name
        # And forward again: no more than a fresh start gives.
        for _ in range(30):
            call.at(now, name + "_take", [name], *args)
        assert call.at(now, name + "_take", [name], *args)[0] == 0, name
    for _ in range(6):
        call.at(now, "leaky_bucket_enter", ["bucket"], 200000, 5)
    reply = call.at(now - hour, "leaky_bucket_enter", ["bucket"], 200000, 5)
    assert reply[0] == 0 and reply[3] <= 1200000, reply
    assert call.at(now - hour + 200000, "leaky_bucket_enter", ["bucket"], 200000, 5)[:3] == [1, 0, 1000000]
    # Fences grow whatever the clock does.
    keys, fences = ["{f}", "{f}:q", "{f}:p"], []
    for time in (now, now - hour, now + 1, now - 2 * hour, now - hour):
        reply = call.at(time, "fairlock_acquire", keys, "t", 1, 0)
        if reply[0] == 0:
            raise AssertionError(reply)
        fences.append(reply[1])
        call.at(time, "fairlock_release", keys[:1], "t")
    assert all(a < b for a, b in zip(fences, fences[1:])), fences
    # A debounced job waits the longer for the step, until the next call puts it right.
    jobs = ["{d}:due", "{d}"]
    call.at(now, "debounce_call", jobs, "job", "x", 100, 1000)
    assert call.at(now - hour + 100000, "debounce_claim", jobs, 1, 0) == []
    call.at(now - hour, "debounce_call", jobs, "job", "y", 100, 1000)
    assert call.at(now - hour + 100000, "debounce_claim", jobs, 1, 0)[0][:2] == ["job", "y"]


TESTS = [
    sliding_log_is_exact, sliding_counter_is_exact, sliding_counter_keeps_its_bound, token_bucket_is_exact,
    gcra_is_a_token_bucket, leaky_bucket_is_exact, semaphore_is_exact, fair_lock_is_exact, read_write_lock_is_exact,
    debounce_is_exact, a_clock_that_steps_back_locks_nobody_out,
]


def seeded(test, seed):
    return lambda call: test(call, random.Random(seed))
