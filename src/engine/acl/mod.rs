//! Who may do what? Users, their permissions, and the log of what was denied.
//!
//! A session holds its user ([`user::User`]); a change of the user's rules is seen by the next command of
//! each of its sessions. Users are added, changed and removed under the exclusive lock only; who logs in
//! looks them up without it.
//!
//! Invariants: there is always the user `default`, and it is always the same one; a user that was removed
//! may do nothing, so that what its clients have sent before they are closed is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use self::log::{AclLog, Reason};
use self::password::PasswordHash;
use self::rule::{RuleCtx, RuleError, join_selectors};
use self::user::{Rules, User};
use super::registry::Registry;

pub mod commands;

pub mod password;

pub mod selector;

pub mod rule;

pub mod user;

pub mod check;

pub mod log;

pub mod closing;

pub mod file;

/// The name of the user as whom clients come in.
pub const DEFAULT: &[u8] = b"default";

/// The users.
#[derive(Debug)]
pub struct Users {
    default: Arc<User>,
    named: RwLock<BTreeMap<Box<[u8]>, Arc<User>>>,
    /// What was denied lately.
    pub log: Mutex<AclLog>,
    /// `acllog-max-len`.
    pub log_len_max: AtomicUsize,
    /// `acl-pubsub-default` is `allchannels`.
    pub all_channels: AtomicBool,
    denied: [AtomicU64; 4],
}

impl Default for Users {
    fn default() -> Self {
        let default = User::new(DEFAULT, Rules::everything());
        Self {
            named: RwLock::new(BTreeMap::from([(DEFAULT.into(), Arc::clone(&default))])),
            default,
            log: Mutex::default(),
            log_len_max: AtomicUsize::new(0),
            all_channels: AtomicBool::new(false),
            denied: Default::default(),
        }
    }
}

/// Why a user could not be set: the rule that is wrong, or the selector that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// A rule is wrong.
    Rule(Vec<u8>, RuleError),
    /// A selector that begins so is not closed.
    Unclosed(Vec<u8>),
}

impl SetError {
    /// The sentence that says it.
    pub fn text(&self) -> Vec<u8> {
        match self {
            SetError::Rule(op, why) => {
                let head = b"Error in ACL SETUSER modifier '";
                [&head[..], op, format!("': {why}").as_bytes()].concat()
            }
            SetError::Unclosed(op) => {
                let head = b"Unmatched parenthesis in acl selector starting at '";
                [&head[..], op, b"'."].concat()
            }
        }
    }
}

impl Users {
    /// The user as whom clients come in.
    pub fn default_user(&self) -> &Arc<User> {
        &self.default
    }

    /// The user of this name.
    pub fn find(&self, name: &[u8]) -> Option<Arc<User>> {
        self.named.read().get(name).cloned()
    }

    /// All users, in the order of their names.
    pub fn all(&self) -> Vec<Arc<User>> {
        self.named.read().values().cloned().collect()
    }

    /// The user of this name, if the password is right. It takes as long if there is no such user.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        let given = PasswordHash::of(password);
        self.find(name).filter(|user| user.accepts(&given))
    }

    /// What rules refer to.
    pub fn rule_ctx<'a>(&self, registry: &'a Registry) -> RuleCtx<'a> {
        RuleCtx { registry, all_channels: self.all_channels.load(Ordering::Relaxed) }
    }

    /// The rules that a user of these rules, or a new one, would have after more of them. All are good, or an
    /// error says which is not.
    pub fn stage<'a>(
        &self,
        base: Option<&Rules>,
        ops: impl IntoIterator<Item = &'a [u8]> + Clone,
        registry: &Registry,
    ) -> Result<Rules, SetError> {
        let ctx = self.rule_ctx(registry);
        let joined = join_selectors(ops.clone()).map_err(|at| {
            SetError::Unclosed(ops.into_iter().nth(at).unwrap_or_default().to_vec())
        })?;
        let mut rules = base.cloned().unwrap_or_else(|| Rules::new(ctx.all_channels));
        for op in joined {
            if let Err(error) = rules.apply(&op, ctx) {
                return Err(SetError::Rule(op, error));
            }
        }
        Ok(rules)
    }

    /// Puts the rules of a user in place, who may be new.
    pub fn set(&self, name: &[u8], rules: Rules) {
        match self.find(name) {
            Some(user) => user.set_rules(rules),
            None => {
                self.named.write().insert(name.into(), User::new(name, rules));
            }
        }
    }

    /// Removes a user, who may do nothing any more.
    pub fn remove(&self, name: &[u8]) -> Option<Arc<User>> {
        if name == DEFAULT {
            return None;
        }
        let user = self.named.write().remove(name)?;
        user.set_rules(Rules::new(false));
        Some(user)
    }

    /// Puts other users in the place of all. Those who are gone are returned, and may do nothing any more.
    pub fn replace(&self, users: Vec<Arc<User>>) -> Vec<Arc<User>> {
        let mut default = Rules::everything();
        let mut named = BTreeMap::new();
        for user in users {
            match &*user.name {
                DEFAULT => default = (*user.rules()).clone(),
                _ => drop(named.insert(user.name.clone(), user)),
            }
        }
        self.default.set_rules(default);
        named.insert(DEFAULT.into(), Arc::clone(&self.default));
        let old = std::mem::replace(&mut *self.named.write(), named);
        let gone: Vec<Arc<User>> =
            old.into_values().filter(|user| !Arc::ptr_eq(user, &self.default)).collect();
        gone.iter().for_each(|user| user.set_rules(Rules::new(false)));
        gone
    }

    /// `requirepass`: the default user has this password and no other, or needs none.
    pub fn set_default_password(&self, password: &[u8]) {
        let mut rules = (*self.default.rules()).clone();
        rules.no_password = password.is_empty();
        rules.passwords.clear();
        if !password.is_empty() {
            rules.passwords.push(PasswordHash::of(password));
        }
        self.default.set_rules(rules);
    }

    /// Works out anew who may run which commands, because there are others now.
    pub fn recompute(&self, registry: &Registry) {
        for user in self.all() {
            let mut rules = (*user.rules()).clone();
            rules.recompute(registry);
            user.set_rules(rules);
        }
    }

    /// How often something was denied for this reason.
    pub fn denied(&self, reason: Reason) -> u64 {
        self.denied[reason as usize].load(Ordering::Relaxed)
    }

    fn count_denied(&self, reason: Reason) {
        self.denied[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Begins to count anew what is denied.
    pub fn reset_denied(&self) {
        self.denied.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }
}
