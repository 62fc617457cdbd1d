"""A client of RESP2 and RESP3 that keeps what was on the wire: statuses, errors, nulls and maps stay apart."""
import socket


class Error(str):
    """An error reply."""


class Status(str):
    """A simple string."""


class Double(str):
    """A floating point number, as it was written: so that nan is like nan."""


class Closed(Exception):
    """The server ended the connection."""


def encode(*words):
    """A request; words are bytes, or anything that has a text."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Client:
    def __init__(self, port, protocol=2, timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.stream = self.socket.makefile("rwb")
        if protocol == 3:
            self.call("HELLO", "3")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def call(self, *words):
        """The reply, errors included."""
        try:
            self.stream.write(encode(*words))
            self.stream.flush()
            return self.read()
        except OSError as error:
            raise Closed(str(error)) from error

    def expect(self, *words):
        """The reply; an error ends the caller's work."""
        reply = self.call(*words)
        if isinstance(reply, Error):
            raise RuntimeError("%s: %s" % (words[0], reply))
        return reply

    def read(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise Closed("in the middle of a reply")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return Status(rest.decode(errors="replace"))
        if kind == b"-":
            return Error(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return Double(rest.decode())
        if kind == b"(":
            return int(rest)
        if kind in b"$=":
            return None if rest == b"-1" else self.stream.read(int(rest) + 2)[:-2]
        if kind in b"*>":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        if kind == b"~":
            return ("set", [self.read() for _ in range(int(rest))])
        if kind == b"%":
            return ("map", [(self.read(), self.read()) for _ in range(int(rest))])
        if kind == b"|":
            for _ in range(2 * int(rest)):
                self.read()
            return self.read()
        raise RuntimeError("no reply: %r" % line)
