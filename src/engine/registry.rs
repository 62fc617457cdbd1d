//! Which commands are there? From names to commands, built in or from a module.
//!
//! Invariants: a registry never changes; a new one replaces it and raises the generation, which is
//! checked under the lock by whoever looked a command up before. Commands live for ever (their count
//! is bounded by what administrators load), so that a queue or a worker may hold on to one.

use std::collections::HashMap;
use std::sync::LazyLock;

use parking_lot::Mutex;

use super::spec::{ArgKind, Begin, Category, CommandSpec, Find, Flag, Group, KeySpec, Run};
use super::stats::CommandStat;

/// A command as it runs: its declaration and what follows from it.
#[derive(Debug)]
pub struct Command {
    /// The declaration.
    pub spec: &'static CommandSpec,
    /// The name as `COMMAND` shows it: lower case, or as its module has it, with `container|` before a
    /// subcommand's.
    pub name: Box<str>,
    /// A number for permissions, the same for a name as long as the process lives.
    pub id: u32,
    /// The flags as bits.
    pub flags: u32,
    /// The ACL categories as bits.
    pub categories: u64,
    /// The first key's position, 0 if there is none at a fixed place.
    pub first_key: i32,
    /// The last key's position, negative from the end.
    pub last_key: i32,
    /// The distance between keys.
    pub key_step: i32,
    /// The argument that is, if anything, the first key: its memory is worth fetching ahead. 0 if there is
    /// no such argument.
    pub likely_key: usize,
    /// The arguments that are, if anything, members of the first key.
    pub likely_members: LikelyMembers,
    /// A function of a module runs it, which will look into a value of the module's own, if anything.
    pub is_foreign: bool,
    /// Its subcommands.
    pub subcommands: Vec<&'static Command>,
    /// The module that brought it.
    pub module: Option<Box<str>>,
    /// Figures, by worker.
    pub stats: Box<[CommandStat]>,
}

impl Command {
    /// Whether its answer may show keys or what is in them, so that it waits for the log to be durable.
    #[inline]
    pub fn shows_data(&self) -> bool {
        const OF_DATA: u32 = Flag::Write.bit() | Flag::ReadOnly.bit();
        let is_apart = matches!(self.spec.group, Group::Connection | Group::Server | Group::Pubsub);
        self.flags & OF_DATA != 0 || !is_apart
    }

    /// Makes a command of a declaration. `workers` is the number of threads that count.
    pub fn new(
        spec: &'static CommandSpec,
        parent: Option<&str>,
        module: Option<&str>,
        workers: usize,
    ) -> &'static Command {
        let own = match module {
            Some(_) => spec.name.to_owned(),
            None => spec.name.to_ascii_lowercase(),
        };
        let name = match parent {
            Some(parent) => format!("{parent}|{own}"),
            None => own,
        };
        let subcommands = spec
            .subcommands
            .iter()
            .map(|sub| Command::new(sub, Some(&name), module, workers))
            .collect();
        let (first_key, last_key, key_step) = legacy_range(spec.keys);
        let mut flags = spec.flags.iter().fold(0, |bits, flag| bits | flag.bit());
        let asks = spec.find_keys.is_some() || spec.flags.contains(&Flag::GetKeysApi);
        if asks || spec.keys.iter().any(is_movable) || has_gaps(spec.keys) {
            flags |= Flag::MovableKeys.bit();
        }
        let categories = implied_categories(spec, flags);
        Box::leak(Box::new(Command {
            spec,
            id: id_of(&name.to_ascii_lowercase()),
            name: name.into(),
            flags,
            categories,
            first_key,
            last_key,
            key_step,
            likely_key: likely_key(spec.keys),
            likely_members: LikelyMembers::new(spec),
            is_foreign: matches!(spec.run, Run::Foreign(_) | Run::ForeignRead(_)),
            subcommands,
            module: module.map(Into::into),
            stats: (0..workers).map(|_| CommandStat::default()).collect(),
        }))
    }

    /// The name as it was declared, with `container|` before a subcommand's, whatever `rename-command` made
    /// of it.
    pub fn full_name(&self) -> Vec<u8> {
        match self.name.contains('|') {
            true => self.name.as_bytes().to_vec(),
            false if self.module.is_some() => self.spec.name.into(),
            false => self.spec.name.to_ascii_lowercase().into_bytes(),
        }
    }

    /// Whether the command has a flag.
    #[inline]
    pub fn has(&self, flag: Flag) -> bool {
        self.flags & flag.bit() != 0
    }

    /// The subcommand of this name.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Command> {
        self.subcommands
            .iter()
            .find(|sub| name.eq_ignore_ascii_case(sub.spec.name.as_bytes()))
            .copied()
    }
}

