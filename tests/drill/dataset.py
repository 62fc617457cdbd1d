"""What do the keys of a drill hold, and what may be written to them? Every key begins as its number says, so that what it must
hold is known without a note of it; who writes to a key keeps what it holds then.

A kind makes a value, says by which commands that is written and read, and picks a command that changes it together with
what that does to the value. Values are compared as values: how a server encodes them is its own affair.
"""
import random

# One key in so many is large, so that it is not held as small ones are.
LARGE_EVERY = 97
# One key in so many ends, far from now.
ENDS_EVERY = 7
GROUP = "group"
DAY_MS = 24 * 3600 * 1000


class State:
    """What a key holds, and when it ends (unix milliseconds, -1: never). No value, or an empty one: there is no key."""

    def __init__(self, kind, value, ends=-1):
        self.kind, self.value, self.ends = kind, value, ends

    def exists(self):
        return self.value is not None if self.kind is Stream else bool(self.value)

    def put(self, value):
        self.value = value
        if not self.exists():
            self.ends = -1

    def __eq__(self, other):
        same = self.exists() == other.exists() and (not self.exists() or self.value == other.value)
        return same and self.ends == other.ends

    def __repr__(self):
        return "%s %.300r, ends %d" % (self.kind.__name__, self.value, self.ends)


class String:
    def make(rng, size):
        return str(rng.randrange(10**9)) if size % 3 == 0 else "s%x" % rng.randrange(10**9) * size

    def fill(key, value):
        yield "SET", key, value

    def read(pipe, key):
        pipe.get(key)

    def parse(replies):
        return replies[0]

    def change(rng, key, value):
        if value and value.isdigit() and len(value) < 15:
            by = rng.randrange(1000)
            return ("INCRBY", key, by), lambda state, reply: state.put(str(int(value) + by))
        if value and rng.random() < 0.3:
            at = rng.randrange(len(value))
            return ("SETRANGE", key, at, "+"), lambda state, reply: state.put(value[:at] + "+" + value[at + 1:])
        text = "a%d" % rng.randrange(10**6)
        return ("APPEND", key, text), lambda state, reply: state.put((value or "") + text)


class List:
    def make(rng, size):
        return ["%x" % rng.randrange(10**rng.randrange(1, 9)) for _ in range(size)]

    def fill(key, value):
        yield "RPUSH", key, *value

    def read(pipe, key):
        pipe.lrange(key, 0, -1)

    def parse(replies):
        return replies[0]

    def change(rng, key, value):
        at, text = rng.randrange(len(value) or 1), "l%d" % rng.randrange(10**6)
        choices = [
            (("RPUSH", key, text, "x"), value + [text, "x"]),
            (("LPUSH", key, text), [text] + value),
            (("LPOP", key), value[1:]),
            (("RPOP", key), value[:-1]),
        ]
        if value:
            choices.append((("LSET", key, at, text), value[:at] + [text] + value[at + 1:]))
            choices.append((("LTRIM", key, 0, -2), value[:-1]))
        words, after = rng.choice(choices)
        return words, lambda state, reply: state.put(after)


class Set:
    def make(rng, size):
        prefix = rng.choice(["", "m"])
        return {prefix + str(rng.randrange(10**6)) for _ in range(size)}

    def fill(key, value):
        yield "SADD", key, *value

    def read(pipe, key):
        pipe.smembers(key)

    def parse(replies):
        return set(replies[0])

    def change(rng, key, value):
        if value and rng.random() < 0.3:
            # Which one goes is the server's choice, and its replicas hear of it.
            return ("SPOP", key), lambda state, reply: state.put(value - {reply})
        if value and rng.random() < 0.3:
            member = min(value)
            return ("SREM", key, member), lambda state, reply: state.put(value - {member})
        member = str(rng.randrange(10**6))
        return ("SADD", key, member), lambda state, reply: state.put(value | {member})


class Zset:
    def make(rng, size):
        return {"z%x" % rng.randrange(10**6): rng.randrange(10**6) / 8 for _ in range(size)}

    def fill(key, value):
        yield "ZADD", key, *(word for member, score in value.items() for word in (score, member))

    def read(pipe, key):
        pipe.zrange(key, 0, -1, withscores=True)

    def parse(replies):
        return {member: float(score) for member, score in replies[0]}

    def change(rng, key, value):
        member, by = "z%x" % rng.randrange(1000), rng.randrange(80) / 8
        first = min(value, key=lambda member: (value[member], member), default=None)
        if first and rng.random() < 0.4:
            rest = {member: score for member, score in value.items() if member != first}
            return ("ZPOPMIN", key), lambda state, reply: state.put(rest)
        after = value | {member: value.get(member, 0) + by}
        return ("ZINCRBY", key, by, member), lambda state, reply: state.put(after)


class Hash:
    def make(rng, size):
        return {"f%x" % rng.randrange(10**6): "%x" % rng.randrange(10**rng.randrange(1, 12)) for _ in range(size)}

    def fill(key, value):
        yield "HSET", key, *(word for pair in value.items() for word in pair)

    def read(pipe, key):
        pipe.hgetall(key)

    def parse(replies):
        return replies[0]

    def change(rng, key, value):
        if value and rng.random() < 0.4:
            gone = rng.choice(sorted(value))
            after = {field: text for field, text in value.items() if field != gone}
            return ("HDEL", key, gone), lambda state, reply: state.put(after)
        if rng.random() < 0.5:
            after = value | {"count": str(int(value.get("count", 0)) + 3)}
            return ("HINCRBY", key, "count", 3), lambda state, reply: state.put(after)
        field, text = "f%d" % rng.randrange(10**6), "t%d" % rng.randrange(10**6)
        return ("HSET", key, field, text), lambda state, reply: state.put(value | {field: text})


