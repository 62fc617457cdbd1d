#!/usr/bin/env python3
"""Does it go on, and is no confirmed write lost, while the primary is killed or stopped again and again?

    tests/drill/sentinel.py                                   # target/ci/mortise
    tests/drill/sentinel.py --server redis-server             # what Redis does in the same drill
    tests/drill/sentinel.py --replicas redis-server,redis-server

Three sentinels of Redis look after three servers. In each round the primary is killed (SIGKILL) or stopped (SIGSTOP); once
another one leads and the third follows that, the old one is started anew, or goes on (SIGCONT), and becomes what the sentinels
make of it. Meanwhile writers, by redis-py's SentinelConnectionPool, write keys of their own, and `WAIT 1` behind each. A write
whose WAIT was answered 1 or more is confirmed, and must be there after each round, and at the end on all three servers.

What the protocol promises, and what it does not: WAIT 1 says that one replica has the write. It is kept if that replica, or one
that has as much, becomes the primary. Sentinel takes the replica whose offset was the greatest when it asked last, and
asks once a second while the primary is down; nothing comes to a replica whose primary is dead or stopped, so that what it
knows is what is true. A confirmed write could still be lost by a primary that wakes up while the second replica follows it
still, and by one that comes back empty before the sentinels have missed it: the drill has it come back only when neither
can be. Where the machine is so busy that a healthy primary does not answer for a second, sentinels replace that too, and the first
of the two can be: compare with `--server redis-server` before a loss is called a fault.
"""
import argparse
import itertools
import os
import signal
import sys
import threading
import time

from servers import Folder, Server, program, redis, skip, wait_until

NAME = "drill"
# Milliseconds after which a sentinel takes a server to be dead.
DOWN_AFTER = 1000
# A failover that came to nothing is tried anew after twice as many milliseconds.
FAILOVER_TIMEOUT = 5000
# Milliseconds that a write waits for a replica.
CONFIRM = 500
# Keys that are read at once.
BATCH = 1000


class Writer(threading.Thread):
    """Writes one key after another, and notes which were confirmed."""

    def __init__(self, number, sentinels):
        super().__init__(daemon=True)
        self.number, self.ended = number, threading.Event()
        self.confirmed, self.tried, self.refusals = {}, 0, {}
        # When the last write was confirmed, and the longest time without one.
        self.last, self.gap = time.monotonic(), 0.0
        addresses = [("127.0.0.1", sentinel.port) for sentinel in sentinels]
        self.sentinel = redis.Sentinel(addresses, socket_timeout=0.5)
        self.primary = self.sentinel.master_for(NAME, socket_timeout=1, decode_responses=True)

    def run(self):
        for count in itertools.count():
            if self.ended.is_set():
                return
            self.write("key:%d:%d" % (self.number, count), "value:%d:%d" % (self.number, count))

    def write(self, key, value):
        self.tried += 1
        try:
            # Both on one connection: WAIT is about what that has written.
            _, replicas = self.primary.pipeline(transaction=False).set(key, value).wait(1, CONFIRM).execute()
        except (redis.RedisError, OSError) as error:
            kind = type(error).__name__
            self.refusals[kind] = self.refusals.get(kind, 0) + 1
            # As clients do that are to try again.
            self.ended.wait(0.05)
            return
        if replicas >= 1:
            now = time.monotonic()
            self.gap = max(self.gap, now - self.last)
            self.last = now
            self.confirmed[key] = value

    def take_gap(self):
        gap, self.gap = self.gap, 0.0
        return gap