/// The number of a command of this name. A module's command gets the same one again when it comes back;
/// their count is bounded by what administrators load.
fn id_of(name: &str) -> u32 {
    static IDS: LazyLock<Mutex<HashMap<Box<str>, u32>>> = LazyLock::new(Mutex::default);
    let mut ids = IDS.lock();
    let next = ids.len() as u32;
    *ids.entry(name.into()).or_insert(next)
}

/// Whether only a look at the arguments tells where the keys are.
fn is_movable(spec: &KeySpec) -> bool {
    !matches!((spec.begin, spec.find), (Begin::Index(_), Find::Range { .. }))
        || spec.extra.contains(&"incomplete")
}

/// Whether the key specs are several and not one row of keys, which the old triple could tell.
fn has_gaps(specs: &[KeySpec]) -> bool {
    let mut behind = None;
    specs.len() > 1
        && !specs.iter().all(|spec| {
            let (Begin::Index(first), Find::Range { last, step, .. }) = (spec.begin, spec.find)
            else {
                return false;
            };
            let follows = behind.is_none_or(|behind| behind == first);
            behind = Some(if last < 0 { 0 } else { first + last + 1 });
            follows && step == 1
        })
}

/// The old triple of first key, last key and step that covers all simple key specs.
fn legacy_range(specs: &[KeySpec]) -> (i32, i32, i32) {
    let mut covered: Option<(i32, i32, i32)> = None;
    for spec in specs.iter().filter(|spec| !spec.extra.contains(&"not_key")) {
        let (Begin::Index(first), Find::Range { last, step, .. }) = (spec.begin, spec.find) else {
            continue;
        };
        let last = if last < 0 { last } else { first + last };
        covered = Some(match covered {
            None => (first, last, step),
            Some((f, l, s)) if f == s.max(1) && l >= 0 && first == l + 1 => (f, last, 1),
            Some(range) => range,
        });
    }
    covered.unwrap_or((0, 0, 0))
}

/// Where the first run of keys begins, even if only the arguments tell how many there are.
fn likely_key(specs: &[KeySpec]) -> usize {
    let position = match specs.first().map(|spec| (spec.begin, spec.find)) {
        Some((Begin::Index(at), Find::Range { .. })) => at,
        Some((Begin::Index(at), Find::KeyNum { first, .. })) => at + first,
        _ => 0,
    };
    usize::try_from(position).unwrap_or(0)
}

/// Where a command's members or fields are among its arguments, if no optional ones stand before them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LikelyMembers {
    /// The first one's position, 0 if there is none.
    first: usize,
    /// The distance between them, 0 if there is but one.
    step: usize,
}

impl LikelyMembers {
    fn new(spec: &CommandSpec) -> Self {
        let is_collection = matches!(spec.group, Group::Hash | Group::Set | Group::SortedSet);
        let mut first = 1;
        for arg in spec.args.iter().filter(|arg| is_collection && !arg.optional) {
            let parts = if arg.args.is_empty() { std::slice::from_ref(arg) } else { arg.args };
            if arg.token.is_some() || arg.kind == ArgKind::OneOf {
                break;
            }
            if let Some(at) = parts.iter().position(|part| matches!(part.name, "member" | "field"))
            {
                return Self {
                    first: first + at,
                    step: if arg.multiple { parts.len() } else { 0 },
                };
            }
            first += parts.len();
        }
        Self::default()
    }

