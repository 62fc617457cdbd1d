#!/usr/bin/env python3
"""What do snapshots, the append-only file and loading cost? Several servers in turn, on the disk of the working folder.

    benches/persistence.py 'ours=target/release/mortise --io-threads 1' redis=redis-server

Sections: `save` is a BGSAVE of the data set without writes, `during` one under full write load, beside a connection that
asks PING once a millisecond; `load` is a start with the file of the first server; `always` is SET with `appendfsync
always` from 50 connections, pipeline 1. CPU is what the kernel says that the server and its children have run, for writes
the threads that serve clients; memory is resident, with the pages that a child no longer shares. A server is stopped while another one is measured, and rounds
visit them in turn; ratios are to the last server named.
"""
import argparse
import multiprocessing
import os
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time


def command(*words):
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class Server:
    environment = {}

    def __init__(self, line, folder, *options):
        self.port = free_port()
        self.log = open(os.path.join(folder, "log"), "wb")
        args = shlex.split(line) + ["--port", str(self.port), "--dir", folder, "--save", ""]
        args += ["--enable-debug-command", "yes", *options]
        environment = dict(os.environ, **Server.environment)
        self.began = time.monotonic()
        self.process = subprocess.Popen(args, stdout=self.log, stderr=self.log, env=environment)
        self.pid = self.process.pid
        while True:
            try:
                if self.call("PING") == b"+PONG":
                    break
            except OSError:
                pass
            if self.process.poll() is not None:
                sys.exit("%s ended: see %s" % (line, self.log.name))
            time.sleep(0.005)
        self.ready = time.monotonic() - self.began

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def call(self, *words):
        with self.connect() as s:
            s.sendall(command(*words))
            answer = b""
            while not answer.endswith(b"\r\n"):
                answer += s.recv(1 << 16)
            if answer.startswith(b"$"):
                length = int(answer[1:answer.index(b"\r\n")])
                while len(answer) < length:
                    answer += s.recv(1 << 16)
            return answer.rstrip()

    def info(self, name):
        for line in self.call("INFO", "everything").split(b"\r\n"):
            if line.startswith(name.encode() + b":"):
                return line.split(b":")[1].decode()
        return None

    def children(self):
        with open("/proc/%d/task/%d/children" % (self.pid, self.pid)) as f:
            found = f.read().split()
        for task in os.listdir("/proc/%d/task" % self.pid):
            try:
                with open("/proc/%d/task/%s/children" % (self.pid, task)) as f:
                    found += f.read().split()
            except OSError:
                pass
        return set(map(int, found))

    def cpu(self):
        """Seconds that the server and its children have run."""
        ticks = 0
        for pid, fields in [(self.pid, (13, 14, 15, 16))] + [(c, (13, 14)) for c in self.children()]:
            try:
                with open("/proc/%d/stat" % pid) as f:
                    parts = f.read().rsplit(")", 1)[1].split()
                ticks += sum(int(parts[i - 2]) for i in fields)
            except OSError:
                pass
        return ticks / os.sysconf("SC_CLK_TCK")

    def serving_threads(self):
        for task in os.listdir("/proc/%d/task" % self.pid):
            try:
                with open("/proc/%d/task/%s/comm" % (self.pid, task)) as f:
                    if f.read().startswith("worker-") or int(task) == self.pid:
                        yield int(task)
            except OSError:
                continue

    def serve_in_real_time(self):
        """Has the threads that serve clients run before all others; what they start does not."""
        for task in self.serving_threads():
            os.sched_setscheduler(task, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(Pinger.PRIORITY // 2))

    def write_cpu(self):
        """Seconds that the threads which serve clients have run, without those that save."""
        total = 0
        for task in self.serving_threads():
            try:
                with open("/proc/%d/task/%s/schedstat" % (self.pid, task)) as f:
                    total += int(f.read().split()[0])
            except OSError:
                continue
        return total / 1e9

    def memory(self):
        """Resident bytes, and what children have for themselves."""
        total = 0
        for pid, wanted in [(self.pid, "Rss")] + [(c, "Private_Dirty") for c in self.children()]:
            try:
                with open("/proc/%d/smaps_rollup" % pid) as f:
                    total += sum(int(line.split()[1]) * 1024 for line in f if line.startswith(wanted + ":"))
            except OSError:
                pass
        return total

    def stop(self):
        self.process.kill()
        self.process.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Pinger:
    """Asks PING once a millisecond; the longest wait. A process of its own, before all others where that is
    allowed, so that it sees the server's waits and not its own."""

    PRIORITY = 20

    def __init__(self, server):
        self.ours, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=self.run, args=(server.connect(), theirs))
        self.process.start()

    @staticmethod
    def run(s, pipe):
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(Pinger.PRIORITY))
        except PermissionError:
            pass
        longest = 0.0
        while True:
            began = time.monotonic()
            s.sendall(b"PING\r\n")
            s.recv(64)
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.001)
            if pipe.poll():
                if not pipe.recv():
                    return
                pipe.send(longest)
                longest = 0.0

    def take(self):
        self.ours.send(True)
        return self.ours.recv()

    def end(self):
        self.ours.send(False)
        self.process.join()


def slow_disk(rate):
    source, library = os.path.join(os.path.dirname(__file__), "slow_disk.c"), os.path.join(tempfile.mkdtemp(), "slow_disk.so")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    return {"LD_PRELOAD": library, "SLOW_DISK_MB": str(rate)}


