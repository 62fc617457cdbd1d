#!/usr/bin/env python3
"""What do indexing and queries cost in our search module, and in RediSearch? Server CPU per command and memory per document.

    benches/search_peers.py ours=target/release/mortise redisearch=/usr/bin/redis-server,/usr/lib/redis/modules/redisearch.so

A server is NAME=BINARY, or NAME=BINARY,MODULE; one that knows HSET indexes hashes, or JSON documents with the same fields if NAME ends in -json; RediSearch
1.x, which knows no JSON, gets its documents by FT.ADD with NOSAVE, which keeps no hash beside the index. All hold the same documents: a title of eight words (vocabulary 50,000, the n-th word 1/n as frequent as the first),
one of 100 tags, and a number below 10,000. Requests go out 16 at a time (long queries one by one). All servers run at the same time, each with one
worker, and each round visits them in another order, so that noise from elsewhere falls on all alike; CPU is what the kernel says the server's threads
have run, the module's own threads included. Reported are medians of rounds; compare within one run, and never figures of two.
"""
import argparse
import bisect
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
VOCABULARY = 50_000
WORDS_PER_TITLE = 8
SYLLABLES = "ba ke di fo gu la me ni po ru sa te vi zo hu ja".split()
# Bars of the project: ours to RediSearch's at 1,000,000 documents.
BARS = {
    "common term": 0.10, "term of 0.24%": 0.25, "two common terms": 0.3, "prefix": 0.15, "fuzzy": 0.5, "range 10% and tag 1%": 0.1,
    "common term by number": 0.2, "phrase": 0.4, "indexing a document": 0.7, "write, then term of 0.24%": 1.0,
}


def word(number):
    """A pronounceable word for each number, no two alike."""
    left, text = number + 16, ""
    while left:
        text += SYLLABLES[left % 16]
        left //= 16
    return text


class Documents:
    def __init__(self, count):
        rng = random.Random(1)
        cumulative, total = [], 0.0
        for rank in range(1, VOCABULARY + 1):
            total += 1 / rank
            cumulative.append(total)
        self.words = [word(n) for n in range(VOCABULARY)]
        self.count = count
        self.titles, self.frequency = [], [0] * VOCABULARY
        for _ in range(count):
            picked = [min(bisect.bisect_left(cumulative, rng.random() * total), VOCABULARY - 1) for _ in range(WORDS_PER_TITLE)]
            for rank in set(picked):
                self.frequency[rank] += 1
            self.titles.append(" ".join(self.words[rank] for rank in picked))
        self.tags = [rng.randrange(100) for _ in range(count)]
        self.numbers = [rng.randrange(10_000) for _ in range(count)]

    def fields(self, n):
        return "title", self.titles[n], "tag", "tag%d" % self.tags[n], "price", self.numbers[n]

    def with_share(self, share):
        """The word that about this share of the documents have."""
        return min(range(VOCABULARY), key=lambda rank: abs(self.frequency[rank] - share * self.count))


def queries(documents):
    """[(name, arguments behind the index, commands a round, pipelined)]"""
    words = documents.words
    common, second, rare = words[9], words[10], words[documents.with_share(0.0024)]
    # Neighbours of the frequent words, so that there is something to find.
    fuzzy = "%" + words[300][:-1] + ("a" if words[300][-1] != "a" else "e") + "%"
    head = ("NOCONTENT", "LIMIT", "0", "10")
    return [
        ("common term", (common,) + head, 30),
        ("term of 0.24%", (rare,) + head, 200),
        ("two common terms", ("%s %s" % (common, second),) + head, 30),
        ("prefix", ("bak*",) + head, 20),
        ("fuzzy", (fuzzy,) + head, 10),
        ("range 10% and tag 1%", ("@price:[1000 1999] @tag:{tag7}",) + head, 20),
        ("common term by number", (common,) + head + ("SORTBY", "price"), 20),
        ("phrase", ('"%s %s"' % (common, second),) + head, 20),
        ("a page with its fields", (rare, "LIMIT", "0", "10"), 200),
        ("everything by number", ("*",) + head + ("SORTBY", "price"), 5),
    ]


