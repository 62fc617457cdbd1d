"""What the tests of scripts/lua share: a server of their own, the two ways to call a function, threads, a clock to set.

A function is called by FCALL (FCALL_RO if it only reads), or by EVALSHA of the same file: without its first line, and with
one more that calls the function. Every test runs in both ways, so the two do the same.
"""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import redis

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "..")
FOLDER = os.path.join(ROOT, "scripts", "lua")
DEADLINE = 20.0

# Stands before a library's text and gives it the time in the last argument, in microseconds. Keys do not expire by that
# time, so nothing is told when they would: what a library relies on must be in its values.
CLOCK = """
local real, clock = redis, tonumber(table.remove(ARGV))
local redis = setmetatable({call = function(name, ...)
    if name == 'TIME' then
        return {string.format('%.0f', math.floor(clock / 1000000)), string.format('%.0f', clock % 1000000)}
    end
    if name == 'PEXPIREAT' or name == 'PEXPIRE' then return 1 end
    local arguments = {...}
    if name == 'SET' then arguments = {arguments[1], arguments[2]} end
    return real.call(name, unpack(arguments))
end}, {__index = real})
"""


class Server:
    """A server in a folder of its own."""

    def __init__(self, binary, *options):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.folder = tempfile.mkdtemp(prefix="library-")
        self.log = open(os.path.join(self.folder, "log"), "w+")
        self.process = subprocess.Popen(
            [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder, *options],
            stdout=self.log, stderr=self.log)
        began = time.monotonic()
        while True:
            try:
                if self.client().ping():
                    return
            except redis.exceptions.RedisError:
                pass
            if self.process.poll() is not None or time.monotonic() > began + DEADLINE:
                self.log.seek(0)
                text = self.log.read()
                self.end()
                raise SystemExit("%s did not start:\n%s" % (binary, text))
            time.sleep(0.02)

    def client(self):
        return redis.Redis(port=self.port, decode_responses=True)

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def read_libraries():
    """The text of each library by its name, and for each function its library and whether it only reads."""
    texts, functions = {}, {}
    for file in sorted(os.listdir(FOLDER)):
        with open(os.path.join(FOLDER, file)) as f:
            text = f.read()
        name = re.match(r"#!lua name=(\w+)\n", text).group(1)
        assert file == name + ".lua", file
        texts[name] = text
        for function in re.findall(r"redis\.register_function\('(\w+)'", text):
            functions[function] = (name, False)
        for function, flags in re.findall(r"function_name = '(\w+)'.*?flags = \{(.*?)\}", text, re.S):
            functions[function] = (name, "no-writes" in flags)
    return texts, functions


TEXTS, FUNCTIONS = read_libraries()


def eval_text(function):
    """The text of a function for EVAL, as docs/scripts.md says."""
    library, _ = FUNCTIONS[function]
    return TEXTS[library].partition("\n")[2] + "return %s(KEYS, ARGV)\n" % function


class Caller:
    """Calls functions, each thread on a connection of its own."""

    def __init__(self, server, way):
        self.server, self.way, self.local = server, way, threading.local()
        self.shas = {}
        for name, text in TEXTS.items():
            if way == "FCALL":
                self.r.execute_command("FUNCTION", "LOAD", "REPLACE", text)
        for function in FUNCTIONS:
            if way == "EVALSHA":
                self.shas[function] = self.r.script_load(eval_text(function))

    @property
    def r(self):
        if not hasattr(self.local, "client"):
            self.local.client = self.server.client()
        return self.local.client

    def __call__(self, function, keys, *args):
        reads = FUNCTIONS[function][1]
        command = self.way + "_RO" if reads else self.way
        name = function if self.way == "FCALL" else self.shas[function]
        return self.r.execute_command(command, name, len(keys), *keys, *args)

    def at(self, now_us, function, keys, *args):
        """Calls at this time; always by EVAL, since only there the clock can be put before the text."""
        text = CLOCK + eval_text(function)
        return self.r.eval(text, len(keys), *keys, *args, now_us)


def together(count, work):
    """Runs work(0), ... work(count - 1) in as many threads and returns what they return, or raises what one raised."""
    results, errors = [None] * count, []
    barrier = threading.Barrier(count)

    def run(number):
        try:
            barrier.wait()
            results[number] = work(number)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def wait_until(condition, what):
    end = time.monotonic() + DEADLINE
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, "never came: " + what
        time.sleep(0.001)


def refused(call, kind=redis.exceptions.ResponseError):
    """What the error says, without the word ERR, which redis-py takes off."""
    try:
        reply = call()
    except kind as error:
        return str(error)
    raise AssertionError("was not refused: %r" % (reply,))


class Inside:
    """Who is inside at the same time?"""

    def __init__(self):
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def __enter__(self):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_):
        with self.lock:
            self.now -= 1
