#!/usr/bin/env python3
"""Compare Redis-compatible servers: CPU time per operation, throughput,
latency, memory per key, startup time, and the longest pauses.

Every server runs at the same time on its own port, and every measurement
visits the servers in turn (A B C, B C A, ...), so that noise from elsewhere
on the machine falls on all of them alike. The main figure is server CPU
microseconds per operation; see README.md for what each column means.
"""

import argparse
import csv
import ctypes
import json
import math
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

HOST = "127.0.0.1"
SCRATCH_DB = 9  # emptied before every run that needs an empty start
DB_16K, DB_1M = 3, 4
V32 = "v" * 32

SCRIPTS = {
    "lock": "if redis.call('get',KEYS[1])==ARGV[1] then "
            "return redis.call('del',KEYS[1]) else return 0 end",
    "rate": "local c=redis.call('incr',KEYS[1]); "
            "if c==1 then redis.call('pexpire',KEYS[1],ARGV[1]) end; return c",
    "slide": "local t=redis.call('time'); local now=t[1]*1000000+t[2]; "
             "redis.call('zremrangebyscore',KEYS[1],0,now-ARGV[1]*1000); "
             "if redis.call('zcard',KEYS[1])<tonumber(ARGV[2]) then "
             "redis.call('zadd',KEYS[1],now,ARGV[3]); "
             "redis.call('pexpire',KEYS[1],ARGV[1]); return 1 else return 0 end",
    "loop": "local s=0; for i=1,10000 do s=(s*31+i)%1000003 end; return s",
}


class Failed(Exception):
    """A server could not do what was asked of it."""


# ---------------------------------------------------------------- workloads

class Workload:
    """One benchmark command line and how to prepare a server for it."""

    def __init__(self, name, args, n, clients=50, pipeline=1, keys=1_000_000,
                 db=0, before=None, after=None, tool="rb"):
        self.name, self.args, self.n = name, args, n
        self.clients, self.pipeline, self.keys, self.db = clients, pipeline, keys, db
        self.before, self.after, self.tool = before, after, tool


def workloads():
    out = []

    def add(name, args, n1, n16, **kw):
        out.append(Workload(f"{name}/c50/p1", args, n1, **kw))
        if n16:
            out.append(Workload(f"{name}/c50/p16", args, n16, pipeline=16, **kw))

    key = "key:__rand_int__"
    for name, args in (("get", ["GET", key]), ("set", ["SET", key, V32])):
        add(name, args, 150_000, 1_000_000)
        out.append(Workload(f"{name}/c50/p64", args, 1_500_000, pipeline=64))
        out.append(Workload(f"{name}/c1/p1", args, 30_000, clients=1))
    add("incr", ["INCR", "counter:__rand_int__"], 150_000, 1_000_000)
    scratch = dict(db=SCRATCH_DB, before="flush")
    add("lpush", ["LPUSH", "queue", V32], 150_000, 1_000_000, **scratch)
    add("lpop", ["LPOP", "queue"], 150_000, 1_000_000, db=SCRATCH_DB, before="queue")
    add("hset", ["HSET", "hash:__rand_int__", "field", V32], 150_000, 600_000, **scratch)
    add("sadd", ["SADD", "set", "member:__rand_int__"], 150_000, 800_000, **scratch)
    add("zadd", ["ZADD", "board", "__rand_int__", "member:__rand_int__"], 100_000, 300_000)
    add("zrange100", ["ZRANGE", "board", "0", "99"], 50_000, 100_000)
    add("lrange100", ["LRANGE", "biglist", "0", "99"], 50_000, 100_000)
    add("mset10", ["MSET"] + [key, V32] * 10, 60_000, 150_000)
    add("xadd", ["XADD", "stream", "*", "field", V32], 150_000, 600_000, **scratch)
    add("publish", ["PUBLISH", "channel", V32], 150_000, 1_000_000)
    add("eval_lock", ["EVALSHA", "@lock", "1", "lock:__rand_int__", "token"],
        60_000, 150_000, keys=300_000, db=SCRATCH_DB, before="locks")
    add("eval_rate", ["EVALSHA", "@rate", "1", "rate:__rand_int__", "3600000"],
        100_000, 300_000, after="flush", **scratch)
    add("eval_slide",
        ["EVALSHA", "@slide", "1", "slide:__rand_int__", "60000", "100", "__rand_int__"],
        60_000, 150_000, keys=10_000, after="flush", **scratch)
    add("eval_loop", ["EVALSHA", "@loop", "0"], 4_000, 4_000)
    big = ["-t", "set", "-d"], ["-t", "get", "-d"]
    for size, db, n, keys in ((16 * 1024, DB_16K, 60_000, 1000),
                              (1024 * 1024, DB_1M, 5_000, 20)):
        label = "16k" if size < 1 << 20 else "1m"
        out.append(Workload(f"set_{label}/c50/p1", big[0] + [str(size)], n, keys=keys, db=db))
        out.append(Workload(f"get_{label}/c50/p1", big[1] + [str(size)], n, keys=keys, db=db))
    for name in ("mt_set", "mt_get"):
        for pipe, n in ((1, 150_000), (16, 800_000)):
            out.append(Workload(f"{name}/c50/p{pipe}", name, n, pipeline=pipe, tool="mt"))
    return out