class Stream:
    """With one consumer group: its last delivered id, and what is pending."""

    def make(rng, size):
        entries = [("%d-%d" % (n + 1, rng.randrange(9)), {"n": str(rng.randrange(10**6))}) for n in range(size)]
        read = [id for id, _ in entries[:size // 2]]
        return {"entries": entries, "read": read[-1] if read else "0-0", "pending": read}

    def fill(key, value):
        for id, fields in value["entries"]:
            yield "XADD", key, id, *(word for pair in fields.items() for word in pair)
        yield "XGROUP", "CREATE", key, GROUP, 0
        if value["pending"]:
            yield "XREADGROUP", "GROUP", GROUP, "one", "COUNT", len(value["pending"]), "STREAMS", key, ">"

    def read(pipe, key):
        pipe.xrange(key)
        pipe.xinfo_groups(key)
        pipe.xpending_range(key, GROUP, "-", "+", 10**6)

    def parse(replies):
        entries, groups, pending = replies
        if isinstance(groups, Exception):
            return None
        read = groups[0]["last-delivered-id"]
        return {"entries": [(id, dict(fields)) for id, fields in entries], "read": read,
                "pending": [entry["message_id"] for entry in pending]}

    def change(rng, key, value):
        if value is None:
            empty = {"entries": [], "read": "0-0", "pending": []}
            return ("XGROUP", "CREATE", key, GROUP, 0, "MKSTREAM"), lambda state, reply: state.put(empty)
        entries, pending, number = value["entries"], value["pending"], str(rng.randrange(10**6))
        if pending and rng.random() < 0.3:
            return ("XACK", key, GROUP, pending[0]), lambda state, reply: state.put(value | {"pending": pending[1:]})
        if entries and rng.random() < 0.2:
            return ("XDEL", key, entries[0][0]), lambda state, reply: state.put(value | {"entries": entries[1:]})
        unread = [id for id, _ in entries if stream_id(id) > stream_id(value["read"])]
        if unread and rng.random() < 0.5:
            after = value | {"read": unread[0], "pending": pending + unread[:1]}
            words = "XREADGROUP", "GROUP", GROUP, "two", "COUNT", 1, "STREAMS", key, ">"
            return words, lambda state, reply: state.put(after)

        def added(state, reply):
            state.put(value | {"entries": entries + [(reply, {"n": number})]})

        return ("XADD", key, "*", "n", number), added


class Hll:
    """The elements that were added. What a server counts is compared with what it counts when it is told them anew."""

    def make(rng, size):
        return {"e%x" % rng.randrange(10**6) for _ in range(size)}

    def fill(key, value):
        yield "PFADD", key, *value

    def read(pipe, key):
        pipe.pfcount(key)

    def parse(replies):
        return replies[0]

    def change(rng, key, value):
        element = "e%x" % rng.randrange(10**6)
        return ("PFADD", key, element), lambda state, reply: state.put(value | {element})


KINDS = [String, List, Set, Zset, Hash, String, Stream, Hll]


def stream_id(text):
    return tuple(map(int, text.split("-")))


def key_of(number):
    return "%s:%d" % (KINDS[number % len(KINDS)].__name__.lower(), number)


def first_state(number, base_ms):
    """What the key of this number holds in the beginning."""
    rng, kind = random.Random(number), KINDS[number % len(KINDS)]
    size = rng.randrange(200, 700) if number % LARGE_EVERY == 0 else rng.randrange(1, 10)
    ends = base_ms + DAY_MS + number if number % ENDS_EVERY == 0 else -1
    return State(kind, kind.make(rng, size), ends)


def fill_commands(number, base_ms):
    state = first_state(number, base_ms)
    yield from state.kind.fill(key_of(number), state.value)
    if state.ends >= 0:
        yield "PEXPIREAT", key_of(number), state.ends


def change(rng, number, state, base_ms):
    """A command that changes a key, and what that does to its state, given the reply."""
    key, dice = key_of(number), rng.random()
    if dice < 0.01 and state.exists():
        return ("DEL", key), lambda state, reply: state.put(type(state.value)() if state.kind is not Stream else None)
    if dice < 0.04 and state.exists():
        ends = base_ms + 2 * DAY_MS + rng.randrange(DAY_MS)
        return ("PEXPIREAT", key, ends), lambda state, reply: setattr(state, "ends", ends)
    if dice < 0.06 and state.exists():
        return ("PERSIST", key), lambda state, reply: setattr(state, "ends", -1)
    return state.kind.change(rng, key, state.value)


def read_states(client, numbers):
    """What keys hold; of a HyperLogLog the value is what the server counts."""
    pipe = client.pipeline(transaction=False)
    sizes = []
    for number in numbers:
        before = len(pipe.command_stack)
        KINDS[number % len(KINDS)].read(pipe, key_of(number))
        sizes.append(len(pipe.command_stack) - before)
        pipe.pexpiretime(key_of(number))
    replies = iter(pipe.execute(raise_on_error=False))
    for number, size in zip(numbers, sizes):
        kind = KINDS[number % len(KINDS)]
        value = kind.parse([next(replies) for _ in range(size)])
        yield number, State(kind, value, max(next(replies), -1))
