//! The members of a sorted set: adding, removing, and going through those between two bounds.
//!
//! A walk remembers its bounds and the member where it stands, not a place: whatever comes and goes meanwhile,
//! the next step is to the member that follows in order now.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::c_int;

use mortise_module_abi as abi;

use super::super::handle::{ModString, ModuleCtx, OpenKey, Walk};
use super::keys::borrow;
use crate::keyspace::value::{Value, ValueMut, ValueRef};
use crate::object::zset::{Edge, Zset, member_edge};

/// A bound of a walk.
#[derive(Clone, Debug)]
enum Bound {
    /// A score; whether the members that have it lie outside.
    Score(f64, bool),
    /// A bound of members, as commands write it.
    Member(Vec<u8>),
}

impl Bound {
    fn edge(&self, is_lower: bool) -> Option<Edge<'_>> {
        match self {
            Bound::Score(score, _) if score.is_nan() => None,
            Bound::Score(score, is_outside) if *is_outside == is_lower => {
                Some(Edge::AboveScore(*score))
            }
            Bound::Score(score, _) => Some(Edge::Score(*score)),
            Bound::Member(text) => member_edge(text, is_lower),
        }
    }
}

/// A walk through members.
#[derive(Debug)]
pub struct ZsetWalk {
    low: Bound,
    high: Bound,
    /// Where it stands; None if nothing lies between the bounds.
    current: Option<(f64, Vec<u8>)>,
    /// A step has led to an end.
    ended: bool,
}

/// The end of a range at which a walk begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    First,
    Last,
}

/// The direction of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Next,
    Previous,
}

impl ZsetWalk {
    /// The member with this rank, if it lies between the bounds.
    fn at(&self, zset: &Zset, rank: usize) -> Option<(f64, Vec<u8>)> {
        let ranks = zset.between(self.low.edge(true)?, self.high.edge(false)?);
        let (member, score) = zset.nth(rank).filter(|_| ranks.contains(&rank))?;
        Some((score, member.to_vec()))
    }

    fn begin(&mut self, zset: &Zset, from: From) {
        self.current = self.low.edge(true).zip(self.high.edge(false)).and_then(|(low, high)| {
            let ranks = zset.between(low, high);
            let rank = match from {
                From::First => ranks.start,
                From::Last => ranks.end.checked_sub(1)?,
            };
            self.at(zset, rank)
        });
        self.ended = self.current.is_none();
    }

    /// Goes on by one member; false if that would leave the range, and the walk stays where it is.
    fn step(&mut self, zset: &Zset, step: Step) -> bool {
        let Some((score, member)) = &self.current else { return false };
        let before = zset.count_before(Edge::Entry(*score, member));
        let is_there = zset.nth(before).is_some_and(|(found, at)| at == *score && found.is(member));
        let rank = match step {
            Step::Next => Some(before + usize::from(is_there)),
            Step::Previous => before.checked_sub(1),
        };
        match rank.and_then(|rank| self.at(zset, rank)) {
            Some(found) => {
                self.current = Some(found);
                true
            }
            None => {
                self.ended = true;
                false
            }
        }
    }
}

/// What a call may do to a score, and what it did.
fn decide(old: Option<f64>, score: f64, flags: c_int, is_increment: bool) -> Option<f64> {
    let Some(old) = old else { return (flags & abi::ZADD_XX == 0).then_some(score) };
    if flags & abi::ZADD_NX != 0 {
        return None;
    }
    let new = if is_increment { old + score } else { score };
    let is_refused =
        (flags & abi::ZADD_LT != 0 && new >= old) || (flags & abi::ZADD_GT != 0 && new <= old);
    (new.is_nan() || !is_refused).then_some(new)
}

/// Gives a member a score, or adds to it; says what was done and the score. None if the key is not for that, or
/// the score would be none.
fn give_score(
    key: &mut OpenKey,
    score: f64,
    member: &[u8],
    flags: c_int,
    is_increment: bool,
) -> Option<(c_int, Option<f64>)> {
    if !key.is_writable() || score.is_nan() {
        return None;
    }
    let done = key.write(|write, name, slot| {
        let limits = write.zset_limits();
        if slot.is_some_and(|slot| !matches!(write.db().value(slot), ValueRef::Zset(_))) {
            return None;
        }
        let is_new = slot.is_none();
        if is_new && decide(None, score, flags, is_increment).is_none() {
            return Some((abi::ZADD_NOP, None));
        }
        let slot = slot.unwrap_or_else(|| write.insert(name, Value::Zset(Zset::new()), None));
        let ValueMut::Zset(zset) = write.db_mut().value_mut(slot) else { return None };
        let mut new = None;
        let old = zset.update(member, limits, |old| {
            new = decide(old, score, flags, is_increment);
            new.filter(|score| !score.is_nan())
        });
        let done = match (old, new) {
            // Infinities of both signs.
            (_, Some(new)) if new.is_nan() => return None,
            (None, Some(_)) => abi::ZADD_ADDED,
            (Some(old), Some(new)) if old == new => 0,
            (Some(_), Some(_)) => abi::ZADD_UPDATED,
            (_, None) => abi::ZADD_NOP,
        };
        if done & (abi::ZADD_ADDED | abi::ZADD_UPDATED) != 0 {
            write.changed(name);
        }
        if is_new {
            write.created(name);
        }
        Some((done, new))
    });
    key.wrote = true;
    done.flatten()
}

