//! What has the client asked? Splits a byte stream into requests: RESP arrays of bulk strings and
//! inline commands.
//!
//! Invariants: arguments are ranges into the caller's buffer, so nothing is copied; a request that
//! is cut off resumes where it stopped, so a byte is looked at once however it arrives; every length
//! is checked against a limit before anything is believed. The format is Redis's protocol
//! specification (RESP2 request side), the limits and error texts are those of Redis 7.2.

use memchr::memchr;

/// Longest inline request, and longest line that announces a length, in bytes.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Most arguments of one request.
pub const ARGUMENTS_MAX: i64 = i32::MAX as i64;
/// Most arguments of one request before the client has authenticated.
pub const ARGUMENTS_MAX_UNAUTHENTICATED: i64 = 10;
/// Longest argument before the client has authenticated, in bytes.
pub const BULK_BYTES_MAX_UNAUTHENTICATED: i64 = 16_384;
/// Arguments of one batch after which parsing pauses, so that a batch holds bounded memory.
const BATCH_ARGUMENTS_MAX: usize = 16 * 1024;
/// An argument list never reserves more than this before its arguments have arrived: a promise costs half a
/// kilobyte.
const RESERVED_ARGUMENTS_MAX: usize = 32;
/// A parser that waits for the rest of a request keeps no more room than this for what comes then.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// An incomplete request of so many arguments goes on in the worker's parser; a longer one would be copied at each
/// read.
const RESUMED_SPANS_MAX: usize = 64;

/// An argument's place in the buffer that was parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Length in bytes.
    pub len: usize,
}

/// One complete request: a run of spans in `Parser::spans`.
#[derive(Clone, Copy, Debug)]
pub struct RequestSpan {
    /// Index of the first argument's span.
    pub first: usize,
    /// How many arguments, at least 1.
    pub len: usize,
    /// Offset of the byte behind the request.
    pub end: usize,
}

/// What the connection may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest argument in bytes (`proto-max-bulk-len`).
    pub bulk_bytes_max: i64,
    /// Whether the client has authenticated; if not, much smaller limits hold.
    pub authenticated: bool,
}

/// A violation of the protocol; the connection is closed after the reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The length line of an array is not a number or out of range.
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// More arguments than an unauthenticated client may send.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// The line that announces an array is too long.
    #[error("Protocol error: too big mbulk count string")]
    TooBigCountLine,
    /// The line that announces a string is too long.
    #[error("Protocol error: too big bulk count string")]
    TooBigBulkLine,
    /// A string's length is not a number or out of range.
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// A longer string than an unauthenticated client may send.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// Something other than a string inside the array.
    #[error("Protocol error: expected '$', got '{}'", *.0 as char)]
    ExpectedBulk(u8),
    /// An inline request has unbalanced quotes.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// An inline request is too long.
    #[error("Protocol error: too big inline request")]
    TooBigInline,
}

/// Where the parser stands between two reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// At the first byte of a request.
    Start,
    /// Inside an array: `left` arguments are still to come, each behind a `$` line.
    Header { left: i64 },
    /// Inside an array, after the `$` line of a string of `len` bytes.
    Body { left: i64, len: usize },
}

/// Splits a buffer into requests. One parser serves a whole worker: a connection keeps its own
/// only while a request of it is incomplete.
#[derive(Debug)]
pub struct Parser {
    spans: Vec<Span>,
    requests: Vec<RequestSpan>,
    /// Bytes of inline requests, whose quoting is resolved away from the buffer. Their spans start
    /// at [`INLINE_BASE`].
    inline: Vec<u8>,
    stage: Stage,
    /// The first byte that has not been understood yet.
    at: usize,
    /// Where the request being parsed starts.
    request_start: usize,
    /// Index of the first span of the request being parsed.
    request_span: usize,
}

/// Spans at or past this offset point into the parser's own buffer of inline arguments.
const INLINE_BASE: usize = 1 << 62;

impl Default for Parser {
    fn default() -> Self {
        Self {
            spans: Vec::new(),
            requests: Vec::new(),
            inline: Vec::new(),
            stage: Stage::Start,
            at: 0,
            request_start: 0,
            request_span: 0,
        }
    }
}

