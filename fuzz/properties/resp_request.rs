//! Does the request parser answer alike however the bytes arrive?
//!
//! Input: three bytes that say how to cut, then the stream. Properties: in one piece, cut, and byte by byte the same
//! requests come out and the same end is reached; spans lie inside the buffer; a request that is written again as an
//! array of strings is read back as it was.

use mortise::resp::request::{Limits, Parser, Stop};

/// Past this the parser gives up waiting for the end of a line, which it sees only if the line came in pieces.
const STREAM_BYTES_MAX: usize = 32 * 1024;

type Requests = Vec<Vec<Vec<u8>>>;

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Some((&[mode, first, second], stream)) = bytes.split_first_chunk::<3>() else { return };
    if stream.len() > STREAM_BYTES_MAX {
        return;
    }
    let bulk_bytes_max = if mode & 2 == 0 { 512 << 20 } else { 100 };
    let limits = Limits { bulk_bytes_max, authenticated: mode & 1 == 0 };
    let whole = feed(stream, limits, &[stream.len().max(1)]);
    let cut = feed(stream, limits, &[usize::from(first) + 1, usize::from(second) + 1]);
    assert_eq!(whole, cut, "cut after {first} and {second}");
    assert_eq!(whole, feed(stream, limits, &[1]), "byte by byte");
    for request in &whole.0 {
        assert!(!request.is_empty());
        let open = Limits { bulk_bytes_max: 512 << 20, authenticated: true };
        let (again, end, left) = feed(&encode(request), open, &[7]);
        assert_eq!((again, end, left), (vec![request.clone()], Stop::NeedMore, 0));
    }
}

/// All requests of a stream that comes in pieces of these lengths, why it ended, and how many bytes are left.
fn feed(stream: &[u8], limits: Limits, pieces: &[usize]) -> (Requests, Stop, usize) {
    let (mut parser, mut buf, mut found) = (Parser::default(), Vec::new(), Vec::new());
    let (mut rest, mut next) = (stream, 0);
    loop {
        let stop = parser.parse(&buf, limits);
        let mut end_before = 0;
        for &request in parser.requests() {
            assert!(request.end > end_before && request.end <= parser.consumed());
            end_before = request.end;
            found.push(parser.arguments(&buf, request).map(<[u8]>::to_vec).collect());
        }
        let gone = parser.consumed();
        assert!(gone <= buf.len());
        parser.release();
        buf.drain(..gone);
        match stop {
            Stop::BatchFull => {}
            Stop::Error(_) => return (found, stop, buf.len() + rest.len()),
            Stop::NeedMore if rest.is_empty() => return (found, stop, buf.len()),
            Stop::NeedMore => {
                let (piece, behind) = rest.split_at(pieces[next % pieces.len()].min(rest.len()));
                buf.extend_from_slice(piece);
                (rest, next) = (behind, next + 1);
            }
        }
    }
}

fn encode(request: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = format!("*{}\r\n", request.len()).into_bytes();
    for arg in request {
        wire.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        wire.extend_from_slice(arg);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}