/// What ZsetAdd and ZsetIncrby have in common.
///
/// # Safety
/// `key` is null or an open key, `member` null or a live string, the others null or the module's variables.
unsafe fn add_with(
    key: *mut abi::Key,
    score: f64,
    member: *mut abi::ModuleString,
    flags: *mut c_int,
    new_score: Option<*mut f64>,
) -> c_int {
    // SAFETY: the caller promises it.
    let (key, member, flags) = unsafe { (borrow(key), ModString::borrow(member), flags.as_mut()) };
    let (Some(key), Some(member)) = (key, member) else { return abi::ERR };
    let wanted = flags.as_ref().map_or(0, |flags| **flags);
    let done = give_score(key, score, member.as_bytes(), wanted, new_score.is_some());
    if let Some(flags) = flags {
        *flags = done.map_or(0, |(done, _)| done);
    }
    let Some((_, result)) = done else { return abi::ERR };
    // SAFETY: the caller promises it.
    let out = new_score.and_then(|out| unsafe { out.as_mut() });
    if let (Some(out), Some(result)) = (out, result) {
        *out = result;
    }
    abi::OK
}

pub(super) unsafe extern "C" fn add(
    key: *mut abi::Key,
    score: f64,
    member: *mut abi::ModuleString,
    flags: *mut c_int,
) -> c_int {
    // SAFETY: modules pass null or an open key, a live string, and null or their variable.
    unsafe { add_with(key, score, member, flags, None) }
}

pub(super) unsafe extern "C" fn increment(
    key: *mut abi::Key,
    score: f64,
    member: *mut abi::ModuleString,
    flags: *mut c_int,
    new_score: *mut f64,
) -> c_int {
    // SAFETY: modules pass null or an open key, a live string, and null or their variables.
    unsafe { add_with(key, score, member, flags, Some(new_score)) }
}

pub(super) unsafe extern "C" fn remove(
    key: *mut abi::Key,
    member: *mut abi::ModuleString,
    deleted: *mut c_int,
) -> c_int {
    // SAFETY: modules pass null or an open key, and null or a live string.
    let (key, member) = unsafe { (borrow(key), ModString::borrow(member)) };
    let key = key.filter(|key| key.is_writable());
    let (Some(key), Some(member)) = (key, member) else { return abi::ERR };
    let done = key.write(|write, name, slot| {
        let Some(slot) = slot else { return Some(false) };
        let ValueMut::Zset(zset) = write.db_mut().value_mut(slot) else { return None };
        let removed = zset.remove(member.as_bytes()).is_some();
        if removed {
            if zset.is_empty() {
                write.remove(slot);
            }
            write.changed(name);
        }
        Some(removed)
    });
    key.wrote = true;
    let Some(Some(removed)) = done else { return abi::ERR };
    // SAFETY: null, or the module's variable.
    if let Some(deleted) = unsafe { deleted.as_mut() } {
        *deleted = c_int::from(removed);
    }
    abi::OK
}

/// Runs `f` with the sorted set at a key and the walk through it. None if there is no sorted set.
fn with_zset<R>(key: &mut OpenKey, f: impl FnOnce(&Zset, &mut Walk) -> R) -> Option<R> {
    let mut walk = std::mem::take(&mut key.walk);
    let result = key.read(|db, slot| match db.value(slot) {
        ValueRef::Zset(zset) => Some(f(zset, &mut walk)),
        _ => None,
    });
    key.walk = walk;
    result.flatten()
}

pub(super) unsafe extern "C" fn score(
    key: *mut abi::Key,
    member: *mut abi::ModuleString,
    score: *mut f64,
) -> c_int {
    // SAFETY: modules pass null or an open key, and null or a live string.
    let (key, member) = unsafe { (borrow(key), ModString::borrow(member)) };
    let (Some(key), Some(member)) = (key, member) else { return abi::ERR };
    let found = with_zset(key, |zset, _| zset.score(member.as_bytes()));
    let Some(Some(found)) = found else { return abi::ERR };
    // SAFETY: null, or the module's variable.
    if let Some(score) = unsafe { score.as_mut() } {
        *score = found;
    }
    abi::OK
}

