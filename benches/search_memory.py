#!/usr/bin/env python3
"""Is what FT.INFO says of an index's memory what the allocator has given for it?

    benches/search_memory.py ours=target/release/mortise redis=/usr/bin/redis-server,target/release/libmortise_search.so [--documents 200000] [--only text]

A server is NAME=BINARY or NAME=BINARY,MODULE. For each type of field the documents are written first, as hashes without an index; then an index is
made over them. Compared are how much `used_memory` has grown once all is quiet (every allocation of the module is counted in it, by what the
allocator sets aside for it) and `total_index_memory_sz_mb`. Then a third of the documents are written again, and deleted, and both are compared again.
"""
import argparse
import os
import random
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "outside"))
from common import Server, free_port  # noqa: E402
from resp import Client, encode  # noqa: E402

PIPELINE = 500
# How far both may be apart.
BAR = 0.15


def words(rng, count):
    return " ".join("w%d" % min(int(rng.paretovariate(0.7)), 50_000) for _ in range(count))


def vector(rng):
    return struct.pack("<32f", *(rng.gauss(0, 1) for _ in range(32)))


def place(rng):
    return "%.6f,%.6f" % (rng.uniform(-180, 180), rng.uniform(-85, 85))


def square(rng):
    x, y, d = rng.uniform(-1000, 1000), rng.uniform(-1000, 1000), rng.uniform(1, 10)
    corners = [(x, y), (x + d, y), (x + d, y + d), (x, y + d), (x, y)]
    return "POLYGON((%s))" % ", ".join("%.3f %.3f" % corner for corner in corners)


VECTOR = "6 TYPE FLOAT32 DIM 32 DISTANCE_METRIC L2"
# Name, what FT.CREATE says of the field, a value.
TYPES = [
    ("text", "TEXT", lambda rng: words(rng, 12)),
    ("text sortable", "TEXT SORTABLE", lambda rng: words(rng, 12)),
    ("text, no offsets", "TEXT", lambda rng: words(rng, 12)),
    ("tag, few values", "TAG", lambda rng: "t%d" % rng.randrange(100)),
    ("tag, many values", "TAG SORTABLE", lambda rng: "user-%d" % rng.randrange(10_000_000)),
    ("numeric", "NUMERIC", lambda rng: "%.3f" % rng.uniform(0, 1e6)),
    ("geo", "GEO", place),
    ("geoshape", "GEOSHAPE FLAT", square),
    ("vector flat", "VECTOR FLAT " + VECTOR, vector),
    ("vector hnsw", "VECTOR HNSW " + VECTOR, vector),
]
OPTIONS = {"text, no offsets": ["NOOFFSETS", "NOFREQS"]}


def pipeline(client, requests):
    waiting = []
    for request in requests:
        waiting.append(encode(*request))
        if len(waiting) == PIPELINE:
            send(client, waiting)
            waiting = []
    send(client, waiting)


def send(client, waiting):
    client.stream.write(b"".join(waiting))
    client.stream.flush()
    for _ in waiting:
        client.read()


def used(client):
    text = client.call("INFO", "memory")
    text = text.decode() if isinstance(text, bytes) else text
    return int(next(line.split(":")[1] for line in text.splitlines() if line.startswith("used_memory:")))


def info(client):
    flat = client.call("FT.INFO", "idx")
    text = [item.decode() if isinstance(item, bytes) else item for item in flat]
    return dict(zip(text[::2], text[1::2]))


def quiet(client):
    """The index's size and the server's memory once neither changes any more."""
    last, same = None, 0
    while same < 8:
        time.sleep(0.1)
        facts = info(client)
        now = (str(facts["indexing"]), facts["total_index_memory_sz_mb"], used(client) >> 16)
        same = same + 1 if now == last and now[0] == "0" else 0
        last = now
    return float(facts["total_index_memory_sz_mb"]) * (1 << 20), used(client), facts


def measure(client, name, field, value, documents):
    rng = random.Random(1)
    client.call("FLUSHALL")
    pipeline(client, (("HSET", "doc:%d" % n, "f", value(rng)) for n in range(documents)))
    time.sleep(0.5)
    before = used(client)
    client.call("FT.CREATE", "idx", "PREFIX", "1", "doc:", *OPTIONS.get(name, []), "SCHEMA", "f", *field.split())
    reported, after, facts = quiet(client)
    rows = [("built", reported, after - before)]
    # The keys' own memory is kept the same: each is written with the value that it has.
    rng = random.Random(1)
    values = [value(rng) for _ in range(documents)]
    again = range(0, documents, 3)
    pipeline(client, (("HSET", "doc:%d" % n, "f", values[n]) for n in again))
    reported, after, _ = quiet(client)
    rows.append(("a third again", reported, after - before))
    if int(facts["num_docs"]) != documents:
        raise SystemExit("%s: %s documents of %d" % (name, facts["num_docs"], documents))
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("servers", nargs="+", metavar="NAME=BINARY[,MODULE]")
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    missed = False
    for server in args.servers:
        name, _, what = server.partition("=")
        binary, _, module = what.partition(",")
        port = free_port()
        extra = ["--save", "", "--appendonly", "no"] + (["--loadmodule", os.path.abspath(module)] if module else [])
        running = Server(binary, port, extra)
        running.start()
        client = Client(port)
        print("%s, %d documents: MB that the allocator gave, MB that FT.INFO shows" % (name, args.documents))
        for kind, field, value in TYPES:
            if args.only not in kind:
                continue
            for when, reported, grown in measure(client, kind, field, value, args.documents):
                ratio = reported / grown
                good = abs(ratio - 1) <= BAR
                missed |= not good
                print("  %-18s %-14s %8.2f %8.2f %6.2f%s" % (
                    kind, when, grown / (1 << 20), reported / (1 << 20), ratio, "" if good else "  <-- beyond the bar"), flush=True)
        running.stop()
    sys.exit(missed)


if __name__ == "__main__":
    main()
