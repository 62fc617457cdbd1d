#!/usr/bin/env python3
"""What do arrays in JSON documents cost: NUMERIC fields with several numbers, and NESTED fields? Server CPU per command and memory per document.

    benches/search_arrays.py ours=target/release/mortise [before=other/mortise] [--documents 100000]

A server is NAME=BINARY, with the JSON and the search module beside it. Each document has eight orders: `sku`, one of 20,000, `qty` from 1 to 9, `price` from 1
to 9,999 in hundredths, `at`, a day of ten years. They are indexed three times: two numbers of the orders (`numbers`), all of them (`plain`), and all of them
and the orders as a NESTED field (`nested`). All servers run at the same time, each with one worker, and each round visits them in another order;
reported are medians, which compare within one run only.
"""
import argparse
import json
import os
import random
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "outside"))
import resp  # noqa: E402
from common import Server, cpu_ns, free_port  # noqa: E402
from resp import encode  # noqa: E402

MEMBERS = (("sku", "TAG"), ("qty", "NUMERIC"), ("price", "NUMERIC"), ("at", "NUMERIC"))


def fields(*names):
    return [word for name, kind in MEMBERS if name in names for word in ("$.orders[*].%s" % name, "AS", name, kind)]


INDEXES = {
    "numbers": fields("qty", "at"),
    "plain": fields("sku", "qty", "price", "at"),
    "nested": ["$.orders[*]", "AS", "orders", "NESTED"] + fields("sku", "qty", "price", "at"),
}
# Name, index, query, how often a round.
QUERIES = [
    ("range of days, few", "numbers", "@at:[100 100]", 20),
    ("range of days, 1 of 50", "numbers", "@at:[100 108]", 20),
    ("range of days, all", "numbers", "@at:[0 3650]", 5),
    ("one quantity, most", "numbers", "@qty:[3 3]", 5),
    ("two ranges", "numbers", "@qty:[3 3] @at:[100 300]", 10),
    ("range of prices, 1 of 50", "plain", "@price:[10 35]", 20),
    ("range and tag", "plain", "@sku:{s00014} @price:[50 99]", 50),
    ("range and tag of one order", "nested", "@orders:(@sku:{s00014} @price:[50 99])", 50),
    ("two ranges of one order", "nested", "@orders:(@qty:[3 3] @at:[100 300])", 10),
]


def document(rng):
    orders = [{"sku": "s%05d" % rng.randrange(20_000), "qty": rng.randint(1, 9), "price": rng.randint(100, 999_900) / 100, "at": rng.randrange(3650)}
              for _ in range(8)]
    return json.dumps({"orders": orders}, separators=(",", ":"))


class Peer:
    def __init__(self, text):
        self.name, _, binary = text.partition("=")
        self.server = Server(binary, free_port(), ["--io-threads", "1"]).start()
        self.client = resp.Client(self.server.port, timeout=600)
        self.cpu, self.totals, self.bytes = {}, {}, {}
        for index, schema in INDEXES.items():
            self.client.expect("FT.CREATE", index, "ON", "JSON", "PREFIX", "1", index, "SCHEMA", *schema)

    def send(self, requests, pipeline):
        before, reply = cpu_ns(self.server.proc.pid), None
        for at in range(0, len(requests), pipeline):
            batch = requests[at:at + pipeline]
            self.client.stream.write(b"".join(batch))
            self.client.stream.flush()
            for _ in batch:
                reply = self.client.read()
                if isinstance(reply, resp.Error):
                    raise SystemExit("%s: %s" % (self.name, reply))
        return cpu_ns(self.server.proc.pid) - before, reply

    def fill(self, index, documents):
        spent = self.send([encode("JSON.SET", "%s:%d" % (index, n), "$", text) for n, text in enumerate(documents)], 16)[0]
        self.cpu["JSON.SET, " + index] = [spent / len(documents) / 1000]
        self.client.expect("FT.SEARCH", index, "@qty:[0 0]", "LIMIT", "0", "0")
        last = -1
        while last != (last := cpu_ns(self.server.proc.pid) // 20_000_000):
            time.sleep(0.3)
        info = self.client.expect("FT.INFO", index)
        named = {str(name, "utf-8") if isinstance(name, bytes) else str(name): value for name, value in zip(info[::2], info[1::2])}
        if int(named["num_docs"]) != len(documents):
            raise SystemExit("%s: %s documents" % (index, named["num_docs"]))
        self.bytes[index] = float(named["total_index_memory_sz_mb"]) * (1 << 20) / len(documents)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("peer", nargs="+")
    p.add_argument("--documents", type=int, default=100_000)
    p.add_argument("--rounds", type=int, default=3)
    a = p.parse_args()
    rng = random.Random(1)
    documents = [document(rng) for _ in range(a.documents)]
    peers = [Peer(text) for text in a.peer]
    for index in INDEXES:
        for peer in peers:
            peer.fill(index, documents)
    for name, index, query, count in QUERIES:
        request = encode("FT.SEARCH", index, query, "DIALECT", "2", "TIMEOUT", "0", "LIMIT", "0", "0")
        for number in range(a.rounds):
            for peer in peers[number % len(peers):] + peers[:number % len(peers)]:
                spent, reply = peer.send([request] * count, 1)
                peer.cpu.setdefault(name, []).append(spent / count / 1000)
                peer.totals[name] = reply[0]
        if len({peer.totals[name] for peer in peers}) > 1:
            raise SystemExit("%s: %s" % (name, [peer.totals[name] for peer in peers]))
    print("%d documents, medians of %d rounds; load average at the end %.1f on %d cores.\n" % (
        a.documents, a.rounds, os.getloadavg()[0], os.cpu_count()))
    print("| us of CPU | documents | %s |\n|---|---|%s" % (" | ".join(peer.name for peer in peers), "---|" * len(peers)))
    for name in peers[0].cpu:
        figures = " | ".join("%.1f" % statistics.median(peer.cpu[name]) for peer in peers)
        print("| %s | %s | %s |" % (name, peers[0].totals.get(name, ""), figures))
    for index in INDEXES:
        print("| bytes of the index a document, %s | | %s |" % (index, " | ".join("%.0f" % peer.bytes[index] for peer in peers)))
    for peer in peers:
        peer.server.stop()


if __name__ == "__main__":
    main()