/// Why parsing stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All complete requests are out; the rest, if any, needs more bytes.
    NeedMore,
    /// The batch is full; call again after running it.
    BatchFull,
    /// What follows is not the protocol; requests found before it are valid.
    Error(ProtocolError),
}

impl Parser {
    /// The requests found by the last [`Parser::parse`].
    pub fn requests(&self) -> &[RequestSpan] {
        &self.requests
    }

    /// The arguments of a request found in `buf`, in order.
    pub fn arguments<'a>(
        &'a self,
        buf: &'a [u8],
        request: RequestSpan,
    ) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.spans[request.first..request.first + request.len].iter().map(move |span| {
            if span.start >= INLINE_BASE {
                let start = span.start - INLINE_BASE;
                &self.inline[start..start + span.len]
            } else {
                &buf[span.start..span.start + span.len]
            }
        })
    }

    /// Bytes at the front of the buffer that belong to complete requests.
    pub fn consumed(&self) -> usize {
        self.request_start
    }

    /// Bytes at the front of the buffer that were understood.
    pub fn understood(&self) -> usize {
        self.at
    }

    /// Whether a request has begun and not ended.
    pub fn is_midway(&self) -> bool {
        self.stage != Stage::Start
    }

    /// How many bytes are missing until the string now being received is complete; 0 if unknown.
    pub fn bytes_wanted(&self, buf_len: usize) -> usize {
        match self.stage {
            Stage::Body { len, .. } => (self.at + len + 2).saturating_sub(buf_len),
            _ => 0,
        }
    }

    /// Forgets the complete requests, whose bytes the caller has taken from the buffer's front.
    pub fn release(&mut self) {
        let gone = self.request_start;
        self.spans.drain(..self.request_span);
        for span in &mut self.spans {
            span.start -= gone;
        }
        self.inline.clear();
        self.requests.clear();
        self.at -= gone;
        self.request_start = 0;
        self.request_span = 0;
    }

    /// Goes on where another one stands, with its own allocations, if the other has so little that copying it
    /// costs nothing; else the other comes back. This one is as new.
    pub fn resume(&mut self, own: Parser) -> Result<(), Parser> {
        if own.spans.len() > RESUMED_SPANS_MAX || !own.requests.is_empty() {
            return Err(own);
        }
        self.spans.extend_from_slice(&own.spans);
        self.inline.extend_from_slice(&own.inline);
        (self.stage, self.at) = (own.stage, own.at);
        (self.request_start, self.request_span) = (own.request_start, own.request_span);
        Ok(())
    }

    /// Takes out the request that is incomplete, for its connection to keep. What stays is as new, but for its
    /// allocations. Complete requests were released.
    pub fn split_off(&mut self) -> Parser {
        let own = Parser {
            spans: self.spans[self.request_span..].to_vec(),
            requests: Vec::new(),
            inline: Vec::new(),
            request_span: 0,
            ..*self
        };
        self.reset();
        own
    }

    /// Gives back the room that a long pipeline took, now that only an incomplete request is left.
    pub fn trim(&mut self) {
        if self.requests.capacity() * size_of::<RequestSpan>() > KEPT_BYTES_MAX {
            self.requests = Vec::new();
        }
        if self.inline.capacity() > KEPT_BYTES_MAX {
            self.inline = Vec::new();
        }
        let room = self.spans.capacity() - self.spans.len();
        if room * size_of::<Span>() > KEPT_BYTES_MAX.max(size_of_val(&self.spans[..])) {
            self.spans.shrink_to_fit();
        }
    }

    /// Bytes allocated.
    pub fn memory_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
            + self.requests.capacity() * size_of::<RequestSpan>()
            + self.inline.capacity()
    }

    /// Forgets everything but its allocations, for the next connection: what was parsed is done with
    /// or belongs to a connection that ends.
    pub fn reset(&mut self) {
        self.spans.clear();
        self.requests.clear();
        self.inline.clear();
        self.stage = Stage::Start;
        (self.at, self.request_start, self.request_span) = (0, 0, 0);
    }

    /// Parses as many requests as `buf` holds. `buf` is the same buffer as last time, with bytes
    /// appended, unless [`Parser::release`] was called.
    pub fn parse(&mut self, buf: &[u8], limits: Limits) -> Stop {
        loop {
            if self.spans.len() >= BATCH_ARGUMENTS_MAX && self.stage == Stage::Start {
                return Stop::BatchFull;
            }
            if self.stage == Stage::Start && self.whole_request(buf, limits) {
                continue;
            }
            match self.step(buf, limits) {
                Ok(true) => {}
                Ok(false) => return Stop::NeedMore,
                Err(error) => return Stop::Error(error),
            }
        }
    }

    /// The usual request in one go: an array of up to nine strings below 1,000 bytes that is here whole.
    /// Everything else, errors too, is left to the steps, and nothing has changed then.
    #[inline]
    fn whole_request(&mut self, buf: &[u8], limits: Limits) -> bool {
        let Some([b'*', count @ b'1'..=b'9', b'\r', _]) = buf[self.at..].first_chunk() else {
            return false;
        };
        if !limits.authenticated {
            return false;
        }
        let mut at = self.at + 4;
        for _ in b'0'..*count {
            let Some(span) = short_string(&buf[at..], limits) else {
                self.spans.truncate(self.request_span);
                return false;
            };
            self.spans.push(Span { start: at + span.start, len: span.len });
            at += span.start + span.len + 2;
        }
        self.at = at;
        self.finish();
        true
    }

    /// Makes one move; false when more bytes are needed.
    fn step(&mut self, buf: &[u8], limits: Limits) -> Result<bool, ProtocolError> {
        match self.stage {
            Stage::Start => match buf.get(self.at) {
                None => Ok(false),
                Some(b'*') => self.array_header(buf, limits),
                Some(_) => self.inline_request(buf),
            },
            Stage::Header { left: 0 } => {
                self.finish();
                Ok(true)
            }
            Stage::Header { left } => self.bulk_header(buf, left, limits),
            Stage::Body { left, len } => {
                if buf.len() - self.at < len + 2 {
                    return Ok(false);
                }
                self.spans.push(Span { start: self.at, len });
                self.at += len + 2;
                self.stage = Stage::Header { left: left - 1 };
                Ok(true)
            }
        }
    }

    fn array_header(&mut self, buf: &[u8], limits: Limits) -> Result<bool, ProtocolError> {
        let Some((count, next)) = length_line(buf, self.at + 1) else {
            if buf.len() - self.at > INLINE_BYTES_MAX {
                return Err(ProtocolError::TooBigCountLine);
            }
            return Ok(false);
        };
        let count = count.ok_or(ProtocolError::InvalidMultibulkLength)?;
        if count > ARGUMENTS_MAX {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if !limits.authenticated && count > ARGUMENTS_MAX_UNAUTHENTICATED {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        self.at = next;
        if count <= 0 {
            self.skip_empty();
            return Ok(true);
        }
        self.spans.reserve((count as usize).min(RESERVED_ARGUMENTS_MAX));
        self.stage = Stage::Header { left: count };
        Ok(true)
    }

    fn bulk_header(
        &mut self,
        buf: &[u8],
        left: i64,
        limits: Limits,
    ) -> Result<bool, ProtocolError> {
        let Some(&kind) = buf.get(self.at) else { return Ok(false) };
        let Some((len, next)) = length_line(buf, self.at + 1) else {
            if buf.len() - self.at > INLINE_BYTES_MAX {
                return Err(ProtocolError::TooBigBulkLine);
            }
            return Ok(false);
        };
        if kind != b'$' {
            return Err(ProtocolError::ExpectedBulk(kind));
        }
        let len = len.ok_or(ProtocolError::InvalidBulkLength)?;
        if len < 0 || len > limits.bulk_bytes_max {
            return Err(ProtocolError::InvalidBulkLength);
        }
        if !limits.authenticated && len > BULK_BYTES_MAX_UNAUTHENTICATED {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        self.at = next;
        self.stage = Stage::Body { left, len: len as usize };
        Ok(true)
    }

    fn inline_request(&mut self, buf: &[u8]) -> Result<bool, ProtocolError> {
        let rest = &buf[self.at..];
        let Some(newline) = memchr(b'\n', rest) else {
            if rest.len() > INLINE_BYTES_MAX {
                return Err(ProtocolError::TooBigInline);
            }
            return Ok(false);
        };
        let mut line = &rest[..newline];
        if let [head @ .., b'\r'] = line {
            line = head;
        }
        split_inline(line, &mut self.inline, &mut self.spans)
            .map_err(|_| ProtocolError::UnbalancedQuotes)?;
        self.at += newline + 1;
        if self.spans.len() == self.request_span {
            self.skip_empty();
        } else {
            self.finish();
        }
        Ok(true)
    }

    fn finish(&mut self) {
        let (first, len) = (self.request_span, self.spans.len() - self.request_span);
        self.requests.push(RequestSpan { first, len, end: self.at });
        self.skip_empty();
    }

    fn skip_empty(&mut self) {
        self.request_start = self.at;
        self.request_span = self.spans.len();
        self.stage = Stage::Start;
    }
}

/// The place of a string below 1,000 bytes that `buf` begins with and holds whole.
#[inline]
fn short_string(buf: &[u8], limits: Limits) -> Option<Span> {
    let digit = |byte: u8| usize::from(byte - b'0');
    let (len, start) = match buf {
        [b'$', a @ b'0'..=b'9', b'\r', _, ..] => (digit(*a), 4),
        [b'$', a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] => (digit(*a) * 10 + digit(*b), 5),
        [b'$', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', _, ..] => {
            (digit(*a) * 100 + digit(*b) * 10 + digit(*c), 6)
        }
        _ => return None,
    };
    (buf.len() >= start + len + 2 && len as i64 <= limits.bulk_bytes_max)
        .then_some(Span { start, len })
}

/// Reads `digits\r\n` at `at`: the number, None if it is not one, and the offset behind the line.
/// None altogether while the line is incomplete.
#[inline]
fn length_line(buf: &[u8], at: usize) -> Option<(Option<i64>, usize)> {
    // Nearly all lengths have one to three digits, so a search for the line's end costs more than
    // the digits themselves.
    let mut value: i64 = 0;
    let mut i = at;
    while let Some(&byte) = buf.get(i) {
        match byte {
            b'0'..=b'9' if i - at < 10 => value = value * 10 + i64::from(byte - b'0'),
            b'\r' if i > at && (buf[at] != b'0' || i == at + 1) => {
                return if i + 1 < buf.len() { Some((Some(value), i + 2)) } else { None };
            }
            _ => break,
        }
        i += 1;
    }
    if i >= buf.len() && i - at < 10 {
        return None;
    }
    let end = at + memchr(b'\r', &buf[at..])?;
    if end + 1 >= buf.len() {
        return None;
    }
    Some((crate::base::number::parse_i64(&buf[at..end]), end + 2))
}

/// Unbalanced quotes in an inline request.
#[derive(Debug)]
struct Unbalanced;

/// Splits a line at blanks, resolving "..." with escapes and '...', as redis-cli and configuration
/// files do.
fn split_inline(line: &[u8], out: &mut Vec<u8>, spans: &mut Vec<Span>) -> Result<(), Unbalanced> {
    let mut rest = line;
    loop {
        while let [first, tail @ ..] = rest
            && first.is_ascii_whitespace_c()
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let start = out.len();
        rest = split_word(rest, out)?;
        spans.push(Span { start: INLINE_BASE + start, len: out.len() - start });
    }
}

/// Takes one word from the front of `rest`; returns what follows it.
fn split_word<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        match rest {
            [] => return Ok(rest),
            [b, ..] if b.is_ascii_whitespace_c() => return Ok(rest),
            [b'"', tail @ ..] => return closed(double_quoted(tail, out)?),
            [b'\'', tail @ ..] => return closed(single_quoted(tail, out)?),
            [b, tail @ ..] => {
                out.push(*b);
                rest = tail;
            }
        }
    }
}

