#!/usr/bin/env python3
"""What does a call of each function of scripts/lua cost? Server CPU per call by FCALL and by EVALSHA, for several servers in
turn, and how many plain GETs of the same run that is.

    benches/functions.py mortise=target/release/mortise redis=redis-server
    benches/functions.py --write docs/scripts.md mortise=... redis=...     the table goes between two marks in there

Calls go out by sixteen on one connection, GETs as well, so that the cost of sockets is small and the same for all. CPU is
what the kernel says that the server's threads have run (/proc/PID/task/*/schedstat). Each round visits servers and ways in
another order, and begins each library on an empty server; reported is the median of the rounds, in microseconds and, in
brackets, in GETs of the same round.
"""
import argparse
import os
import re
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scripts", "lua")
PIPELINE = 16
BEGIN, END = "<!-- costs -->", "<!-- end of costs -->"
MINUTE_MS, MINUTE_US = 60000, 60000000


def each(*names):
    """Keys of a call's own: `names` with the call's number as their hash tag."""
    return lambda number: ["{%d}:%s" % (number, name) for name in names]


def shared(*names):
    """Keys that sixteen calls share."""
    return lambda number: ["{%d}:%s" % (number // 16, name) for name in names]


def token(number):
    return "token:%d" % number


FAIR, RW = ("lock", "queue", "places"), ("writer", "readers", "queue", "places")
# For each library what is called in turn: what the table says beside the name, function, keys, arguments.
STEPS = {
    "lock": [
        ("", "lock_acquire", each("l"), lambda n: [token(n), MINUTE_MS]),
        ("held by another", "lock_acquire", each("l"), lambda n: ["other", MINUTE_MS]),
        ("", "lock_extend", each("l"), lambda n: [token(n), MINUTE_MS]),
        ("", "lock_holder", each("l"), lambda n: []),
        ("", "lock_release", each("l"), lambda n: [token(n)]),
    ],
    "fairlock": [
        ("", "fairlock_acquire", each(*FAIR), lambda n: [token(n), MINUTE_MS, MINUTE_MS]),
        ("takes a place", "fairlock_acquire", each(*FAIR), lambda n: ["other", MINUTE_MS, MINUTE_MS]),
        ("keeps its place", "fairlock_acquire", each(*FAIR), lambda n: ["other", MINUTE_MS, MINUTE_MS]),
        ("", "fairlock_extend", each("lock"), lambda n: [token(n), MINUTE_MS]),
        ("", "fairlock_state", each(*FAIR), lambda n: []),
        ("", "fairlock_release", each("lock"), lambda n: [token(n)]),
        ("", "fairlock_cancel", each("queue", "places"), lambda n: ["other"]),
    ],
    "rwlock": [
        ("", "rwlock_acquire_read", shared(*RW), lambda n: [token(n), MINUTE_MS, MINUTE_MS]),
        ("", "rwlock_extend", shared("writer", "readers"), lambda n: [token(n), MINUTE_MS]),
        ("", "rwlock_state", shared("writer", "readers", "places"), lambda n: []),
        ("", "rwlock_release", shared("writer", "readers"), lambda n: [token(n)]),
        ("", "rwlock_acquire_write", each(*RW), lambda n: [token(n), MINUTE_MS, MINUTE_MS]),
        ("takes a place", "rwlock_acquire_write", each(*RW), lambda n: ["other", MINUTE_MS, MINUTE_MS]),
        ("", "rwlock_cancel", each("queue", "places"), lambda n: ["other"]),
    ],
    "semaphore": [
        ("", "semaphore_acquire", shared("s"), lambda n: [token(n), 16, MINUTE_MS]),
        ("all taken", "semaphore_acquire", shared("s"), lambda n: ["other", 16, MINUTE_MS]),
        ("", "semaphore_extend", shared("s"), lambda n: [token(n), MINUTE_MS]),
        ("", "semaphore_held", shared("s"), lambda n: []),
        ("", "semaphore_release", shared("s"), lambda n: [token(n)]),
    ],
    "fixed_window": [
        ("", "fixed_window_take", shared("w"), lambda n: [16, MINUTE_MS]),
        ("refused", "fixed_window_take", shared("w"), lambda n: [16, MINUTE_MS]),
        ("", "fixed_window_peek", shared("w"), lambda n: [16, MINUTE_MS]),
    ],
    "sliding_log": [
        ("", "sliding_log_take", shared("l"), lambda n: [16, MINUTE_MS]),
        ("refused", "sliding_log_take", shared("l"), lambda n: [16, MINUTE_MS]),
        ("", "sliding_log_peek", shared("l"), lambda n: [16, MINUTE_MS]),
    ],
    "sliding_counter": [
        ("", "sliding_counter_take", shared("c"), lambda n: [16, 3600000]),
        ("refused", "sliding_counter_take", shared("c"), lambda n: [16, 3600000]),
        ("", "sliding_counter_peek", shared("c"), lambda n: [16, 3600000]),
    ],
    "token_bucket": [
        ("", "token_bucket_take", shared("b"), lambda n: [16, 1, MINUTE_US]),
        ("refused", "token_bucket_take", shared("b"), lambda n: [16, 1, MINUTE_US]),
        ("", "token_bucket_peek", shared("b"), lambda n: [16, 1, MINUTE_US]),
    ],
    "gcra": [
        ("", "gcra_take", shared("g"), lambda n: [MINUTE_US, 16]),
        ("refused", "gcra_take", shared("g"), lambda n: [MINUTE_US, 16]),
        ("", "gcra_peek", shared("g"), lambda n: [MINUTE_US, 16]),
    ],
    "leaky_bucket": [
        ("", "leaky_bucket_enter", shared("q"), lambda n: [MINUTE_US, 15]),
        ("refused", "leaky_bucket_enter", shared("q"), lambda n: [MINUTE_US, 15]),
        ("", "leaky_bucket_peek", shared("q"), lambda n: [MINUTE_US, 15]),
    ],
    "idempotency": [
        ("runs", "idempotency_begin", each("k"), lambda n: [token(n), MINUTE_MS, "fingerprint"]),
        ("", "idempotency_extend", each("k"), lambda n: [token(n), MINUTE_MS]),
        ("100 bytes", "idempotency_complete", each("k"), lambda n: [token(n), "r" * 100, MINUTE_MS]),
        ("done", "idempotency_begin", each("k"), lambda n: ["other", MINUTE_MS, "fingerprint"]),
        ("", "idempotency_peek", each("k"), lambda n: []),
        (None, "idempotency_begin", each("a"), lambda n: [token(n), MINUTE_MS]),
        ("", "idempotency_abandon", each("a"), lambda n: [token(n)]),
    ],
    "debounce": [
        ("", "debounce_call", shared("d", "j"), lambda n: [token(n), "payload", 1, 1]),
        ("again", "debounce_call", shared("d", "j"), lambda n: [token(n), "payload", 1, 1]),
        ("", "debounce_next", shared("d"), lambda n: []),
        ("one due", "debounce_claim", shared("d", "j"), lambda n: [1, MINUTE_MS]),
        ("", "debounce_cancel", shared("d", "j"), lambda n: [token(n)]),
    ],
}


def encode(*words):
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        word = str(word).encode()
        out += [b"$%d\r\n" % len(word), word, b"\r\n"]
    return b"".join(out)


class Server:
    def __init__(self, name, line):
        self.name, self.folder = name, tempfile.mkdtemp(prefix="functions-")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        log = open(os.path.join(self.folder, "log"), "wb")
        args = shlex.split(line) + ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder]
        self.process = subprocess.Popen(args, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", self.port))
                self.reader = self.socket.makefile("rb")
                if self.call("PING") == b"PONG":
                    break
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit("%s did not start: see %s" % (name, log.name))
            time.sleep(0.02)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self):
        """One reply: bytes, a number, None or a list. An error ends the run."""
        line = self.reader.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            sys.exit("%s: %s" % (self.name, rest.decode()))
        if kind == b"$":
            return None if rest == b"-1" else self.reader.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest

    def call(self, *words):
        self.socket.sendall(encode(*words))
        return self.read()

    def cpu_ns(self):
        total = 0
        for task in os.listdir("/proc/%d/task" % self.process.pid):
            with open("/proc/%d/task/%s/schedstat" % (self.process.pid, task)) as f:
                total += int(f.read().split()[0])
        return total

    def cost_us(self, requests):
        """CPU for each of these requests."""
        batches = [b"".join(requests[at:at + PIPELINE]) for at in range(0, len(requests), PIPELINE)]
        before = self.cpu_ns()
        for batch in batches:
            self.socket.sendall(batch)
            for _ in range(PIPELINE):
                self.read()
        return (self.cpu_ns() - before) / 1000 / len(requests)

    def end(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def texts():
    found = {}
    for file in sorted(os.listdir(FOLDER)):
        with open(os.path.join(FOLDER, file)) as f:
            found[file[:-len(".lua")]] = f.read()
    return found


def heads(server, way, libraries):
    """How a call of each function begins."""
    out = {}
    for name, text in libraries.items():
        if way == "FCALL":
            server.call("FUNCTION", "LOAD", "REPLACE", text)
        reads = set(re.findall(r"function_name = '(\w+)'[^}]*no-writes", text))
        for function in re.findall(r"(?:register_function\(|function_name = )'(\w+)'", text):
            head = function
            if way == "EVALSHA":
                body = text.partition("\n")[2] + "return %s(KEYS, ARGV)\n" % function
                head = server.call("SCRIPT", "LOAD", body).decode()
            out[function] = (way + "_RO" if function in reads else way, head)
    return out


def measure(server, way, libraries, calls, costs):
    begin = heads(server, way, libraries)
    server.call("FLUSHALL")
    gets = [encode("SET", "k%d" % number, "v" * 32) for number in range(calls)]
    server.cost_us(gets)
    # Many, since what was freed a moment ago costs the process as well, and everything is weighed by this.
    get = server.cost_us([encode("GET", "k%d" % number) for number in range(calls)] * 20)
    costs.setdefault((server.name, way, "GET"), []).append((get, 1))
    for name, steps in STEPS.items():
        server.call("FLUSHALL")
        for label, function, keys, args in steps:
            command, head = begin[function]
            requests = []
            for number in range(calls):
                names = keys(number)
                requests.append(encode(command, head, len(names), *names, *args(number)))
            cost = server.cost_us(requests)
            if label is not None:
                key = (server.name, way, function + (" (%s)" % label if label else ""))
                costs.setdefault(key, []).append((cost, cost / get))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+", metavar="NAME=COMMAND")
    parser.add_argument("--calls", type=int, default=4000, help="of each function in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", metavar="FILE", help="puts the table between the marks of this file")
    options = parser.parse_args()
    calls = options.calls - options.calls % PIPELINE
    libraries, costs = texts(), {}
    servers = [Server(*given.split("=", 1)) for given in options.servers]
    try:
        runs = [(server, way) for server in servers for way in ("FCALL", "EVALSHA")]
        for round in range(options.rounds):
            for index in range(len(runs)):
                measure(*runs[(index + round) % len(runs)], libraries, calls, costs)
    finally:
        for server in servers:
            server.end()
    lines = table(costs, [(server.name, way) for server in servers for way in ("FCALL", "EVALSHA")])
    print("\n".join(lines))
    if options.write:
        with open(options.write) as f:
            before, _, rest = f.read().partition(BEGIN)
        _, end, after = rest.partition(END)
        assert end, "no marks in " + options.write
        with open(options.write, "w") as f:
            f.write(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after)


def table(costs, columns):
    lines = ["| call | " + " | ".join("%s, %s" % column for column in columns) + " |", "|---|" + "---|" * len(columns)]
    for row in dict.fromkeys(row for _, _, row in costs):
        cells = []
        for column in columns:
            both = costs[(*column, row)]
            cost, ratio = (statistics.median(one[place] for one in both) for place in (0, 1))
            cells.append("%.2f" % cost if row == "GET" else "%.2f (%.1f)" % (cost, ratio))
        name, _, label = row.partition(" ")
        lines.append("| `%s`%s | " % (name, " " + label if label else "") + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
