//! What did a command answer to a module? The encoded reply, read into a tree whose nodes point back
//! into it.
//!
//! Invariants: elements live as long as their root, and so do the bytes that modules get pointers to;
//! reading never panics, whatever a module's own command has written.

use std::ffi::c_int;
use std::ops::Range;
use std::sync::Arc;

use memchr::memchr;
use mortise_module_abi as abi;

use super::handle::ModuleCtx;
use super::promise::Promise;
use crate::base::number;

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 128;

/// A reply of RM_Call or an element of one; the target of `CallReply` handles.
#[derive(Debug)]
pub struct CallReply {
    /// The ABI's type number.
    pub kind: c_int,
    /// The whole encoded reply of the root, and a NUL, at which modules stop that look for the end of a
    /// text as C does.
    bytes: Arc<[u8]>,
    /// Where this reply stands in it, its attribute included.
    at: Range<usize>,
    /// Where the text of strings, errors, big numbers and verbatim strings stands.
    text: Range<usize>,
    /// The three-letter format of a verbatim string, with a NUL.
    pub format: [u8; 4],
    /// An integer, or a truth value.
    pub int: i64,
    /// A floating point number.
    pub double: f64,
    /// Elements of arrays and sets; keys and values of maps and attributes in turn.
    pub children: Box<[CallReply]>,
    /// The attribute in front of it.
    pub attribute: Option<Box<CallReply>>,
    /// Whether something in it cannot be said in RESP2.
    pub is_resp3: bool,
    /// Whether this is the root, which freeing frees.
    pub is_root: bool,
    /// Instead of a reply: the command waits.
    pub promise: Option<Arc<Promise>>,
    /// The context whose automatic memory lists the root; null if none does.
    pub owner: *mut ModuleCtx,
}

impl CallReply {
    /// Reads the reply at the front of `bytes`. One that is cut off, as a module's command may leave it,
    /// reads as null.
    pub fn read(mut bytes: Vec<u8>) -> CallReply {
        let len = bytes.len();
        bytes.push(0);
        let bytes: Arc<[u8]> = bytes.into();
        let mut root =
            read(&bytes, 0, 0).unwrap_or_else(|| CallReply::of(abi::REPLY_NULL, &bytes, 0..len));
        root.is_root = true;
        root
    }

    /// A promise of a reply.
    pub fn promised(promise: Arc<Promise>) -> CallReply {
        let none = Arc::from([].as_slice());
        let reply = CallReply::of(abi::REPLY_PROMISE, &none, 0..0);
        CallReply { is_root: true, promise: Some(promise), ..reply }
    }

    fn of(kind: c_int, bytes: &Arc<[u8]>, at: Range<usize>) -> CallReply {
        CallReply {
            kind,
            bytes: Arc::clone(bytes),
            text: at.start..at.start,
            at,
            format: [0; 4],
            int: 0,
            double: 0.0,
            children: Box::default(),
            attribute: None,
            is_resp3: false,
            is_root: false,
            promise: None,
            owner: std::ptr::null_mut(),
        }
    }

    /// The encoded reply.
    pub fn raw(&self) -> &[u8] {
        &self.bytes[self.at.clone()]
    }

    /// The text; empty for replies without.
    pub fn text(&self) -> &[u8] {
        &self.bytes[self.text.clone()]
    }
}

/// Reads the reply that begins at `from`; None if it is not there as a whole.
fn read(bytes: &Arc<[u8]>, from: usize, depth: usize) -> Option<CallReply> {
    if depth > DEPTH_MAX {
        return None;
    }
    let kind = *bytes.get(from)?;
    let line_at = from + 1;
    let end = line_at + memchr(b'\n', &bytes[line_at..])?;
    let line = bytes[line_at..end].strip_suffix(b"\r")?;
    let line_range = line_at..line_at + line.len();
    let after = end + 1;
    let plain = |kind| CallReply::of(kind, bytes, from..after);
    let mut reply = match kind {
        b'+' | b'-' => {
            let kind = if kind == b'+' { abi::REPLY_STRING } else { abi::REPLY_ERROR };
            CallReply { text: line_range, ..plain(kind) }
        }
        b':' => CallReply { int: number::parse_i64(line)?, ..plain(abi::REPLY_INTEGER) },
        b'_' => plain(abi::REPLY_NULL),
        b'#' => CallReply { int: i64::from(line == b"t"), ..plain(abi::REPLY_BOOL) },
        b',' => CallReply { double: number::parse_f64(line)?, ..plain(abi::REPLY_DOUBLE) },
        b'(' => CallReply { text: line_range, ..plain(abi::REPLY_BIG_NUMBER) },
        b'$' | b'*' if line == b"-1" => plain(abi::REPLY_NULL),
        b'$' | b'!' | b'=' => read_text(bytes, kind, from, after, line)?,
        b'*' | b'~' | b'>' | b'%' | b'|' => read_items(bytes, kind, from, after, line, depth)?,
        _ => return None,
    };
    reply.is_resp3 |= !matches!(kind, b'+' | b'-' | b':' | b'$' | b'*');
    Some(reply)
}

