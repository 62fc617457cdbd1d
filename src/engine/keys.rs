//! Which arguments of a request are keys? From the declarations, for ACL, slots, `COMMAND GETKEYS`
//! and modules.

use super::registry::Command;
use super::spec::{Argv, Begin, Find, Flag, KeySpec, Run};
use crate::base::number;

/// A key among the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAt {
    /// Its index in argv.
    pub position: usize,
    /// What the command does with it, in the words of `COMMAND INFO`.
    pub flags: Vec<&'static str>,
}

/// A channel among the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelAt {
    /// Its index in argv.
    pub position: usize,
    /// It is a pattern of channels.
    pub is_pattern: bool,
}

/// The channels that a request publishes to or begins to listen to.
pub fn channels(command: &Command, argv: Argv<'_>) -> Vec<ChannelAt> {
    if let Run::Foreign(foreign) = command.spec.run {
        return foreign.channels(argv);
    }
    let Some(spec) = command.spec.channels else { return Vec::new() };
    let end = if spec.many { argv.len() } else { argv.len().min(spec.first + 1) };
    let at = |position| ChannelAt { position, is_pattern: spec.patterns };
    (spec.first..end).map(at).collect()
}

/// The keys of a request, in order. None if the arguments make no sense for the command.
pub fn find(command: &Command, argv: Argv<'_>) -> Option<Vec<KeyAt>> {
    if let Run::Foreign(foreign) = command.spec.run
        && command.has(Flag::GetKeysApi)
    {
        return foreign.keys(argv);
    }
    let Some(find) = command.spec.find_keys else { return declared(command, argv) };
    let tells = |spec: &KeySpec| {
        let is_unknown = spec.begin == Begin::Unknown || spec.find == Find::Unknown;
        !is_unknown && !spec.extra.contains(&"incomplete")
    };
    // The command's own way to find them is for what the declarations do not tell, as in Redis.
    if command.spec.keys.iter().all(tells)
        && let Some(keys) = declared(command, argv)
    {
        return Some(keys);
    }
    // The first key is what the first of the declarations says, the others what the last says.
    let flags = |spec: Option<&KeySpec>| spec.map(all_flags).unwrap_or_default();
    let (first, last) = (command.spec.keys.first(), command.spec.keys.last());
    let keys = find(argv)?.into_iter().enumerate().map(|(number, position)| KeyAt {
        position,
        flags: flags(if number == 0 { first } else { last }),
    });
    Some(keys.collect())
}

/// The keys where the declarations say that they stand.
fn declared(command: &Command, argv: Argv<'_>) -> Option<Vec<KeyAt>> {
    let mut keys = Vec::new();
    for spec in command.spec.keys.iter().filter(|spec| !spec.extra.contains(&"not_key")) {
        let positions = run_of_keys(spec, argv)?;
        let flags = match command.spec.key_access {
            Some(access) => access(argv).flags().to_vec(),
            None => all_flags(spec),
        };
        keys.extend(positions.map(|position| KeyAt { position, flags: flags.clone() }));
    }
    Some(keys)
}

fn all_flags(spec: &KeySpec) -> Vec<&'static str> {
    spec.access.flags().iter().chain(spec.extra).copied().collect()
}

/// The positions that one key spec covers.
fn run_of_keys(
    spec: &KeySpec,
    argv: Argv<'_>,
) -> Option<std::iter::StepBy<std::ops::Range<usize>>> {
    let none = || (0..0).step_by(1);
    let len = argv.len() as i64;
    let Some(first) = begin(spec.begin, argv) else { return Some(none()) };
    if !(1..len).contains(&first) {
        return if matches!(spec.begin, Begin::Index(_)) { None } else { Some(none()) };
    }
    let (start, end, step) = match spec.find {
        Find::Range { last, step, limit } => {
            let last = match (last, limit) {
                (last, _) if last >= 0 => first + i64::from(last),
                (-1, limit) if limit > 1 => first + (len - first) / i64::from(limit) - 1,
                (last, _) => len + i64::from(last),
            };
            (first, last, step)
        }
        Find::KeyNum { index, first: offset, step } => {
            let count = argv.get(usize::try_from(first + i64::from(index)).ok()?)?;
            let count = number::parse_i64(count).filter(|count| *count >= 0)?;
            let start = first + i64::from(offset);
            let step_len = i64::from(step);
            (start, start.checked_add(count.checked_mul(step_len)?)?.checked_sub(step_len)?, step)
        }
        Find::Unknown => return Some(none()),
    };
    // No key at all, as with a number of zero, is no sense either.
    if end >= len || end < start {
        return None;
    }
    let step = usize::try_from(step).ok().filter(|step| *step > 0)?;
    Some((start as usize..end as usize + 1).step_by(step))
}

fn begin(begin: Begin, argv: Argv<'_>) -> Option<i64> {
    match begin {
        Begin::Index(index) => Some(i64::from(index)),
        Begin::Keyword(word, from) => {
            let is_word = |arg: &&[u8]| arg.eq_ignore_ascii_case(word.as_bytes());
            if from >= 0 {
                let from = usize::try_from(from).ok()?;
                let at = argv.iter().skip(from).position(is_word)?;
                Some((from + at + 1) as i64)
            } else {
                let upto = argv.len().checked_sub(usize::try_from(-from).ok()? - 1)?;
                let at = argv[..upto].iter().rposition(is_word)?;
                Some(at as i64 + 1)
            }
        }
        Begin::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::spec::{Access, CommandSpec};

    fn positions(keys: &'static [KeySpec], words: &[&str]) -> Option<Vec<usize>> {
        let spec = Box::leak(Box::new(CommandSpec { name: "X", keys, ..CommandSpec::BASE }));
        let argv: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let found = find(Command::new(spec, None, None, 1), &argv)?;
        Some(found.into_iter().map(|key| key.position).collect())
    }

    #[test]
    fn key_specs_cover_what_they_say() {
        const ONE: &[KeySpec] = &[KeySpec::at(1, Access::Read)];
        const PAIRS: &[KeySpec] = &[KeySpec::range(1, -1, 2, Access::Overwrite)];
        const COUNTED: &[KeySpec] = &[KeySpec::counted(2, Access::Read)];
        assert_eq!(positions(ONE, &["x", "a", "b"]), Some(vec![1]));
        assert_eq!(positions(ONE, &["x"]), None);
        assert_eq!(positions(PAIRS, &["x", "a", "1", "b", "2"]), Some(vec![1, 3]));
        assert_eq!(positions(COUNTED, &["x", "s", "2", "a", "b", "c"]), Some(vec![3, 4]));
        assert_eq!(positions(COUNTED, &["x", "s", "0", "a"]), None);
        assert_eq!(positions(COUNTED, &["x", "s", "3", "a"]), None);
        assert_eq!(positions(COUNTED, &["x", "s", "9223372036854775807", "a"]), None);
    }
}
