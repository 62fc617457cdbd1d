#!/usr/bin/env python3
"""What do many listeners cost? Server CPU per delivered message with 5,000 subscribers, per PUBLISH without any, and per
answer with 5,000 clients that wait in BLPOP, for several servers in turn.

    benches/fanout.py target/release/mortise redis-server

Every server runs at the same time, and each round visits them in another order, so that noise from elsewhere falls on
all alike. CPU is what the kernel says the server's threads have run (/proc/PID/task/*/schedstat), so the client's own
work does not count. Reported are the median and the least of the rounds.
"""
import argparse
import os
import resource
import selectors
import socket
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "outside"))
import common  # noqa: E402
from common import cpu_ns  # noqa: E402
from resp import encode  # noqa: E402


class Subscribers:
    """Connections that count the bytes they get."""

    def __init__(self, port, count, command, channel):
        self.selector = selectors.EpollSelector()
        self.sockets = []
        for _ in range(count):
            s = socket.create_connection(("127.0.0.1", port))
            s.sendall(encode(command, channel))
            s.recv(4096)
            s.setblocking(False)
            self.selector.register(s, selectors.EVENT_READ)
            self.sockets.append(s)

    def take(self, wanted):
        """Reads until all have got `wanted` bytes altogether."""
        while wanted > 0:
            for key, _ in self.selector.select(10):
                try:
                    wanted -= len(key.fileobj.recv(1 << 20))
                except BlockingIOError:
                    pass
        assert wanted == 0, "more bytes than expected"

    def close(self):
        for s in self.sockets:
            s.close()


def publish(sock, channel, payload, pipeline):
    sock.sendall(encode(b"PUBLISH", channel, payload) * pipeline)


def answers(sock, pipeline, one):
    left = pipeline * len(one)
    while left:
        left -= len(sock.recv(1 << 20))


def fan_out(server, opts, pipeline, payload):
    channel = b"news"
    publisher = socket.create_connection(("127.0.0.1", server.port))
    subscribers = Subscribers(server.port, opts.subscribers, b"SUBSCRIBE", channel)
    size = len(encode(b"message", channel, payload))
    rounds = max(1, opts.messages // pipeline)
    before = cpu_ns(server.proc.pid)
    for _ in range(rounds):
        publish(publisher, channel, payload, pipeline)
        subscribers.take(size * pipeline * opts.subscribers)
        answers(publisher, pipeline, b":%d\r\n" % opts.subscribers)
    spent = cpu_ns(server.proc.pid) - before
    subscribers.close()
    publisher.close()
    return spent / (rounds * pipeline * opts.subscribers)


class Waiters:
    """Connections that wait for an element, all of one list or each of its own."""

    def __init__(self, port, count, keys):
        self.selector = selectors.EpollSelector()
        self.requests = {}
        for number in range(count):
            s = socket.create_connection(("127.0.0.1", port))
            s.setblocking(False)
            self.selector.register(s, selectors.EVENT_READ)
            self.requests[s] = encode(b"BLPOP", keys[number % len(keys)], b"0")

    def wait(self, control):
        """Has all of them wait, and the server know it."""
        for s, request in self.requests.items():
            s.send(request)
        while True:
            control.sendall(encode(b"INFO", b"clients"))
            if b"blocked_clients:%d\r\n" % len(self.requests) in control.recv(1 << 16):
                return

    def take(self, count):
        """Reads the answers of so many, which are shorter than a segment."""
        while count > 0:
            for key, _ in self.selector.select(10):
                answer = key.fileobj.recv(1 << 16)
                assert answer.startswith(b"*2\r\n"), answer
                count -= 1

    def close(self):
        for s in self.requests:
            s.close()


def blocked(keys):
    """A case: elements are pushed to lists for which 5,000 clients wait; CPU per client, its waiting included."""

    def run(server, opts, pipeline, payload):
        names = [b"jobs:%d" % number for number in range(keys)]
        control = socket.create_connection(("127.0.0.1", server.port))
        waiters = Waiters(server.port, opts.subscribers, names)
        rounds = max(1, opts.messages // 8)
        before = cpu_ns(server.proc.pid)
        for _ in range(rounds):
            waiters.wait(control)
            done = 0
            while done < opts.subscribers:
                batch = [encode(b"RPUSH", names[(done + n) % keys], payload) for n in range(pipeline)]
                control.sendall(b"".join(batch))
                answers(control, pipeline, b":1\r\n")
                done += pipeline
            waiters.take(opts.subscribers)
        spent = cpu_ns(server.proc.pid) - before
        waiters.close()
        control.close()
        return spent / (rounds * opts.subscribers)

    return run


def unheard(server, opts, pipeline, payload):
    publisher = socket.create_connection(("127.0.0.1", server.port))
    count = opts.unheard // pipeline
    before = cpu_ns(server.proc.pid)
    for _ in range(count):
        publish(publisher, b"nobody", payload, pipeline)
        answers(publisher, pipeline, b":0\r\n")
    spent = cpu_ns(server.proc.pid) - before
    publisher.close()
    return spent / (count * pipeline)


CASES = [
    ("fan-out, pipeline 1, 64 bytes", fan_out, 1, 64),
    ("fan-out, pipeline 16, 64 bytes", fan_out, 16, 64),
    ("fan-out, pipeline 1, 16 KiB", fan_out, 1, 16 * 1024),
    ("BLPOP of one list, pipeline 10", blocked(1), 10, 64),
    ("BLPOP of 5,000 lists, pipeline 10", blocked(5000), 10, 64),
    ("no subscribers, pipeline 1", unheard, 1, 64),
    ("no subscribers, pipeline 16", unheard, 16, 64),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+")
    parser.add_argument("--subscribers", type=int, default=5000)
    parser.add_argument("--messages", type=int, default=32)
    parser.add_argument("--unheard", type=int, default=64000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", default="", help="only cases whose name has this word")
    opts = parser.parse_args()
    need = 2 * opts.subscribers + 200
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(need, hard), hard))
    limits = ["--maxclients", str(opts.subscribers + 100), "--loglevel", "warning"]
    servers = [common.Server(binary, common.free_port(), limits).start() for binary in opts.servers]
    for name, run, pipeline, size in CASES:
        if opts.case not in name:
            continue
        figures = {server: [] for server in servers}
        for number in range(opts.rounds):
            turn = number % len(servers)
            for server in servers[turn:] + servers[:turn]:
                figures[server].append(run(server, opts, pipeline, b"x" * size))
        first = None
        for server in servers:
            median, least = statistics.median(figures[server]), min(figures[server])
            first = first or median
            print("%-34s %-28s median %8.0f ns  least %8.0f ns  %.2fx" % (
                name, os.path.basename(server.binary), median, least, median / first), flush=True)
    for server in servers:
        server.stop()


if __name__ == "__main__":
    main()