class Drill:
    def __init__(self, args, folder, binaries):
        common = ["save ''", "repl-diskless-sync-delay 0", "repl-ping-replica-period 1", "repl-backlog-size 64mb"]
        self.servers = []
        for number, words in enumerate(binaries):
            # One comes back with what its file has, the others with nothing.
            own = ["appendonly yes"] if number == 1 else []
            self.servers.append(Server(folder, "server-%d" % number, words, common + own))
        primary, *replicas = self.servers
        for replica in replicas:
            replica.call("REPLICAOF", "127.0.0.1", primary.port)
        wait_until("the replicas follow", lambda: all(replica.follows(primary) for replica in replicas))
        self.sentinels = [self.start_sentinel(folder, number, primary, program(args.sentinel)) for number in range(3)]
        wait_until("the sentinels know each other and the replicas", self.sentinels_are_ready)
        self.writers = [Writer(number, self.sentinels) for number in range(args.writers)]

    @staticmethod
    def start_sentinel(folder, number, primary, words):
        config = ["sentinel monitor %s 127.0.0.1 %d 2" % (NAME, primary.port),
                  "sentinel down-after-milliseconds %s %d" % (NAME, DOWN_AFTER),
                  "sentinel failover-timeout %s %d" % (NAME, FAILOVER_TIMEOUT)]
        # Known by its name, it is a sentinel; by another it has to be told.
        told = [] if os.path.basename(words[0]) == "redis-sentinel" else ["--sentinel"]
        return Server(folder, "sentinel-%d" % number, words, config, told)

    def sentinels_are_ready(self):
        """Whether all see one primary that is well, two replicas that are, and one another."""
        for sentinel in self.sentinels:
            seen = sentinel.client().sentinel_master(NAME)
            if seen["flags"] not in ("master", {"master"}) or seen["num-other-sentinels"] != 2:
                return False
            replicas = sentinel.client().sentinel_slaves(NAME)
            if len(replicas) != 2 or any(r["is_sdown"] or r["is_disconnected"] for r in replicas):
                return False
        return True

    def named_primaries(self):
        """The ports that the sentinels give for the primary's."""
        return {sentinel.client().sentinel_get_master_addr_by_name(NAME)[1] for sentinel in self.sentinels}

    def primary(self):
        """The primary on which all agree, if they do."""
        ports = self.named_primaries()
        return next((server for server in self.servers if ports == {server.port}), None)

    def follow(self, servers):
        """Whether these follow the primary, unless one of them is that. Asked anew each time: where the machine is busy, sentinels
        take it that a primary is down which is only slow."""
        primary = self.primary()
        return primary and all(server is primary or server.follows(primary) for server in servers)

    def round(self, number):
        old = wait_until("the sentinels agree", self.primary)
        others = [server for server in self.servers if server is not old]
        kind = (signal.SIGKILL, signal.SIGSTOP)[number % 2]
        for writer in self.writers:
            writer.take_gap()
        old.signal(kind)
        began = time.monotonic()
        wait_until("another primary", lambda: self.primary() in others)
        wait_until("the other replica follows it", lambda: self.follow(others))
        wait_until("the writers go on", lambda: all(w.last > began + DOWN_AFTER / 1000 for w in self.writers), 30)
        gap = max(writer.take_gap() for writer in self.writers)
        if kind == signal.SIGKILL:
            old.start()
        else:
            old.signal(signal.SIGCONT)
        wait_until("the old primary follows", lambda: self.primary() is not old and self.follow(self.servers))
        wait_until("the sentinels see that", self.sentinels_are_ready)
        new = wait_until("the sentinels agree", self.primary)
        confirmed = sum(len(writer.confirmed) for writer in self.writers)
        lost = self.missing_on(new)
        print("round %2d: %s, %s -> %s, %.1f s without a confirmed write, %d confirmed so far, %d lost"
              % (number + 1, kind.name, old.name, new.name, gap, confirmed, len(lost)), flush=True)
        return lost

    def missing_on(self, server):
        """Confirmed writes that a server has not."""
        missing = set()
        with server.client() as client:
            for writer in self.writers:
                # A copy: it goes on writing.
                confirmed = list(dict(writer.confirmed).items())
                for at in range(0, len(confirmed), BATCH):
                    some = confirmed[at:at + BATCH]
                    values = client.mget([key for key, _ in some])
                    missing |= {key for (key, value), found in zip(some, values) if found != value}
        return missing

    def describe(self):
        """What is what, for who looks for the reason of a failure."""
        for server in self.servers + self.sentinels:
            with open("/proc/%d/status" % server.process.pid) as f:
                state = [line.strip() for line in f if line.startswith("State")]
            print("%s, port %d: %s" % (server.name, server.port, state))
        for sentinel in self.sentinels:
            try:
                client = sentinel.client(socket_timeout=2)
                print(sentinel.name, client.sentinel_master(NAME), client.sentinel_slaves(NAME))
            except redis.RedisError as error:
                print(sentinel.name, repr(error))

    def run(self, rounds):
        for writer in self.writers:
            writer.start()
        wait_until("writes are confirmed", lambda: all(writer.confirmed for writer in self.writers))
        lost = set()
        for number in range(rounds):
            lost |= self.round(number)
        for writer in self.writers:
            writer.ended.set()
        for writer in self.writers:
            writer.join()
        wait_until("all follow", lambda: self.follow(self.servers))
        wait_until("all have all of it", lambda: len({server.offset() for server in self.servers}) == 1)
        for server in self.servers:
            lost |= self.missing_on(server)
        sizes = {server.name: server.call("DBSIZE") for server in self.servers}
        assert len(set(sizes.values())) == 1, "the data sets differ: %s" % sizes
        return lost


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--server", default=os.path.join(here, "../../target/ci/mortise"), help="the first primary")
    p.add_argument("--replicas", help="two others, with a comma between them (default: the same)")
    p.add_argument("--sentinel", default="redis-server")
    p.add_argument("--rounds", type=int, default=10)
    p.add_argument("--writers", type=int, default=4)
    args = p.parse_args()
    if redis is None:
        skip("redis-py is not installed")
    if program(args.sentinel) is None:
        skip("there is no %s, which is also the sentinel" % args.sentinel)
    lines = [args.server] + (args.replicas.split(",") if args.replicas else [args.server] * 2)
    binaries = [program(line) for line in lines]
    if None in binaries:
        sys.exit("there is no %s" % lines[binaries.index(None)])
    with Folder() as folder:
        drill = Drill(args, folder, binaries)
        try:
            lost = drill.run(args.rounds)
        except AssertionError:
            drill.describe()
            raise
        tried = sum(writer.tried for writer in drill.writers)
        confirmed = sum(len(writer.confirmed) for writer in drill.writers)
        refusals = {}
        for writer in drill.writers:
            for kind, count in writer.refusals.items():
                refusals[kind] = refusals.get(kind, 0) + count
        print("%d failovers, %d writes, %d confirmed, %d of these lost; refused: %s"
              % (args.rounds, tried, confirmed, len(lost), refusals))
        if lost:
            raise SystemExit("lost: %s" % ", ".join(sorted(lost)[:20]))


if __name__ == "__main__":
    main()
