"""Do the libraries of scripts/lua keep their promises? Against each server given, which is started here:

    python tests/clients/python/library target/release/mortise redis-server

Each test begins with an empty server, and runs by FCALL and by EVALSHA. SEED repeats random calls, ONLY names one test.
"""
import os
import random
import sys
import time

import arguments
import exact
import limits
import locks
import work
from harness import Caller, Server


def every_key_ends(call):
    """What a test leaves in the library's keys ends by itself; the keys that tests set themselves do too."""
    for key in call.r.scan_iter():
        assert call.r.pttl(key) != -1, "no lifetime: " + key


def run(server, way, seed):
    call = Caller(server, way)
    # Times that a test sets go by EVAL in either way, and there keys have no lifetimes.
    timed = [] if way == "FCALL" else [(test.__name__, exact.seeded(test, seed)) for test in exact.TESTS]
    plain = [(test.__name__, test) for module in (arguments, locks, limits, work) for test in module.TESTS]
    count = 0
    for name, test in plain + timed:
        if os.environ.get("ONLY") not in (None, name):
            continue
        call.r.flushall()
        began = time.monotonic()
        try:
            test(call)
            if (name, test) in plain and "another_type" not in name:
                every_key_ends(call)
        except BaseException:
            print("FAILED: %s by %s, SEED=%d" % (name, way, seed))
            raise
        if os.environ.get("VERBOSE"):
            print("ok: %s by %s, %.2f s" % (name.replace("_", " "), way, time.monotonic() - began))
        count += 1
    return count


def main():
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    for binary in sys.argv[1:]:
        server = Server(binary)
        try:
            for way in os.environ.get("WAYS", "FCALL EVALSHA").split():
                count = run(server, way, seed)
                print("scripts/lua by %s on %s: %d tests, SEED=%d" % (way, os.path.basename(binary), count, seed))
        finally:
            server.end()


if __name__ == "__main__":
    main()