fn read_text(
    bytes: &Arc<[u8]>,
    kind: u8,
    from: usize,
    after: usize,
    line: &[u8],
) -> Option<CallReply> {
    let len = usize::try_from(number::parse_i64(line)?).ok()?;
    let text = after..after.checked_add(len)?;
    let at = from..text.end.checked_add(2).filter(|end| *end < bytes.len())?;
    if kind != b'=' {
        let kind = if kind == b'$' { abi::REPLY_STRING } else { abi::REPLY_ERROR };
        return Some(CallReply { text, ..CallReply::of(kind, bytes, at) });
    }
    let &[a, b, c, b':'] = bytes[text.clone()].first_chunk::<4>()? else { return None };
    let reply = CallReply::of(abi::REPLY_VERBATIM_STRING, bytes, at);
    Some(CallReply { text: text.start + 4..text.end, format: [a, b, c, 0], ..reply })
}

fn read_items(
    bytes: &Arc<[u8]>,
    kind: u8,
    from: usize,
    after: usize,
    line: &[u8],
    depth: usize,
) -> Option<CallReply> {
    let count = usize::try_from(number::parse_i64(line)?).ok()?;
    let (kind, count) = match kind {
        b'~' => (abi::REPLY_SET, count),
        b'%' => (abi::REPLY_MAP, count.checked_mul(2)?),
        b'|' => (abi::REPLY_ATTRIBUTE, count.checked_mul(2)?),
        _ => (abi::REPLY_ARRAY, count),
    };
    // Each element takes three bytes at least, so a lying count reserves no memory.
    let mut children = Vec::with_capacity(count.min((bytes.len() - after) / 3));
    let mut next = after;
    for _ in 0..count {
        let child = read(bytes, next, depth + 1)?;
        next = child.at.end;
        children.push(child);
    }
    let mut reply = CallReply::of(kind, bytes, from..next);
    reply.is_resp3 = children.iter().any(|child| child.is_resp3);
    reply.children = children.into();
    if kind != abi::REPLY_ATTRIBUTE {
        return Some(reply);
    }
    // An attribute belongs to the reply behind it.
    let mut owner = read(bytes, next, depth + 1)?;
    reply.is_resp3 = true;
    owner.at.start = from;
    owner.attribute = Some(Box::new(reply));
    Some(owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_know_their_own_bytes() {
        let root = CallReply::read(b"*2\r\n$2\r\nhi\r\n*1\r\n:7\r\n".to_vec());
        assert_eq!((root.kind, root.children.len()), (abi::REPLY_ARRAY, 2));
        let [text, inner] = &root.children[..] else { panic!("two elements") };
        assert_eq!((text.text(), text.raw()), (&b"hi"[..], &b"$2\r\nhi\r\n"[..]));
        assert_eq!((inner.raw(), inner.children[0].int), (&b"*1\r\n:7\r\n"[..], 7));
        assert!(root.is_root && !root.is_resp3 && !text.is_root);
    }

    #[test]
    fn an_attribute_hangs_on_the_reply_behind_it() {
        let root = CallReply::read(b"|1\r\n+k\r\n:9\r\n$1\r\nx\r\n".to_vec());
        assert_eq!((root.kind, root.text(), root.is_resp3), (abi::REPLY_STRING, &b"x"[..], true));
        let attribute = root.attribute.expect("an attribute");
        assert_eq!((attribute.kind, attribute.children.len()), (abi::REPLY_ATTRIBUTE, 2));
        assert_eq!(attribute.raw(), b"|1\r\n+k\r\n:9\r\n");
    }

    #[test]
    fn resp3_shapes_are_read_and_known_as_such() {
        let root = CallReply::read(b"%1\r\n=5\r\ntxt:a\r\n~2\r\n#t\r\n,1.5\r\n".to_vec());
        let [key, value] = &root.children[..] else { panic!("one pair") };
        assert_eq!((&key.format, key.text()), (b"txt\0", &b"a"[..]));
        assert_eq!((value.children[0].int, value.children[1].double), (1, 1.5));
        assert!(root.is_resp3);
        assert_eq!(CallReply::read(b"*5\r\n:1\r\n".to_vec()).kind, abi::REPLY_NULL);
        assert_eq!(CallReply::read(b"*1\r\n".repeat(1000)).kind, abi::REPLY_NULL);
    }

    #[test]
    fn a_nul_stands_behind_the_encoded_reply_and_is_not_part_of_it() {
        for encoded in [&b"$2\r\nhi\r\n"[..], b"$9\r\ncut"] {
            let root = CallReply::read(encoded.to_vec());
            assert_eq!(root.raw(), encoded);
            assert_eq!(root.bytes.last(), Some(&0));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(input in proptest::collection::vec(0u8.., 0..200)) {
            let _ = CallReply::read(input).raw();
        }
    }
}
