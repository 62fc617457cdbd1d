"""Do lock, fairlock, rwlock and semaphore keep their promises among clients that run side by side?"""
import threading
import time
import uuid

from harness import Inside, together, wait_until


def token():
    return uuid.uuid4().hex


FAIR = ["{fair}", "{fair}:queue", "{fair}:places"]
RW = ["{rw}:writer", "{rw}:readers", "{rw}:queue", "{rw}:places"]


def lock_excludes(call):
    inside = Inside()

    def work(_):
        for _ in range(40):
            mine = token()
            wait_until(lambda: call("lock_acquire", ["lock"], mine, 60000)[0], "the lock")
            with inside:
                # Loses increments if two are here.
                call.r.set("sum", int(call.r.get("sum") or 0) + 1, ex=60)
            assert call("lock_release", ["lock"], mine) == 1

    together(8, work)
    assert inside.most == 1 and call.r.get("sum") == "320", (inside.most, call.r.get("sum"))


def lock_belongs_to_its_token(call):
    assert call("lock_holder", ["lock"]) is None
    assert call("lock_acquire", ["lock"], "a", 60000) == [1, 60000]
    reply = call("lock_acquire", ["lock"], "b", 60000)
    assert reply[0] == 0 and 50000 < reply[1] <= 60000, reply
    assert call("lock_extend", ["lock"], "b", 90000) == 0
    assert call("lock_release", ["lock"], "b") == 0
    holder = call("lock_holder", ["lock"])
    assert holder[0] == "a" and 50000 < holder[1] <= 60000, holder
    # The same call again is the same holder.
    assert call("lock_acquire", ["lock"], "a", 70000) == [1, 70000]
    assert call("lock_extend", ["lock"], "a", 90000) == 1
    assert 80000 < call.r.pttl("lock") <= 90000
    assert call("lock_release", ["lock"], "a") == 1
    assert call("lock_release", ["lock"], "a") == 0
    assert call("lock_acquire", ["lock"], "b", 60000) == [1, 60000]


def lock_ends_with_its_lifetime(call):
    began = time.monotonic()
    assert call("lock_acquire", ["lock"], "dead", 80)[0] == 1
    wait_until(lambda: call("lock_acquire", ["lock"], "next", 60000)[0], "the end of the lifetime")
    assert time.monotonic() - began >= 0.079
    assert call("lock_extend", ["lock"], "dead", 60000) == 0
    assert call("lock_release", ["lock"], "dead") == 0
    assert call("lock_holder", ["lock"])[0] == "next"


def only_one_of_many_gets_a_lock(call):
    for round in range(20):
        key = "lock:%d" % round
        got = together(8, lambda number: call("lock_acquire", [key], "t%d" % number, 60000)[0])
        assert sum(got) == 1, got


def fair_lock_is_had_in_the_order_of_asking(call):
    first = call("fairlock_acquire", FAIR, "holder", 60000, 30000)
    assert first[0] == 1 and first[2] == 60000, first
    order, fences, mutex, threads = [], [first[1]], threading.Lock(), []

    def work(number):
        mine = "w%d" % number

        def mine_now():
            reply = call("fairlock_acquire", FAIR, mine, 60000, 30000)
            return reply if reply[0] else None

        reply = wait_until(mine_now, "turn %d" % number)
        with mutex:
            order.append(number)
            fences.append(reply[1])
        assert call("fairlock_release", FAIR[:1], mine) == 1

    for number in range(8):
        # One after the other, so that there is an order to keep.
        reply = call("fairlock_acquire", FAIR, "w%d" % number, 60000, 30000)
        assert reply[0] == 0 and reply[1] == number and 40000 < reply[2] <= 60000, reply
    assert call("fairlock_state", FAIR)[3] == 8
    for number in (5, 2, 7, 0, 1, 6, 3, 4):
        threads.append(threading.Thread(target=work, args=(number,)))
        threads[-1].start()
    assert call("fairlock_release", FAIR[:1], "holder") == 1
    for thread in threads:
        thread.join()
    assert order == list(range(8)), order
    assert fences == sorted(set(fences)), fences


def fair_lock_excludes_and_its_fences_grow(call):
    inside, fences = Inside(), []

    def work(_):
        for _ in range(15):
            mine = token()

            def mine_now():
                reply = call("fairlock_acquire", FAIR, mine, 60000, 30000)
                return reply if reply[0] else None

            reply = wait_until(mine_now, "the lock")
            with inside:
                fences.append(reply[1])
                again = call("fairlock_acquire", FAIR, mine, 60000, 30000)
                assert again == reply, (again, reply)
            assert call("fairlock_release", FAIR[:1], mine) == 1

    together(6, work)
    assert inside.most == 1 and len(fences) == 90
    assert all(a < b for a, b in zip(fences, fences[1:])), fences


