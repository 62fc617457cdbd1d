#!/usr/bin/env python3
"""Does a server come over from Redis to ours, and back, under load, without the loss of one acknowledged write?

    tests/drill/migration.py                                              # beside redis-server, both ways
    tests/drill/migration.py --others redis-server,/path/to/valkey-server
    tests/drill/migration.py --keys 5000 --seconds 2                      # the small form

For each other server, as the old one and as the new one: the old one is filled with keys of all types, writers begin, the new
one becomes its replica, and is promoted while they write, as people do it: CLIENT PAUSE WRITE on the old one, a wait for equal
offsets, REPLICAOF NO ONE on the new one, and the clients go over. A writer keeps what each key must hold by the writes that were
acknowledged to it; in the end the new server is read whole and compared with that, and with what untouched keys were filled
with. A write that was under way when the pause began was not done: the client is told nothing and does it on the new server.
"""
import argparse
import os
import random
import sys
import threading
import time

from dataset import Hll, State, change, fill_commands, first_state, key_of, read_states
from servers import Folder, Server, program, redis, skip, wait_until

# The writers are divided among these.
DBS = (0, 9)
# Commands that are sent at once while filling, and keys that are read at once.
BATCH = 500
PAUSE_MS = 600_000
LIBRARY = "#!lua name=drill\nredis.register_function('drill', function(keys, args) return args[1] end)"
BY_SCRIPT = "return redis.call(unpack(ARGV))"


class Writer(threading.Thread):
    """Changes its own share of the keys, and keeps what they hold."""

    def __init__(self, number, count, keys, base_ms, seed):
        super().__init__(daemon=True)
        self.db, self.base_ms, self.keys = DBS[number % len(DBS)], base_ms, range(number, keys, count)
        self.number, self.rng = number, random.Random("%d %d" % (seed, number))
        self.states, self.faults, self.shorts = {}, [], 0
        self.acknowledged = self.unacknowledged = 0
        self.server, self.client, self.ended = None, None, threading.Event()

    def state(self, number):
        return self.states.get(number) or first_state(number, self.base_ms)

    def run(self):
        try:
            while not self.ended.is_set():
                self.step()
        except Exception as error:
            self.faults.append("writer %d ended: %r" % (self.number, error))

    def step(self):
        if self.client is None:
            self.client = connect(self.server, self.db)
        numbers = [self.rng.choice(self.keys)]
        if self.rng.random() < 0.05:
            numbers.append(self.rng.choice(self.keys))
        states = {number: self.state(number) for number in numbers}
        changes = {number: change(self.rng, number, state, self.base_ms) for number, state in states.items()}
        try:
            if self.rng.random() < 0.03:
                self.write_short()
            replies = self.send([words for words, _ in changes.values()])
        except redis.ConnectionError:
            return self.go_over(states)
        for (number, (_, apply)), reply in zip(changes.items(), replies):
            apply(states[number], reply)
            self.states[number] = states[number]
        self.acknowledged += 1

    def send(self, commands):
        if len(commands) > 1:
            pipe = self.client.pipeline(transaction=True)
            for words in commands:
                pipe.execute_command(*words)
            return pipe.execute()
        words, = commands
        if self.rng.random() < 0.03:
            return [self.client.execute_command("EVAL", BY_SCRIPT, 1, words[1], *words)]
        return [self.client.execute_command(*words)]

    def write_short(self):
        """A key that ends soon: none may be left in the end."""
        self.shorts += 1
        self.client.set("short:%d:%d" % (self.number, self.shorts), "x", px=self.rng.randrange(100, 3000))

    def go_over(self, states):
        """The connection was cut while a write waited: it was not done."""
        self.unacknowledged += 1
        self.client = connect(self.server, self.db)
        for number, found in read_states(self.client, list(states)):
            self.compare(number, found)

    def compare(self, number, found):
        wanted = self.state(number)
        if wanted.kind is Hll:
            wanted = State(Hll, count_anew(self.client, wanted.value), wanted.ends)
        if found != wanted:
            self.faults.append("%s: wanted %r, found %r" % (key_of(number), wanted, found))

    def compare_all(self, server):
        """Compares its keys with what they must hold; how many there are."""
        self.client = connect(server, self.db)
        for at in range(0, len(self.keys), BATCH):
            for number, found in read_states(self.client, self.keys[at:at + BATCH]):
                self.compare(number, found)
        return sum(self.state(number).exists() for number in self.keys)

    def shorts_left(self):
        """How many keys are left whose time is over. A server need not have looked at them yet; asked for them, it has."""
        pipe = self.client.pipeline(transaction=False)
        for count in range(1, self.shorts + 1):
            pipe.exists("short:%d:%d" % (self.number, count))
        return sum(pipe.execute())


def count_anew(client, elements):
    key = "count-anew"
    pipe = client.pipeline(transaction=True).delete(key)
    if elements:
        pipe.pfadd(key, *elements)
    return pipe.pfcount(key).delete(key).execute()[-2]


