#!/usr/bin/env python3
"""What does it cost to come back with segments of search indexes on disk, and without? And what does keeping them add to saving?

    benches/search_restart.py target/release/mortise --documents 1000000
    benches/search_restart.py target/release/mortise --documents 200000 --vectors HNSW --dimensions 128

The module is the one that lies beside the server.

Documents are those of search_peers.py: a title of eight words, a tag and a number; with --vectors also single-precision numbers, whole ones by chance from -128 to 127.
The server saves (SAVE, then BGSAVE while commands come in), is killed and started again: with segments, without them (search-persist-segments no,
so that the index is built from the keys, which is what every release before did), and without any index. Then it loads its file by DEBUG RELOAD. Times of one
run stand beside each other; CPU is what the kernel says all threads of the server have run until it answers. The longest wait is that of a GET each
millisecond, which is answered that the server is loading, or with the value; and that of an INFO, which is answered in any case.
"""
import argparse
import array
import os
import random
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "outside"))
import resp  # noqa: E402
from common import Server, free_port  # noqa: E402
from resp import encode  # noqa: E402
from search_peers import Documents  # noqa: E402

SCHEMA = ("SCHEMA", "title", "TEXT", "NOSTEM", "tag", "TAG", "price", "NUMERIC", "SORTABLE")


def cpu_ns(pid):
    """CPU of all threads, those that have ended included, to 10 ms."""
    with open("/proc/%d/stat" % pid) as f:
        user, system = f.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def memory(pid, name="VmRSS"):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(name + ":"))


def connect(server):
    return resp.Client(server.port, timeout=3600)


def wait_until_loaded(server):
    """A connection, and the longest waits until it was."""
    client, waits = connect(server), Waits()
    while isinstance(waits.ask(client), resp.Error):
        pass
    return client, waits.longest


def send(client, requests, pipeline=64):
    for at in range(0, len(requests), pipeline):
        batch = requests[at:at + pipeline]
        client.stream.write(b"".join(batch))
        client.stream.flush()
        for _ in batch:
            reply = client.read()
            if isinstance(reply, resp.Error):
                raise SystemExit(reply)


class Waits:
    """The longest waits of a GET and of an INFO, in milliseconds. The latter is among the commands that are run while data is loaded."""

    COMMANDS = (("GET", "other"), ("INFO", "server"))

    def __init__(self):
        self.longest = [0.0, 0.0]

    def ask(self, client):
        """What the GET was answered."""
        replies = []
        for at, command in enumerate(self.COMMANDS):
            begin = time.monotonic()
            replies.append(client.call(*command))
            self.longest[at] = max(self.longest[at], (time.monotonic() - begin) * 1000)
        time.sleep(0.001)
        return replies[0]