    /// Those of these arguments.
    #[inline]
    pub fn of<'a>(self, argv: &'a [&'a [u8]]) -> Option<impl Iterator<Item = &'a [u8]>> {
        if self.first == 0 {
            return None;
        }
        let count = if self.step == 0 { 1 } else { usize::MAX };
        Some(argv.get(self.first..)?.iter().copied().step_by(self.step.max(1)).take(count))
    }
}

/// The categories that Redis derives from flags and group, beside those declared.
fn implied_categories(spec: &CommandSpec, flags: u32) -> u64 {
    let declared = |bits, category: &Category| bits | category.bit();
    let mut bits = spec.categories.iter().fold(spec.module_categories, declared);
    // Modules say for themselves what their commands belong to.
    if flags & Flag::Module.bit() != 0 {
        return bits;
    }
    let mut when = |flag: Flag, category: Category| {
        if flags & flag.bit() != 0 {
            bits |= category.bit();
        }
    };
    when(Flag::Write, Category::Write);
    when(Flag::Admin, Category::Admin);
    when(Flag::Admin, Category::Dangerous);
    when(Flag::PubSub, Category::Pubsub);
    when(Flag::Fast, Category::Fast);
    when(Flag::Blocking, Category::Blocking);
    if flags & Flag::ReadOnly.bit() != 0 && bits & Category::Scripting.bit() == 0 {
        bits |= Category::Read.bit();
    }
    if flags & Flag::Fast.bit() == 0 {
        bits |= Category::Slow.bit();
    }
    bits |= match spec.group {
        Group::String => Category::String.bit(),
        Group::List => Category::List.bit(),
        Group::Set => Category::Set.bit(),
        Group::SortedSet => Category::SortedSet.bit(),
        Group::Hash => Category::Hash.bit(),
        Group::Stream => Category::Stream.bit(),
        Group::Bitmap => Category::Bitmap.bit(),
        Group::Hyperloglog => Category::Hyperloglog.bit(),
        Group::Geo => Category::Geo.bit(),
        Group::Transactions => Category::Transaction.bit(),
        _ => 0,
    };
    bits
}

/// A command beside the words of its name, so that a look-up touches no other memory.
#[derive(Clone, Copy, Debug)]
struct Slot {
    words: Words,
    command: &'static Command,
}

/// All commands, by name.
#[derive(Debug)]
pub struct Registry {
    /// Open addressing, at most a quarter full.
    slots: Box<[Option<Slot>]>,
    shift: u32,
    commands: Vec<&'static Command>,
    /// Commands that `rename-command` has taken away; rules of users may name them all the same.
    hidden: Vec<&'static Command>,
    /// ACL categories that modules have brought, with their bits.
    categories: Vec<(Box<str>, u64)>,
    generation: u64,
}

impl Registry {
    /// A registry of these commands, under names of their own choice where given.
    pub fn new(
        commands: impl IntoIterator<Item = (Option<Box<str>>, &'static Command)>,
        generation: u64,
    ) -> Self {
        let named: Vec<_> = commands.into_iter().collect();
        let size = (named.len() * 4).next_power_of_two().max(64);
        let mut registry = Self {
            slots: vec![None; size].into(),
            shift: 64 - size.trailing_zeros(),
            commands: Vec::with_capacity(named.len()),
            hidden: Vec::new(),
            categories: Vec::new(),
            generation,
        };
        for (name, command) in named {
            let command = match name {
                Some(name) if !name.eq_ignore_ascii_case(&command.name) => renamed(&name, command),
                _ => command,
            };
            registry.insert(command);
        }
        registry
    }

    fn insert(&mut self, command: &'static Command) {
        let words = Words::of(command.name.as_bytes());
        let mut at = self.slot_of(words);
        while self.slots[at].is_some() {
            at = (at + 1) % self.slots.len();
        }
        self.slots[at] = Some(Slot { words, command });
        self.commands.push(command);
    }

    /// The command of this name, in any case.
    #[inline]
    pub fn lookup(&self, name: &[u8]) -> Option<&'static Command> {
        let words = Words::of(name);
        let mut at = self.slot_of(words);
        while let Some(slot) = self.slots[at] {
            let is_same = slot.words == words
                && (words.is_whole() || slot.command.name.as_bytes().eq_ignore_ascii_case(name));
            if is_same {
                return Some(slot.command);
            }
            at = (at + 1) % self.slots.len();
        }
        None
    }

    /// The command of these arguments, down to its subcommand.
    #[inline]
    pub fn resolve(&self, argv: &[&[u8]]) -> Option<&'static Command> {
        let command = self.lookup(argv.first()?)?;
        if command.subcommands.is_empty() {
            return Some(command);
        }
        Some(argv.get(1).and_then(|word| command.subcommand(word)).unwrap_or(command))
    }

