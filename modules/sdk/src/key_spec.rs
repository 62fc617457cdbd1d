//! Which of a command's arguments are keys, and what happens to them? The server finds keys by it (COMMAND GETKEYS, cluster
//! slots) and checks users' key patterns.

use mortise_module_abi as abi;

/// A run of keys among a command's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    /// Where it begins.
    pub begin: BeginKeys,
    /// Where it ends.
    pub find: FindKeys,
    /// What happens to these keys.
    pub access: Access,
    /// What else is to be known.
    pub flags: &'static [KeyFlag],
    /// A remark for COMMAND INFO.
    pub notes: &'static str,
}

/// Where a run of keys begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeginKeys {
    /// At this place; 1 is the first argument after the name (for a subcommand, its own word).
    At(i32),
    /// Behind this word, looked for from a place on, or, if that is negative, backwards from there (-1: the last argument).
    Behind(&'static str, i32),
    /// Nobody can tell without knowing the command. Servers before Redis 7.0 find no keys in the two latter cases.
    Unknown,
}

/// Where a run of keys ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindKeys {
    /// At the last place, each `step`.
    Range {
        /// The last place, counted from the first key; if negative, from the end (-1: the last argument).
        last: i32,
        /// The distance.
        step: i32,
        /// With -1 as the last place, 2 takes the first half of what is left, 3 a third; 0 and 1 take all.
        limit: i32,
    },
    /// An argument tells how many keys there are.
    Counted {
        /// Where the number is, counted from the begin.
        number: i32,
        /// Where the first key is, counted from the begin.
        first: i32,
        /// The distance.
        step: i32,
    },
    /// Nobody can tell without knowing the command.
    Unknown,
}

/// What a command does with a key. A user needs the permission to read it or to write it, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads the value and returns something of it.
    Read,
    /// Looks at what is not data: whether the key is there, its type, a length.
    Peek,
    /// Replaces whatever is there without reading it.
    Overwrite,
    /// Makes the value, if there is none.
    Create,
    /// Changes the value, and returns nothing of it.
    Update,
    /// Changes the value and returns something of it.
    ReadUpdate,
    /// Adds to the value without changing what is there.
    Insert,
    /// Takes something out of the value.
    Delete,
    /// Takes something out of the value and returns it.
    ReadDelete,
    /// Deletes the key.
    Remove,
}

/// What else is to be known of a run of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFlag {
    /// What is found is no key, but goes with one to its slot (such as a channel).
    NotKey,
    /// There may be keys that this does not find.
    Incomplete,
    /// What happens to the keys depends on the other arguments.
    Variable,
}

impl KeySpec {
    /// One key.
    pub const fn at(place: i32, access: Access) -> KeySpec {
        KeySpec::range(place, place, 1, access)
    }

    /// Keys from the first place to the last, each `step`; a negative last place counts from the end.
    pub const fn range(first: i32, last: i32, step: i32, access: Access) -> KeySpec {
        let last = if last >= 0 { last - first } else { last };
        KeySpec::new(BeginKeys::At(first), FindKeys::Range { last, step, limit: 0 }, access)
    }

    /// A number of keys at `place`, then the keys.
    pub const fn counted(place: i32, access: Access) -> KeySpec {
        let find = FindKeys::Counted { number: 0, first: 1, step: 1 };
        KeySpec::new(BeginKeys::At(place), find, access)
    }

    /// One key behind a word; `from` is as in [`BeginKeys::Behind`].
    pub const fn behind(word: &'static str, from: i32, access: Access) -> KeySpec {
        let find = FindKeys::Range { last: 0, step: 1, limit: 0 };
        KeySpec::new(BeginKeys::Behind(word, from), find, access)
    }

    /// A run of keys by its parts.
    pub const fn new(begin: BeginKeys, find: FindKeys, access: Access) -> KeySpec {
        KeySpec { begin, find, access, flags: &[], notes: "" }
    }

    /// With what else is to be known.
    pub const fn with(mut self, flags: &'static [KeyFlag]) -> KeySpec {
        self.flags = flags;
        self
    }

