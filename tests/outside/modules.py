#!/usr/bin/env python3
"""Run other people's compiled modules in our server and in a reference side by side, and compare what they answer.

    modules.py SERVER                             every module that there is a workload for
    modules.py SERVER --match 'redisbloom*'       only these
    modules.py SERVER --stage file                only this stage (after the commands, without which there are no keys)

$MODULES names the folder with the shared objects; without one the run says so and passes. A workload (modules/*.txt) is chosen by the
beginning of the file's name, see WORKLOADS. $REFERENCE_SERVERS names servers, separated by colons (default: redis-server and
valkey-server, as far as PATH has them); each that loads the module is a reference. A module that none loads is run alone: then
replies are not judged, and everything else is compared with what was there before the stage.

Stages: every command in both protocols; what COMMAND INFO, DOCS and GETKEYS say; DUMP and RESTORE here, to the reference and from
it; COPY; MEMORY USAGE; DEBUG RELOAD; the append-only file as a snapshot and as commands; replicas of ours and of the reference;
a file of ours in the reference and the other way round. After each, all that the workload looks at must be as it was; where it is not, but
the reference changed the same way, that is the module's own doing, and fits. Exit code 1 when anything differs that modules/known.txt does not name.
"""
import argparse
import fnmatch
import glob
import os
import shlex
import shutil
import sys
import time

import common
import payload
import resp

HERE = os.path.dirname(os.path.abspath(__file__))
WORKLOADS = {"redis-cell": "cell", "redisearch": "redisearch", "redisbloom": "bloom", "rejson": "json", "redisjson": "json",
             "valkey-json": "json", "libmortise_json": "json"}
WAIT_SECONDS = 60
SHOWN_MAX = 12
# Types of the server itself, of which the workloads say what is looked at.
CORE_TYPES = ("string", "hash")
# What restored, copied and renamed keys are called; no workload uses the prefix.
TWIN = "twin:"


class Line:
    """A line of a workload: what is asked, of which keys, and whether its reply is compared or only the reply's shape."""

    def __init__(self, text):
        self.shape_only = text.startswith("~")
        words = shlex.split(text.lstrip("~ "))
        self.kind = words.pop(0) if words[0] in ("look", "each") else "command"
        self.type = words.pop(0) if self.kind == "each" else None
        self.words = [unescaped(word) for word in words]

    def __str__(self):
        return " ".join(self.words)


def unescaped(word):
    return word.replace("\\n", "\n") if word == "\\n" else word


def workload(name):
    with open(os.path.join(HERE, "modules", name + ".txt")) as f:
        return [Line(text) for text in map(str.strip, f) if text and not text.startswith("#")]


def known(where):
    """[(stage glob, what glob)] of differences that are not ours; `where` is MODULE@REFERENCE."""
    found = []
    with open(os.path.join(HERE, "modules", "known.txt")) as f:
        for text in map(str.strip, f):
            if text and not text.startswith("#"):
                modules, stage, what, _reason = (part.strip() for part in text.split("|"))
                if fnmatch.fnmatch(where, modules):
                    found.append((stage, what))
    return found


def shape(reply):
    """The kind of a reply, with the kinds inside an array; what it says is left out."""
    if isinstance(reply, tuple):
        return (reply[0], len(reply[1]))
    if isinstance(reply, list):
        return [shape(item) for item in reply]
    return type(reply).__name__


def leaves(reply):
    return [leaf for item in reply for leaf in leaves(item)] if isinstance(reply, list) else [repr(reply)]


def shown(reply, limit=300):
    text = repr(reply)
    return text if len(text) <= limit else text[:limit] + "..."


