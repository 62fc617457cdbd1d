//! How do the arguments of a command become strings that its module may hold? Each is copied into a string that a
//! command before has used, so that commands with few short arguments cost no allocation, nor the way of each
//! string out of a store and back.
//!
//! Invariants: a list owns one reference to each of its strings, those beyond the arguments included; these have no
//! other holder. A string that a module has retained leaves the list when its command ends.
#![expect(unsafe_code, reason = "owns strings behind handles of a C interface")]

use std::cell::Cell;
use std::ops::{Deref, Range};
use std::ptr::NonNull;

use mortise_module_abi as abi;

use super::handle::ModString;

/// Strings that a thread keeps for its next command, and the room that such a one has at most.
const KEPT_MAX: usize = 32;
const KEPT_BYTES_MAX: usize = 128;

/// The arguments of one command.
#[derive(Debug, Default)]
pub struct Arguments {
    /// The arguments' strings, and behind them strings for longer commands.
    strings: Strings,
    /// How many arguments there are.
    len: usize,
}

/// Strings with a reference to each.
#[derive(Debug, Default)]
struct Strings(Vec<*mut abi::ModuleString>);

thread_local! {
    /// The strings of the command that ran last on this thread.
    static KEPT: Cell<Strings> = const { Cell::new(Strings(Vec::new())) };
}

impl Arguments {
    /// Strings with these bytes.
    pub fn of<B: AsRef<[u8]>>(argv: &[B]) -> Self {
        // A thread that ends has kept nothing.
        let mut strings = KEPT.try_with(Cell::take).unwrap_or_default();
        for (at, arg) in argv.iter().enumerate() {
            match strings.0.get(at) {
                Some(string) => {
                    let mut string = NonNull::new(string.cast::<ModString>()).expect("ours");
                    // SAFETY: the list has the only reference to it, and lends it to nobody yet.
                    unsafe { string.as_mut() }.refill(arg.as_ref());
                }
                None => strings.0.push(ModString::handle(ModString::create(arg.as_ref()))),
            }
        }
        Self { strings, len: argv.len() }
    }

    /// Keeps the strings for the next command on this thread, and leaves no arguments.
    #[inline]
    pub fn give_back(&mut self) {
        if self.strings.0.is_empty() {
            return;
        }
        let mut strings = std::mem::take(&mut self.strings);
        strings.keep(std::mem::take(&mut self.len));
        // What a command inside of this one has kept meanwhile goes; a thread that ends keeps nothing.
        let _ = KEPT.try_with(|kept| drop(kept.replace(strings)));
    }
}

impl Strings {
    /// Lets go of those that somebody else holds, among the first `used`, and of what is too much to be kept.
    fn keep(&mut self, used: usize) {
        let mut at = used;
        while let Some(before) = at.checked_sub(1) {
            at = before;
            // SAFETY: the list has a reference to it.
            let string = unsafe { ModString::borrow(self.0[at]) };
            let is_ours =
                |string: &ModString| string.references() == 1 && string.room() <= KEPT_BYTES_MAX;
            if !string.is_some_and(is_ours) {
                self.release(at..at + 1);
            }
        }
        if self.0.len() > KEPT_MAX {
            self.release(KEPT_MAX..self.0.len());
        }
    }

    #[cold]
    fn release(&mut self, range: Range<usize>) {
        for string in self.0.drain(range) {
            // SAFETY: the list gives its reference up.
            unsafe { ModString::release(string) };
        }
    }
}

impl Drop for Strings {
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_empty() {
            self.release(0..self.0.len());
        }
    }
}

impl Deref for Arguments {
    type Target = [*mut abi::ModuleString];

    fn deref(&self) -> &Self::Target {
        &self.strings.0[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(arguments: &Arguments) -> Vec<Vec<u8>> {
        let borrow = |handle: &*mut abi::ModuleString| {
            // SAFETY: the list is alive.
            unsafe { ModString::borrow(*handle) }.expect("no argument is null").as_bytes().to_vec()
        };
        arguments.iter().map(borrow).collect()
    }

    #[test]
    fn strings_are_used_again_unless_somebody_holds_them() {
        let mut first = Arguments::of(&[&b"one"[..], b"two", b"three"]);
        let handles = first.to_vec();
        // SAFETY: the list is alive.
        unsafe { ModString::borrow(handles[1]) }.expect("not null").retain();
        first.give_back();

        let mut second = Arguments::of(&[&b"a longer one"[..]]);
        assert_eq!(texts(&second), [b"a longer one"]);
        assert_eq!(second[0], handles[0]);
        let mut inner = Arguments::of(&[&b"inner"[..]]);
        assert_ne!(inner[0], handles[0]);
        inner.give_back();
        second.give_back();

        let mut third = Arguments::of(&[&b""[..], &[b'x'; 1000], b"end", b"more"]);
        assert_eq!(texts(&third), [&b""[..], &[b'x'; 1000], b"end", b"more"]);
        assert_eq!(third[..2], [handles[0], handles[2]]);
        assert!(!third.contains(&handles[1]));
        // SAFETY: the reference that was taken above is still there.
        let held = unsafe { ModString::borrow(handles[1]) }.expect("not null");
        assert_eq!((held.as_bytes(), held.references()), (&b"two"[..], 1));
        third.give_back();
        // SAFETY: it is given up now.
        unsafe { ModString::release(handles[1]) };

        let fourth = Arguments::of(&[b"1", b"2"]);
        assert_eq!(fourth[0], handles[0]);
        // It had become too long to be kept.
        assert_ne!(fourth[1], handles[2]);
    }

    #[test]
    fn few_strings_are_kept() {
        let many: Vec<[u8; 2]> = (0..1000u16).map(u16::to_le_bytes).collect();
        Arguments::of(&many).give_back();
        let kept = KEPT.take();
        assert_eq!(kept.0.len(), KEPT_MAX);
    }
}
