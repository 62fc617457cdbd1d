#!/usr/bin/env python3
"""The README's tour as a redis-py user writes it: locks, rate limits, documents, search.

PORT is where the server listens, PROTOCOL 2 or 3. Against a server without the modules the last two parts are left out,
if MODULES=no says so. Uses its own keys, and removes them.
"""
import os
import threading
import time
import uuid

import redis
from redis.commands.json.path import Path
from redis.exceptions import ResponseError, WatchError

PORT = int(os.environ.get("PORT", "6379"))
PROTOCOL = int(os.environ.get("PROTOCOL", "2"))
PREFIX = "tour:%s:" % uuid.uuid4().hex[:8]

RELEASE = """
if redis.call('get', KEYS[1]) == ARGV[1] then
    return redis.call('del', KEYS[1])
end
return 0
"""

LIMIT = """
local count = redis.call('incr', KEYS[1])
if count == 1 then redis.call('pexpire', KEYS[1], ARGV[1]) end
return count <= tonumber(ARGV[2]) and 1 or 0
"""


def connect(**options):
    return redis.Redis(port=PORT, protocol=PROTOCOL, decode_responses=True, **options)


def strings_and_hashes(r):
    assert r.set(PREFIX + "greeting", "hello", ex=60) is True
    assert r.get(PREFIX + "greeting") == "hello"
    assert 50 <= r.ttl(PREFIX + "greeting") <= 60
    assert r.get(PREFIX + "nothing") is None
    assert r.incrby(PREFIX + "visits", 5) == 5
    assert r.hset(PREFIX + "user", mapping={"name": "Ada", "age": 36}) == 2
    assert r.hgetall(PREFIX + "user") == {"name": "Ada", "age": "36"}
    assert r.hincrby(PREFIX + "user", "age", 1) == 37
    assert sorted(r.scan_iter(match=PREFIX + "*", count=2)) == sorted(
        PREFIX + name for name in ("greeting", "visits", "user"))
    try:
        r.incr(PREFIX + "greeting")
        raise AssertionError("a text was incremented")
    except ResponseError as error:
        assert "not an integer" in str(error), error
    binary = redis.Redis(port=PORT, protocol=PROTOCOL)
    every_byte = bytes(range(256))
    binary.set(PREFIX + "bytes", every_byte)
    assert binary.get(PREFIX + "bytes") == every_byte


def pipelines_and_transactions(r):
    with r.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.incrby(PREFIX + "sum", number)
        assert pipe.execute()[-1] == 499500
    with r.pipeline() as pipe:
        pipe.watch(PREFIX + "sum")
        value = int(pipe.get(PREFIX + "sum"))
        r.incr(PREFIX + "sum")
        pipe.multi()
        pipe.set(PREFIX + "sum", value * 2)
        try:
            pipe.execute()
            raise AssertionError("a changed key was overwritten")
        except WatchError:
            pass
    assert r.get(PREFIX + "sum") == "499501"


def locks(r):
    key = PREFIX + "lock"
    release = r.register_script(RELEASE)
    assert r.set(key, "mine", nx=True, px=30000) is True
    assert r.set(key, "theirs", nx=True, px=30000) is None
    assert release(keys=[key], args=["theirs"]) == 0
    assert release(keys=[key], args=["mine"]) == 1
    assert r.exists(key) == 0

    # redis-py's own lock, which releases and extends by scripts too.
    held, entered = [], []

    def work():
        own = connect()
        for _ in range(20):
            with own.lock(PREFIX + "mutex", timeout=30, sleep=0.001):
                held.append(1)
                entered.append(len(held))
                held.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entered == [1] * 80, "two holders at once"


def rate_limits(r):
    key = PREFIX + "limit"
    allowed = [r.eval(LIMIT, 1, key, 60000, 3) for _ in range(5)]
    assert allowed == [1, 1, 1, 0, 0], allowed
    assert 50000 < r.pttl(key) <= 60000
    script = r.script_load(LIMIT)
    brief = PREFIX + "brief"
    assert [r.evalsha(script, 1, brief, 50, 1) for _ in range(2)] == [1, 0]
    deadline = time.monotonic() + 10
    while not r.evalsha(script, 1, brief, 50, 1):
        assert time.monotonic() < deadline, "the window never ended"