class Peer:
    def __init__(self, text):
        self.name, rest = text.split("=", 1)
        binary, _, module = rest.partition(",")
        args = ["--io-threads", "1"] + (["--loadmodule", os.path.abspath(module)] if module else [])
        self.server = Server(binary, free_port(), args).start()
        self.client = resp.Client(self.server.port, timeout=600)
        self.cpu, self.memory, self.totals = {}, {}, {}
        schema = ("SCHEMA", "title", "TEXT", "NOSTEM", "tag", "TAG", "price", "NUMERIC", "SORTABLE")
        # What follows hashes knows FT._LIST; the versions before take ON for the name of nothing and say OK.
        self.hashes = not isinstance(self.client.call("FT._LIST"), resp.Error)
        self.json = self.name.endswith("-json")
        if self.json:
            schema = ("SCHEMA", "$.title", "AS", "title", "TEXT", "NOSTEM", "$.tag", "AS", "tag", "TAG", "$.price", "AS", "price", "NUMERIC", "SORTABLE")
        self.client.expect("FT.CREATE", "idx", *(("ON", "JSON" if self.json else "HASH") if self.hashes else ()), *schema)

    def used(self):
        info = self.client.expect("INFO", "memory").decode()
        return int(dict(line.split(":", 1) for line in info.split("\r\n") if ":" in line)["used_memory"])

    def send(self, requests, pipeline=PIPELINE):
        """CPU nanoseconds for the requests, which must succeed, and the last reply."""
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

    def document(self, documents, n):
        if self.json:
            fields = documents.fields(n)
            return encode("JSON.SET", "doc:%d" % n, "$", json.dumps(dict(zip(fields[::2], fields[1::2])), separators=(",", ":")))
        if self.hashes:
            return encode("HSET", "doc:%d" % n, *documents.fields(n))
        return encode("FT.ADD", "idx", "doc:%d" % n, "1", "NOSAVE", "REPLACE", "FIELDS", *documents.fields(n))

    def fill(self, documents):
        before = self.used()
        spent = 0
        for at in range(0, documents.count, 10_000):
            numbers = range(at, min(at + 10_000, documents.count))
            spent += self.send([self.document(documents, n) for n in numbers])[0]
        self.settle()
        self.cpu["indexing a document"] = [spent / documents.count / 1000]
        self.memory["bytes a document, keys included" if self.hashes else "bytes a document"] = (self.used() - before) / documents.count
        info = self.client.expect("FT.INFO", "idx")
        info = {name.decode() if isinstance(name, bytes) else str(name): value for name, value in zip(info[::2], info[1::2])}
        names = ("inverted_sz_mb", "offset_vectors_sz_mb", "doc_table_size_mb", "sortable_values_size_mb", "key_table_size_mb")
        total = info.get("total_index_memory_sz_mb")
        total = float(total) if total else sum(float(info[name]) for name in names)
        self.memory["bytes a document of the index, by FT.INFO"] = total * (1 << 20) / documents.count

    def settle(self):
        """Waits until nothing runs in the background."""
        import time
        self.client.expect("FT.SEARCH", "idx", "bake", "LIMIT", "0", "1")
        last = -1
        while last != (last := cpu_ns(self.server.proc.pid) // 20_000_000):
            time.sleep(0.3)


def table(peers, rows):
    """Ours is the first; the last column is it beside the least of the others that hold no JSON."""
    print("| | %s | ours to the best other | bar |\n|---|%s" % (" | ".join(peer.name for peer in peers), "---|" * (len(peers) + 2)))
    for name, figures in rows:
        others = [figure for peer, figure in zip(peers[1:], figures[1:]) if not peer.json]
        ratio = "%.2f" % (figures[0] / min(others)) if others else ""
        print("| %s | %s | %s | %s |" % (name, " | ".join("%.1f" % figure for figure in figures), ratio, BARS.get(name, "")))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("peer", nargs="+")
    p.add_argument("--documents", type=int, default=100_000)
    p.add_argument("--rounds", type=int, default=3)
    a = p.parse_args()
    documents = Documents(a.documents)
    peers = [Peer(text) for text in a.peer]
    for peer in peers:
        peer.fill(documents)
    for number in range(a.rounds):
        for peer in peers:
            peer.cpu.setdefault("PING", []).append(peer.send([encode("PING")] * 500, 1)[0] / 500 / 1000)
    for name, words, count in queries(documents):
        for number in range(a.rounds):
            for peer in peers[number % len(peers):] + peers[:number % len(peers)]:
                spent, reply = peer.send([encode("FT.SEARCH", "idx", *words)] * count, 1)
                peer.cpu.setdefault(name, []).append(spent / count / 1000)
                peer.totals[name] = reply[0]
    rare = documents.words[documents.with_share(0.0024)]
    query = encode("FT.SEARCH", "idx", rare, "NOCONTENT", "LIMIT", "0", "10")
    for number in range(a.rounds):
        for peer in peers:
            pairs = [request for n in range(500) for request in (peer.document(documents, n * 7919 % documents.count), query)]
            peer.cpu.setdefault("write, then term of 0.24%", []).append(peer.send(pairs, 1)[0] / 500 / 1000)
    load = os.getloadavg()[0]
    print("%d documents, medians of %d rounds, us of CPU a command; load average at the end %.1f on %d cores.\n" % (
        a.documents, a.rounds, load, os.cpu_count()))
    table(peers, [(name, [statistics.median(peer.cpu[name]) for peer in peers]) for name in peers[0].cpu])
    print()
    for peer in peers:
        print("%s: %s" % (peer.name, ", ".join("%s %.0f" % item for item in peer.memory.items())))
        print("%s finds: %s" % (peer.name, ", ".join("%s %d" % item for item in peer.totals.items())))
        peer.server.stop()


if __name__ == "__main__":
    main()
