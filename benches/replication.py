#!/usr/bin/env python3
"""What do replicas cost their primary, and what does it cost to be one? Several servers in turn; ratios are to the last one.

    benches/replication.py 'ours=target/release/mortise --io-threads 1' redis=redis-server

Sections: `write` is CPU per SET, pipeline 16 from 20 connections, without and with two replicas of the server's own kind;
`apply` is the CPU of a replica per SET that it applies, the primary being the last server for all; `sync` is the longest PING of a
connection that asks once a millisecond, and the CPU, while a replica is sent the whole data set. CPU is what the kernel says that the
process and its children have run, and not time by the clock: others may use the machine. Rounds visit the servers in turn, and medians
are compared.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from persistence import Pinger, Server, fill

AT_ONCE = ["--repl-diskless-sync-delay", "0", "--client-output-buffer-limit", "replica 0 0 0"]


def start(line, folders):
    folders.append(tempfile.TemporaryDirectory(dir="."))
    return Server(line, folders[-1].name, *AT_ONCE)


def wait_until(condition):
    while not condition():
        time.sleep(0.02)


def follow(replica, primary):
    replica.call("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: replica.info("master_link_status") == "up")


def catch_up(replica, primary):
    wait_until(lambda: replica.info("slave_repl_offset") == primary.info("master_repl_offset"))


def set_load(server, requests, keys):
    subprocess.run(["redis-benchmark", "-p", str(server.port), "-n", str(requests), "-P", "16", "-c", "20", "-r", str(keys),
                    "-t", "set", "-d", "32", "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def cost(server, requests, work):
    """Microseconds of CPU for each request of some work."""
    before = server.cpu()
    work()
    return (server.cpu() - before) / requests * 1e6


def write(line, args):
    folders, figures = [], {}
    primary = start(line, folders)
    set_load(primary, args.keys, args.keys)
    alone = cost(primary, args.requests, lambda: set_load(primary, args.requests, args.keys))
    replicas = [start(line, folders) for _ in range(2)]
    for replica in replicas:
        follow(replica, primary)

    def work():
        set_load(primary, args.requests, args.keys)
        for replica in replicas:
            catch_up(replica, primary)

    followed = cost(primary, args.requests, work)
    figures = {"us without replicas": alone, "us with two": followed, "with two / without": followed / alone}
    for server in [primary, *replicas]:
        server.stop()
    for folder in folders:
        folder.cleanup()
    return figures


def apply(line, primary_line, args):
    folders = []
    primary, replica = start(primary_line, folders), start(line, folders)
    set_load(primary, args.keys, args.keys)
    follow(replica, primary)

    def work():
        set_load(primary, args.requests, args.keys)
        catch_up(replica, primary)

    figures = {"us per command": cost(replica, args.requests, work)}
    for server in (primary, replica):
        server.stop()
    for folder in folders:
        folder.cleanup()
    return figures


def hurry(server):
    """Has the threads of a server that do not serve run before other processes: whoever serves may wait for what they hold."""
    for task in map(int, os.listdir("/proc/%d/task" % server.pid)):
        try:
            if os.sched_getscheduler(task) == os.SCHED_OTHER:
                os.sched_setscheduler(task, os.SCHED_RR, os.sched_param(1))
        except ProcessLookupError:
            continue


def sync(line, args, note):
    folders = []
    primary = start(line, folders)
    fill(primary, args.sync_keys, 0)
    if args.real_time:
        primary.serve_in_real_time()
    pinger = Pinger(primary)
    time.sleep(1)
    for _ in range(args.rounds):
        replica = start(line, folders)
        quiet = pinger.take() * 1000
        before = primary.cpu()
        replica.call("REPLICAOF", "127.0.0.1", primary.port)
        while replica.info("master_link_status") != "up":
            if args.real_time:
                hurry(primary)
            time.sleep(0.002)
        note("sync", {"longest PING ms": pinger.take() * 1000, "longest PING ms before": quiet,
                      "cpu s": primary.cpu() - before})
        replica.stop()
        folders.pop().cleanup()
    pinger.end()
    primary.stop()
    folders.pop().cleanup()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("servers", nargs="+", metavar="NAME=COMMAND")
    p.add_argument("--keys", type=int, default=100_000)
    p.add_argument("--requests", type=int, default=1_000_000)
    p.add_argument("--sync-keys", type=int, default=5_000_000)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--real-time", action="store_true", help="for `sync`: as in benches/persistence.py")
    p.add_argument("--sections", default="write,apply,sync")
    args = p.parse_args()
    servers = dict(s.split("=", 1) for s in args.servers)
    last = list(servers)[-1]
    sections = args.sections.split(",")
    results = {name: {} for name in servers}

    def note(name, section, figures):
        for what, figure in figures.items():
            results[name].setdefault("%s: %s" % (section, what), []).append(figure)
            print("%-8s %-7s %-30s %10.3f" % (name, section, what, figure), file=sys.stderr)

    for _ in range(args.rounds):
        for name, line in servers.items():
            if "write" in sections:
                note(name, "write", write(line, args))
            if "apply" in sections:
                note(name, "apply", apply(line, servers[last], args))
    if "sync" in sections:
        for name, line in servers.items():
            sync(line, args, lambda section, figures: note(name, section, figures))
    print("\n| figure | %s |" % " | ".join(servers))
    print("|---|%s" % ("---|" * len(servers)))
    for what in results[last]:
        base = statistics.median(results[last][what])
        cells = []
        for name in servers:
            median = statistics.median(results[name][what])
            cells.append("%.3f" % median + (" (%.2fx)" % (median / base) if base and name != last else ""))
        print("| %s | %s |" % (what, " | ".join(cells)))


if __name__ == "__main__":
    main()
