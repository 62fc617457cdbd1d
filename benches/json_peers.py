#!/usr/bin/env python3
"""What do documents cost in our JSON module, and in other projects'? Server CPU per command and memory per document, for several
servers in turn.

    benches/json_peers.py ours=target/release/mortise \\
        rejson=/path/to/valkey-server,/path/to/rejson.so valkey-json=/path/to/valkey-server,/path/to/libjson.so

A server is NAME=BINARY, or NAME=BINARY,MODULE. Each has one worker and holds the same documents: ten fields, among them an address, eight orders
and a text of some 300 bytes, 914 bytes of JSON. Requests go out 16 at a time on each of 16 connections, so that a server is not woken for
every sixteen commands, which would weigh more than they do. All servers run at the same time, and each round visits them in another
order, so that noise from elsewhere falls on all alike; CPU is what the kernel says the server's threads have run, so the client's own work does not
count. Reported are the medians of the rounds, beside the best of the others; compare within one run, and never figures of two.
"""
import argparse
import json
import os
import random
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "outside"))
import resp  # noqa: E402
from common import Server, cpu_ns, free_port  # noqa: E402
from resp import encode  # noqa: E402

PIPELINE = 16
CONNECTIONS = 16
DOCUMENT_BYTES = 914
ORDERS = 8
# Documents in the large one that `$..price` goes through: 0.82 MB.
LARGE_DOCUMENTS = 900
FLOATS_BYTES = 10_000_000


def document(number):
    """914 bytes, whatever the number."""
    orders = [{"id": 10000 + (number * 7 + i) % 90000, "sku": "s%05d" % (number * i % 100000), "qty": 1 + (number + i) % 9,
               "price": 10.25 + (number * 13 + i * 31) % 89} for i in range(ORDERS)]
    made = {
        "id": "%08d" % number, "name": "user %06d" % (number % 1000000), "age": 20 + number % 60, "active": True, "score": 1.5 + number % 8,
        "email": "user%06d@example.com" % (number % 1000000), "tags": ["red", "green"],
        "address": {"street": "%04d Long Street" % (number % 10000), "city": "Springfield", "zip": "%05d" % (number % 100000)},
        "orders": orders, "text": "",
    }
    short = DOCUMENT_BYTES - len(json.dumps(made, separators=(",", ":")))
    words = "the quick brown fox jumps over the lazy dog and "
    made["text"] = (words * 20)[:short]
    return json.dumps(made, separators=(",", ":"))


def workloads(keys):
    """[(name, request of a number, commands a round)]"""
    key = lambda n: "doc:%d" % (n * 7919 % keys)  # noqa: E731
    return [
        ("PING", lambda n: ("PING",), 40_000),
        ("JSON.SET of the whole", lambda n: ("JSON.SET", key(n), "$", document(n * 7919 % keys)), 8_000),
        ("JSON.GET $.address.city", lambda n: ("JSON.GET", key(n), "$.address.city"), 16_000),
        ("JSON.GET $.orders[2].price", lambda n: ("JSON.GET", key(n), "$.orders[2].price"), 16_000),
        ("JSON.GET of the whole", lambda n: ("JSON.GET", key(n)), 16_000),
        ("JSON.GET of a filter", lambda n: ("JSON.GET", key(n), "$.orders[?(@.price>50)].id"), 16_000),
        ("JSON.NUMINCRBY $.age 1", lambda n: ("JSON.NUMINCRBY", key(n), "$.age", "1"), 16_000),
        ("JSON.GET $..price of 0.82 MB", lambda n: ("JSON.GET", "large", "$..price"), PIPELINE),
    ]


class Peer:
    def __init__(self, text):
        self.name, rest = text.split("=", 1)
        binary, _, module = rest.partition(",")
        args = ["--io-threads", "1"] + (["--loadmodule", os.path.abspath(module)] if module else [])
        self.server = Server(binary, free_port(), args).start()
        self.clients = [resp.Client(self.server.port) for _ in range(CONNECTIONS)]
        self.client = self.clients[0]
        self.cpu, self.memory = {}, {}

    def used(self):
        info = self.client.expect("INFO", "memory").decode()
        return int(dict(line.split(":", 1) for line in info.split("\r\n") if ":" in line)["used_memory"])

    def send(self, requests):
        """CPU nanoseconds for the requests, which must succeed."""
        before = cpu_ns(self.server.proc.pid)
        batches = [requests[at:at + PIPELINE] for at in range(0, len(requests), PIPELINE)]
        for at in range(0, len(batches), CONNECTIONS):
            turn = list(zip(self.clients, batches[at:at + CONNECTIONS]))
            for client, batch in turn:
                client.stream.write(b"".join(batch))
                client.stream.flush()
            for client, batch in turn:
                for _ in batch:
                    reply = client.read()
                    if isinstance(reply, resp.Error):
                        raise SystemExit("%s: %s" % (self.name, reply))
        return cpu_ns(self.server.proc.pid) - before

    def fill(self, keys):
        self.client.expect("FLUSHALL")
        before = self.used()
        self.send([encode("JSON.SET", "doc:%d" % n, "$", document(n)) for n in range(keys)])
        self.memory["bytes a document of %d" % DOCUMENT_BYTES] = (self.used() - before) / keys
        rng = random.Random(1)
        floats = []
        length = 2
        while length < FLOATS_BYTES:
            floats.append(repr(rng.random()))
            length += len(floats[-1]) + 1
        before = self.used()
        self.client.expect("JSON.SET", "floats", "$", "[%s]" % ",".join(floats))
        self.memory["MB for 10 MB of floats"] = (self.used() - before) / 1e6
        self.client.expect("DEL", "floats")
        self.client.expect("JSON.SET", "large", "$", "[%s]" % ",".join(document(n) for n in range(LARGE_DOCUMENTS)))


def table(peers, rows):
    """Ours is the first; the last column is it beside the least of the others."""
    print("| | %s | ours to the best other |\n|---|%s" % (" | ".join(peer.name for peer in peers), "---|" * (len(peers) + 1)))
    for name, figures in rows:
        ratio = "%.2f" % (figures[0] / min(figures[1:])) if len(figures) > 1 else ""
        print("| %s | %s | %s |" % (name, " | ".join("%.2f" % figure for figure in figures), ratio))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("peer", nargs="+")
    p.add_argument("--keys", type=int, default=10_000)
    p.add_argument("--rounds", type=int, default=5)
    a = p.parse_args()
    assert len(document(7)) == len(document(123456)) == DOCUMENT_BYTES
    peers = [Peer(text) for text in a.peer]
    for peer in peers:
        peer.fill(a.keys)
    for name, request, count in workloads(a.keys):
        requests = [encode(*request(n)) for n in range(count)]
        for number in range(a.rounds):
            for peer in peers[number % len(peers):] + peers[:number % len(peers)]:
                peer.cpu.setdefault(name, []).append(peer.send(requests) / count / 1000)
    load = os.getloadavg()[0]
    print("Medians of %d rounds, us of CPU a command; load average at the end %.1f on %d cores.\n" % (a.rounds, load, os.cpu_count()))
    table(peers, [(name, [statistics.median(peer.cpu[name]) for peer in peers]) for name in peers[0].cpu])
    print()
    table(peers, [(name, [peer.memory[name] for peer in peers]) for name in peers[0].memory])
    for peer in peers:
        peer.server.stop()


if __name__ == "__main__":
    main()
