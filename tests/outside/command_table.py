#!/usr/bin/env python3
"""Compare what a server says about its commands with Redis's own declarations.

    command_table.py SERVER                 against $SUITES/redis-7.2/src/commands/*.json
    command_table.py SERVER --json FOLDER   against other declarations
    command_table.py SERVER --missing       also name the declared commands that the server does not have

Compared are the facts that clients act on: arity, flags, the old first/last/step triple, ACL categories, key specs and tips of COMMAND
INFO; group, version, deprecation and arguments of COMMAND DOCS. Wording (summary, complexity, history) is not. Known differences stand in
KNOWN with their reason. Exit code 1 when there are others.
"""
import argparse
import glob
import json
import os
import socket
import sys

import common

HIDDEN = {"MAY_REPLICATE", "SENTINEL", "ONLY_SENTINEL", "PROTECTED", "TOUCHES_ARBITRARY_KEYS"}

# (command, fact): why we differ.
KNOWN = {}


class Client:
    """Just enough of RESP3."""

    def __init__(self, port):
        self.stream = socket.create_connection(("127.0.0.1", port), timeout=30).makefile("rwb")

    def call(self, *words):
        self.stream.write(b"*%d\r\n" % len(words))
        for word in words:
            word = word.encode()
            self.stream.write(b"$%d\r\n%s\r\n" % (len(word), word))
        self.stream.flush()
        return self.read()

    def read(self):
        line = self.stream.readline()
        kind, rest = line[:1], line[1:-2].decode()
        if kind in b"+,(#":
            return rest
        if kind == b"-":
            raise RuntimeError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"_" or rest == "-1":
            return None
        if kind in b"$=":
            return self.stream.read(int(rest) + 2)[:-2].decode()
        if kind == b"%":
            return {self.read(): self.read() for _ in range(int(rest))}
        if kind in b"*~>":
            return [self.read() for _ in range(int(rest))]
        raise RuntimeError("no reply: %r" % line)


def declared(folder):
    """{full name in lower case: declaration}"""
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(path) as f:
            for name, entry in json.load(f).items():
                if "ONLY_SENTINEL" in entry.get("command_flags", []) or entry["group"] == "sentinel":
                    continue
                container = entry.get("container")
                found[(container + "|" + name if container else name).lower()] = entry
    return found


def key_spec(spec):
    def part(given):
        kind, fields = next(iter(given.items()))
        names = {"pos": "index", "step": "keystep"}
        return {"type": kind, "spec": {names.get(k, k): v for k, v in (fields or {}).items()}}
    shown = {"RO": "RO", "RW": "RW", "OW": "OW", "RM": "RM"}
    return {"flags": sorted(shown.get(flag, flag.lower()) for flag in spec["flags"]),
            "begin_search": part(spec["begin_search"]), "find_keys": part(spec["find_keys"])}


def legacy(specs):
    """First, last and step as COMMAND shows them, and whether the keys have to be looked for."""
    simple = [s for s in specs if "index" in s["begin_search"] and "range" in s["find_keys"]]
    movable = any("INCOMPLETE" in s["flags"] for s in simple) or len(simple) < len(specs)
    if len(specs) == 1 and simple:
        at, span = simple[0]["begin_search"]["index"]["pos"], simple[0]["find_keys"]["range"]
        last = span["lastkey"] if span["lastkey"] < 0 else at + span["lastkey"]
        return (at, last, span["step"]), movable
    first, last, before = None, 0, 0
    for spec in simple:
        at, span = spec["begin_search"]["index"]["pos"], spec["find_keys"]["range"]
        if span["step"] != 1 or (before and before != at - 1):
            movable = True
            continue
        end = span["lastkey"] if span["lastkey"] < 0 else at + span["lastkey"]
        first = at if first is None else min(first, at)
        last = max(last, end, key=lambda n: n % (1 << 32))
        before = last
    return ((first, last, 1) if first is not None else (0, 0, 0)), movable


def categories(entry, flags):
    found = {name.lower() for name in entry.get("acl_categories", [])}
    if "READONLY" in flags and "scripting" not in found:
        found.add("read")
    for flag, names in (("WRITE", ["write"]), ("ADMIN", ["admin", "dangerous"]), ("PUBSUB", ["pubsub"]),
                        ("FAST", ["fast"]), ("BLOCKING", ["blocking"])):
        if flag in flags:
            found.update(names)
    if "fast" not in found:
        found.add("slow")
    return sorted("@" + name for name in found)