class Waiter(threading.Thread):
    """Asks each millisecond until it is ended."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.client, self.waits, self.over = connect(server), Waits(), False

    def run(self):
        while not self.over:
            self.waits.ask(self.client)

    def end(self):
        self.over = True
        self.join()
        return self.waits.longest


def info(client, section):
    text = client.expect("INFO", section).decode()
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


def index_megabytes(client):
    reply = client.expect("FT.INFO", "idx")
    named = {name.decode() if isinstance(name, bytes) else str(name): value for name, value in zip(reply[::2], reply[1::2])}
    return "%.1f" % float(named["total_index_memory_sz_mb"])


def vector_field(algorithm, dimensions):
    return "v", "VECTOR", algorithm, "6", "TYPE", "FLOAT32", "DIM", dimensions, "DISTANCE_METRIC", "L2"


def fill(client, documents, dimensions):
    rng = random.Random(7)
    for at in range(0, documents.count, 20_000):
        requests = []
        for n in range(at, min(at + 20_000, documents.count)):
            fields = documents.fields(n)
            if dimensions:
                fields += ("v", array.array("f", array.array("b", rng.randbytes(dimensions))).tobytes())
            requests.append(encode("HSET", "doc:%d" % n, *fields))
        send(client, requests)


def settle(server, client):
    client.expect("FT.SEARCH", "idx", "bake", "LIMIT", "0", "1")
    last = -1
    while last != (last := cpu_ns(server.proc.pid) // 20_000_000):
        time.sleep(0.3)


def saving(server, client, persists, writes, documents):
    """BGSAVE while something happens; seconds until all is on disk, CPU, memory at its height, longest GET."""
    client.expect("CONFIG", "SET", "search-persist-segments", "yes" if persists else "no")
    before = int(info(client, "modules").get("search_segments_saves", 0))
    with open("/proc/%d/clear_refs" % server.proc.pid, "w") as f:
        f.write("5")  # VmHWM begins anew
    rss = memory(server.proc.pid)
    waiter = Waiter(server)
    waiter.start()
    cpu, begin = cpu_ns(server.proc.pid), time.monotonic()
    client.expect("BGSAVE")
    other, n = connect(server), 0
    while True:
        if writes:
            send(other, [encode("HSET", "doc:%d" % (k * 7919 % documents.count), "price", k % 10_000) for k in range(n, n + 64)])
            n += 64
        state = info(client, "persistence")
        saves = int(info(client, "modules").get("search_segments_saves", 0))
        if state["rdb_bgsave_in_progress"] == "0" and (not persists or saves > before):
            break
        time.sleep(0.01)
    longest = waiter.end()
    return time.monotonic() - begin, (cpu_ns(server.proc.pid) - cpu) / 1e9, memory(server.proc.pid, "VmHWM") - rss, longest


def restart(server, args):
    """Seconds and CPU seconds until the server has loaded its file, and the longest wait meanwhile."""
    server.kill_and_wait()
    server.args = args
    begin = time.monotonic()
    server.start(wait=3600)
    client, longest = wait_until_loaded(server)
    return client, time.monotonic() - begin, cpu_ns(server.proc.pid) / 1e9, longest


def reload(server, client):
    """Seconds that DEBUG RELOAD takes to load, and the longest waits meanwhile of a connection that another worker has."""
    waiter = Waiter(server)
    waiter.start()
    begin = time.monotonic()
    client.expect("DEBUG", "RELOAD", "NOSAVE")
    return time.monotonic() - begin, waiter.end()


class Killable(Server):
    def kill_and_wait(self):
        self.proc.kill()
        self.proc.wait()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("binary")
    p.add_argument("--documents", type=int, default=100_000)
    p.add_argument("--vectors", choices=("FLAT", "HNSW"))
    p.add_argument("--dimensions", type=int, default=32)
    p.add_argument("--rounds", type=int, default=3)
    a = p.parse_args()
    documents = Documents(a.documents)
    module = os.path.join(os.path.dirname(os.path.abspath(a.binary)), "libmortise_search.so")
    args = ["--io-threads", "2", "--enable-debug-command", "yes", "--default-modules", "no", "--loadmodule", module]
    server = Killable(a.binary, free_port(), args).start()
    client = connect(server)
    client.expect("FT.CREATE", "idx", "ON", "HASH", *SCHEMA, *(vector_field(a.vectors, a.dimensions) if a.vectors else ()))
    fill(client, documents, a.vectors and a.dimensions)
    settle(server, client)
    print("%d documents%s\n" % (a.documents, " with vectors, %s of %d" % (a.vectors, a.dimensions) if a.vectors else ""))
    print("| BGSAVE | seconds | CPU s | memory added, MB | longest GET, ms | longest INFO, ms |\n|---|---|---|---|---|---|")
    for persists, writes, name in (
            (False, False, "without segments"), (True, False, "with segments, all new"), (True, False, "with segments, all there"),
            (False, True, "without segments, while written to"), (True, True, "with segments, while written to")):
        seconds, cpu, added, longest = saving(server, client, persists, writes, documents)
        print("| %s | %.2f | %.2f | %.1f | %.1f | %.1f |" % (name, seconds, cpu, added / 1e6, *longest))
    settle(server, client)
    begin = time.monotonic()
    client.expect("SAVE")
    print("\nSAVE took %.2f s" % (time.monotonic() - begin))
    folder = os.path.join(server.dir, "search-segments")
    bytes_ = sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
    print("dump.rdb %.1f MB, segments %.1f MB in %d files, index in memory %s MB\n" % (
        os.path.getsize(os.path.join(server.dir, "dump.rdb")) / 1e6, bytes_ / 1e6, len(os.listdir(folder)),
        index_megabytes(client)))
    rows = {"with segments": [], "without": []}
    for number in range(a.rounds):
        for name in rows:
            persists = ["--search-persist-segments", "yes" if name == "with segments" else "no"]
            client, seconds, cpu, longest = restart(server, args + persists)
            found = client.expect("FT.SEARCH", "idx", "*", "LIMIT", "0", "0")[0]
            if found != a.documents:
                raise SystemExit("%s: %d documents" % (name, found))
            loaded = info(client, "modules").get("search_segments_loaded")
            settle(server, client)
            rows[name].append((seconds, cpu, cpu_ns(server.proc.pid) / 1e9, int(loaded), memory(server.proc.pid), *longest))
    print("| restart | seconds until it answers | CPU s until then | and until all threads rest | segments loaded | resident MB | longest GET, ms | longest INFO, ms |\n"
          "|---|---|---|---|---|---|---|---|")
    for name, results in rows.items():
        seconds, cpu, all_cpu, loaded, rss, *longest = (statistics.median(values) for values in zip(*results))
        print("| %s | %.2f | %.2f | %.2f | %d | %.0f | %.1f | %.1f |" % (name, seconds, cpu, all_cpu, loaded, rss / 1e6, *longest))
    for name in reversed(rows):
        client.expect("CONFIG", "SET", "search-persist-segments", "yes" if name == "with segments" else "no")
        client.expect("SAVE")
        seconds, longest = reload(server, client)
        print("| DEBUG RELOAD %s | %.2f | | | | | %.1f | %.1f |" % (name, seconds, *longest))
    client.expect("FT.DROPINDEX", "idx")
    client.expect("SAVE")
    _, seconds, cpu, longest = restart(server, args)
    print("| without an index | %.2f | %.2f | | | | %.1f | %.1f |" % (seconds, cpu, *longest))
    print("\nload average at the end %.1f on %d cores" % (os.getloadavg()[0], os.cpu_count()))
    server.stop()


if __name__ == "__main__":
    main()