def fair_lock_passes_over_the_dead(call):
    call("fairlock_acquire", FAIR, "holder", 60000, 0)
    # `dead` asks once, and keeps its place for a moment only; `cancelled` gives its own up.
    assert call("fairlock_acquire", FAIR, "dead", 60000, 500)[:2] == [0, 0]
    assert call("fairlock_acquire", FAIR, "cancelled", 60000, 30000)[:2] == [0, 1]
    assert call("fairlock_acquire", FAIR, "alive", 60000, 30000)[:2] == [0, 2]
    assert call("fairlock_cancel", FAIR[1:], "cancelled") == 1
    assert call("fairlock_cancel", FAIR[1:], "cancelled") == 0
    assert call("fairlock_release", FAIR[:1], "holder") == 1
    wait_until(lambda: call("fairlock_acquire", FAIR, "alive", 60000, 30000)[0], "the end of the dead one's place")
    assert call("fairlock_state", FAIR)[3] == 0
    # Who does not wait has no place.
    assert call("fairlock_acquire", FAIR, "hasty", 60000, 0)[:2] == [0, 0]
    assert call("fairlock_state", FAIR)[3] == 0


def fair_lock_ends_and_the_fence_still_grows(call):
    fences = []
    for number in range(3):
        began = time.monotonic()
        reply = call("fairlock_acquire", FAIR, "dead%d" % number, 50, 30000)
        assert reply[0] == 1, reply
        fences.append(reply[1])
        wait_until(lambda: call("fairlock_state", FAIR)[0] == "", "the end of the lifetime")
        assert time.monotonic() - began >= 0.05
        assert call("fairlock_extend", FAIR[:1], "dead%d" % number, 60000) == 0
        assert call("fairlock_release", FAIR[:1], "dead%d" % number) == 0
    call.r.delete(FAIR[0])  # as eviction would
    fences.append(call("fairlock_acquire", FAIR, "late", 60000, 0)[1])
    assert all(a < b for a, b in zip(fences, fences[1:])), fences
    assert call("fairlock_extend", FAIR[:1], "late", 90000) == 1
    assert 80000 < call("fairlock_state", FAIR)[2] <= 90000


def read_write_lock_excludes(call):
    readers, writers, mutex, bad = [0], [0], threading.Lock(), []

    def work(number):
        for round in range(12):
            mine, writes = token(), (number + round) % 3 == 0
            name = "rwlock_acquire_write" if writes else "rwlock_acquire_read"
            wait_until(lambda: call(name, RW, mine, 60000, 30000)[0], name)
            mine_kind, other = (writers, readers) if writes else (readers, writers)
            with mutex:
                mine_kind[0] += 1
                if other[0] or writers[0] > 1:
                    bad.append((readers[0], writers[0]))
            call.r.ping()
            with mutex:
                mine_kind[0] -= 1
            assert call("rwlock_release", RW[:2], mine) == 1

    together(8, work)
    assert not bad, bad
    assert call("rwlock_state", [RW[0], RW[1], RW[3]]) == ["", 0, 0]


def readers_share_and_lifetimes_are_their_own(call):
    state = [RW[0], RW[1], RW[3]]
    assert call("rwlock_acquire_read", RW, "r1", 60000, 0)[0] == 1
    assert call("rwlock_acquire_read", RW, "r2", 500, 0)[0] == 1
    assert call("rwlock_state", state) == ["", 2, 0]
    reply = call("rwlock_acquire_write", RW, "w", 60000, 30000)
    assert reply[0] == 0 and 40000 < reply[1] <= 60000, reply
    # A reader that comes after a waiting writer waits behind it; one that holds only goes on.
    assert call("rwlock_acquire_read", RW, "r3", 60000, 30000)[0] == 0
    assert call("rwlock_acquire_read", RW, "r1", 60000, 0)[0] == 1
    wait_until(lambda: call("rwlock_state", state)[1] == 1, "the end of r2's lifetime")
    assert call("rwlock_extend", RW[:2], "r2", 60000) == 0
    assert call("rwlock_release", RW[:2], "r2") == 0
    assert call("rwlock_extend", RW[:2], "r1", 60000) == 1
    assert call("rwlock_release", RW[:2], "w") == 0
    assert call("rwlock_release", RW[:2], "r1") == 1
    assert call("rwlock_acquire_read", RW, "r3", 60000, 30000)[0] == 0
    assert call("rwlock_acquire_write", RW, "w", 60000, 30000) == [1, 60000]
    assert call("rwlock_state", state) == ["w", 0, 1]
    assert call("rwlock_extend", RW[:2], "w", 90000) == 1
    assert call("rwlock_release", RW[:2], "w") == 1
    assert call("rwlock_acquire_read", RW, "r3", 60000, 30000)[0] == 1


