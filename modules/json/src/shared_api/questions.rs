//! What is asked of a document, and which lists of questions are compiled already?
//!
//! An index asks the same list of every document, so lists are kept with their paths compiled, by the bytes that they
//! came as: one look-up for a document, however many paths there are. Each thread has its own.
//!
//! Invariant: the lists that a thread keeps have at most [`KEPT_BYTES_MAX`] bytes together, and none has a filter, whose
//! patterns may take megabytes: those paths come from the cache of single paths, which weighs them.

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;
use mortise_module::Error;

use crate::limits::default_dialect;
use crate::path::{Dialect, Query, query};

/// How deep lists may lie in one another.
const DEPTH_MAX: usize = 16;
/// The bytes of a thread's kept lists. When there are more it begins anew.
const KEPT_BYTES_MAX: usize = 1 << 18;

/// A path and what is wanted of what it finds.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) ask: Ask,
    /// None if the path cannot be read.
    pub(super) query: Option<Query>,
}

/// What is wanted.
#[derive(Debug)]
pub(super) enum Ask {
    All,
    First,
    Text,
    /// Answers to these, of each object.
    Elements(Vec<Question>),
}

#[derive(Default)]
struct Kept {
    /// What the paths were read by.
    dialect: Dialect,
    bytes: usize,
    lists: HashMap<Box<[u8]>, Rc<[Question]>>,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// The questions that some bytes stand for.
pub(super) fn read(bytes: &[u8]) -> Result<Rc<[Question]>, Error> {
    let dialect = default_dialect();
    KEPT.with_borrow_mut(|kept| {
        if kept.dialect != dialect {
            *kept = Kept { dialect, ..Kept::default() };
        }
        if let Some(questions) = kept.lists.get(bytes) {
            return Ok(Rc::clone(questions));
        }
        let mut rest = bytes;
        let mut questions = Vec::new();
        while !rest.is_empty() {
            questions.push(question(&mut rest, dialect, 0)?);
        }
        let questions: Rc<[Question]> = questions.into();
        if bytes.len() <= KEPT_BYTES_MAX && !bytes.contains(&b'?') {
            if kept.bytes + bytes.len() > KEPT_BYTES_MAX {
                *kept = Kept { dialect, ..Kept::default() };
            }
            kept.bytes += bytes.len();
            kept.lists.insert(bytes.into(), Rc::clone(&questions));
        }
        Ok(questions)
    })
}

fn question(rest: &mut &[u8], dialect: Dialect, depth: usize) -> Result<Question, Error> {
    let (form, behind) = rest.split_first().ok_or_else(ends_early)?;
    *rest = behind;
    let path = std::str::from_utf8(take_string(rest)?)?;
    let ask = match form {
        0 => Ask::All,
        1 => Ask::First,
        2 if depth == 0 => Ask::Text,
        3 if depth < DEPTH_MAX => {
            let count = take_len(rest)?;
            // Each takes five bytes at least, so the room that is made is no larger than the request.
            let mut questions = Vec::with_capacity(count.min(rest.len() / 5));
            for _ in 0..count {
                questions.push(question(rest, dialect, depth + 1)?);
            }
            Ask::Elements(questions)
        }
        _ => return Err(Error::new("the request holds an unknown question")),
    };
    Ok(Question { ask, query: query(path, dialect).ok() })
}

fn take_len(rest: &mut &[u8]) -> Result<usize, Error> {
    let (len, behind) = rest.split_first_chunk::<4>().ok_or_else(ends_early)?;
    *rest = behind;
    Ok(u32::from_le_bytes(*len) as usize)
}

/// A string at the beginning of `rest`.
pub(super) fn take_string<'r>(rest: &mut &'r [u8]) -> Result<&'r [u8], Error> {
    let len = take_len(rest)?;
    let (string, behind) = rest.split_at_checked(len).ok_or_else(ends_early)?;
    *rest = behind;
    Ok(string)
}

fn ends_early() -> Error {
    Error::new("the request ends early")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_must_be_whole_and_known() {
        let mut request = &b"\x03\0\0\0abc\x02\0\0\0x"[..];
        assert_eq!(take_string(&mut request).unwrap(), b"abc");
        assert!(take_string(&mut request).is_err());
        assert!(take_string(&mut &b"\x01\0"[..]).is_err());
        assert!(read(b"\x00\x01\0\0\0").is_err());
        assert!(read(b"\x09\x01\0\0\0$").is_err());
        assert!(read(b"\x03\x01\0\0\0$\xff\xff\xff\xff").is_err());
        let nested = b"\x03\x01\0\0\0$\x01\0\0\0".repeat(DEPTH_MAX + 1);
        assert!(read(&nested).is_err());
        assert!(read(b"").unwrap().is_empty());
    }

    #[test]
    fn lists_are_kept_unless_they_filter() {
        let (plain, filtering) = (b"\x00\x03\0\0\0$.a", b"\x00\x07\0\0\0$[?(@)]");
        assert!(Rc::ptr_eq(&read(plain).unwrap(), &read(plain).unwrap()));
        assert!(!Rc::ptr_eq(&read(filtering).unwrap(), &read(filtering).unwrap()));
        for number in 0..20_000 {
            let path = format!("$.n{number}");
            let len = u32::try_from(path.len()).unwrap().to_le_bytes();
            read(&[b"\x00", &len[..], path.as_bytes()].concat()).unwrap();
        }
        KEPT.with_borrow(|kept| {
            assert!(kept.bytes <= KEPT_BYTES_MAX);
            assert_eq!(kept.bytes, kept.lists.keys().map(|bytes| bytes.len()).sum::<usize>());
        });
    }
}