class Host:
    """A server with the module, and a connection to it."""

    def __init__(self, binary, module, data=None):
        self.binary, self.module = binary, module
        ours = "mortise" in os.path.basename(binary)
        args = ["--loadmodule", module, "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"]
        self.server = common.Server(binary, common.free_port(), args + (["--default-modules", "no"] if ours else []))
        if data:
            with open(os.path.join(self.server.dir, "dump.rdb"), "wb") as f:
                f.write(data)
        self.server.start()
        self.client = resp.Client(self.server.port)

    def restart(self, lines):
        """A new process with the workload's keys, in place of one that is gone or not to be trusted."""
        self.server.proc.kill()
        self.server.proc.wait()
        self.server.start()
        self.client = resp.Client(self.server.port)
        fill(self, lines, 2)

    def log_tail(self, lines=25):
        with open(self.server.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()

    def until(self, what, fits):
        end = time.time() + WAIT_SECONDS
        while time.time() < end:
            if fits():
                return
            time.sleep(0.05)
        raise RuntimeError("%s, %s: not within %d seconds\n%s" % (self.binary, what, WAIT_SECONDS, self.log_tail()))

    def info(self, section):
        text = self.client.expect("INFO", section).decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)

    def keys(self):
        return sorted(key for key in self.client.expect("KEYS", "*") if not key.startswith(TWIN.encode()))


def fill(host, lines, protocol):
    """[(line, reply)] of the workload on an empty server."""
    host.client.expect("FLUSHALL")
    with resp.Client(host.server.port, protocol) as client:
        return [(line, client.call(*line.words)) for line in lines if line.kind == "command"]


def state(host, lines):
    """{what is asked: (reply, shape only)} of all that the workload looks at."""
    client, found = host.client, {}
    for line in lines:
        if line.kind == "look":
            found[str(line)] = (client.call(*line.words), line.shape_only)
    for key in host.keys():
        found.update(key_state(client, key, lines))
    return found


def key_state(client, key, lines, called=None):
    """What there is to know of a key; `called` is the name that it is told under."""
    kind = client.call("TYPE", key)
    name = (called or key).decode(errors="replace")
    found = {"TYPE %s" % name: (kind, False),
             "TTL %s" % name: (int(client.call("TTL", key)) >= 0, False),
             "DIGEST %s" % name: (client.call("DEBUG", "DIGEST-VALUE", key), False)}
    if kind in CORE_TYPES:
        del found["DIGEST %s" % name]
    for line in lines:
        if line.kind == "each" and line.type == kind:
            words = [key if word == "{}" else word for word in line.words]
            reply = client.call(*words)
            found[str(line).replace("{}", name)] = (reply, line.shape_only)
    return found


def unlike(want, have, digests=True):
    """[(what, wanted, had)] of two states. Digests are a server's own: between two kinds of servers they say nothing."""
    differences = []
    for what in sorted(set(want) | set(have)):
        if what.startswith("DIGEST ") and not digests:
            continue
        if what not in want or what not in have:
            differences.append((what, want.get(what, ("absent",))[0], have.get(what, ("absent",))[0]))
            continue
        (a, shape_only), (b, _) = want[what], have[what]
        if (shape(a) != shape(b)) if shape_only else (shape(a), a) != (shape(b), b):
            differences.append((what, a, b))
    return differences


