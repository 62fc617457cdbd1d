//! What is a client told whose command has to look into a value that was taken over unchecked? That it is corrupt, and
//! the log is told once what is wrong with it.
//!
//! No handler knows of such values: for each of them such a key has a type that is not its own, and its answer is
//! `WRONGTYPE`. So nothing is looked at for them on the way of a command that goes well; this is where that answer, and
//! no other, comes by on its way out.

use super::ctx::Env;
use super::error::CommandError;
use super::keys;
use super::registry::Command;
use super::spec::{Argv, Group};
use super::state::State;
use crate::base::quoting::quoted;
use crate::keyspace::value::ValueRef;
use crate::object::unchecked::{Collection, Trouble, Unchecked};

/// The answer instead of `WRONGTYPE`, if a key of the command has an unchecked value that the command is for.
#[cold]
pub fn explain(
    state: &State,
    db: u32,
    env: Env<'_>,
    command: &Command,
    argv: Argv<'_>,
) -> CommandError {
    let found = keys::find(command, argv).unwrap_or_default().into_iter().find_map(|key| {
        let key = *argv.get(key.position)?;
        match state.keyspace.db(db as usize).read(key, env.now_ms())? {
            (_, ValueRef::Unchecked(value)) if is_for(command, value.collection()) => {
                Some((key, value))
            }
            _ => None,
        }
    });
    let Some((key, value)) = found else { return CommandError::WrongType };
    report(value, key, db);
    CommandError::CorruptValue
}

/// Whether a command of this group would look into such a collection.
fn is_for(command: &Command, collection: Collection) -> bool {
    match command.spec.group {
        Group::List => collection == Collection::List,
        Group::Set => collection == Collection::Set,
        // The algebra of sorted sets takes sets as well.
        Group::SortedSet | Group::Geo => {
            matches!(collection, Collection::Zset | Collection::Set)
        }
        Group::Hash => collection == Collection::Hash,
        Group::Stream => collection == Collection::Stream,
        Group::String | Group::Bitmap | Group::Hyperloglog => false,
        _ => true,
    }
}

fn report(value: &Unchecked, key: &[u8], db: u32) {
    if !value.is_news() {
        return;
    }
    let (name, bytes) = (value.collection().name(), value.payload().len());
    let key = String::from_utf8_lossy(&quoted(key)).into_owned();
    match value.trouble() {
        Trouble::Assertion(text) => tracing::error!(
            "=== ASSERTION FAILED === the {name} at key {key} of db {db}, taken over unchecked, cannot be read: \
             {text} ({bytes} bytes)"
        ),
        Trouble::NoLastId(len) => tracing::error!(
            "Guru Meditation: Corrupt stream, length is {len}, but no max id: the {name} at key {key} of db {db}, \
             taken over unchecked ({bytes} bytes)"
        ),
    }
}