/// Begins a walk between two bounds. None of them is told as an error, and no walk is then under way.
fn begin(key: &mut OpenKey, bounds: Option<(Bound, Bound)>, from: From) -> c_int {
    let begun = with_zset(key, |zset, walk| {
        *walk = Walk::None;
        let (low, high) = bounds?;
        let mut begun = ZsetWalk { low, high, current: None, ended: true };
        begun.begin(zset, from);
        *walk = Walk::Zset(Box::new(begun));
        Some(())
    });
    if begun.flatten().is_some() { abi::OK } else { abi::ERR }
}

/// # Safety
/// `key` is null or an open key.
unsafe fn begin_scores(
    key: *mut abi::Key,
    (min, is_min_outside): (f64, c_int),
    (max, is_max_outside): (f64, c_int),
    from: From,
) -> c_int {
    // SAFETY: the caller promises it.
    let Some(key) = (unsafe { borrow(key) }) else { return abi::ERR };
    let bounds = (Bound::Score(min, is_min_outside != 0), Bound::Score(max, is_max_outside != 0));
    begin(key, Some(bounds), from)
}

pub(super) unsafe extern "C" fn first_in_scores(
    key: *mut abi::Key,
    min: f64,
    max: f64,
    is_min_outside: c_int,
    is_max_outside: c_int,
) -> c_int {
    // SAFETY: modules pass null or an open key.
    unsafe { begin_scores(key, (min, is_min_outside), (max, is_max_outside), From::First) }
}

pub(super) unsafe extern "C" fn last_in_scores(
    key: *mut abi::Key,
    min: f64,
    max: f64,
    is_min_outside: c_int,
    is_max_outside: c_int,
) -> c_int {
    // SAFETY: modules pass null or an open key.
    unsafe { begin_scores(key, (min, is_min_outside), (max, is_max_outside), From::Last) }
}

/// # Safety
/// `key` is null or an open key, the bounds null or live strings.
unsafe fn begin_members(
    key: *mut abi::Key,
    min: *mut abi::ModuleString,
    max: *mut abi::ModuleString,
    from: From,
) -> c_int {
    // SAFETY: the caller promises it.
    let (key, min, max) = unsafe { (borrow(key), ModString::borrow(min), ModString::borrow(max)) };
    let Some(key) = key else { return abi::ERR };
    let bound = |text: Option<&ModString>| {
        let text = text.map(ModString::as_bytes)?;
        member_edge(text, true).map(|_| Bound::Member(text.to_vec()))
    };
    begin(key, bound(min).zip(bound(max)), from)
}

pub(super) unsafe extern "C" fn first_in_members(
    key: *mut abi::Key,
    min: *mut abi::ModuleString,
    max: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass null or an open key, and null or live strings.
    unsafe { begin_members(key, min, max, From::First) }
}

pub(super) unsafe extern "C" fn last_in_members(
    key: *mut abi::Key,
    min: *mut abi::ModuleString,
    max: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass null or an open key, and null or live strings.
    unsafe { begin_members(key, min, max, From::Last) }
}

pub(super) unsafe extern "C" fn current(
    key: *mut abi::Key,
    score: *mut f64,
) -> *mut abi::ModuleString {
    // SAFETY: modules pass null or an open key.
    let Some(key) = (unsafe { borrow(key) }) else { return std::ptr::null_mut() };
    let found = with_zset(key, |_, walk| match walk {
        Walk::Zset(walk) => walk.current.clone(),
        _ => None,
    });
    let Some((found, member)) = found.flatten() else { return std::ptr::null_mut() };
    // SAFETY: null, or the module's variable.
    if let Some(score) = unsafe { score.as_mut() } {
        *score = found;
    }
    ModuleCtx::new_string(key.ctx(), &member)
}

/// # Safety
/// `key` is null or an open key.
unsafe fn go(key: *mut abi::Key, step: Step) -> c_int {
    // SAFETY: the caller promises it.
    let Some(key) = (unsafe { borrow(key) }) else { return 0 };
    let went = with_zset(key, |zset, walk| match walk {
        Walk::Zset(walk) => walk.step(zset, step),
        _ => false,
    });
    c_int::from(went.unwrap_or(false))
}

pub(super) unsafe extern "C" fn next(key: *mut abi::Key) -> c_int {
    // SAFETY: modules pass null or an open key.
    unsafe { go(key, Step::Next) }
}

pub(super) unsafe extern "C" fn previous(key: *mut abi::Key) -> c_int {
    // SAFETY: modules pass null or an open key.
    unsafe { go(key, Step::Previous) }
}

pub(super) unsafe extern "C" fn end_reached(key: *mut abi::Key) -> c_int {
    // SAFETY: modules pass null or an open key.
    let Some(key) = (unsafe { borrow(key) }) else { return 1 };
    let is_under_way = with_zset(key, |_, walk| matches!(walk, Walk::Zset(walk) if !walk.ended));
    c_int::from(!is_under_way.unwrap_or(false))
}

pub(super) unsafe extern "C" fn stop(key: *mut abi::Key) {
    // SAFETY: modules pass null or an open key.
    if let Some(key) = unsafe { borrow(key) } {
        key.walk = Walk::None;
    }
}