/// A closing quote must end the word.
fn closed(rest: &[u8]) -> Result<&[u8], Unbalanced> {
    match rest {
        [b, ..] if !b.is_ascii_whitespace_c() => Err(Unbalanced),
        _ => Ok(rest),
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        match rest {
            [] => return Err(Unbalanced),
            [b'"', tail @ ..] => return Ok(tail),
            [b'\\', b'x', a, b, tail @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                out.push(hex_digit(*a) << 4 | hex_digit(*b));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                out.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = tail;
            }
            [b, tail @ ..] => {
                out.push(*b);
                rest = tail;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        match rest {
            [] => return Err(Unbalanced),
            [b'\'', tail @ ..] => return Ok(tail),
            [b'\\', b'\'', tail @ ..] => {
                out.push(b'\'');
                rest = tail;
            }
            [b, tail @ ..] => {
                out.push(*b);
                rest = tail;
            }
        }
    }
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    }
}

/// C's `isspace`, which also counts the vertical tab.
trait AsciiSpace {
    fn is_ascii_whitespace_c(&self) -> bool;
}

impl AsciiSpace for u8 {
    fn is_ascii_whitespace_c(&self) -> bool {
        matches!(self, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Limits = Limits { bulk_bytes_max: 512 << 20, authenticated: true };

    fn all(input: &[u8], limits: Limits) -> (Vec<Vec<Vec<u8>>>, Stop) {
        let mut parser = Parser::default();
        let stop = parser.parse(input, limits);
        let found = parser
            .requests()
            .iter()
            .map(|r| parser.arguments(input, *r).map(<[u8]>::to_vec).collect())
            .collect();
        (found, stop)
    }

    fn words(request: &[&str]) -> Vec<Vec<u8>> {
        request.iter().map(|w| w.as_bytes().to_vec()).collect()
    }

    #[test]
    fn pipelined_arrays_and_inline_requests_are_found() {
        let (found, stop) = all(
            b"*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING \"a b\\x41\" 'c\\'d'\r\n*0\r\n\r\n*1\r\n",
            OPEN,
        );
        assert_eq!(found, [words(&["GET", "a"]), words(&["PING", "a bA", "c'd"])]);
        assert_eq!(stop, Stop::NeedMore);
    }

    #[test]
    fn a_request_may_arrive_byte_by_byte() {
        let input = b"*3\r\n$3\r\nSET\r\n$3\r\nfoo\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n";
        let mut parser = Parser::default();
        let mut buf = Vec::new();
        let mut found: Vec<Vec<Vec<u8>>> = Vec::new();
        for byte in input {
            buf.push(*byte);
            assert_eq!(parser.parse(&buf, OPEN), Stop::NeedMore);
            for r in parser.requests() {
                found.push(parser.arguments(&buf, *r).map(<[u8]>::to_vec).collect());
            }
            let gone = parser.consumed();
            parser.release();
            buf.drain(..gone);
        }
        assert_eq!(found, [words(&["SET", "foo", ""]), words(&["PING"])]);
        assert!(buf.is_empty());
    }

    #[test]
    fn a_promise_of_arguments_costs_little() {
        let mut parser = Parser::default();
        assert_eq!(parser.parse(b"*1048576\r\n$536870912\r\nab", OPEN), Stop::NeedMore);
        assert!(parser.memory_bytes() < 1024, "{} bytes", parser.memory_bytes());
        // A long pipeline leaves no room behind.
        let mut parser = Parser::default();
        let mut input = b"*1\r\n$4\r\nPING\r\n".repeat(2000);
        input.extend_from_slice(b"*1000\r\n$1\r\na\r\n");
        parser.parse(&input, OPEN);
        parser.release();
        parser.trim();
        assert!(parser.memory_bytes() < 1024, "{} bytes", parser.memory_bytes());
    }

    #[test]
    fn hostile_lengths_are_refused() {
        let error = |input: &[u8], limits| match all(input, limits).1 {
            Stop::Error(error) => error.to_string(),
            other => panic!("no error but {other:?}"),
        };
        assert_eq!(error(b"*2147483648\r\n", OPEN), "Protocol error: invalid multibulk length");
        assert_eq!(error(b"*blah\r\n", OPEN), "Protocol error: invalid multibulk length");
        assert_eq!(error(b"*3\r\nfoo\r\n", OPEN), "Protocol error: expected '$', got 'f'");
        assert_eq!(error(b"*1\r\n$-10\r\n", OPEN), "Protocol error: invalid bulk length");
        assert_eq!(error(b"*1\r\n$2000000000\r\n", OPEN), "Protocol error: invalid bulk length");
        assert_eq!(error(b"a \"b\r\n", OPEN), "Protocol error: unbalanced quotes in request");
        let shut = Limits { authenticated: false, ..OPEN };
        assert_eq!(error(b"*11\r\n", shut), "Protocol error: unauthenticated multibulk length");
        assert_eq!(error(b"*1\r\n$16385\r\n", shut), "Protocol error: unauthenticated bulk length");
    }

    proptest::proptest! {
        #[test]
        fn cutting_the_stream_anywhere_changes_nothing(
            requests in proptest::collection::vec(
                proptest::collection::vec(proptest::collection::vec(0u8.., 0..20), 1..5), 0..6),
            cuts in proptest::collection::vec(1usize..40, 1..20),
        ) {
            let mut stream = Vec::new();
            for request in &requests {
                stream.extend_from_slice(format!("*{}\r\n", request.len()).as_bytes());
                for arg in request {
                    stream.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
                    stream.extend_from_slice(arg);
                    stream.extend_from_slice(b"\r\n");
                }
            }
            let (mut parser, mut buf, mut found) = (Parser::default(), Vec::new(), Vec::new());
            let (mut at, mut cut) = (0, 0);
            while at < stream.len() {
                let next = (at + cuts[cut % cuts.len()]).min(stream.len());
                cut += 1;
                buf.extend_from_slice(&stream[at..next]);
                at = next;
                proptest::prop_assert_eq!(parser.parse(&buf, OPEN), Stop::NeedMore);
                for r in parser.requests() {
                    found.push(parser.arguments(&buf, *r).map(<[u8]>::to_vec).collect::<Vec<_>>());
                }
                let gone = parser.consumed();
                parser.release();
                buf.drain(..gone);
            }
            proptest::prop_assert_eq!(found, requests);
        }

        #[test]
        fn an_incomplete_request_goes_on_in_a_parser_of_its_own(
            pipelined in 0usize..3000, cut in 0usize..40,
        ) {
            let last = b"*3\r\n$3\r\nSET\r\n$3\r\nfoo\r\n$4\r\nbars\r\n";
            let cut = cut.min(last.len() - 1);
            let mut input = b"PING\r\n".repeat(pipelined);
            input.extend_from_slice(&last[..cut]);
            let mut parser = Parser::default();
            proptest::prop_assert_eq!(parser.parse(&input, OPEN), Stop::NeedMore);
            proptest::prop_assert_eq!(parser.requests().len(), pipelined);
            parser.release();
            let own = parser.split_off();
            proptest::prop_assert!(own.memory_bytes() <= 3 * size_of::<Span>());
            proptest::prop_assert!(!parser.is_midway());
            let room = parser.memory_bytes();
            proptest::prop_assert!(parser.resume(own).is_ok());
            proptest::prop_assert_eq!(parser.parse(last, OPEN), Stop::NeedMore);
            let request = parser.requests()[0];
            let argv: Vec<_> = parser.arguments(last, request).collect();
            proptest::prop_assert_eq!(argv, [&b"SET"[..], b"foo", b"bars"]);
            proptest::prop_assert!(parser.memory_bytes() <= room.max(1024));
            parser.reset();
            parser.parse(&last[..cut], OPEN);
            let mut own = parser.split_off();
            proptest::prop_assert_eq!(own.parse(last, OPEN), Stop::NeedMore);
            let request = own.requests()[0];
            let argv: Vec<_> = own.arguments(last, request).collect();
            proptest::prop_assert_eq!(argv, [&b"SET"[..], b"foo", b"bars"]);
        }

        #[test]
        fn a_reset_parser_is_as_new(left in proptest::collection::vec(0u8.., 0..200)) {
            let input = b"PING\r\n*1\r\n$4\r\nPING\r\n";
            let mut parser = Parser::default();
            parser.parse(&left, OPEN);
            parser.reset();
            proptest::prop_assert_eq!(parser.parse(input, OPEN), Stop::NeedMore);
            proptest::prop_assert_eq!(parser.requests().len(), 2);
            proptest::prop_assert_eq!(parser.consumed(), input.len());
        }

        #[test]
        fn any_bytes_are_survived(input in proptest::collection::vec(0u8.., 0..200)) {
            all(&input, OPEN);
        }
    }
}