def connect(server, db):
    # A write that fails is not to be tried anew behind the writer's back.
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    return server.client(db=db, retry=retry, socket_timeout=120)


def fill(server, writers, base_ms):
    for writer in writers:
        client = connect(server, writer.db)
        pipe = client.pipeline(transaction=False)
        for number in writer.keys:
            for words in fill_commands(number, base_ms):
                pipe.execute_command(*words)
            if len(pipe.command_stack) >= BATCH:
                pipe.execute()
        pipe.execute()


def knows_functions(server):
    try:
        server.call("FUNCTION", "LIST")
        return True
    except redis.ResponseError:
        print("   skipped: functions, of which the %s server knows nothing" % server.name)
        return False


def promote(old, new, writers):
    """Has the writers go over; for how long they had to wait."""
    began = time.monotonic()
    old.call("CLIENT", "PAUSE", PAUSE_MS, "WRITE")
    wait_until("equal offsets", lambda: new.offset() == old.offset())
    new.call("REPLICAOF", "NO", "ONE")
    before = {writer: writer.acknowledged for writer in writers}
    for writer in writers:
        writer.server = new
    old.call("CLIENT", "KILL", "TYPE", "normal")
    wait_until("the writers go on", lambda: all(w.acknowledged > before[w] or w.faults for w in writers))
    return time.monotonic() - began, sum(before.values())


def migrate(args, old_words, new_words):
    names = [os.path.basename(words[0]) for words in (old_words, new_words)]
    print("-- %s -> %s, %d keys" % (*names, args.keys), flush=True)
    began, base_ms = time.monotonic(), int(time.time() * 1000)
    writers = [Writer(number, args.writers, args.keys, base_ms, args.seed) for number in range(args.writers)]
    config = ["save ''", "repl-diskless-sync-delay 0", "client-output-buffer-limit replica 0 0 0"]
    with Folder() as folder:
        old = Server(folder, "old", old_words, config)
        new = Server(folder, "new", new_words, config)
        fill(old, writers, base_ms)
        functions = knows_functions(old) and knows_functions(new)
        if functions:
            old.call("FUNCTION", "LOAD", LIBRARY)
        filled = time.monotonic()
        for writer in writers:
            writer.server = old
            writer.start()
        wait_until("each has written", lambda: all(writer.acknowledged > 10 for writer in writers))
        new.call("REPLICAOF", "127.0.0.1", old.port)
        wait_until("the new one follows", lambda: new.follows(old), 600)
        followed = time.monotonic()
        time.sleep(args.seconds)
        waited, before = promote(old, new, writers)
        time.sleep(args.seconds)
        for writer in writers:
            writer.ended.set()
        for writer in writers:
            writer.join()
        faults = [fault for writer in writers for fault in writer.faults] or compare(new, writers)
        if functions and new.call("FCALL", "drill", 0, "here") != "here":
            faults.append("the function has not come")
        print("   filled in %.0f s, followed in %.1f s, %d writes acknowledged before the switch, %d behind it, %d not, "
              "nobody waited longer than %.2f s; %.0f s in all"
              % (filled - began, followed - filled, before, sum(w.acknowledged for w in writers) - before,
                 sum(w.unacknowledged for w in writers), waited, time.monotonic() - began))
        if faults:
            raise SystemExit("%d faults:\n%s" % (len(faults), "\n".join(faults[:20])))


def compare(server, writers):
    wanted = {db: 0 for db in DBS}
    for writer in writers:
        wanted[writer.db] += writer.compare_all(server)
    sizes = {}

    def settled():
        if sum(writer.shorts_left() for writer in writers):
            return False
        for db in DBS:
            sizes[db] = connect(server, db).dbsize()
        return sizes == wanted

    try:
        wait_until("as many keys as there must be", settled, 10)
    except AssertionError:
        return ["there are %s keys, and must be %s" % (sizes, wanted)]
    return [fault for writer in writers for fault in writer.faults]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--server", default=os.path.join(here, "../../target/ci/mortise"), help="ours")
    p.add_argument("--others", default="redis-server", help="with commas between them")
    p.add_argument("--keys", type=int, default=1_000_000)
    p.add_argument("--writers", type=int, default=4)
    p.add_argument("--seconds", type=float, default=10, help="of writing, before the switch and behind it")
    p.add_argument("--seed", type=int, default=random.randrange(10**6))
    args = p.parse_args()
    if redis is None:
        skip("redis-py is not installed")
    ours = program(args.server)
    if ours is None:
        sys.exit("there is no %s" % args.server)
    print("seed %d" % args.seed)
    for line in args.others.split(","):
        other = program(line)
        if other is None:
            print("skipped: there is no %s to come from or to go to" % line)
            continue
        migrate(args, other, ours)
        migrate(args, ours, other)


if __name__ == "__main__":
    main()
