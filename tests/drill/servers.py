"""How does a drill start, hurt and watch servers? As processes of its own, each with a configuration file and a folder,
which keep their port when they are started anew.

Needs redis-py. Whoever uses it calls `skip` when something is absent: a drill that was not done says so.
"""
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

try:
    import redis
except ImportError:
    redis = None


def skip(why):
    print("skipped: %s" % why)
    sys.exit(0)


def program(line):
    """A command line as words, if its program is there."""
    words = shlex.split(line)
    found = shutil.which(os.path.expanduser(words[0]))
    return [os.path.abspath(found)] + words[1:] if found else None


def free_port():
    """A port that no connection is given meanwhile, while its server is down: below those that the system hands out."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_until(what, condition, seconds=60):
    """The first true value of a condition; servers that are being restarted may refuse to say."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
            value = None
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("after %d s still not: %s" % (seconds, what))
        time.sleep(0.05)


class Folder:
    """A folder for all servers of a drill: kept, and named, if the drill fails."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="drill-")
        self.servers = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for server in self.servers:
            server.stop()
        if kind is None or kind is SystemExit and not error.code:
            shutil.rmtree(self.path)
        else:
            print("logs and files are kept in %s" % self.path)


class Server:
    """A server, or a sentinel."""

    def __init__(self, folder, name, words, config, arguments=()):
        self.name, self.words, self.port = name, words, free_port()
        self.folder = os.path.join(folder.path, name)
        os.mkdir(self.folder)
        self.config = os.path.join(self.folder, "server.conf")
        with open(self.config, "w") as f:
            f.write("\n".join(["port %d" % self.port, "bind 127.0.0.1", "dir %s" % self.folder, *config, ""]))
        self.arguments = list(arguments)
        self.process = None
        folder.servers.append(self)
        self.start()

    def start(self):
        log = open(os.path.join(self.folder, "log"), "ab")
        words = self.words[:1] + [self.config] + self.words[1:] + self.arguments
        self.process = subprocess.Popen(words, stdout=log, stderr=log, cwd=self.folder)
        log.close()
        wait_until("%s answers" % self.name, self.answers)

    def answers(self):
        assert self.process.poll() is None, "%s ended: see %s/log" % (self.name, self.folder)
        return self.client().ping()

    def client(self, **options):
        options.setdefault("socket_timeout", 30)
        return redis.Redis(port=self.port, decode_responses=True, **options)

    def call(self, *words):
        with self.client() as client:
            return client.execute_command(*words)

    def info(self, field):
        with self.client() as client:
            return client.info("everything").get(field)

    def follows(self, primary):
        """Whether it follows another server, and gets the stream."""
        with self.client() as client:
            info = client.info("replication")
        return (info["role"] == "slave" and info["master_port"] == primary.port
                and info["master_link_status"] == "up" and not info["master_sync_in_progress"])

    def offset(self):
        return int(self.info("master_repl_offset"))

    def signal(self, number):
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
