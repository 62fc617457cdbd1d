#!/usr/bin/env python3
"""How long do others wait while a query reads keys, or has much to answer? Times of GET on one connection while another asks the same again and again.

    benches/aggregate_hold.py target/release/mortise [--module SO] [--documents 200000] [--seconds 10] [--only NAME]

The first line is the same without a query: what the machine itself makes of it. A query that held the server's lock for all its rows
would show in the last column as long as it takes. Who asks is a process of its own, which does not look at the answers but for their end.
"""
import argparse
import multiprocessing
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "outside"))
from common import Server, free_port  # noqa: E402
import resp  # noqa: E402

ROWS = ["LIMIT", "0", "100000"]
QUERIES = {
    "aggregate, loaded": ["FT.AGGREGATE", "idx", "*", "TIMEOUT", "0", "LOAD", "2", "@kind", "@note", "GROUPBY", "1", "@kind",
                          "REDUCE", "COUNT_DISTINCT", "1", "@note"],
    "100,000 rows": ["FT.AGGREGATE", "idx", "*", "TIMEOUT", "0", "APPLY", "@n * 2", "AS", "twice", *ROWS],
    "100,000 rows, loaded": ["FT.AGGREGATE", "idx", "*", "TIMEOUT", "0", "LOAD", "2", "@kind", "@note", *ROWS],
    "100,000 by a cursor": ["FT.AGGREGATE", "idx", "*", "TIMEOUT", "0", "APPLY", "@n * 2", "AS", "twice", "WITHCURSOR", "COUNT", "100000",
                            "MAXIDLE", "10"],
    "100,000 keys": ["FT.SEARCH", "idx", "*", "TIMEOUT", "0", "NOCONTENT", *ROWS],
    "100,000 documents": ["FT.SEARCH", "idx", "*", "TIMEOUT", "0", *ROWS],
    "by a loaded field": ["FT.SEARCH", "idx", "*", "TIMEOUT", "0", "SORTBY", "kind", "LIMIT", "0", "10"],
}
# Nothing of a document ends in this.
END = b"+PONG\r\n"


def fill(client, documents):
    client.expect("FT.CREATE", "idx", "ON", "HASH", "PREFIX", "1", "h:", "SCHEMA", "kind", "TAG", "n", "NUMERIC")
    script = ("for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do "
              "redis.call('HSET', 'h:' .. i, 'kind', 'k' .. i % 100, 'n', i, 'note', 'note number ' .. i) end")
    for start in range(1, documents + 1, 1000):
        client.expect("EVAL", script, "0", str(start), str(min(start + 999, documents)))


def gets(port, seconds):
    client = resp.Client(port)
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        client.call("GET", "other")
        times.append((time.perf_counter() - start) * 1000)
    return sorted(times)


def ask(port, query, stop, results):
    """Asks until it is told to stop; then says how long each answer took, and how many bytes the last had."""
    connection = socket.create_connection(("127.0.0.1", port))
    request = resp.encode(*query) + resp.encode("PING")
    piece, times, length = bytearray(1 << 20), [], 0
    while not stop.is_set():
        start = time.monotonic()
        connection.sendall(request)
        length, tail = 0, b""
        while not tail.endswith(END):
            count = connection.recv_into(piece)
            assert count > 0, "the server has gone"
            assert length > 0 or piece[0] != ord("-"), bytes(piece[:count])
            length += count
            tail = (tail + piece[max(0, count - len(END)):count])[-len(END):]
        times.append(time.monotonic() - start)
    results.put((times, length - len(END)))


def show(name, times, queries=(), length=0):
    part = lambda share: times[min(len(times) - 1, int(len(times) * share))]
    took = "%.0f ms, %.1f MB" % (sum(queries) / len(queries) * 1000, length / 1e6) if queries else ""
    print("| %s | %d | %s | %d | %.3f | %.3f | %.3f | %.3f |" % (
        name, len(queries), took, len(times), part(0.5), part(0.99), part(0.999), times[-1]), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("--module")
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", choices=QUERIES, action="append")
    options = parser.parse_args()
    port = free_port()
    server = Server(options.server, port, ["--loadmodule", options.module] if options.module else [])
    server.start()
    try:
        fill(resp.Client(port), options.documents)
        print("| beside | queries | each | GETs | median, ms | 99% | 99.9% | longest |\n|---|---|---|---|---|---|---|---|")
        show("nothing", gets(port, options.seconds))
        for name in options.only or QUERIES:
            stop, results = multiprocessing.Event(), multiprocessing.Queue()
            asking = multiprocessing.Process(target=ask, args=(port, QUERIES[name], stop, results), daemon=True)
            asking.start()
            times = gets(port, options.seconds)
            stop.set()
            show(name, times, *results.get(timeout=60))
            asking.join()
        print("\nload average at the end %.1f on %d cores" % (os.getloadavg()[0], os.cpu_count()))
    finally:
        server.stop()


main()