class Run:
    """One module in our server and in its reference."""

    def __init__(self, module, server, reference, stages):
        self.module, self.server, self.reference = module, server, reference
        self.name = os.path.basename(module)[:-3]
        where = "%s@%s" % (self.name, os.path.basename(reference or ""))
        prefix = max((p for p in WORKLOADS if self.name.startswith(p)), key=len)
        self.lines = workload(WORKLOADS[prefix])
        self.known, self.stages, self.results, self.excused = known(where), stages, {}, 0

    def add(self, stage, differences, count):
        kept = [d for d in differences
                if not any(fnmatch.fnmatch(stage, s) and fnmatch.fnmatch(str(d[0]), w) for s, w in self.known)]
        self.excused += len(differences) - len(kept)
        done, have = self.results.get(stage, (0, []))
        self.results[stage] = (done + count, have + kept)

    def run(self):
        with Host(self.server, self.module) as ours:
            if not self.reference:
                self.all(ours, None)
                return self
            with Host(self.reference, self.module) as theirs:
                self.all(ours, theirs)
        return self

    def all(self, ours, theirs):
        both = [host for host in (ours, theirs) if host]
        for protocol in (3, 2):
            self.commands(both, protocol)
        for stage in (self.declared, self.dump, self.copy, self.memory, self.reload, self.aof_snapshot, self.aof_commands, self.replica,
                      self.replica_of_reference, self.file, self.file_of_reference):
            name = stage.__name__
            if self.stages and not any(fnmatch.fnmatch(name, wanted) for wanted in self.stages):
                continue
            try:
                stage(ours, theirs)
            except (resp.Closed, RuntimeError, OSError, SystemExit) as error:
                self.add(name, [("the stage", "an end", "%s\n%s" % (error, ours.log_tail()))], 1)
                for host in both:
                    host.restart(self.lines)

    def commands(self, both, protocol):
        stage = "resp%d" % protocol
        try:
            replies = [fill(host, self.lines, protocol) for host in both]
        except resp.Closed as error:
            self.add(stage, [("the commands", "replies", "%s\n%s" % (error, both[0].log_tail()))], 1)
            raise SystemExit("%s: the server is gone\n%s" % (self.name, both[0].log_tail(60))) from error
        differences = []
        if len(both) == 2:
            for (line, have), (_, want) in zip(*replies):
                if (shape(want), None if line.shape_only else want) != (shape(have), None if line.shape_only else have):
                    differences.append((str(line), want, have))
        self.add(stage, differences, len(replies[0]))
        if len(both) == 2:
            differences = unlike(state(both[1], self.lines), state(both[0], self.lines), digests=False)
            self.add(stage + "-state", differences, len(differences) or 1)

    def as_before(self, stage, both, act):
        """Runs `act` on both; what ours shows afterwards must be what it showed before, or what the reference shows after."""
        before = state(both[0], self.lines)
        for host in both:
            act(host)
        after = state(both[0], self.lines)
        differences = unlike(before, after)
        if differences and len(both) == 2:
            like_reference = {what for what, _, _ in unlike(state(both[1], self.lines), after)}
            like_reference |= {what for what, want, have in differences if what.startswith("DIGEST ") and "absent" not in (want, have)}
            differences = [d for d in differences if d[0] in like_reference]
        self.add(stage, differences, len(before))

    def declared(self, ours, theirs):
        if not theirs:
            return
        names = sorted({line.words[0].lower() for line in self.lines if "." in line.words[0]})
        differences = []
        for name in names:
            want, have = (host.client.call("COMMAND", "INFO", name) for host in (theirs, ours))
            facts = [dict(zip(("name", "arity", "flags", "first", "last", "step", "categories", "tips", "keys"), reply[0] or []))
                     for reply in (want, have)]
            for fact in facts[0]:
                a, b = (sorted(facts[at][fact], key=repr) if isinstance(facts[at].get(fact), list) else facts[at].get(fact) for at in (0, 1))
                if a != b:
                    differences.append(("COMMAND INFO %s %s" % (name, fact), a, b))
            # Subcommands come in the order of a hash table there.
            want, have = (sorted(leaves(host.client.call("COMMAND", "DOCS", name))) for host in (theirs, ours))
            if want != have:
                differences.append(("COMMAND DOCS %s" % name, want, have))
        for line in self.lines:
            if line.kind == "command" and "." in line.words[0]:
                want, have = (host.client.call("COMMAND", "GETKEYS", *line.words) for host in (theirs, ours))
                if want != have:
                    differences.append(("COMMAND GETKEYS %s" % line, want, have))
        lists = [[module[:4] for module in host.client.call("MODULE", "LIST")] for host in (theirs, ours)]
        # A server may bring modules of its own.
        want, have = ([module for module in found if module in lists[1]] for found in lists)
        if want != have:
            differences.append(("MODULE LIST", want, have))
        self.add("declared", differences, len(names))

    def dump(self, ours, theirs):
        differences, count = [], 0
        for key in ours.keys():
            count += 1
            name = key.decode(errors="replace")
            here = ours.client.call("DUMP", key)
            before = key_state(ours.client, key, self.lines)
            before.pop("TTL " + name)
            ways = [("ours to ours", ours, ours, here)]
            if theirs:
                there = theirs.client.call("DUMP", key)
                if not isinstance(there, bytes) or not isinstance(here, bytes):
                    differences.append(("DUMP %s" % name, there, here))
                    continue
                if payload.is_of_module(there) and payload.items(there) != payload.items(here):
                    differences.append(("DUMP %s: items" % name, payload.items(there), payload.items(here)))
                ways += [("ours to theirs", ours, theirs, payload.as_version(here, payload.version(there))),
                         ("theirs to ours", theirs, ours, there)]
            for way, source, target, bytes_ in ways:
                want = key_state(source.client, key, self.lines)
                want.pop("TTL " + name)
                answer = target.client.call("RESTORE", TWIN + "dump", "0", bytes_, "REPLACE")
                if answer != "OK":
                    differences.append(("RESTORE %s %s" % (name, way), "OK", answer))
                    continue
                have = key_state(target.client, (TWIN + "dump").encode(), self.lines, called=key)
                have.pop("TTL " + name)
                differences += [("%s %s" % (what, way), a, b) for what, a, b in unlike(want, have, source is target)]
                target.client.call("DEL", TWIN + "dump")
        self.add("dump", differences, count)

    def copy(self, ours, theirs):
        differences, count = [], 0
        for key in ours.keys():
            count += 1
            answers = [host.client.call("COPY", key, TWIN + "copy", "REPLACE") for host in (ours, theirs) if host]
            if answers[0] != answers[-1]:
                differences.append(("COPY %s" % key.decode(), answers[-1], answers[0]))
            if answers[0] == 1:
                want = key_state(ours.client, key, self.lines)
                have = key_state(ours.client, (TWIN + "copy").encode(), self.lines, called=key)
                differences += unlike(want, have)
            for host in (ours, theirs):
                if host:
                    host.client.call("DEL", TWIN + "copy")
        self.add("copy", differences, count)

    def memory(self, ours, theirs):
        differences = []
        keys = [key for key in ours.keys() if ours.client.call("TYPE", key) not in CORE_TYPES]
        for key in keys:
            usages = [host.client.call("MEMORY", "USAGE", key) for host in (ours, theirs) if host]
            if not isinstance(usages[0], int) or usages[0] <= 0 or not 0.5 <= usages[0] / max(usages[-1], 1) <= 2:
                differences.append(("MEMORY USAGE %s" % key.decode(), usages[-1], usages[0]))
        self.add("memory", differences, len(keys))

    def reload(self, ours, theirs):
        self.as_before("reload", [host for host in (ours, theirs) if host], lambda host: host.client.expect("DEBUG", "RELOAD"))

    def aof(self, stage, ours, theirs, preamble):
        def rewrite(host):
            def settled():
                info = host.info("persistence")
                if info["aof_last_bgrewrite_status"] != "ok":
                    raise RuntimeError("the rewrite failed\n%s" % host.log_tail())
                return info["aof_rewrite_in_progress"] == "0" and info["aof_rewrite_scheduled"] == "0" and info["aof_enabled"] == "1"
            host.client.expect("CONFIG", "SET", "aof-use-rdb-preamble", preamble)
            host.client.expect("CONFIG", "SET", "appendonly", "yes")
            host.until("the first append-only file", settled)
            host.client.expect("DEBUG", "LOADAOF")

        both = [host for host in (ours, theirs) if host]
        if theirs:
            try:
                rewrite(theirs)
            except (resp.Closed, RuntimeError) as error:
                print("%s: the reference cannot do %s, so ours is compared with itself: %s" % (self.name, stage, str(error).split("\n")[0]))
                theirs.restart(self.lines)
                both = [ours]
        try:
            self.as_before(stage, both, lambda host: rewrite(host) if host is ours else None)
            # And once more from what was appended. What a module does not propagate is lost then, so there must be a reference.
            if theirs in both:
                for host in both:
                    fill(host, self.lines, 2)
                self.as_before(stage, both, lambda host: host.client.expect("DEBUG", "LOADAOF"))
        finally:
            for host in both:
                host.client.call("CONFIG", "SET", "appendonly", "no")

    def aof_snapshot(self, ours, theirs):
        self.aof("aof_snapshot", ours, theirs, "yes")

    def aof_commands(self, ours, theirs):
        self.aof("aof_commands", ours, theirs, "no")

    def followed(self, primary, binary):
        """Two pairs of states, the primary's and a new replica's: after the full synchronization, and after the workload came by the
        stream of changes."""
        with Host(binary, self.module) as replica:
            replica.client.expect("REPLICAOF", "127.0.0.1", primary.server.port)
            replica.until("the link", lambda: replica.info("replication")["master_link_status"] == "up")
            pairs = []
            for again in (False, True):
                if again:
                    fill(primary, self.lines, 2)
                if primary.client.expect("WAIT", "1", WAIT_SECONDS * 1000) != 1:
                    raise RuntimeError("the replica did not follow")
                pairs.append((state(primary, self.lines), state(replica, self.lines)))
            return pairs

    def replica(self, ours, theirs):
        """Where a replica shows something else than its primary, it must be what the reference's shows beside its own."""
        same = [[]] * 2
        if theirs:
            same = [unlike(*pair) for pair in self.followed(theirs, self.reference)]
        for (want, have), excused in zip(self.followed(ours, self.server), same):
            excused = {what for what, _, _ in excused}
            self.add("replica", [d for d in unlike(want, have) if d[0] not in excused], len(want))

    def replica_of_reference(self, _ours, theirs):
        if theirs:
            same = [unlike(*pair) for pair in self.followed(theirs, self.reference)]
            for (want, have), excused in zip(self.followed(theirs, self.server), same):
                excused = {what for what, _, _ in excused}
                self.add("replica_of_reference", [d for d in unlike(want, have, False) if d[0] not in excused], len(want))

    def carry(self, stage, source, binary):
        source.client.expect("SAVE")
        want = state(source, self.lines)
        with open(os.path.join(source.server.dir, "dump.rdb"), "rb") as f:
            data = f.read()
        if binary != source.binary and data.startswith(b"REDIS0011"):
            # Redis 7.0 stops at the number, though it knows all that is in the file. A checksum of zeros is none.
            data = b"REDIS0010" + data[9:-8] + bytes(8)
        with Host(binary, self.module, data) as target:
            self.add(stage, unlike(want, state(target, self.lines), binary == source.binary), len(want))

    def file(self, ours, theirs):
        self.carry("file", ours, self.server)
        if theirs:
            self.carry("file", ours, self.reference)

    def file_of_reference(self, _ours, theirs):
        if theirs:
            self.carry("file_of_reference", theirs, self.server)


