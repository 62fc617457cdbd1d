//! What is a user? Whom connections log in as, and the rules that hold for them.
//!
//! A [`User`] is one for as long as it exists: sessions share it, and a change of its rules is seen by the
//! next command of each. [`Rules`] are plain values, changed aside and then put in place whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

use super::password::PasswordHash;
use super::selector::Selector;
use crate::engine::registry::Registry;

/// The rules of a user.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Whether one can log in.
    pub enabled: bool,
    /// Any password will do.
    pub no_password: bool,
    /// Payloads of RESTORE are checked thoroughly.
    pub sanitizes: bool,
    /// Any of these will do.
    pub passwords: Vec<PasswordHash>,
    /// The root, and others; what any of them permits is permitted.
    pub selectors: Vec<Selector>,
}

impl Rules {
    /// Those of a new user, who may do nothing, except that it may use all channels if that is asked for.
    pub fn new(all_channels: bool) -> Self {
        Self {
            enabled: false,
            no_password: false,
            sanitizes: true,
            passwords: Vec::new(),
            selectors: vec![Selector::new(all_channels)],
        }
    }

    /// Those of the default user, unless configured otherwise: everything, without a password.
    pub fn everything() -> Self {
        Self {
            enabled: true,
            no_password: true,
            selectors: vec![Selector::everything()],
            ..Self::new(true)
        }
    }

    /// The selector that rules outside of parentheses are about.
    pub fn root(&self) -> &Selector {
        &self.selectors[0]
    }

    pub(super) fn root_mut(&mut self) -> &mut Selector {
        &mut self.selectors[0]
    }

    /// Works out anew which commands there are to permit.
    pub fn recompute(&mut self, registry: &Registry) {
        self.selectors.iter_mut().for_each(|selector| selector.recompute(registry));
    }

    /// The flags, in the words of the rules that set them.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let no_password = self.no_password.then_some("nopass");
        let sanitizes = if self.sanitizes { "sanitize-payload" } else { "skip-sanitize-payload" };
        let enabled = if self.enabled { "on" } else { "off" };
        std::iter::once(enabled).chain(no_password).chain([sanitizes])
    }

    /// The rules as they can be set again.
    pub fn describe(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for flag in self.flags() {
            out.extend_from_slice(flag.as_bytes());
            out.push(b' ');
        }
        for hash in &self.passwords {
            out.push(b'#');
            out.extend_from_slice(hash.text().as_bytes());
            out.push(b' ');
        }
        for (at, selector) in self.selectors.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"" } else { b" (" });
            selector.describe(&mut out);
            out.extend_from_slice(if at == 0 { b"" } else { b")" });
        }
        out
    }

    /// Whether a password lets one in. All are looked at, so that the time tells nothing.
    fn accepts(&self, given: &PasswordHash) -> bool {
        let known = self.passwords.iter().fold(false, |found, hash| found | hash.is(given));
        self.enabled && (self.no_password || known)
    }
}

/// A user. Kept apart from the count of its references, which connections change while others read this.
#[repr(align(64))]
#[derive(Debug)]
pub struct User {
    /// May run every command on everything, so that no command needs a further look.
    open: AtomicBool,
    /// Clients come in as this user without having to log in.
    lets_in: AtomicBool,
    /// Its number, never used again.
    pub number: u64,
    /// Its name.
    pub name: Box<[u8]>,
    rules: RwLock<Arc<Rules>>,
}

impl User {
    /// A user who is in no set of users.
    pub fn new(name: &[u8], rules: Rules) -> Arc<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let user = Self {
            open: AtomicBool::new(false),
            lets_in: AtomicBool::new(false),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            name: name.into(),
            rules: RwLock::new(Arc::new(Rules::new(false))),
        };
        user.set_rules(rules);
        Arc::new(user)
    }

    /// Whether it may run every command on everything.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Whether clients come in as this user without having to log in.
    pub fn lets_in(&self) -> bool {
        self.lets_in.load(Ordering::Acquire)
    }

    /// The rules of now.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read())
    }

    /// Puts rules in place.
    pub fn set_rules(&self, rules: Rules) {
        let open = rules.selectors.iter().any(Selector::is_everything);
        let lets_in = rules.enabled && rules.no_password;
        let mut place = self.rules.write();
        *place = Arc::new(rules);
        self.open.store(open, Ordering::Release);
        self.lets_in.store(lets_in, Ordering::Release);
    }

    /// Whether a password lets one in as this user.
    pub fn accepts(&self, given: &PasswordHash) -> bool {
        self.rules().accepts(given)
    }

    /// Its line in ACL LIST and in files.
    pub fn describe(&self) -> Vec<u8> {
        [b"user ", &*self.name, b" ", &self.rules().describe()].concat()
    }
}
