"""DUMP payloads of modules' values, taken apart and given other footers. The format: docs/formats/rdb.md."""

FOOTER_BYTES = 10
MODULE_VALUE = 7
ITEM_KINDS = {1: "signed", 2: "unsigned", 3: "float", 4: "double", 5: "string"}


def crc64(data):
    """The Jones polynomial, reflected, as payloads end with."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x95AC9329AC4BC9B5 if crc & 1 else 0)
    return crc


def version(payload):
    return int.from_bytes(payload[-FOOTER_BYTES:][:2], "little")


def as_version(payload, number):
    """The payload as if a server of that RDB version had written it; modules' values look the same in all."""
    body = payload[:-FOOTER_BYTES] + number.to_bytes(2, "little")
    return body + crc64(body).to_bytes(8, "little")


def unpacked(data, length):
    """LZF: literal runs, and copies of what came before."""
    out, at = bytearray(), 0
    while at < len(data):
        control = data[at]
        at += 1
        if control < 32:
            out += data[at:at + control + 1]
            at += control + 1
            continue
        count = control >> 5
        if count == 7:
            count += data[at]
            at += 1
        start = len(out) - ((control & 31) << 8 | data[at]) - 1
        at += 1
        for step in range(count + 2):
            out.append(out[start + step])
    if len(out) != length:
        raise ValueError("a string of %d bytes is of %d" % (length, len(out)))
    return bytes(out)


class Items:
    """Goes through a module's value."""

    def __init__(self, payload):
        self.data, self.at = payload[:-FOOTER_BYTES], 1

    def take(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def length(self):
        """(number, whether it stands for a special form)."""
        first = self.take(1)[0]
        if first == 0x80:
            return int.from_bytes(self.take(4), "big"), False
        if first == 0x81:
            return int.from_bytes(self.take(8), "big"), False
        if first >> 6 == 3:
            return first & 63, True
        return (first, False) if first >> 6 == 0 else ((first & 63) << 8 | self.take(1)[0], False)

    def string(self):
        number, special = self.length()
        if not special:
            return self.take(number)
        if number == 3:
            packed, length = self.length()[0], self.length()[0]
            return unpacked(self.take(packed), length)
        return b"%d" % int.from_bytes(self.take(1 << number), "little", signed=True)

    def all(self):
        """[type and encoding version, (kind, value)...]"""
        found = [self.length()[0]]
        while True:
            kind = self.length()[0]
            if kind == 0:
                return found
            if kind in (1, 2):
                value = self.length()[0]
            elif kind in (3, 4):
                value = self.take(4 if kind == 3 else 8)
            else:
                value = self.string()
            found.append((ITEM_KINDS[kind], value))


def is_of_module(payload):
    return payload[0] == MODULE_VALUE


def items(payload):
    return Items(payload).all()