def fill(server, keys, members):
    """The keys that redis-benchmark writes, so that the load changes the data set and does not enlarge it."""
    with server.connect() as s:
        for begin in range(0, keys, 1000):
            words = [w for i in range(begin, min(begin + 1000, keys)) for w in ("key:%012d" % i, "x" * 32)]
            s.sendall(command("MSET", *words))
            s.recv(4096)
        for begin in range(0, members, 10000):
            words = [w for i in range(begin, min(begin + 10000, members)) for w in (i, "member:%d" % i)]
            s.sendall(command("ZADD", "zset", *words))
            s.recv(4096)


def wait_for_save(server, look=lambda: None):
    while server.info("rdb_bgsave_in_progress") == "1":
        look()
        time.sleep(0.02)


def save(server):
    before, began = server.cpu(), time.monotonic()
    server.call("BGSAVE")
    wait_for_save(server)
    return {"cpu s": server.cpu() - before, "wall s": time.monotonic() - began}


def during(server, keys, seconds):
    load = subprocess.Popen(["redis-benchmark", "-p", str(server.port), "-n", "1000000000", "-P", "16", "-c", "20",
                             "-r", str(keys), "-t", "set", "-d", "32"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    pinger = Pinger(server)

    def sample(work):
        pinger.take()
        cpu, done = server.write_cpu(), int(server.info("total_commands_processed"))
        work()
        ops = int(server.info("total_commands_processed")) - done
        return (server.write_cpu() - cpu) / ops * 1e6, pinger.take() * 1000

    plain_cpu, plain_wait = sample(lambda: time.sleep(seconds))
    before, peak = server.memory(), [0]

    def look():
        peak[0] = max(peak[0], server.memory())

    def snapshot():
        server.call("BGSAVE")
        wait_for_save(server, look)

    save_cpu, save_wait = sample(snapshot)
    pinger.end()
    load.kill()
    load.wait()
    return {"write us": plain_cpu, "write us while saving": save_cpu, "longest PING ms": plain_wait,
            "longest PING ms while saving": save_wait, "memory added %": (peak[0] - before) / before * 100}


def always(line, requests):
    with tempfile.TemporaryDirectory(dir=".") as folder:
        server = Server(line, folder, "--appendonly", "yes", "--appendfsync", "always")
        began, before = time.monotonic(), server.cpu()
        subprocess.run(["redis-benchmark", "-p", str(server.port), "-n", str(requests), "-c", "50", "-P", "1", "-t", "set",
                        "-r", "100000", "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        result = {"sets/s": requests / (time.monotonic() - began), "cpu us/set": (server.cpu() - before) / requests * 1e6}
        server.stop()
        return result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("servers", nargs="+", metavar="NAME=COMMAND")
    p.add_argument("--keys", type=int, default=5_000_000)
    p.add_argument("--members", type=int, default=1_000_000)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=5)
    p.add_argument("--real-time", action="store_true", help="for `during`: the threads that serve clients run before all "
                   "others (superuser; kernel.sched_rt_runtime_us=-1), so that waits are the server's and not the machine's")
    p.add_argument("--disk-rate", type=int, help="megabytes a second that the disk takes (needs cc)")
    p.add_argument("--requests", type=int, default=30_000)
    p.add_argument("--sections", default="save,during,load,always")
    args = p.parse_args()
    servers = dict(s.split("=", 1) for s in args.servers)
    if args.disk_rate:
        Server.environment = slow_disk(args.disk_rate)
    sections = args.sections.split(",")
    results = {name: {} for name in servers}

    def note(name, section, figures):
        for what, figure in figures.items():
            results[name].setdefault("%s: %s" % (section, what), []).append(figure)
            print("%-8s %-7s %-30s %10.3f" % (name, section, what, figure), file=sys.stderr)

    dump = None
    for name, line in servers.items():
        if not {"save", "during", "load"} & set(sections):
            break
        folder = tempfile.mkdtemp(dir=".")
        server = Server(line, folder)
        fill(server, args.keys, args.members)
        for _ in range(args.rounds):
            note(name, "save", save(server))
        if "during" in sections:
            if args.real_time:
                server.serve_in_real_time()
            for _ in range(args.rounds):
                note(name, "during", during(server, args.keys, args.seconds))
        if dump is None:
            # Debian's server reads no newer one; others do not know the parameter.
            server.call("CONFIG", "SET", "rdb-target-version", "10")
            server.call("SAVE")
            dump = os.path.join(folder, "dump.rdb")
        else:
            shutil.rmtree(folder)
        server.stop()
    for _ in range(args.rounds):
        for name, line in servers.items():
            if "load" in sections:
                with tempfile.TemporaryDirectory(dir=".") as folder:
                    os.link(dump, os.path.join(folder, "dump.rdb"))
                    server = Server(line, folder)
                    note(name, "load", {"wall s": server.ready, "cpu s": server.cpu()})
                    server.stop()
            if "always" in sections:
                note(name, "always", always(line, args.requests))
    if dump:
        shutil.rmtree(os.path.dirname(dump))
    last = list(servers)[-1]
    print("\n| figure | %s |" % " | ".join(servers))
    print("|---|%s" % ("---|" * len(servers)))
    for what in results[last]:
        base = statistics.median(results[last][what])
        cells = []
        for name in servers:
            median = statistics.median(results[name][what])
            cells.append("%.3f" % median + (" (%.2fx)" % (median / base) if base and name != last else ""))
        print("| %s | %s |" % (what, " | ".join(cells)))


if __name__ == "__main__":
    main()
