//! Which paths are compiled already?
//!
//! Applications send the same few paths again and again, and compiling takes longer than most evaluations. Each thread
//! keeps the paths that it used last; no lock, no sharing.
//!
//! Invariant: the kept paths of a dialect weigh at most [`WEIGHT_MAX`] together; a path with regular expressions weighs
//! more, for a compiled one may take megabytes.

use std::cell::RefCell;
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
    paths: HashMap<Box<str>, Entry>,
    weight: usize,
    clock: u64,
}

struct Entry {
    query: Query,
    weight: usize,
    used: u64,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
    static STRICT_CACHE: RefCell<Cache> = RefCell::default();
}

/// The compiled form of a path of RedisJSON's dialect; an error if it is an expression that computes something.
pub fn compiled(text: &str) -> Result<Rc<Path>, PathError> {
    match query(text, Dialect::RedisJson)? {
        Query::Path(path) => Ok(path),
        Query::Computed(_) => Err(PathError::computes()),
    }
}

/// The compiled form of a path or an expression.
pub fn query(text: &str, dialect: Dialect) -> Result<Query, PathError> {
    if text.len() > CACHED_BYTES_MAX {
        return parse(text, dialect).map(|parsed| parsed.query);
    }
    let cache = match dialect {
        Dialect::RedisJson => &CACHE,
        Dialect::Rfc9535 => &STRICT_CACHE,
    };
    cache.with_borrow_mut(|cache| {
        cache.clock += 1;
        if let Some(entry) = cache.paths.get_mut(text) {
            entry.used = cache.clock;
            return Ok(entry.query.clone());
        }
        let parsed = parse(text, dialect)?;
        cache.keep(text, &parsed.query, 1 + PATTERN_WEIGHT * parsed.patterns);
        Ok(parsed.query)
    })
}

impl Cache {
    fn keep(&mut self, text: &str, query: &Query, weight: usize) {
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
            assert!(!cache.paths.contains_key("$.cache.n0"));
        });
    }

    #[test]
    fn dialects_do_not_share_paths() {
        assert!(query("$.a-b", Dialect::RedisJson).is_ok());
        assert!(query("$.a-b", Dialect::Rfc9535).is_err());
    }
}
