#!/usr/bin/env python3
"""What does it cost to call a module? Server CPU per call of a module's commands that do next to nothing, beside built-in ones of
the same shape, in several servers with the same shared object.

    benches/module_call.py mortise=target/release/mortise redis=redis-server

Calls go out by sixteen, on some connections at the same time. The server is stopped (SIGSTOP) while they are sent and finds them all
when it goes on, as one that has much to do would: otherwise a client that is slower than the server wakes it for each connection, and
what is measured is the waking. `--one-by-one` leaves it running. CPU is what the kernel says that the server's threads have run
(/proc/PID/task/*/schedstat). Each round visits servers and commands in another order; reported is the median of the rounds,
in nanoseconds, and the median of the ratios within a round: to the built-in command beside it, and to the other servers.
"""
import argparse
import os
import random
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PIPELINE = 16
# A module's command, and the built-in ones that it is compared with.
PAIRS = [
    (("BENCH.COUNT",), [("PING",)]),
    (("BENCH.COUNT", "missing"), [("EXISTS", "missing"), ("STRLEN", "missing")]),
    (("BENCH.EXISTS", "missing"), [("EXISTS", "missing"), ("STRLEN", "missing")]),
]


def encode(words):
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words]
    return b"".join(parts)


class Server:
    def __init__(self, name, line, module, folder, connections, together):
        self.name, self.folder, self.together = name, os.path.join(folder, name), False
        os.mkdir(self.folder)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        log = open(os.path.join(self.folder, "log"), "wb")
        args = shlex.split(line) + ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder,
                                    "--loadmodule", module]
        self.process = subprocess.Popen(args, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while True:
            try:
                self.sockets = [socket.create_connection(("127.0.0.1", self.port))]
                if self.run(encode(("PING",)), b"+PONG\r\n"):
                    break
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit("%s did not start: see %s" % (name, log.name))
            time.sleep(0.02)
        more = range(connections - 1)
        self.sockets += [socket.create_connection(("127.0.0.1", self.port)) for _ in more]
        for s in self.sockets:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.together = together

    def run(self, requests, expected):
        """Sends the requests on all connections, and reads the replies."""
        if self.together:
            self.process.send_signal(signal.SIGSTOP)
        for s in self.sockets:
            s.sendall(requests)
        if self.together:
            self.process.send_signal(signal.SIGCONT)
        for s in self.sockets:
            reply = b""
            while len(reply) < len(expected):
                chunk = s.recv(65536)
                if not chunk:
                    raise OSError("a connection has ended")
                reply += chunk
            if reply != expected:
                sys.exit("%s answers %r to %r" % (self.name, reply[:80], requests[:80]))
        return True

    def cpu_ns(self):
        total = 0
        for task in os.listdir("/proc/%d/task" % self.process.pid):
            with open("/proc/%d/task/%s/schedstat" % (self.process.pid, task)) as f:
                total += int(f.read().split()[0])
        return total

    def cost_ns(self, words, calls):
        """CPU for each of so many calls."""
        reply = b"+PONG\r\n" if words == ("PING",) else b":%d\r\n" % (len(words) if words[0] == "BENCH.COUNT" else 0)
        requests, expected = encode(words) * PIPELINE, reply * PIPELINE
        before, times = self.cpu_ns(), max(1, calls // PIPELINE // len(self.sockets))
        for _ in range(times):
            self.run(requests, expected)
        return (self.cpu_ns() - before) / (times * PIPELINE * len(self.sockets))

    def end(self):
        self.process.terminate()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=64000, help="of each command in a round")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--one-by-one", action="store_true", help="let the server run while requests are sent")
    parser.add_argument("--cc", default=os.environ.get("CC", "cc"))
    parser.add_argument("servers", nargs="+", metavar="NAME=COMMAND")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="module-call-")
    servers = []
    try:
        module = os.path.join(folder, "bench.so")
        source = os.path.join(HERE, "module_call.c")
        subprocess.run([options.cc, "-O2", "-shared", "-fPIC", "-o", module, source], check=True)
        for server in options.servers:
            name, _, line = server.partition("=")
            servers.append(Server(name, line, module, folder, options.connections, not options.one_by_one))
        commands = list(dict.fromkeys(words for own, others in PAIRS for words in [own, *others]))
        visits = [(server, words) for server in servers for words in commands]
        costs = {visit: [] for visit in visits}
        for words in visits:
            words[0].cost_ns(words[1], 3200)
        for _ in range(options.rounds):
            random.shuffle(visits)
            for server, words in visits:
                costs[server, words].append(server.cost_ns(words, options.calls))
        report(servers, costs)
    finally:
        for server in servers:
            server.end()
        shutil.rmtree(folder, ignore_errors=True)


def ratio(these, those):
    return statistics.median(a / b for a, b in zip(these, those))


def report(servers, costs):
    for server in servers:
        print("%s, ns of CPU for each call" % server.name)
        for own, others in PAIRS:
            print("  %-24s %7.0f" % (" ".join(own), statistics.median(costs[server, own])), end="")
            for other in others:
                beside = costs[server, other]
                text = "%.2f of %s (%.0f)" % (ratio(costs[server, own], beside), other[0], statistics.median(beside))
                print("   %s" % text, end="")
            for rival in servers:
                if rival is not server:
                    print("   %.2f of %s" % (ratio(costs[server, own], costs[rival, own]), rival.name), end="")
            print()


if __name__ == "__main__":
    main()
