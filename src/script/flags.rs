//! What does a script's first line declare? `#!lua flags=no-writes,allow-stale`, as Redis 7 reads it.

use bitflags::bitflags;

bitflags! {
    /// What a script declares about itself.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ScriptFlags: u8 {
        /// It never writes.
        const NO_WRITES = 1 << 0;
        /// It may run when memory is short.
        const ALLOW_OOM = 1 << 1;
        /// It may run on a replica that has lost its primary.
        const ALLOW_STALE = 1 << 2;
        /// It refuses to run in a cluster.
        const NO_CLUSTER = 1 << 3;
        /// It may touch keys of several slots.
        const ALLOW_CROSS_SLOT_KEYS = 1 << 4;
        /// It has no shebang line, so it declares nothing and each of its commands is judged alone.
        const UNDECLARED = 1 << 5;
    }
}

/// Their names behind `flags=`.
const NAMES: &[(&str, ScriptFlags)] = &[
    ("no-writes", ScriptFlags::NO_WRITES),
    ("allow-oom", ScriptFlags::ALLOW_OOM),
    ("allow-stale", ScriptFlags::ALLOW_STALE),
    ("no-cluster", ScriptFlags::NO_CLUSTER),
    ("allow-cross-slot-keys", ScriptFlags::ALLOW_CROSS_SLOT_KEYS),
];

impl ScriptFlags {
    /// The flag of this name, whatever its case.
    pub fn by_name(name: &[u8]) -> Option<Self> {
        let found = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        found.map(|(_, flag)| *flag)
    }

    /// The names of the flags that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter(move |(_, flag)| self.contains(*flag)).map(|(name, _)| *name)
    }
}

/// Longer first lines are refused; there is nothing to say that takes this much.
const SHEBANG_BYTES_MAX: usize = 4096;

/// The flags of `source` and the Lua text in it, which begins at the end of the shebang line so that
/// line numbers stay. The error is the text that the client gets, without its code (`ERR`).
pub fn parse(source: &[u8]) -> Result<(ScriptFlags, &[u8]), Vec<u8>> {
    if !source.starts_with(b"#!") {
        return Ok((ScriptFlags::UNDECLARED, source));
    }
    let end = memchr::memchr(b'\n', source).ok_or_else(|| b"Invalid script shebang".to_vec())?;
    if end > SHEBANG_BYTES_MAX {
        return Err(b"Invalid script shebang".to_vec());
    }
    let (line, body) = source.split_at(end);
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let engine = words.next().unwrap_or_default();
    if engine != b"#!lua" {
        return Err([b"Unexpected engine in script shebang: ", engine].concat());
    }
    let mut flags = ScriptFlags::empty();
    for word in words {
        let Some(list) = word.strip_prefix(b"flags=") else {
            return Err([b"Unknown lua shebang option: ", word].concat());
        };
        flags |= parse_list(list)?;
    }
    Ok((flags, body))
}

fn parse_list(list: &[u8]) -> Result<ScriptFlags, Vec<u8>> {
    let mut flags = ScriptFlags::empty();
    if list.is_empty() {
        return Ok(flags);
    }
    for name in list.split(|&b| b == b',') {
        match NAMES.iter().find(|(known, _)| known.as_bytes() == name) {
            Some((_, flag)) => flags |= *flag,
            None => return Err([b"Unexpected flag in script shebang: ", name].concat()),
        }
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(source: &[u8]) -> String {
        String::from_utf8(parse(source).unwrap_err()).unwrap()
    }

    #[test]
    fn flags_come_from_the_first_line_which_stays_as_an_empty_one() {
        assert_eq!(parse(b"return 1"), Ok((ScriptFlags::UNDECLARED, &b"return 1"[..])));
        assert_eq!(parse(b"#!lua\nreturn 1"), Ok((ScriptFlags::empty(), &b"\nreturn 1"[..])));
        let declared = ScriptFlags::NO_WRITES | ScriptFlags::ALLOW_STALE;
        assert_eq!(parse(b"#!lua flags=no-writes,allow-stale\n"), Ok((declared, &b"\n"[..])));
        assert_eq!(parse(b"#!lua flags=\nx"), Ok((ScriptFlags::empty(), &b"\nx"[..])));
    }

    #[test]
    fn errors_name_what_is_wrong() {
        assert_eq!(error(b"#!lua"), "Invalid script shebang");
        assert_eq!(error(b"#!perl\n"), "Unexpected engine in script shebang: #!perl");
        assert_eq!(error(b"#!lua badger=1\n"), "Unknown lua shebang option: badger=1");
        assert_eq!(error(b"#!lua flags=what?\n"), "Unexpected flag in script shebang: what?");
        assert_eq!(error(b"#!lua flags=no-writes,\n"), "Unexpected flag in script shebang: ");
    }
}
