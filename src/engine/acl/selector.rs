//! What does one selector permit? Commands, key patterns and channel patterns that go together.
//!
//! Each user has one, the root, and may have more; what any of them permits is permitted. The rules about
//! commands are kept in their order as well, because bits cannot tell that commands to come belong to a
//! category, and because they are shown as they were given.

use std::collections::BTreeMap;

use super::commands::CommandSet;
use super::rule::{ITEMS_MAX, RuleCtx, RuleError, has_blanks};
use crate::base::glob::{Case, glob_match};
use crate::engine::registry::{Command, Registry};

/// What is done with a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyAccess {
    /// Its value is read and returned.
    pub reads: bool,
    /// It is changed, made or removed.
    pub writes: bool,
}

impl KeyAccess {
    /// Both.
    pub const ALL: KeyAccess = KeyAccess { reads: true, writes: true };

    /// The access that the flags of a key in `COMMAND INFO` mean.
    pub fn of_flags(flags: &[&str]) -> Self {
        Self {
            reads: flags.contains(&"access"),
            writes: ["insert", "delete", "update"].iter().any(|flag| flags.contains(flag)),
        }
    }

    fn covers(self, wanted: Self) -> bool {
        self.reads >= wanted.reads && self.writes >= wanted.writes
    }
}

/// Keys that match may be accessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// How.
    pub access: KeyAccess,
    /// A glob-style pattern.
    pub pattern: Box<[u8]>,
}

impl KeyPattern {
    /// The rule that adds it.
    fn describe(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match (self.access.reads, self.access.writes) {
            // As `~*` it would forbid the patterns behind it. Redis shows it so, and then cannot read it.
            (true, true) if *self.pattern == *b"*" => b"%RW~",
            (true, true) => b"~",
            (true, false) => b"%R~",
            _ => b"%W~",
        });
        out.extend_from_slice(&self.pattern);
    }
}

/// A rule about a command or a category.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CommandRule {
    allow: bool,
    /// In lower case, a category with its `@`.
    name: Vec<u8>,
}

/// What one selector permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    all_keys: bool,
    all_channels: bool,
    commands: CommandSet,
    /// First arguments with which commands may be run that are not in the set.
    first_args: BTreeMap<u32, Vec<Box<[u8]>>>,
    keys: Vec<KeyPattern>,
    channels: Vec<Box<[u8]>>,
    command_rules: Vec<CommandRule>,
}

impl Selector {
    /// One that permits nothing, but perhaps channels.
    pub fn new(all_channels: bool) -> Self {
        Self {
            all_keys: false,
            all_channels,
            commands: CommandSet::default(),
            first_args: BTreeMap::new(),
            keys: Vec::new(),
            channels: Vec::new(),
            command_rules: Vec::new(),
        }
    }

    /// One that permits everything.
    pub fn everything() -> Self {
        Self { all_keys: true, commands: CommandSet::all(), ..Self::new(true) }
    }

    /// Whether it permits everything.
    pub fn is_everything(&self) -> bool {
        self.all_keys && self.all_channels && self.commands.is_all()
    }

    /// Whether it permits all keys.
    pub fn has_all_keys(&self) -> bool {
        self.all_keys
    }

    /// Whether it permits all channels.
    pub fn has_all_channels(&self) -> bool {
        self.all_channels
    }

    /// The channel patterns.
    pub fn channels(&self) -> &[Box<[u8]>] {
        &self.channels
    }

    /// Whether the command may be run with this first argument.
    pub fn permits_command(&self, command: &Command, first_arg: Option<&[u8]>) -> bool {
        let listed = || {
            let args = self.first_args.get(&command.id)?;
            let arg = first_arg?;
            args.iter().find(|known| known.eq_ignore_ascii_case(arg))
        };
        self.commands.is_all() || self.commands.has(command.id) || listed().is_some()
    }

    /// Whether the key may be accessed so.
    pub fn permits_key(&self, key: &[u8], wanted: KeyAccess) -> bool {
        let fits = |one: &KeyPattern| {
            one.access.covers(wanted) && glob_match(&one.pattern, key, Case::Sensitive)
        };
        self.all_keys || self.keys.iter().any(fits)
    }

    /// Whether every key that begins so may be accessed so.
    pub fn permits_prefix(&self, prefix: &[u8], wanted: KeyAccess) -> bool {
        let fits = |one: &KeyPattern| {
            one.access.covers(wanted)
                && ends_open(&one.pattern)
                && glob_match(&one.pattern, prefix, Case::Sensitive)
        };
        self.all_keys || self.keys.iter().any(fits)
    }