def documents(r):
    key = PREFIX + "doc:1"
    assert r.json().set(key, Path.root_path(), {"title": "Dune", "year": 1965, "tags": ["sf", "desert"]}) is True
    assert r.json().get(key) == {"title": "Dune", "year": 1965, "tags": ["sf", "desert"]}
    assert r.json().get(key, "$.title") == ["Dune"]
    assert r.json().numincrby(key, "$.year", 1) == [1966]
    assert r.json().arrappend(key, "$.tags", "classic") == [3]
    assert r.json().strlen(key, "$.title") == [4]
    assert sorted(r.json().objkeys(key, "$")[0]) == ["tags", "title", "year"]
    assert r.json().delete(key, "$.year") == 1
    assert r.json().get(key, "$.year") == []
    assert r.json().get(PREFIX + "doc:none") is None
    try:
        r.json().set(PREFIX + "doc:2", "$.inner", 1)
        raise AssertionError("a document was made below its root")
    except ResponseError as error:
        assert "root" in str(error), error
    assert r.type(key) == "ReJSON-RL"


def found(r, index, query, *options):
    """Total and keys of a search, whichever shape the protocol gives it."""
    reply = r.execute_command("FT.SEARCH", index, query, *options)
    if isinstance(reply, list):
        return reply[0], [item for item in reply[1:] if isinstance(item, str)]
    if isinstance(reply, dict):
        return reply["total_results"], [item["id"] for item in reply["results"]]
    return reply.total, [item.id for item in reply.docs]


def search(r):
    index, prefix = PREFIX + "books", PREFIX + "book:"
    r.execute_command(
        "FT.CREATE", index, "ON", "JSON", "PREFIX", 1, prefix, "SCHEMA", "$.title", "AS", "title", "TEXT",
        "$.author", "AS", "author", "TAG", "$.year", "AS", "year", "NUMERIC", "SORTABLE")
    books = [("The Left Hand of Darkness", "Le Guin", 1969), ("The Dispossessed", "Le Guin", 1974),
             ("Hard to Be a God", "Strugatsky", 1964), ("Roadside Picnic", "Strugatsky", 1972)]
    for number, (title, author, year) in enumerate(books, 1):
        r.json().set(prefix + str(number), "$", {"title": title, "author": author, "year": year})
    one, two, three, four = (prefix + str(number) for number in (1, 2, 3, 4))
    assert found(r, index, "darkness") == (1, [one])
    assert found(r, index, '"left hand"', "NOCONTENT") == (1, [one])
    assert found(r, index, "@author:{Le Guin}", "SORTBY", "year", "NOCONTENT") == (2, [one, two])
    assert found(r, index, "@year:[1970 +inf]", "SORTBY", "year", "DESC", "NOCONTENT") == (2, [two, four])
    assert found(r, index, "picn* | dispossessed", "NOCONTENT")[0] == 2
    assert found(r, index, "@author:{Strugatsky} -god", "NOCONTENT") == (1, [four])
    # What was written is found by the next search; what is deleted is not.
    r.json().set(three, "$.title", "Monday Begins on Saturday")
    assert found(r, index, "monday", "NOCONTENT") == (1, [three])
    r.delete(three)
    assert found(r, index, "monday", "NOCONTENT") == (0, [])
    assert index in r.execute_command("FT._LIST")
    r.execute_command("FT.DROPINDEX", index)


def main():
    r = connect()
    parts = [strings_and_hashes, pipelines_and_transactions, locks, rate_limits]
    if os.environ.get("MODULES") != "no":
        parts += [documents, search]
    try:
        for part in parts:
            part(r)
            print("ok: %s" % part.__name__.replace("_", " "))
    finally:
        for key in r.scan_iter(match=PREFIX + "*"):
            r.delete(key)
    print("redis-py %s, RESP%d: %d parts" % (redis.__version__, PROTOCOL, len(parts)))


if __name__ == "__main__":
    main()
