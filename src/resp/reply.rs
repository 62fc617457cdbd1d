//! How is a reply written? The one writer of RESP2 and RESP3, used by commands, scripts and modules.
//!
//! Invariants: a handler names the shape (map, set, double ...) and the writer picks the encoding of
//! the client's protocol; the bytes are complete replies, appended, never rewritten, but for the
//! length of an array opened by [`Reply::deferred`].

/// The protocol version that a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The version of Redis up to 5, and the default.
    #[default]
    Resp2,
    /// The version of `HELLO 3`.
    Resp3,
}

/// A collection whose length is written when it is known.
#[derive(Debug)]
#[must_use = "close it with Reply::close"]
pub struct Deferred {
    at: usize,
}

/// Writes replies into a buffer.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// A writer that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The protocol being written.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether RESP3 is being written.
    pub fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    /// Changes the protocol of what follows (`HELLO`).
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// The bytes written so far, with whatever stood in the buffer before.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// A second writer onto the same buffer.
    pub fn reborrow(&mut self) -> Reply<'_> {
        Reply { out: self.out, protocol: self.protocol }
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A status such as `PONG`; must not contain a line break.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.crlf();
    }

    /// An error; `text` begins with its code. Line breaks become blanks, as in Redis.
    pub fn error(&mut self, text: &[u8]) {
        self.out.push(b'-');
        self.out.extend(text.iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }));
        self.crlf();
    }

    /// An integer.
    pub fn int(&mut self, value: i64) {
        match value {
            0 => self.out.extend_from_slice(b":0\r\n"),
            1 => self.out.extend_from_slice(b":1\r\n"),
            _ => self.header(b':', value),
        }
    }

    /// A length or count as an integer.
    pub fn len(&mut self, value: usize) {
        self.int(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// A string.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.header(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.crlf();
    }

    /// The decimal form of an integer, as a string.
    pub fn bulk_int(&mut self, value: i64) {
        let mut digits = itoa::Buffer::new();
        self.bulk(digits.format(value).as_bytes());
    }

    /// The absent value.
    pub fn null(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.out.extend_from_slice(b"$-1\r\n"),
            Protocol::Resp3 => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// The absent array (in RESP2 another text than the absent value).
    pub fn null_array(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.out.extend_from_slice(b"*-1\r\n"),
            Protocol::Resp3 => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// A truth value: 1 or 0 in RESP2.
    pub fn bool(&mut self, value: bool) {
        match self.protocol {
            Protocol::Resp2 => self.int(i64::from(value)),
            Protocol::Resp3 => {
                self.out.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" });
            }
        }
    }

    /// A floating point number: a string in RESP2.
    pub fn double(&mut self, value: f64) {
        let text = crate::base::number::format_double(value);
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.out.push(b',');
                self.out.extend_from_slice(text.as_bytes());
                self.crlf();
            }
        }
    }

    /// An integer of any size, given as its digits: a string in RESP2.
    pub fn big_number(&mut self, digits: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits),
            Protocol::Resp3 => {
                self.out.push(b'(');
                self.out.extend_from_slice(digits);
                self.crlf();
            }
        }
    }

    /// Text with a three-letter format such as `txt`: a string in RESP2.
    pub fn verbatim(&mut self, format: &[u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.header(b'=', text.len() as i64 + 4);
                self.out.extend_from_slice(format);
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.crlf();
            }
        }
    }

    /// Opens an array of `len` replies.
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// Opens a map of `pairs` keys and values: a flat array in RESP2.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', pairs as i64 * 2),
            Protocol::Resp3 => self.header(b'%', pairs as i64),
        }
    }

    /// Opens a set of `len` members: an array in RESP2.
    pub fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as i64),
            Protocol::Resp3 => self.header(b'~', len as i64),
        }
    }

    /// Opens an out-of-band message of `len` elements: an array in RESP2.
    pub fn push(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as i64),
            Protocol::Resp3 => self.header(b'>', len as i64),
        }
    }

    /// Begins a collection whose length is not known yet.
    pub fn deferred(&mut self) -> Deferred {
        Deferred { at: self.out.len() }
    }

    /// Writes the head of a deferred array in front of its elements.
    pub fn close(&mut self, deferred: Deferred, len: usize) {
        self.close_as(&deferred, b'*', len);
    }

    /// Writes the head of a deferred map of `pairs` in front of its elements.
    pub fn close_map(&mut self, deferred: Deferred, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.close_as(&deferred, b'*', pairs * 2),
            Protocol::Resp3 => self.close_as(&deferred, b'%', pairs),
        }
    }

    /// Writes the head of a deferred set in front of its members.
    pub fn close_set(&mut self, deferred: Deferred, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.close_as(&deferred, b'*', len),
            Protocol::Resp3 => self.close_as(&deferred, b'~', len),
        }
    }

    /// Appends replies that are already encoded.
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }

    fn close_as(&mut self, deferred: &Deferred, kind: u8, len: usize) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(len);
        let head = [&[kind], digits.as_bytes(), b"\r\n"].concat();
        self.out.splice(deferred.at..deferred.at, head);
    }

    #[inline]
    fn header(&mut self, kind: u8, value: i64) {
        // Most lengths have one or two digits.
        if (0..10).contains(&value) {
            self.out.extend_from_slice(&[kind, b'0' + value as u8, b'\r', b'\n']);
        } else if (10..100).contains(&value) {
            let (tens, ones) = (value as u8 / 10, value as u8 % 10);
            self.out.extend_from_slice(&[kind, b'0' + tens, b'0' + ones, b'\r', b'\n']);
        } else {
            let mut digits = itoa::Buffer::new();
            self.out.push(kind);
            self.out.extend_from_slice(digits.format(value).as_bytes());
            self.crlf();
        }
    }

    #[inline]
    fn crlf(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(write: impl Fn(&mut Reply<'_>)) -> (String, String) {
        let text = |protocol| {
            let mut out = Vec::new();
            write(&mut Reply::new(&mut out, protocol));
            String::from_utf8(out).expect("replies here are text")
        };
        (text(Protocol::Resp2), text(Protocol::Resp3))
    }

    #[test]
    fn each_shape_has_its_form_in_both_protocols() {
        let same = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(both(|r| r.null()), same("$-1\r\n", "_\r\n"));
        assert_eq!(both(|r| r.null_array()), same("*-1\r\n", "_\r\n"));
        assert_eq!(both(|r| r.map(2)), same("*4\r\n", "%2\r\n"));
        assert_eq!(both(|r| r.set(0)), same("*0\r\n", "~0\r\n"));
        assert_eq!(both(|r| r.bool(true)), same(":1\r\n", "#t\r\n"));
        assert_eq!(both(|r| r.int(-123)), same(":-123\r\n", ":-123\r\n"));
        assert_eq!(both(|r| r.verbatim(b"txt", b"hi")), same("$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"));
        assert_eq!(both(|r| r.error(b"ERR a\r\nb")), same("-ERR a  b\r\n", "-ERR a  b\r\n"));
        assert_eq!(both(|r| r.bulk(&[b'x'; 100])).0.len(), 100 + 8);
    }

    #[test]
    fn a_deferred_length_is_written_in_front() {
        let mut out = b"+OK\r\n".to_vec();
        let mut reply = Reply::new(&mut out, Protocol::Resp3);
        let outer = reply.deferred();
        let inner = reply.deferred();
        reply.int(7);
        reply.close(inner, 1);
        reply.close_map(outer, 12);
        assert_eq!(out, b"+OK\r\n%12\r\n*1\r\n:7\r\n");
    }
}
