//! Which paths are compiled already?
//!
//! Applications send the same few paths again and again, and compiling takes longer than most evaluations. Each thread
//! keeps the paths that it used last; no lock, no sharing.
//!
//! Invariant: the kept paths weigh at most [`WEIGHT_MAX`] together; a path with regular expressions weighs more, for a
//! compiled one may take megabytes.

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;

use super::parse::{PathError, parse};
use super::{Expression, Path, Pattern, Segment, Selector, Term};

/// What a thread's kept paths may weigh: as many paths, if they are plain.
const WEIGHT_MAX: usize = 256;
/// What a regular expression adds.
const REGEX_WEIGHT: usize = 16;
/// Longer paths are compiled each time.
const CACHED_BYTES_MAX: usize = 512;

#[derive(Default)]
struct Cache {
    paths: HashMap<Box<str>, Entry>,
    weight: usize,
    clock: u64,
}

struct Entry {
    path: Rc<Path>,
    weight: usize,
    used: u64,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// The compiled form of a path.
pub fn compiled(text: &str) -> Result<Rc<Path>, PathError> {
    if text.len() > CACHED_BYTES_MAX {
        return parse(text).map(Rc::new);
    }
    CACHE.with_borrow_mut(|cache| {
        cache.clock += 1;
        if let Some(entry) = cache.paths.get_mut(text) {
            entry.used = cache.clock;
            return Ok(entry.path.clone());
        }
        let path = Rc::new(parse(text)?);
        cache.keep(text, path.clone());
        Ok(path)
    })
}

impl Cache {
    fn keep(&mut self, text: &str, path: Rc<Path>) {
        let weight = 1 + REGEX_WEIGHT * regexes(&path.segments);
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
        self.paths.insert(text.into(), Entry { path, weight, used: self.clock });
    }
}

fn regexes(segments: &[Segment]) -> usize {
    let of = |segment: &Segment| match &segment.selector {
        Selector::Filter(expression) => in_expression(expression),
        _ => 0,
    };
    segments.iter().map(of).sum()
}

/// Filters within the paths of terms count too.
fn in_expression(expression: &Expression) -> usize {
    match expression {
        Expression::Any(all) | Expression::All(all) => all.iter().map(in_expression).sum(),
        Expression::Not(inner) => in_expression(inner),
        Expression::Exists(term) => in_term(term),
        Expression::Compare { left, right, .. } => in_term(left) + in_term(right),
        Expression::Matches { subject, pattern: Pattern::Compiled(_), .. } => 1 + in_term(subject),
        Expression::Matches { subject, pattern: Pattern::Looked(term), .. } => {
            in_term(subject) + in_term(term)
        }
    }
}

fn in_term(term: &Term) -> usize {
    match term {
        Term::Literal(_) | Term::Nothing => 0,
        Term::Current(segments) | Term::Root(segments) => regexes(segments),
        Term::Length(inner) | Term::Count(inner) | Term::Single(inner) => in_term(inner),
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
}