# ------------------------------------------------------------ data to load

def resp(*args):
    args = [a if isinstance(a, bytes) else str(a).encode() for a in args]
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args)


def gen_strings(prefix, count, value=None):
    plen = len(prefix) + 12
    if value is None:
        fmt = b"*3\r\n$3\r\nSET\r\n$%d\r\n%s%%012d\r\n$32\r\n%%032d\r\n" % (plen, prefix)
        for i in range(count):
            yield fmt % (i, i * 2654435761)
    else:
        fmt = b"*3\r\n$3\r\nSET\r\n$%d\r\n%s%%012d\r\n$%d\r\n%s\r\n" % (
            plen, prefix, len(value), value)
        for i in range(count):
            yield fmt % i


def gen_hashes():
    for i in range(200_000):
        pairs = []
        for f in range(10):
            pairs += [b"field%d" % f, b"%010d" % ((i * 10 + f) * 2654435761 % 10**10)]
        yield resp(b"HSET", b"hash:%011d" % i, *pairs)


def gen_lists():
    for i in range(200_000):
        yield resp(b"RPUSH", b"list:%011d" % i,
                   *[b"%010d" % ((i * 10 + f) * 2654435761 % 10**10) for f in range(10)])


def gen_zset():
    for i in range(0, 1_000_000, 10):
        args = []
        for j in range(i, i + 10):
            m = j * 7919 % 1_000_000  # every member once, in no order
            args += [m * 6007 % 1_000_000, b"member:%012d" % m]
        yield resp(b"ZADD", b"board", *args)


def gen_set():
    for i in range(0, 1_000_000, 10):
        yield resp(b"SADD", b"set",
                   *[b"m:%014d" % (j * 7919 % 1_000_000) for j in range(i, i + 10)])


def gen_queue():
    chunk = resp(b"RPUSH", b"queue", *[V32] * 100)
    for _ in range(10_000):
        yield chunk


def gen_biglist():
    yield resp(b"RPUSH", b"biglist", *[b"element:%08d" % i for i in range(1000)])


def gen_blobs(count, size):
    for i in range(count):
        yield resp(b"SET", b"key:%012d" % i, b"x" * size)


def gen_memcached():
    for i in range(1_000_000):
        yield b"set key:%012d 0 0 32\r\n%032d\r\n" % (i, i * 2654435761)


DATA = {  # name: (generator, how many replies)
    "strings": (lambda: gen_strings(b"key:", 1_000_000), 1_000_000),
    "strings3m": (lambda: gen_strings(b"key:", 3_000_000), 3_000_000),
    "counters": (lambda: gen_strings(b"counter:", 1_000_000, b"1000"), 1_000_000),
    "locks": (lambda: gen_strings(b"lock:", 300_000, b"token"), 300_000),
    "hashes": (gen_hashes, 200_000),
    "lists": (gen_lists, 200_000),
    "zset": (gen_zset, 100_000),
    "set": (gen_set, 100_000),
    "queue": (gen_queue, 10_000),
    "biglist": (gen_biglist, 1),
    "blobs16k": (lambda: gen_blobs(1000, 16 * 1024), 1000),
    "blobs1m": (lambda: gen_blobs(20, 1024 * 1024), 20),
    "memcached": (gen_memcached, 1_000_000),
}

MEMORY = (("strings", 1_000_000, "1M strings, key 16 B, value 32 B", "key"),
          ("hashes", 200_000, "200k hashes of 10 fields", "key"),
          ("lists", 200_000, "200k lists of 10 elements", "key"),
          ("zset", 1_000_000, "one zset of 1M members", "member"),
          ("set", 1_000_000, "one set of 1M members (16 B)", "member"))


def data_file(name, cache):
    path = os.path.join(cache, name + ".resp")
    if not os.path.exists(path):
        batch = []
        part = f"{path}.{os.getpid()}"
        with open(part, "wb") as f:
            for item in DATA[name][0]():
                batch.append(item)
                if len(batch) == 10_000:
                    f.write(b"".join(batch))
                    batch.clear()
            f.write(b"".join(batch))
        os.rename(part, path)
    return path