    /// Whether every key may be accessed so.
    pub fn permits_any_key(&self, wanted: KeyAccess) -> bool {
        let fits = |one: &KeyPattern| one.access.covers(wanted) && *one.pattern == *b"*";
        self.all_keys || self.keys.iter().any(fits)
    }

    /// Whether a channel may be used. A pattern of channels must be among those of the selector word by word.
    pub fn permits_channel(&self, name: &[u8], is_pattern: bool) -> bool {
        let fits = |pattern: &[u8]| match is_pattern {
            true => *pattern == *name,
            false => glob_match(pattern, name, Case::Sensitive),
        };
        self.all_channels || self.channels.iter().any(|pattern| fits(pattern))
    }

    /// Applies one rule.
    pub fn apply(&mut self, op: &[u8], ctx: RuleCtx<'_>) -> Result<(), RuleError> {
        let is = |word: &str| op.eq_ignore_ascii_case(word.as_bytes());
        match op {
            _ if is("allkeys") || is("~*") => {
                self.all_keys = true;
                self.keys.clear();
            }
            _ if is("resetkeys") => {
                self.all_keys = false;
                self.keys.clear();
            }
            _ if is("allchannels") || is("&*") => {
                self.all_channels = true;
                self.channels.clear();
            }
            _ if is("resetchannels") => {
                self.all_channels = false;
                self.channels.clear();
            }
            _ if is("allcommands") || is("+@all") => self.begin_commands(CommandSet::all()),
            _ if is("nocommands") || is("-@all") => self.begin_commands(CommandSet::default()),
            [b'~', pattern @ ..] => self.add_keys(KeyAccess::ALL, pattern)?,
            [b'%', rest @ ..] => {
                if self.all_keys {
                    return Err(RuleError::KeysAfterAll);
                }
                let (access, pattern) = split_access(rest).ok_or(RuleError::Syntax)?;
                self.add_keys(access, pattern)?;
            }
            [b'&', pattern @ ..] => self.add_channels(pattern)?,
            [sign @ (b'+' | b'-'), name @ ..] => self.apply_command(*sign == b'+', name, ctx)?,
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn begin_commands(&mut self, commands: CommandSet) {
        self.commands = commands;
        self.command_rules.clear();
        self.first_args.clear();
    }

    fn add_keys(&mut self, access: KeyAccess, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeysAfterAll);
        }
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        if let Some(known) = self.keys.iter_mut().find(|known| *known.pattern == *pattern) {
            known.access.reads |= access.reads;
            known.access.writes |= access.writes;
            return Ok(());
        }
        if self.keys.len() >= ITEMS_MAX {
            return Err(RuleError::TooMany);
        }
        self.keys.push(KeyPattern { access, pattern: pattern.into() });
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::ChannelsAfterAll);
        }
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| **known == *pattern) {
            if self.channels.len() >= ITEMS_MAX {
                return Err(RuleError::TooMany);
            }
            self.channels.push(pattern.into());
        }
        Ok(())
    }

    /// A rule that begins with `+` or `-`.
    fn apply_command(
        &mut self,
        allow: bool,
        name: &[u8],
        ctx: RuleCtx<'_>,
    ) -> Result<(), RuleError> {
        let registry = ctx.registry;
        if self.command_rules.len() >= ITEMS_MAX {
            return Err(RuleError::TooMany);
        }
        if let [b'@', category @ ..] = name {
            let bit = registry.category(category).ok_or(RuleError::Unknown)?;
            self.set_category(registry, bit, allow);
            self.note_rule(name, allow);
            return Ok(());
        }
        let bar = name.iter().rposition(|byte| *byte == b'|').filter(|_| allow);
        let Some(bar) = bar else {
            let command = registry.original(name).ok_or(RuleError::Unknown)?;
            self.set_command(command, allow);
            self.note_rule(&command.full_name(), allow);
            return Ok(());
        };
        let (container, arg) = (&name[..bar], &name[bar + 1..]);
        let command = registry.original(container).ok_or(RuleError::Unknown)?;
        if container.contains(&b'|') {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        if arg.is_empty() {
            return Err(RuleError::Syntax);
        }
        if command.subcommands.is_empty() {
            // The rules are shown and read back as words.
            if has_blanks(arg) {
                return Err(RuleError::Syntax);
            }
            let args = self.first_args.entry(command.id).or_default();
            if !args.iter().any(|known| known.eq_ignore_ascii_case(arg)) {
                args.push(arg.into());
            }
        } else {
            let command = registry.original(name).ok_or(RuleError::Unknown)?;
            self.set_command(command, true);
        }
        self.note_rule(name, true);
        Ok(())
    }

    /// Permits a command with its subcommands, or forbids them.
    fn set_command(&mut self, command: &Command, allow: bool) {
        self.commands.set(command.id, allow);
        self.first_args.remove(&command.id);
        for sub in &command.subcommands {
            self.commands.set(sub.id, allow);
        }
    }

    fn set_category(&mut self, registry: &Registry, bit: u64, allow: bool) {
        for command in registry.originals() {
            if command.categories & bit != 0 {
                self.set_command(command, allow);
            }
            for sub in command.subcommands.iter().filter(|sub| sub.categories & bit != 0) {
                self.set_command(sub, allow);
            }
        }
    }

    /// Remembers a rule about commands. It takes the place of earlier ones about the same, and of those about
    /// subcommands of it.
    fn note_rule(&mut self, name: &[u8], allow: bool) {
        let name = name.to_ascii_lowercase();
        self.command_rules.retain(|known| match known.name.strip_prefix(&name[..]) {
            Some(rest) => !rest.is_empty() && rest[0] != b'|',
            None => true,
        });
        self.command_rules.push(CommandRule { allow, name });
    }

    /// Works out anew which commands there are to permit. Rules about commands that are gone stay, and mean
    /// nothing until they come back.
    pub fn recompute(&mut self, registry: &Registry) {
        let rules = std::mem::take(&mut self.command_rules);
        self.begin_commands(match self.commands.takes_new() {
            true => CommandSet::all(),
            false => CommandSet::default(),
        });
        let ctx = RuleCtx { registry, all_channels: false };
        for CommandRule { allow, name } in rules {
            if self.apply_command(allow, &name, ctx).is_err() {
                self.note_rule(&name, allow);
            }
        }
    }

    /// The rules about commands that lead to this.
    pub fn describe_commands(&self) -> Vec<u8> {
        let mut out = match self.commands.takes_new() {
            true => b"+@all".to_vec(),
            false => b"-@all".to_vec(),
        };
        for rule in &self.command_rules {
            out.extend_from_slice(if rule.allow { b" +" } else { b" -" });
            out.extend_from_slice(&rule.name);
        }
        out
    }

    /// The rules about keys.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let mut out = Vec::new();
        for (at, pattern) in self.keys.iter().enumerate() {
            if at > 0 {
                out.push(b' ');
            }
            pattern.describe(&mut out);
        }
        out
    }

    /// The rules about channels.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let rules: Vec<Vec<u8>> =
            self.channels.iter().map(|pattern| [b"&", &**pattern].concat()).collect();
        rules.join(&b' ')
    }

    /// All rules that lead to this.
    pub fn describe(&self, out: &mut Vec<u8>) {
        let keys = self.describe_keys();
        if !keys.is_empty() {
            out.extend_from_slice(&keys);
            out.push(b' ');
        }
        if !self.all_channels {
            out.extend_from_slice(b"resetchannels ");
        }
        let channels = self.describe_channels();
        if !channels.is_empty() {
            out.extend_from_slice(&channels);
            out.push(b' ');
        }
        out.extend_from_slice(&self.describe_commands());
    }
}