def references():
    named = os.environ.get("REFERENCE_SERVERS")
    found = named.split(":") if named else [shutil.which("redis-server"), shutil.which("valkey-server")]
    return [path for path in found if path and os.path.exists(path)]


def references_for(module):
    """Those that load it; [None] if none does."""
    found = []
    for binary in references():
        try:
            with Host(binary, module):
                found.append(binary)
        except SystemExit:
            continue
    return found or [None]


def report(run):
    print("\n%s, reference: %s" % (run.name, run.reference or "none loads it"))
    for stage, (count, differences) in run.results.items():
        print("  %-22s %4d compared, %d differ" % (stage, count, len(differences)))
        for what, want, have in differences[:SHOWN_MAX]:
            print("      %s\n        want %s\n        have %s" % (what, shown(want), shown(have, 3000 if what == "the stage" else 300)))
        if len(differences) > SHOWN_MAX:
            print("      and %d more" % (len(differences) - SHOWN_MAX))
    if run.excused:
        print("  %d differences are named in modules/known.txt" % run.excused)
    sys.stdout.flush()


def fits(module, server, reference, stages):
    try:
        run = Run(module, server, reference, stages).run()
    except SystemExit as error:
        print("\n%s, reference %s: %s" % (os.path.basename(module), reference, error))
        return False
    report(run)
    return not any(differences for _, differences in run.results.values())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("server")
    p.add_argument("--match", default="*", help="glob of module file names, without .so")
    p.add_argument("--stage", action="append", help="glob of stages; may repeat")
    a = p.parse_args()
    folder = os.environ.get("MODULES")
    if not folder or not os.path.isdir(folder):
        print("skipped: MODULES names no folder with compiled modules")
        return
    failed, tried = [], 0
    for module in sorted(glob.glob(os.path.join(os.path.abspath(folder), "*.so"))):
        name = os.path.basename(module)[:-3]
        if not fnmatch.fnmatch(name, a.match):
            continue
        if not any(name.startswith(prefix) for prefix in WORKLOADS):
            print("skipped: %s, no workload" % name)
            continue
        tried += 1
        if not all([fits(module, a.server, reference, a.stage) for reference in references_for(module)]):
            failed.append(name)
    print("\n%d modules, %d with differences%s" % (tried, len(failed), ": " + ", ".join(failed) if failed else ""))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