def argument(arg):
    """An argument as COMMAND DOCS shows it, without wording."""
    name = arg["name"].lower()
    shown = {"name": name, "type": arg["type"]}
    for field in ("token", "since", "key_spec_index", "deprecated_since"):
        if field in arg:
            shown[field] = arg[field]
    if "token" in shown:
        shown["token"] = shown["token"].upper().strip('"')
    if arg["type"] not in ("oneof", "block"):
        shown["display_text"] = arg.get("display", name)
    flags = [flag for flag in ("optional", "multiple", "multiple_token") if arg.get(flag)]
    if arg.get("multiple_token") and "multiple" not in flags:
        flags.append("multiple")
    if flags:
        shown["flags"] = sorted(flags)
    if "arguments" in arg:
        shown["arguments"] = [argument(a) for a in arg["arguments"]]
    return shown


def expected(entry):
    flags = set(entry.get("command_flags", []))
    specs = entry.get("key_specs", [])
    triple, movable = legacy(specs)
    shown = {flag.lower() for flag in flags - HIDDEN}
    if movable:
        shown.add("movablekeys")
    facts = {"arity": entry["arity"], "flags": sorted(shown), "first, last, step": triple,
             "categories": categories(entry, flags), "key specs": [key_spec(s) for s in specs],
             "tips": sorted(tip.lower() for tip in entry.get("command_tips", [])),
             "group": entry["group"].replace("_", "-"), "since": entry["since"],
             "deprecated_since": entry.get("deprecated_since"),
             "doc_flags": sorted(flag.lower() for flag in entry.get("doc_flags", [])),
             "arguments": [argument(a) for a in entry.get("arguments", [])]}
    return facts


def shown_argument(arg):
    arg = dict(arg)
    arg.pop("summary", None)
    if "flags" in arg:
        arg["flags"] = sorted(arg["flags"])
    if "arguments" in arg:
        arg["arguments"] = [shown_argument(a) for a in arg["arguments"]]
    return arg


def served(info, docs, found):
    """Collects the facts of a command and its subcommands."""
    name, arity, flags, first, last, step, cats, tips, specs, subs = info
    doc = docs.get(name, {})
    for spec in specs:
        spec.pop("notes", None)
        spec["flags"] = sorted(spec["flags"])
    found[name] = {"arity": arity, "flags": sorted(flags), "first, last, step": (first, last, step),
                   "categories": sorted(cats), "key specs": specs, "tips": sorted(tips),
                   "group": doc.get("group"), "since": doc.get("since"),
                   "deprecated_since": doc.get("deprecated_since"), "doc_flags": sorted(doc.get("doc_flags", [])),
                   "arguments": [shown_argument(a) for a in doc.get("arguments", [])]}
    for sub in subs:
        served(sub, doc.get("subcommands", {}), found)


def tell(want, have, path=""):
    """Yields the places where two facts differ."""
    if isinstance(want, dict) and isinstance(have, dict):
        for key in sorted(set(want) | set(have)):
            yield from tell(want.get(key), have.get(key), "%s.%s" % (path, key))
    elif isinstance(want, list) and isinstance(have, list) and len(want) == len(have):
        for i, pair in enumerate(zip(want, have)):
            yield from tell(*pair, "%s[%d]" % (path, i))
    elif want != have:
        yield "%s there %s here %s" % (path or ":", json.dumps(want), json.dumps(have))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("server")
    p.add_argument("--json", help="a folder of declarations")
    p.add_argument("--missing", action="store_true")
    p.add_argument("--ignore", action="append", default=[], metavar="FACT")
    a = p.parse_args()
    folder = a.json or os.path.join(os.environ.get("SUITES", "."), "redis-7.2", "src", "commands")
    if not os.path.isdir(folder):
        print("skipped: command table (no declarations at %s)" % folder)
        return 0
    wanted = declared(folder)
    server = common.Server(a.server, common.free_port()).start()
    try:
        client = Client(server.port)
        client.call("HELLO", "3")
        docs, found = client.call("COMMAND", "DOCS"), {}
        for info in client.call("COMMAND"):
            served(info, docs, found)
    finally:
        server.stop()
    differences = known = 0
    for name in sorted(found):
        if name not in wanted:
            print("%s: not declared there" % name)
            continue
        for fact, want in expected(wanted[name]).items():
            have = found[name][fact]
            if fact in a.ignore or have == want:
                continue
            if (name, fact) in KNOWN:
                known += 1
                continue
            differences += 1
            for line in tell(want, have):
                print("%s: %s%s" % (name, fact, line))
    if a.missing:
        for name in sorted(set(wanted) - set(found)):
            print("%s: missing here" % name)
    print("command table: %d commands compared, %d differences, %d known ones" % (
        len(set(found) & set(wanted)), differences, known))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
