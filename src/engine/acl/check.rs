//! May this user run this command with these arguments? The one place where permissions are checked.
//!
//! A user who may do everything is known by one flag ([`User::is_open`]), so that the way of a plain client
//! does not come here at all. For the others: some selector must permit the command, all its keys and all
//! its channels. What is logged and said otherwise is the complaint of the selector that came furthest.

use super::log::{Context, Entry, Reason};
use super::selector::{KeyAccess, Selector};
use super::user::{Rules, User};
use crate::engine::client::Session;
use crate::engine::ctx::Env;
use crate::engine::keys;
use crate::engine::registry::Command;
use crate::engine::spec::{Argv, Flag};

/// Why a command may not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// What is denied.
    pub reason: Reason,
    /// The argument that is the key or channel.
    pub at: usize,
}

impl Denied {
    /// The sentence for the client; with the name of the key or channel only in answer to ACL DRYRUN.
    pub fn text(self, user: &User, command: &Command, argv: Argv<'_>, verbose: bool) -> Vec<u8> {
        let what: &[u8] = match self.reason {
            Reason::Key => b"key",
            Reason::Channel => b"channel",
            Reason::Command | Reason::Auth => {
                let (name, run) = (command.full_name(), b" has no permissions to run the '");
                return [b"User ", &*user.name, run, &name, b"' command"].concat();
            }
        };
        match verbose {
            true => {
                let name = argv.get(self.at).copied().unwrap_or_default();
                let access = b" has no permissions to access the '";
                [b"User ", &*user.name, access, name, b"' ", what].concat()
            }
            false => [b"No permissions to access a ", what].concat(),
        }
    }

    /// What the log names.
    pub fn object<'a>(self, command: &Command, argv: Argv<'a>) -> std::borrow::Cow<'a, [u8]> {
        match self.reason {
            Reason::Command => command.full_name().into(),
            _ => argv.get(self.at).copied().unwrap_or_default().into(),
        }
    }
}

/// What the client of a session may not, if anything, and the sentence that says so. It is entered in the
/// log.
#[cold]
pub fn check_session(
    session: &Session,
    env: Env<'_>,
    command: &Command,
    argv: Argv<'_>,
    context: Context,
) -> Option<(Denied, Vec<u8>)> {
    let user = session.user.as_ref()?;
    let denied = check(&user.rules(), command, argv).err()?;
    let entry = Entry {
        reason: denied.reason,
        context,
        object: &denied.object(command, argv),
        username: &user.name,
    };
    env.shared.users.note_denied(session, env, entry);
    Some((denied, denied.text(user, command, argv, false)))
}

/// Whether rules permit a command with its arguments, which fit its arity.
pub fn check(rules: &Rules, command: &Command, argv: Argv<'_>) -> Result<(), Denied> {
    let mut found = Found { command, argv, keys: None };
    let mut worst = Denied { reason: Reason::Command, at: 0 };
    for selector in &rules.selectors {
        match found.check(selector) {
            Ok(()) => return Ok(()),
            Err(denied) => worst = worst.max(denied),
        }
    }
    Err(worst)
}

/// Whether some selector permits the command and, beyond its arguments, every key to be accessed so.
fn check_with_any_key(rules: &Rules, command: &Command, argv: Argv<'_>, access: KeyAccess) -> bool {
    let mut found = Found { command, argv, keys: None };
    let permits = |one: &Selector| one.permits_any_key(access) && found.check(one).is_ok();
    rules.selectors.iter().any(permits)
}

/// Whether the client of a session may read every key by this request, not only those that it names.
pub fn may_read_all(session: &Session, env: Env<'_>, argv: Argv<'_>) -> bool {
    let Some(user) = session.user.as_ref().filter(|user| !user.is_open()) else { return true };
    let access = KeyAccess { reads: true, writes: false };
    let command = env.shared.registry.read().resolve(argv);
    command.is_some_and(|command| check_with_any_key(&user.rules(), command, argv, access))
}

/// A request, with its keys once they were looked for.
struct Found<'a> {
    command: &'a Command,
    argv: Argv<'a>,
    keys: Option<Vec<(usize, KeyAccess)>>,
}

impl Found<'_> {
    fn check(&mut self, selector: &Selector) -> Result<(), Denied> {
        let (command, argv) = (self.command, self.argv);
        let first_arg = argv.get(1).copied();
        if !command.has(Flag::NoAuth) && !selector.permits_command(command, first_arg) {
            return Err(Denied { reason: Reason::Command, at: 0 });
        }
        if !selector.has_all_keys() {
            for (at, access) in self.keys() {
                if !selector.permits_key(argv[*at], *access) {
                    return Err(Denied { reason: Reason::Key, at: *at });
                }
            }
        }
        if !selector.has_all_channels() {
            for channel in keys::channels(command, argv) {
                let name = argv[channel.position];
                if !selector.permits_channel(name, channel.is_pattern) {
                    return Err(Denied { reason: Reason::Channel, at: channel.position });
                }
            }
        }
        Ok(())
    }

    /// The keys. If the arguments make no sense there are none, and the command will say so.
    fn keys(&mut self) -> &[(usize, KeyAccess)] {
        let (command, argv) = (self.command, self.argv);
        self.keys.get_or_insert_with(|| {
            let found = keys::find(command, argv).unwrap_or_default().into_iter();
            let known = found.filter(|key| key.position < argv.len());
            known.map(|key| (key.position, KeyAccess::of_flags(&key.flags))).collect()
        })
    }
}
