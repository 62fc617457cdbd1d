//! Which paths are compiled already?
//!
//! Applications send the same few paths again and again, and compiling takes longer than most evaluations. Each thread
//! keeps the paths that it used last; no lock, no sharing.
//!
//! Invariant: the kept paths of a dialect weigh at most [`WEIGHT_MAX`] together; a path with regular expressions weighs
//! more, for a compiled one may take megabytes.

use std::cell::RefCell;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use hashbrown::HashMap;

use super::parse::{PathError, parse};
use super::{Dialect, Path, Query};

/// What a thread's kept paths may weigh: as many paths, if they are plain.
const WEIGHT_MAX: usize = 256;
/// What a regular expression adds.
const PATTERN_WEIGHT: usize = 16;
/// Longer paths are compiled each time.
const CACHED_BYTES_MAX: usize = 512;

#[derive(Default)]
struct Cache {
    /// By the text's bytes: what is found is text, so arguments need no look at their UTF-8 before.
    paths: HashMap<Box<[u8]>, Entry, BuildHasherDefault<TextHasher>>,
    weight: usize,
    clock: u64,
}

struct Entry {
    query: Query,
    weight: usize,
    used: u64,
}

/// Hashes a text in two instructions for each eight bytes. Who makes texts collide gains nothing: there are few.
#[derive(Default)]
struct TextHasher(u64);

impl Hasher for TextHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, tail) = bytes.as_chunks::<8>();
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        let tail = tail.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        for word in words.chain([tail]) {
            self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.0 ^= word as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        // The table looks at the upper bits and at the lower ones; a product has its best in the middle.
        self.0 ^ self.0 >> 32
    }
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
    static STRICT_CACHE: RefCell<Cache> = RefCell::default();
}

fn with_cache<R>(dialect: Dialect, f: impl FnOnce(&mut Cache) -> R) -> R {
    let cache = match dialect {
        Dialect::RedisJson => &CACHE,
        Dialect::Rfc9535 => &STRICT_CACHE,
    };
    cache.with_borrow_mut(f)
}

/// The compiled form of a path of RedisJSON's dialect; an error if it is an expression that computes something.
pub fn compiled(text: &str) -> Result<Rc<Path>, PathError> {
    query(text, Dialect::RedisJson)?.into_path()
}

/// The compiled form of a path or an expression.
pub fn query(text: &str, dialect: Dialect) -> Result<Query, PathError> {
    if let Some(query) = known(text.as_bytes(), dialect) {
        return Ok(query);
    }
    let parsed = parse(text, dialect)?;
    if text.len() <= CACHED_BYTES_MAX {
        let weight = 1 + PATTERN_WEIGHT * parsed.patterns;
        with_cache(dialect, |cache| cache.keep(text.as_bytes(), &parsed.query, weight));
    }
    Ok(parsed.query)
}

/// The same for bytes that may be no text, if it is kept.
pub fn known(text: &[u8], dialect: Dialect) -> Option<Query> {
    with_cache(dialect, |cache| {
        let entry = cache.paths.get_mut(text)?;
        cache.clock += 1;
        entry.used = cache.clock;
        Some(entry.query.clone())
    })
}

impl Cache {
    fn keep(&mut self, text: &[u8], query: &Query, weight: usize) {
        if weight > WEIGHT_MAX {
            return;
        }
        while self.weight + weight > WEIGHT_MAX {
            let oldest = self.paths.iter().min_by_key(|(_, entry)| entry.used);
            let oldest = oldest.map(|(text, _)| text.clone()).expect("what weighs is kept");
            let entry = self.paths.remove(&oldest).expect("just found");
            self.weight -= entry.weight;
        }
        self.weight += weight;
        self.clock += 1;
        self.paths.insert(text.into(), Entry { query: query.clone(), weight, used: self.clock });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_is_kept() {
        let first = compiled("$.cache.first").unwrap();
        for i in 0..WEIGHT_MAX - 1 {
            compiled(&format!("$.cache.n{i}")).unwrap();
            compiled("$.cache.first").unwrap();
        }
        compiled("$[?@.a=~'x' && @.b=~'y']").unwrap();
        assert!(Rc::ptr_eq(&first, &compiled("$.cache.first").unwrap()));
        CACHE.with_borrow(|cache| {
            assert!(cache.weight <= WEIGHT_MAX);
            assert_eq!(cache.weight, cache.paths.values().map(|entry| entry.weight).sum::<usize>());
            assert!(!cache.paths.contains_key(&b"$.cache.n0"[..]));
        });
    }

    #[test]
    fn dialects_do_not_share_paths() {
        assert!(query("$.a-b", Dialect::RedisJson).is_ok());
        assert!(query("$.a-b", Dialect::Rfc9535).is_err());
    }
}