def neither_readers_nor_writers_starve(call):
    stop, reads, writes = threading.Event(), [0], [0]

    def stream(name, count):
        # Two of a kind that overlap for ever: without a line the other kind would never get in.
        def work(number):
            while not stop.is_set():
                mine = token()
                wait_until(lambda: stop.is_set() or call(name, RW, mine, 60000, 5000)[0], name)
                count[0] += 1
                call.r.ping()
                call("rwlock_release", RW[:2], mine)
                call("rwlock_cancel", RW[2:], mine)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        return threads

    threads = stream("rwlock_acquire_read", reads) + stream("rwlock_acquire_write", writes)
    try:
        wait_until(lambda: reads[0] > 30 and writes[0] > 30, "thirty of each")
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def the_dead_in_the_line_hold_nobody_up(call):
    assert call("rwlock_acquire_read", RW, "r", 60000, 0)[0] == 1
    assert call("rwlock_acquire_write", RW, "dead", 60000, 500)[0] == 0
    assert call("rwlock_acquire_read", RW, "behind", 60000, 30000)[0] == 0
    wait_until(lambda: call("rwlock_acquire_read", RW, "behind", 60000, 30000)[0], "the end of the dead one's place")
    assert call("rwlock_acquire_write", RW, "w", 60000, 30000)[0] == 0
    assert call("rwlock_acquire_read", RW, "r4", 60000, 0)[0] == 0
    assert call("rwlock_cancel", RW[2:], "w") == 1
    assert call("rwlock_acquire_read", RW, "r4", 60000, 0)[0] == 1


def semaphore_never_holds_more_than_its_limit(call):
    inside = Inside()

    def work(_):
        for _ in range(25):
            mine = token()
            wait_until(lambda: call("semaphore_acquire", ["sem"], mine, 3, 60000)[0], "a place")
            with inside:
                call.r.ping()
            assert call("semaphore_release", ["sem"], mine) == 1

    together(8, work)
    assert inside.most == 3, inside.most
    got = together(8, lambda number: call("semaphore_acquire", ["sem2"], "t%d" % number, 5, 60000)[0])
    assert sum(got) == 5, got
    assert call("semaphore_held", ["sem2"]) == 5


def leases_end_one_by_one(call):
    assert call("semaphore_acquire", ["sem"], "long", 2, 60000) == [1, 1]
    assert call("semaphore_acquire", ["sem"], "short", 2, 500) == [1, 0]
    reply = call("semaphore_acquire", ["sem"], "third", 2, 60000)
    assert reply[0] == 0 and 0 < reply[1] <= 500, reply
    assert call("semaphore_acquire", ["sem"], "long", 2, 70000)[0] == 1
    assert call("semaphore_extend", ["sem"], "third", 60000) == 0
    wait_until(lambda: call("semaphore_acquire", ["sem"], "third", 2, 60000)[0], "the end of the short lease")
    assert call("semaphore_extend", ["sem"], "short", 60000) == 0
    assert call("semaphore_release", ["sem"], "short") == 0
    assert call("semaphore_extend", ["sem"], "long", 60000) == 1
    assert call("semaphore_held", ["sem"]) == 2
    # A smaller limit takes nothing away, and says when enough will have ended.
    reply = call("semaphore_acquire", ["sem"], "fourth", 1, 60000)
    assert reply[0] == 0 and 50000 < reply[1] <= 60000, reply
    assert call("semaphore_release", ["sem"], "long") == 1


TESTS = [
    lock_excludes, lock_belongs_to_its_token, lock_ends_with_its_lifetime, only_one_of_many_gets_a_lock,
    fair_lock_is_had_in_the_order_of_asking, fair_lock_excludes_and_its_fences_grow, fair_lock_passes_over_the_dead,
    fair_lock_ends_and_the_fence_still_grows, read_write_lock_excludes, readers_share_and_lifetimes_are_their_own,
    neither_readers_nor_writers_starve, the_dead_in_the_line_hold_nobody_up,
    semaphore_never_holds_more_than_its_limit, leases_end_one_by_one,
]