    /// The command of this name, which may be `container|subcommand`.
    pub fn by_full_name(&self, name: &[u8]) -> Option<&'static Command> {
        let mut words = name.splitn(2, |b| *b == b'|');
        let command = self.lookup(words.next()?)?;
        match words.next() {
            None => Some(command),
            Some(sub) => command.subcommand(sub),
        }
    }

    /// All commands, without subcommands.
    pub fn commands(&self) -> &[&'static Command] {
        &self.commands
    }

    /// With commands that can be named in the rules of users, but not run.
    pub fn with_hidden(mut self, hidden: Vec<&'static Command>) -> Self {
        self.hidden = hidden;
        self
    }

    /// Those commands.
    pub fn hidden(&self) -> &[&'static Command] {
        &self.hidden
    }

    /// With further ACL categories.
    pub fn with_categories(mut self, categories: Vec<(Box<str>, u64)>) -> Self {
        self.categories = categories;
        self
    }

    /// The ACL categories that modules have brought, with their bits.
    pub fn module_categories(&self) -> &[(Box<str>, u64)] {
        &self.categories
    }

    /// The bit of an ACL category, named without `@`.
    pub fn category(&self, name: &[u8]) -> Option<u64> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let built_in = Category::ALL.iter().find(|category| is(category.name()));
        let of_module = || self.categories.iter().find(|(known, _)| is(known));
        built_in.map(|category| category.bit()).or_else(|| of_module().map(|(_, bit)| *bit))
    }

    /// All commands, without subcommands, those that cannot be run included.
    pub fn originals(&self) -> impl Iterator<Item = &'static Command> {
        self.commands.iter().chain(&self.hidden).copied()
    }

    /// The command that was declared by this name, which may be `container|subcommand`, whatever it is called
    /// now.
    pub fn original(&self, name: &[u8]) -> Option<&'static Command> {
        let mut words = name.splitn(2, |byte| *byte == b'|');
        let first = words.next()?;
        let is_it = |command: &Command| first.eq_ignore_ascii_case(command.spec.name.as_bytes());
        let command = self.lookup(first).filter(|command| is_it(command));
        let command = command.or_else(|| self.originals().find(|command| is_it(command)))?;
        match words.next() {
            None => Some(command),
            Some(sub) => command.subcommand(sub),
        }
    }

    /// Grows with each change of the commands.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Multiply-shift over the words of a name.
    #[inline]
    fn slot_of(&self, words: Words) -> usize {
        let mixed = words.first.wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ words.last.wrapping_add(words.len).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (mixed.wrapping_mul(0xA076_1D64_78BD_642F) >> self.shift) as usize
    }
}

/// Look-ups in a registry, one after the other: a pipeline often has one command many times.
#[derive(Debug)]
pub struct Names<'a> {
    registry: &'a Registry,
    last: Option<(&'a [u8], &'static Command)>,
}

impl<'a> Names<'a> {
    /// Look-ups in this registry.
    pub fn new(registry: &'a Registry) -> Self {
        Self { registry, last: None }
    }

    /// The command of these arguments, as [`Registry::resolve`] has it.
    #[inline]
    pub fn resolve(&mut self, argv: &[&'a [u8]]) -> Option<&'static Command> {
        let name = *argv.first()?;
        if let Some((last, command)) = self.last
            && is_same(last, name)
        {
            return Some(command);
        }
        let command = self.registry.resolve(argv)?;
        // With subcommands the name alone does not tell.
        self.last = (command.spec.subcommands.is_empty() && !command.name.contains('|'))
            .then_some((name, command));
        Some(command)
    }
}

/// Whether two names are the same, byte for byte; without a call for short ones.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match (one.first_chunk::<4>(), one.last_chunk::<4>(), other.first_chunk(), other.last_chunk()) {
        (Some(a), Some(b), Some(c), Some(d)) if one.len() <= 8 => (a, b) == (c, d),
        _ => one == other,
    }
}

/// A command under another name (`rename-command`).
fn renamed(name: &str, command: &'static Command) -> &'static Command {
    Box::leak(Box::new(Command {
        name: name.to_ascii_lowercase().into(),
        subcommands: command.subcommands.clone(),
        module: command.module.clone(),
        stats: command.stats.iter().map(|_| CommandStat::default()).collect(),
        ..*command
    }))
}

/// A name in lower case. One of up to eight bytes is in the first word, its first and last four bytes, which overlap in shorter
/// ones; a longer one is its first and last eight bytes, which is all of it up to sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Words {
    first: u64,
    last: u64,
    len: u64,
}