def stop(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def load(port, name, cache, db=0):
    """Send a data file to a server as fast as it takes it; seconds taken."""
    path, replies = data_file(name, cache), DATA[name][1]
    problem = []
    with socket.create_connection((HOST, port), timeout=30) as s, open(path, "rb") as f:
        s.settimeout(None)  # sendfile wants a blocking socket; the kernel keeps the limit
        limit = struct.pack("ll", 120, 0)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        if db:
            s.sendall(resp("SELECT", db))
            if not s.recv(100).startswith(b"+OK"):
                raise Failed("SELECT refused")

        def read():
            left = replies
            try:
                while left > 0:
                    data = s.recv(1 << 20)
                    if not data:
                        raise Failed("connection closed while loading")
                    if data.startswith(b"-") or b"\n-" in data or b"ERROR" in data:
                        raise Failed("error while loading: " + repr(data[:100]))
                    left -= data.count(b"\r\n")
            except (OSError, Failed) as e:
                problem.append(e)
                stop(s)

        reader = threading.Thread(target=read)
        start = time.monotonic()
        reader.start()
        offset, size = 0, os.path.getsize(path)
        try:
            while offset < size:
                offset += os.sendfile(s.fileno(), f.fileno(), offset, 1 << 20)
        except OSError as e:
            problem.append(e)
            stop(s)
        reader.join()
    if problem:
        raise Failed(str(problem[0]))
    return time.monotonic() - start


# ------------------------------------------------------------------ servers

class Server:
    def __init__(self, spec, opts):
        self.name, sep, self.cmd = spec.partition("=")
        if not sep or not self.cmd.strip():
            raise SystemExit(f"--server wants 'name=command', not {spec!r}")
        self.memcached = self.name.startswith("memcached")
        self.opts, self.proc, self.port, self.dir = opts, None, 0, ""
        self.version, self.sha, self.prepared, self.mt_ready = "?", {}, False, False

    def argv(self):
        cmd = self.cmd
        if "{port}" not in cmd:
            cmd += (" -p {port} -l 127.0.0.1 -U 0" if self.memcached else
                    ' --port {port} --save "" --appendonly no --dir {dir}')
        env = dict(os.environ)
        argv = [os.path.expandvars(a).replace("{port}", str(self.port)).replace("{dir}", self.dir)
                for a in shlex.split(cmd)]
        while argv and re.match(r"[A-Z_]+=", argv[0]):
            k, _, v = argv.pop(0).partition("=")
            env[k] = v
        argv[0] = os.path.abspath(shutil.which(argv[0]) or argv[0])
        return argv, env

    def start(self, pin=True):
        with socket.socket() as s:
            s.bind((HOST, 0))
            self.port = s.getsockname()[1]
        self.dir = tempfile.mkdtemp(prefix="perf-", dir=self.opts.tmp)
        argv, env = self.argv()
        core = {0} if self.opts.pin and pin else None
        began = time.perf_counter()
        self.proc = subprocess.Popen(
            argv, env=env, cwd=self.dir, stdin=subprocess.DEVNULL,
            stdout=open(os.path.join(self.dir, "log"), "wb"), stderr=subprocess.STDOUT,
            preexec_fn=lambda: child_setup(core))
        while time.perf_counter() - began < 30:
            try:
                if self.memcached:
                    with socket.create_connection((HOST, self.port), 5) as s:
                        s.sendall(b"version\r\n")
                        ok = s.recv(100).startswith(b"VERSION")
                else:
                    ok = self.ask("PING", timeout=5) == "PONG"
                if ok:
                    return time.perf_counter() - began
            except (OSError, Failed):
                pass
            if self.proc.poll() is not None:
                raise Failed(f"{self.name} ended at startup: " + self.log_tail())
            time.sleep(0.0002)
        raise Failed(f"{self.name} did not answer within 30 s: " + self.log_tail())

    def log_tail(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as f:
            return f.read()[-300:]

    def stop(self):
        if self.proc:
            self.proc.kill()
            self.proc.wait()
            self.proc = None
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)
        self.prepared = self.mt_ready = False

    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    def ask(self, *args, timeout=120, db=0):
        """One command; a string, a number, None, or (for an array) a list."""
        with socket.create_connection((HOST, self.port), timeout) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            f = s.makefile("rb")

            def reply():
                line = f.readline()
                if not line.endswith(b"\r\n"):
                    raise Failed("connection closed")
                kind, rest = line[:1], line[1:-2].decode(errors="replace")
                if kind == b"-":
                    raise Failed(rest)
                if kind == b"$":
                    n = int(rest)
                    return None if n < 0 else f.read(n + 2)[:-2].decode(errors="replace")
                if kind == b"*":
                    return [reply() for _ in range(max(int(rest), 0))]
                return int(rest) if kind == b":" else rest

            if db:
                s.sendall(resp("SELECT", db))
                reply()
            s.sendall(resp(*args))
            return reply()

    def info(self, field):
        try:
            m = re.search(rf"^{field}:(.*?)\r?$", self.ask("INFO", "everything"), re.M)
            return m.group(1) if m else None
        except (Failed, OSError, TypeError):
            return None

    def cpu(self):
        """(CPU ns, run-queue wait ns, user ticks, system ticks) so far."""
        ran = waited = 0
        base = f"/proc/{self.proc.pid}"
        for t in os.listdir(base + "/task"):
            try:
                with open(f"{base}/task/{t}/schedstat") as f:
                    a, b, _ = f.read().split()
                ran += int(a)
                waited += int(b)
            except (FileNotFoundError, ProcessLookupError):
                pass
        with open(base + "/stat") as f:
            stat = f.read().rpartition(")")[2].split()
        ticks = int(stat[11]), int(stat[12])
        exact = sum(ticks) * 1e9 / os.sysconf("SC_CLK_TCK")
        if abs(exact - ran) > 5e7:  # a thread has ended, or no schedstat here
            ran = int(exact)
        return ran, waited, *ticks

    def rss(self):
        with open(f"/proc/{self.proc.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024

    def quiesce(self, limit=15.0):
        """Wait until background work (freeing, rehashing) has died down."""
        end = time.monotonic() + limit
        last, calm = self.cpu()[0], 0
        while time.monotonic() < end and calm < 2:
            time.sleep(0.05)
            now = self.cpu()[0]
            calm = calm + 1 if now - last < 2_000_000 else 0
            last = now

    def read_version(self):
        if self.memcached:
            with socket.create_connection((HOST, self.port), 5) as s:
                s.sendall(b"version\r\n")
                self.version = "memcached " + s.recv(100).decode().split()[1]
            return
        for field, label in (("valkey_version", "valkey"), ("redis_version", "redis")):
            if v := self.info(field):
                self.version = f"{label} {v}"
                break
        alloc = self.info("mem_allocator")
        self.version += f", {alloc}" if alloc else ""

    def prepare(self):
        """The data every benchmark may count on."""
        if self.prepared or self.memcached:
            return
        for name in ("strings", "counters", "zset", "biglist"):
            try:
                load(self.port, name, self.opts.cache)
            except Failed as e:
                # A server without a data type is compared on the others.
                note(f"{self.name}: {name} not loaded: {e}")
        for name, db in (("blobs16k", DB_16K), ("blobs1m", DB_1M)):
            load(self.port, name, self.opts.cache, db)
        for name, body in SCRIPTS.items():
            try:
                self.sha[name] = self.ask("SCRIPT", "LOAD", body)
            except Failed as e:
                note(f"{self.name}: script {name} refused: {e}")
        self.prepared = True


LIBC = ctypes.CDLL(None)


def child_setup(core):
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: end with the harness
    if core:
        os.sched_setaffinity(0, core)


def note(text):
    print(text, file=sys.stderr, flush=True)


# --------------------------------------------------------------- throughput

def run_tool(cmd, opts, timeout):
    core = {1} if opts.pin else None
    p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, errors="replace",
                         preexec_fn=lambda: child_setup(core))
    try:
        out, err = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        p.kill()
        p.communicate()
        raise Failed(f"no end after {timeout} s")
    if p.returncode:
        raise Failed((err.strip() or out.strip())[-160:] or f"exit {p.returncode}")
    return out


def run_redis_benchmark(s, w, n, opts):
    args = [a if not a.startswith("@") else s.sha.get(a[1:]) for a in w.args]
    if None in args:
        raise Failed("script not loaded")
    cmd = [opts.bench, "-h", HOST, "-p", str(s.port), "-c", str(w.clients), "-P",
           str(w.pipeline), "-n", str(n), "-r", str(w.keys), "--dbnum", str(w.db), "--csv"]
    out = run_tool(cmd + args, opts, opts.timeout)
    rows = [r for r in csv.reader(out.splitlines()) if len(r) >= 8]
    if len(rows) < 2:
        raise Failed("unreadable answer: " + out[-100:])
    row = rows[-1][-7:]  # rps, avg, min, p50, p95, p99, max
    return {"rps": float(row[0]), "p50": float(row[3]), "p99": float(row[5])}


def run_memtier(s, w, n, opts, fill=False):
    out = os.path.join(s.dir, "memtier.json")
    ratio = "1:0" if fill or w.name.startswith("mt_set") else "0:1"
    cmd = [opts.memtier, "-s", HOST, "-p", str(s.port), "-t", "1", "-c", str(w.clients),
           "-P", "memcache_text" if s.memcached else "redis", "--hide-histogram",
           "--key-minimum", "1", "--key-maximum", str(w.keys), "-d", "32",
           "--distinct-client-seed",  # without it all clients ask for the same few keys
           "--ratio", ratio, "--pipeline", "64" if fill else str(w.pipeline),
           "--json-out-file", out]
    cmd += (["--key-pattern", "P:P", "-n", "allkeys"] if fill else
            ["--key-pattern", "R:R", "-n", str(max(1, n // w.clients))])
    run_tool(cmd, opts, opts.timeout)
    if fill:
        return None
    with open(out) as f:
        total = json.load(f)["ALL STATS"]["Totals"]
    pct = total.get("Percentile Latencies", {})
    return {"rps": float(total["Ops/sec"]),
            "p50": pct.get("p50.00"), "p99": pct.get("p99.00")}


def measure(s, w, opts):
    n = max(w.clients * w.pipeline * 2, int(w.n * opts.scale))
    if w.tool == "mt":
        if not s.mt_ready:
            run_memtier(s, w, 0, opts, fill=True)
            s.mt_ready = True
    else:
        s.prepare()
        if w.before:
            s.ask("FLUSHDB", db=SCRATCH_DB)
        if w.before in ("queue", "locks"):
            load(s.port, w.before, opts.cache, SCRATCH_DB)
    s.quiesce()
    t0, c0 = time.perf_counter(), s.cpu()
    res = (run_memtier if w.tool == "mt" else run_redis_benchmark)(s, w, n, opts)
    c1, wall = s.cpu(), time.perf_counter() - t0
    if w.tool == "mt":
        n = n // w.clients * w.clients
    if w.after == "flush":
        s.ask("FLUSHDB", db=SCRATCH_DB)
    ticks = max(1, c1[2] - c0[2] + c1[3] - c0[3])
    res.update(cpu=(c1[0] - c0[0]) / 1e3 / n, sys=(c1[3] - c0[3]) / ticks,
               busy=(c1[0] - c0[0]) / 1e9 / wall, wait=(c1[1] - c0[1]) / 1e9 / wall)
    return res


def in_turn(servers, round_no):
    k = round_no % len(servers)
    return servers[k:] + servers[:k]


def throughput(servers, opts, result):
    chosen = [w for w in workloads() if re.search(opts.workload, w.name)]
    if not opts.memtier:
        chosen = [w for w in chosen if w.tool != "mt"]
    for s in servers:
        s.start()
        s.read_version()
    for w in chosen:
        runs = result.setdefault("throughput", {}).setdefault(w.name, {})
        for r in range(opts.rounds):
            for s in in_turn(servers, r):
                if s.memcached and w.tool != "mt":
                    continue
                here = runs.setdefault(s.name, [])
                if here and "error" in here[-1]:
                    continue
                try:
                    if not s.alive():
                        note(f"{s.name} has died; starting it again")
                        s.stop()
                        s.start()
                    here.append(measure(s, w, opts))
                except (Failed, OSError, KeyError, ValueError) as e:
                    here.append({"error": str(e)})
        note(f"{w.name:22}" + "  ".join(
            f"{k} {med(v, 'cpu'):.2f}us" if med(v, "cpu") else f"{k} -" for k, v in runs.items()))
        keep(servers, opts, result)
    for s in servers:
        s.stop()


# ------------------------------------------------- memory, startup, pauses

def memory(servers, opts, result):
    table = result.setdefault("memory", {})
    for name, count, label, unit in MEMORY:
        for s in servers:
            if s.memcached and name != "strings":
                continue
            try:
                s.start()
                s.read_version()
                s.quiesce()
                time.sleep(0.3)
                empty = s.rss()
                load(s.port, "memcached" if s.memcached else name, opts.cache)
                s.quiesce()
                time.sleep(1.5)
                used = None if s.memcached else s.info("used_memory")
                table.setdefault(name, {})[s.name] = {
                    "empty": empty, "rss": s.rss(), "each": (s.rss() - empty) / count,
                    "used_memory": int(used) if used else None}
            except (Failed, OSError) as e:
                table.setdefault(name, {})[s.name] = {"error": str(e)}
            finally:
                s.stop()
        note(f"memory {name}: " + "  ".join(
            f"{k} {v['each']:.1f}" for k, v in table[name].items() if "each" in v))


def startup(servers, opts, result):
    times = result.setdefault("startup", {})
    for r in range(max(5, opts.rounds)):
        for s in in_turn(servers, r):
            try:
                times.setdefault(s.name, []).append(s.start() * 1e3)
            except Failed as e:
                note(str(e))
            finally:
                s.stop()


def prober(port, pid, pipe):
    """PING every ms until told to stop; send back (latency, latency less the
    time the server's threads stood in the run queue), in microseconds."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        pass
    fds = {}

    def waited():
        for t in os.listdir(f"/proc/{pid}/task"):
            if t not in fds:
                try:
                    fds[t] = os.open(f"/proc/{pid}/task/{t}/schedstat", os.O_RDONLY)
                except OSError:
                    pass
        total = 0
        for t, fd in list(fds.items()):
            try:
                total += int(os.pread(fd, 100, 0).split()[1])
            except OSError:
                os.close(fds.pop(t))
        return total

    samples = []
    with socket.create_connection((HOST, port), 60) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ping = resp("PING")
        pipe.send("ready")
        due = time.perf_counter()
        while not pipe.poll():
            w0, t0 = waited(), time.perf_counter_ns()
            s.sendall(ping)
            s.recv(100)
            t1 = time.perf_counter_ns()
            w1 = waited()
            samples.append(((t1 - t0) / 1e3, max(0, t1 - t0 - (w1 - w0)) / 1e3))
            due = max(due + 0.001, time.perf_counter())
            time.sleep(max(0.0, due - time.perf_counter()))
    pipe.send(samples)


class Probe:
    """with Probe(server) as p: ...; then p.stats"""

    def __init__(self, server):
        self.server, self.stats = server, None

    def __enter__(self):
        self.pipe, child = multiprocessing.Pipe()
        self.process = multiprocessing.Process(
            target=prober, args=(self.server.port, self.server.proc.pid, child), daemon=True)
        self.process.start()
        self.pipe.recv()
        return self

    def __exit__(self, kind, *_):
        self.pipe.send("stop")
        if kind is None and self.pipe.poll(60):
            raw, net = (sorted(x) for x in zip(*self.pipe.recv()))
            at = lambda v, q: v[min(len(v) - 1, int(len(v) * q))]
            self.stats = {"p50": at(raw, .5), "p99": at(raw, .99), "p999": at(raw, .999),
                          "max": raw[-1], "net_p999": at(net, .999), "net_max": net[-1],
                          "samples": len(raw)}
        self.process.join(5)
        self.process.kill()


def pause(servers, opts, result):
    table = result.setdefault("pause", {})
    for r in range(opts.rounds):
        for s in in_turn([s for s in servers if not s.memcached], r):
            phases = table.setdefault(s.name, {"idle": [], "insert": [], "bgsave": []})
            try:
                s.start(pin=False)
                s.read_version()
                with Probe(s) as p:
                    time.sleep(1)
                phases["idle"].append(p.stats)
                with Probe(s) as p:
                    took = load(s.port, "strings3m", opts.cache)
                phases["insert"].append(dict(p.stats, seconds=took))
                s.quiesce()
                with Probe(s) as p:
                    began = time.monotonic()
                    s.ask("BGSAVE")
                    while s.info("rdb_bgsave_in_progress") == "1" and \
                            time.monotonic() < began + 120:
                        time.sleep(0.1)
                    took = time.monotonic() - began
                phases["bgsave"].append(
                    dict(p.stats, seconds=took, fork_us=int(s.info("latest_fork_usec") or 0)))
            except (Failed, OSError, TypeError) as e:
                note(f"{s.name}: pause section: {e}")
            finally:
                s.stop()
    for name, phases in table.items():
        note(f"pause {name}: " + "  ".join(
            f"{k} max {min(x['max'] for x in v) / 1e3:.1f} ms" for k, v in phases.items() if v))


# ------------------------------------------------------------------- report

def med(runs, field):
    values = [r[field] for r in runs if r.get(field) is not None]
    return statistics.median(values) if values else None


def spread(runs, field="cpu"):
    values = [r[field] for r in runs if field in r]
    return (max(values) - min(values)) / statistics.median(values) if len(values) > 1 else 0.0


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] +
                     ["| " + " | ".join(str(c) for c in r) + " |" for r in rows]) + "\n"


def fmt(value, spec=".2f", scale=1.0):
    return "-" if value is None else format(value * scale, spec)


def times(value, base):
    return "-" if not value or not base else f"{value / base:.2f}x"


def report(servers, opts, result):
    first, names = servers[0].name, [s.name for s in servers]
    out = [f"# Comparison of {time.strftime('%Y-%m-%d %H:%M', time.localtime(result['began']))}\n"]
    cpu = re.search(r"model name\s*:\s*(.*)", open("/proc/cpuinfo").read())
    out.append(f"{os.cpu_count()} cores ({cpu.group(1) if cpu else 'cpu unknown'}), "
               f"Linux {os.uname().release}, load average {result['load'][0]:.1f} at the start and "
               f"{os.getloadavg()[0]:.1f} at the end, {opts.rounds} rounds, scale {opts.scale}, "
               f"{'server on core 0, load on core 1' if opts.pin else 'not pinned'}. "
               f"Ratios are to `{first}`.\n")
    out.append(table(["server", "version", "command"],
                     [[s.name, s.version, f"`{s.cmd}`"] for s in servers]))
    if tp := result.get("throughput"):
        out.append("## Server CPU microseconds per operation (lower is better)\n")
        out.append("Median of the rounds, ratio to the first server; `~` marks a figure whose "
                   "rounds lie more than 25% apart.\n")
        rows, logs = [], {n: [] for n in names}
        for w, runs in tp.items():
            base, row = med(runs.get(first, []), "cpu"), [w]
            for n in names:
                v = med(runs.get(n, []), "cpu")
                mark = "~" if spread(runs.get(n, [])) > .25 else ""
                row.append("-" if v is None else f"{mark}{v:.2f} ({times(v, base)})")
                if v and base:
                    logs[n].append(math.log(v / base))
            rows.append(row)
        rows.append(["**geometric mean of the ratios**"] + [
            f"**{math.exp(statistics.mean(logs[n])):.2f}x** of {len(logs[n])}" if logs[n] else "-"
            for n in names])
        out.append(table(["workload"] + names, rows))
        out.append("## Every workload in full\n")
        out.append("busy: server CPU time / wall time (well below 100%: the load generator, or "
                   "other work on the machine, set the throughput). rq-wait: time the server stood "
                   "ready but not running / wall time (noise). sys: share of its CPU time spent in "
                   "the kernel. spread: (max - min) / median of the CPU figure over the rounds.\n")
        rows = []
        for w, runs in tp.items():
            b_cpu, b_rps = med(runs.get(first, []), "cpu"), med(runs.get(first, []), "rps")
            for n in names:
                r = runs.get(n)
                if not r:
                    continue
                if med(r, "cpu") is None:
                    rows.append([w, n, "failed: " + r[-1].get("error", "?")[:80].replace("|", "/")]
                                + [""] * 10)
                    continue
                rows.append([w, n, fmt(med(r, "rps"), ".1f", 1e-3), times(med(r, "rps"), b_rps),
                             fmt(med(r, "cpu")), times(med(r, "cpu"), b_cpu),
                             fmt(min(x["cpu"] for x in r if "cpu" in x)),
                             fmt(med(r, "sys"), ".0%"), fmt(med(r, "p50"), ".3f"),
                             fmt(med(r, "p99"), ".3f"), fmt(med(r, "busy"), ".0%"),
                             fmt(med(r, "wait"), ".0%"), f"{spread(r):.0%}"])
        out.append(table(["workload", "server", "kops/s", "ratio", "CPU us/op", "ratio",
                          "least us/op", "sys", "p50 ms", "p99 ms", "busy", "rq-wait", "spread"],
                         rows))
    if mem := result.get("memory"):
        out.append("## Memory: RSS bytes each, after loading\n")
        rows = []
        for name, count, label, unit in MEMORY:
            base, row = mem.get(name, {}).get(first, {}).get("each"), [f"{label}, per {unit}"]
            for n in names:
                v = mem.get(name, {}).get(n, {})
                row.append(f"{v['each']:.1f} ({times(v['each'], base)})" if "each" in v else
                           v.get("error", "-")[:60])
            rows.append(row)
        rows.append(["empty server, RSS MiB"] + [
            fmt(min((v[n]["empty"] for v in mem.values() if "empty" in v.get(n, {})), default=None),
                ".1f", 1 / 2**20) for n in names])
        out.append(table(["data"] + names, rows))
    if st := result.get("startup"):
        out.append("## Startup: ms from exec to the first answered PING\n")
        out.append(table(["server", "median", "least"],
                         [[n, fmt(statistics.median(v), ".1f"), fmt(min(v), ".1f")]
                          for n, v in st.items() if v]))
    if pa := result.get("pause"):
        out.append("## Pauses: PING every 1 ms from another connection, in ms\n")
        out.append("The best round of each figure (noise only ever adds). net: less the time the "
                   "server's main thread stood in the kernel's run queue.\n")
        rows = []
        for n, phases in pa.items():
            for phase, label in (("idle", "idle"), ("insert", "inserting 3M keys"),
                                 ("bgsave", "BGSAVE of 3M keys")):
                if v := phases[phase]:
                    best = lambda k: fmt(min(x[k] for x in v), ".2f", 1e-3)
                    rows.append([n, label] + [best(k) for k in
                                              ("p50", "p99", "p999", "max", "net_p999", "net_max")] +
                                [fmt(min((x["seconds"] for x in v if "seconds" in x),
                                         default=None), ".1f"),
                                 fmt(min((x["fork_us"] for x in v if x.get("fork_us")),
                                         default=None), ".1f", 1e-3)])
        out.append(table(["server", "while", "p50", "p99", "p99.9", "max", "net p99.9", "net max",
                          "took s", "fork ms"], rows))
    return "\n".join(out)


# --------------------------------------------------------------------- main

SECTIONS = {"throughput": throughput, "memory": memory, "startup": startup, "pause": pause}


def keep(servers, opts, result):
    result["servers"] = {s.name: {"command": s.cmd, "version": s.version} for s in servers}
    if opts.json:
        with open(opts.json, "w") as f:
            json.dump(result, f, indent=1)


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  compare.py --pin --server 'ours=target/release/server' \\\n"
               "    --server 'valkey=$ANCHORS/valkey-9.1.2/src/valkey-server' --workload '^(get|set)/'")
    p.add_argument("--server", action="append", metavar="NAME=COMMAND",
                   help="a server to compare; the first is what the ratios refer to. {port} and "
                        "{dir} are filled in, and environment variables expanded; a command without "
                        "{port} gets --port, --save '', --appendonly no and --dir. A name that "
                        "begins with 'memcached' is spoken to in memcached's protocol.")
    p.add_argument("--workload", default="", metavar="REGEX",
                   help="only workloads whose name matches (see --list)")
    p.add_argument("--sections", default=",".join(SECTIONS), metavar="A,B",
                   help="which of " + ", ".join(SECTIONS) + " to run (default: all)")
    p.add_argument("--rounds", type=int, default=3, help="runs of each workload (default: 3)")
    p.add_argument("--scale", type=float, default=1.0,
                   help="multiply the requests of every workload (default: 1.0)")
    p.add_argument("--pin", action="store_true", help="servers on core 0, load generators on core 1")
    p.add_argument("--bench", default=os.environ.get("BENCH", "redis-benchmark"),
                   help="redis-benchmark or valkey-benchmark (default: $BENCH, or from PATH)")
    p.add_argument("--memtier", default=os.environ.get("MEMTIER") or
                   shutil.which("memtier_benchmark"),
                   help="memtier_benchmark, for the mt_* workloads (default: $MEMTIER, or from PATH)")
    p.add_argument("--timeout", type=float, default=120, help="seconds for one run (default: 120)")
    p.add_argument("--out", metavar="FILE", help="write the report here as well (Markdown)")
    p.add_argument("--json", metavar="FILE", help="write every single sample here")
    p.add_argument("--cache", default=os.path.join(tempfile.gettempdir(), "perf-compare-data"),
                   help="folder for generated data, kept between runs (about 0.6 GiB)")
    p.add_argument("--tmp", help="folder in which the servers' own folders are made")
    p.add_argument("--list", action="store_true", help="list the workloads and end")
    opts = p.parse_args()
    if opts.list:
        for w in workloads():
            print(f"{w.name:22} n={w.n:<8} keys={w.keys:<8} " + (
                "memtier" if w.tool == "mt" else " ".join(w.args)[:70]))
        return
    if not opts.server:
        p.error("at least one --server is needed")
    sections = opts.sections.split(",")
    if unknown := set(sections) - set(SECTIONS):
        p.error("no such section: " + ", ".join(sorted(unknown)))
    if not shutil.which(opts.bench):
        p.error(f"{opts.bench} is not there; give --bench")
    os.makedirs(opts.cache, exist_ok=True)
    servers = [Server(spec, opts) for spec in opts.server]
    if len({s.name for s in servers}) != len(servers):
        p.error("two servers have the same name")
    for s in servers:
        if not shutil.which(s.argv()[0][0]):
            p.error(f"{s.name}: {s.cmd.split()[0]} cannot be run")
    result = {"began": time.time(), "load": os.getloadavg(), "rounds": opts.rounds,
              "scale": opts.scale, "pin": opts.pin}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for name in sections:
            SECTIONS[name](servers, opts, result)
    except KeyboardInterrupt:
        note("interrupted; reporting what there is")
    except Failed as e:
        sys.exit(str(e))
    finally:
        for s in servers:
            s.stop()
        keep(servers, opts, result)
    text = report(servers, opts, result)
    print(text)
    if opts.out:
        with open(opts.out, "w") as f:
            f.write(text)


if __name__ == "__main__":
    main()