    /// With a remark.
    pub const fn note(mut self, notes: &'static str) -> KeySpec {
        self.notes = notes;
        self
    }

    /// As servers had it before Redis 7.0: first place, last place, distance; zeros if it cannot be said so.
    pub(crate) fn triple(&self) -> (i32, i32, i32) {
        match (self.begin, self.find) {
            (BeginKeys::At(first), FindKeys::Range { last, step, limit: 0 | 1 }) => {
                (first, if last >= 0 { first + last } else { last }, step)
            }
            _ => (0, 0, 0),
        }
    }

    /// All flags, as the server wants them.
    pub(crate) fn bits(&self) -> u64 {
        let flag = |flag: &KeyFlag| match flag {
            KeyFlag::NotKey => abi::CMD_KEY_NOT_KEY,
            KeyFlag::Incomplete => abi::CMD_KEY_INCOMPLETE,
            KeyFlag::Variable => abi::CMD_KEY_VARIABLE_FLAGS,
        };
        self.flags
            .iter()
            .fold(self.access.kind() | self.access.permissions(), |all, one| all | flag(one))
    }
}

impl Access {
    /// What happens to the key as a whole.
    fn kind(self) -> u64 {
        match self {
            Access::Read | Access::Peek => abi::CMD_KEY_RO,
            Access::Overwrite | Access::Create => abi::CMD_KEY_OW,
            Access::Remove => abi::CMD_KEY_RM,
            Access::Update
            | Access::ReadUpdate
            | Access::Insert
            | Access::Delete
            | Access::ReadDelete => abi::CMD_KEY_RW,
        }
    }

    /// What happens to the data in it, on which permissions depend.
    pub(crate) fn permissions(self) -> u64 {
        match self {
            Access::Peek => 0,
            Access::Read => abi::CMD_KEY_ACCESS,
            Access::Overwrite | Access::Update => abi::CMD_KEY_UPDATE,
            Access::ReadUpdate => abi::CMD_KEY_ACCESS | abi::CMD_KEY_UPDATE,
            Access::Create | Access::Insert => abi::CMD_KEY_INSERT,
            Access::Delete | Access::Remove => abi::CMD_KEY_DELETE,
            Access::ReadDelete => abi::CMD_KEY_ACCESS | abi::CMD_KEY_DELETE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_to_old_servers_and_new_ones() {
        assert_eq!(KeySpec::at(2, Access::Read).triple(), (2, 2, 1));
        assert_eq!(KeySpec::range(1, -2, 1, Access::Read).triple(), (1, -2, 1));
        let pairs = KeySpec::range(2, 6, 2, Access::Read);
        assert_eq!(pairs.find, FindKeys::Range { last: 4, step: 2, limit: 0 });
        assert_eq!(pairs.triple(), (2, 6, 2));
        assert_eq!(KeySpec::counted(1, Access::Read).triple(), (0, 0, 0));
        assert_eq!(KeySpec::behind("STORE", 3, Access::Overwrite).triple(), (0, 0, 0));
    }

    #[test]
    fn a_key_has_one_kind_and_at_most_one_way_of_being_written() {
        use Access::{
            Create, Delete, Insert, Overwrite, Peek, Read, ReadDelete, ReadUpdate, Remove, Update,
        };
        for access in
            [Read, Peek, Overwrite, Create, Update, ReadUpdate, Insert, Delete, ReadDelete, Remove]
        {
            assert_eq!(access.kind().count_ones(), 1, "{access:?}");
            let written = access.permissions() & !abi::CMD_KEY_ACCESS;
            let writes = !matches!(access, Read | Peek);
            assert_eq!(written.count_ones(), u32::from(writes), "{access:?}");
        }
        let key = KeySpec::at(1, Access::Peek).with(&[KeyFlag::Incomplete, KeyFlag::Variable]);
        let expected = abi::CMD_KEY_RO | abi::CMD_KEY_INCOMPLETE | abi::CMD_KEY_VARIABLE_FLAGS;
        assert_eq!(key.bits(), expected);
    }
}