/// `RW~pattern` in two parts.
fn split_access(text: &[u8]) -> Option<(KeyAccess, &[u8])> {
    let mut access = KeyAccess::default();
    for (at, byte) in text.iter().enumerate() {
        match byte.to_ascii_uppercase() {
            b'R' if !access.reads => access.reads = true,
            b'W' if !access.writes => access.writes = true,
            b'~' if access != KeyAccess::default() => return Some((access, &text[at + 1..])),
            _ => return None,
        }
    }
    // Letters without a pattern are one of the empty pattern, as in Redis.
    (access != KeyAccess::default()).then_some((access, &[]))
}

/// Whether a pattern ends in a star that stands for anything, so that what fits it also does so with more behind.
fn ends_open(pattern: &[u8]) -> bool {
    let Some(before) = pattern.strip_suffix(b"*") else { return false };
    let escapes = before.iter().rev().take_while(|&&b| b == b'\\').count();
    // In a class without an end it would be one of its characters.
    let open = before.iter().rposition(|&b| b == b'[');
    let is_in_class = open.is_some_and(|open| !before[open..].contains(&b']'));
    escapes.is_multiple_of(2) && !is_in_class
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_a_prefix_if_nothing_behind_that_can_leave_it() {
        for (pattern, is_open) in [
            (&b"a*"[..], true),
            (b"*", true),
            (b"a", false),
            (b"a\\*", false),
            (b"a\\\\*", true),
            (b"[a*", false),
            (b"[a]*", true),
            (b"a*b", false),
        ] {
            assert_eq!(ends_open(pattern), is_open, "{}", String::from_utf8_lossy(pattern));
        }
    }
}