impl Words {
    #[inline]
    fn of(name: &[u8]) -> Self {
        let len = name.len() as u64;
        if len > 8
            && let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>())
        {
            let [first, last] = [first, last].map(|word| lower(u64::from_le_bytes(*word)));
            return Self { first, last, len };
        }
        let word =
            if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
                let [first, last] = [first, last].map(|half| u64::from(u32::from_le_bytes(*half)));
                first | last << 32
            } else {
                let byte = |i: usize| u64::from(name.get(i).copied().unwrap_or(0));
                byte(0) | byte(1) << 8 | byte(2) << 16
            };
        Self { first: lower(word), last: 0, len }
    }

    /// Whether the words are the whole name.
    #[inline]
    fn is_whole(self) -> bool {
        self.len <= 16
    }
}

/// Eight bytes with ASCII capitals made small, all at once.
#[inline]
fn lower(bytes: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low = bytes & (0x7f * ONES);
    // The top bit of a byte says that it is at least `A`, and that it is beyond `Z`.
    let from_a = low + (0x80 - b'A' as u64) * ONES;
    let beyond_z = low + (0x7f - b'Z' as u64) * ONES;
    let capital = from_a & !beyond_z & !bytes & (0x80 * ONES);
    bytes | (capital >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::spec::Arg;
    use crate::engine::spec::{Access, Arity};

    const GET: CommandSpec = CommandSpec {
        name: "GET",
        arity: Arity::Exactly(2),
        keys: &[KeySpec::at(1, Access::Read)],
        flags: &[Flag::ReadOnly, Flag::Fast],
        group: Group::String,
        ..CommandSpec::BASE
    };
    const CONFIG: CommandSpec = CommandSpec {
        name: "CONFIG",
        subcommands: &[CommandSpec { name: "GET", ..CommandSpec::BASE }],
        ..CommandSpec::BASE
    };

    fn registry() -> Registry {
        let commands = [&GET, &CONFIG].map(|spec| (None, Command::new(spec, None, None, 1)));
        Registry::new(commands, 1)
    }

    #[test]
    fn names_are_found_in_any_case_and_no_others() {
        let registry = registry();
        let name = |argv: &[&[u8]]| registry.resolve(argv).map(|command| &*command.name);
        assert_eq!(name(&[b"gEt", b"k"]), Some("get"));
        assert_eq!(name(&[b"config", b"get"]), Some("config|get"));
        assert_eq!(name(&[b"config", b"nope"]), Some("config"));
        assert_eq!(name(&[b"ge"]), None);
        assert_eq!(name(&[b"\x07et"]), None);
        assert_eq!(name(&[b""]), None);
    }

    #[test]
    fn a_command_of_a_module_keeps_the_name_that_its_module_gave_it() {
        const ASKED: CommandSpec =
            CommandSpec { name: "FT.Get", flags: &[Flag::GetKeysApi], ..CommandSpec::BASE };
        let registry = Registry::new([(None, Command::new(&ASKED, None, Some("ft"), 1))], 1);
        let command = registry.lookup(b"ft.get").expect("found in any case");
        assert_eq!((&*command.name, command.full_name()), ("FT.Get", b"FT.Get".to_vec()));
        assert!(command.has(Flag::MovableKeys), "its keys are where the module says");
        let again = Command::new(&CommandSpec { name: "ft.get", ..ASKED }, None, Some("ft"), 1);
        assert_eq!(again.id, command.id, "permissions know it by its name in any case");
    }

    #[test]
    fn keys_are_movable_if_no_triple_tells_where_they_are() {
        const fn range(first: i32, last: i32, step: i32) -> KeySpec {
            KeySpec::range(first, last, step, Access::Read)
        }
        assert!(!has_gaps(&[]) && !has_gaps(&[range(2, -1, 2)]));
        assert!(!has_gaps(&[range(1, 0, 1), range(2, -1, 1)]));
        assert!(!has_gaps(&[range(1, 1, 1), range(3, 0, 1)]));
        assert!(has_gaps(&[range(1, 1, 1), range(4, 0, 1)]));
        assert!(has_gaps(&[range(1, 0, 1), range(2, -1, 2)]));
        assert!(has_gaps(&[range(1, -1, 1), range(2, 0, 1)]));
    }

    #[test]
    fn eight_bytes_are_lowered_as_one_is() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut bytes = [b'Z', b'A', b'@', b'[', b'`', 0xc1, 0, 0xff];
                bytes[place] = byte;
                let want = bytes.map(|byte| byte.to_ascii_lowercase());
                assert_eq!(lower(u64::from_le_bytes(bytes)), u64::from_le_bytes(want));
            }
        }
    }

    #[test]
    fn names_one_after_the_other_are_found_as_each_alone() {
        const SUB: &[CommandSpec] = &[
            CommandSpec { name: "ONE", ..CommandSpec::BASE },
            CommandSpec { name: "TWO", ..CommandSpec::BASE },
        ];
        static SPECS: [CommandSpec; 5] = [
            CommandSpec { name: "BOX", subcommands: SUB, ..CommandSpec::BASE },
            CommandSpec { name: "GET", ..CommandSpec::BASE },
            CommandSpec { name: "SET", ..CommandSpec::BASE },
            CommandSpec { name: "LPUSH", ..CommandSpec::BASE },
            CommandSpec { name: "EVALSHA_RO", ..CommandSpec::BASE },
        ];
        let commands = SPECS.iter().map(|spec| (None, Command::new(spec, None, None, 1)));
        let registry = Registry::new(commands, 1);
        let mut names = Names::new(&registry);
        let words: [&[&[u8]]; 12] = [
            &[b"get"],
            &[b"get"],
            &[b"GET"],
            &[b"set"],
            &[b"box", b"one"],
            &[b"box", b"two"],
            &[b"box"],
            &[b"lpush"],
            &[b"lpusx"],
            &[b"lpush"],
            &[b"evalsha_ro"],
            &[],
        ];
        for argv in words.into_iter().chain(words) {
            let name = |command: Option<&'static Command>| command.map(|command| &*command.name);
            assert_eq!(name(names.resolve(argv)), name(registry.resolve(argv)), "{argv:?}");
        }
    }

    #[test]
    fn long_names_are_compared_whole() {
        const LONG: CommandSpec = CommandSpec { name: "GEORADIUSBYMEMBER_RO", ..CommandSpec::BASE };
        let registry = Registry::new([(None, Command::new(&LONG, None, None, 1))], 1);
        assert!(registry.lookup(b"georadiusbyMEMBER_RO").is_some());
        assert!(registry.lookup(b"georadiuSZYMEMBER_RO").is_none());
        assert!(registry.lookup(b"georadiusZZZZMBER_RO").is_none());
    }

    #[test]
    fn categories_follow_from_flags_and_group() {
        let get = registry().lookup(b"get").expect("declared above");
        let names: Vec<_> = Category::ALL
            .into_iter()
            .filter(|category| get.categories & category.bit() != 0)
            .map(Category::name)
            .collect();
        assert_eq!(names, ["read", "string", "fast"]);
        assert_eq!((get.first_key, get.last_key, get.key_step), (1, 1, 1));
        assert_eq!(get.likely_key, 1);
    }

    #[test]
    fn members_are_found_by_the_names_of_arguments() {
        const MEMBER: Arg = Arg::string("member");
        const SCORED: &[Arg] = &[Arg::double("score"), MEMBER];
        let of = |group, args: &'static [Arg], argv: &[&[u8]]| {
            let spec = CommandSpec { group, args, ..CommandSpec::BASE };
            let members = LikelyMembers::new(&spec);
            members.of(argv).map(|found| found.map(<[u8]>::to_vec).collect::<Vec<_>>().concat())
        };
        let argv: &[&[u8]] = &[b"command", b"key", b"a", b"b", b"c", b"d"];
        const ONE: &[Arg] = &[Arg::key("key"), MEMBER];
        const MANY: &[Arg] = &[Arg::key("key"), MEMBER.multiple()];
        const PAIRS: &[Arg] = &[Arg::key("key"), Arg::block("data", SCORED).multiple()];
        const BEHIND: &[Arg] = &[Arg::key("key"), Arg::block("data", SCORED).token("WITH")];
        assert_eq!(of(Group::Set, ONE, argv), Some(b"a".to_vec()));
        assert_eq!(of(Group::Set, MANY, argv), Some(b"abcd".to_vec()));
        assert_eq!(of(Group::SortedSet, PAIRS, argv), Some(b"bd".to_vec()));
        assert_eq!(of(Group::SortedSet, BEHIND, argv), None);
        assert_eq!(of(Group::String, MANY, argv), None);
        assert_eq!(of(Group::Set, MANY, &argv[..2]), Some(Vec::new()));
        assert_eq!(of(Group::Set, MANY, &argv[..1]), None);
    }
}
