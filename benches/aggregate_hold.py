#!/usr/bin/env python3
"""How long do others wait while an aggregation reads keys? Times of GET on one connection while FT.AGGREGATE loads on another.

    benches/aggregate_hold.py target/release/mortise [--module SO] [--documents 200000] [--seconds 10]

The first line is the same without an aggregation: what the machine itself makes of it. An aggregation that held the server's lock for all rows
would show in the last column as long as it takes.
"""
import argparse
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "outside"))
from common import Server, free_port  # noqa: E402
import resp  # noqa: E402

QUERY = ["FT.AGGREGATE", "idx", "*", "TIMEOUT", "0", "LOAD", "2", "@kind", "@note", "GROUPBY", "1", "@kind", "REDUCE", "COUNT_DISTINCT", "1", "@note"]


def fill(client, documents):
    client.expect("FT.CREATE", "idx", "ON", "HASH", "PREFIX", "1", "h:", "SCHEMA", "kind", "TAG", "n", "NUMERIC")
    script = ("for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do "
              "redis.call('HSET', 'h:' .. i, 'kind', 'k' .. i % 100, 'n', i, 'note', 'note number ' .. i) end")
    for start in range(1, documents + 1, 1000):
        client.expect("EVAL", script, "0", str(start), str(min(start + 999, documents)))


def gets(port, seconds, done):
    client = resp.Client(port)
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end and not done.is_set():
        start = time.perf_counter()
        client.call("GET", "other")
        times.append((time.perf_counter() - start) * 1000)
    return sorted(times)


def show(name, times, queries):
    part = lambda share: times[min(len(times) - 1, int(len(times) * share))]
    print(f"{name:22} {queries:4} queries {len(times):8} GETs  median {part(0.5):7.3f} ms  99% {part(0.99):7.3f} ms  "
          f"99.9% {part(0.999):7.3f} ms  longest {times[-1]:8.3f} ms", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("--module")
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    port = free_port()
    server = Server(options.server, port, ["--loadmodule", options.module] if options.module else [])
    server.start()
    try:
        client = resp.Client(port)
        fill(client, options.documents)
        show("alone", gets(port, options.seconds, threading.Event()), 0)
        stop, queries = threading.Event(), []

        def ask():
            while not stop.is_set():
                start = time.monotonic()
                answer = client.expect(*QUERY)
                assert len(answer) == 101, answer
                queries.append(time.monotonic() - start)

        asking = threading.Thread(target=ask)
        asking.start()
        times = gets(port, options.seconds, stop)
        stop.set()
        asking.join()
        show("beside FT.AGGREGATE", times, len(queries))
        print(f"a query took {sum(queries) / len(queries) * 1000:.0f} ms")
    finally:
        server.stop()


main()
