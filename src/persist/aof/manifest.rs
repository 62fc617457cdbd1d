//! Which files make up the append-only file, in which order? The manifest: a text file with a line for each.
//!
//! ```text
//! file appendonly.aof.1.base.rdb seq 1 type b
//! file appendonly.aof.1.incr.aof seq 1 type i
//! ```
//!
//! Types are `b` (base, one at most), `h` (history: to be deleted) and `i` (incremental, in the order of their numbers).
//! Lines that begin with `#` are comments; keys that are not known are passed over. Source: Redis 7.0's `aof.c`.

use std::fmt;

use crate::base::quoting::{append_quoted, split_args};

/// Longest line, as Redis has it.
pub const LINE_BYTES_MAX: usize = 1024;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The data set when the last rewrite began.
    Base,
    /// A base or an incremental file of the time before that, to be deleted.
    History,
    /// What was written since.
    Incremental,
}

impl Role {
    fn letter(self) -> u8 {
        match self {
            Role::Base => b'b',
            Role::History => b'h',
            Role::Incremental => b'i',
        }
    }
}

/// A line of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The file's name in the folder.
    pub name: Vec<u8>,
    /// Its number among those of its role, from 1.
    pub number: i64,
    /// What it is for.
    pub role: Role,
}

/// The files of an append-only file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The base.
    pub base: Option<Part>,
    /// What is to be deleted.
    pub history: Vec<Part>,
    /// What follows the base.
    pub incremental: Vec<Part>,
}

/// Why a text is no manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The line's number from 1 and its text, if it is about one.
    pub line: Option<(usize, Vec<u8>)>,
    /// Redis's words.
    pub what: &'static str,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\n*** FATAL AOF MANIFEST FILE ERROR ***\n")?;
        if let Some((number, text)) = &self.line {
            let text = String::from_utf8_lossy(text);
            write!(f, "Reading the manifest file, at line {number}\n>>> '{text}'\n")?;
        }
        f.write_str(self.what)
    }
}

impl std::error::Error for ManifestError {}

impl Manifest {
    /// Reads a manifest.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        if text.is_empty() {
            return Err(ManifestError { line: None, what: "Found an empty AOF manifest" });
        }
        let mut manifest = Self::default();
        for (at, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if line.starts_with(b"#") {
                continue;
            }
            if line.len() > LINE_BYTES_MAX || !line.ends_with(b"\n") {
                let what = "The AOF manifest file contains too long line";
                return Err(ManifestError { line: None, what });
            }
            let line = line.trim_ascii();
            let part = parse_line(line).and_then(|part| manifest.add(part));
            part.map_err(|what| ManifestError { line: Some((at + 1, line.to_vec())), what })?;
        }
        Ok(manifest)
    }

    fn add(&mut self, part: Part) -> Result<(), &'static str> {
        match part.role {
            Role::Base if self.base.is_some() => {
                return Err("Found duplicate base file information");
            }
            Role::Base => self.base = Some(part),
            Role::History => self.history.push(part),
            Role::Incremental => {
                if part.number <= self.incremental.last().map_or(0, |last| last.number) {
                    return Err("Found a non-monotonic sequence number");
                }
                self.incremental.push(part);
            }
        }
        Ok(())
    }

    /// The files to load, in order.
    pub fn files(&self) -> impl DoubleEndedIterator<Item = &Part> {
        self.base.iter().chain(&self.incremental)
    }

    /// The manifest's text.
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for part in self.base.iter().chain(&self.history).chain(&self.incremental) {
            text.extend_from_slice(b"file ");
            // Names of ours need no quotes; one that came with a foreign manifest may.
            let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\".contains(byte);
            if !part.name.is_empty() && part.name.iter().all(is_plain) {
                text.extend_from_slice(&part.name);
            } else {
                append_quoted(&mut text, &part.name);
            }
            let letter = char::from(part.role.letter());
            text.extend_from_slice(format!(" seq {} type {letter}\n", part.number).as_bytes());
        }
        text
    }
}

fn parse_line(line: &[u8]) -> Result<Part, &'static str> {
    const INVALID: &str = "Invalid AOF manifest file format";
    let words = split_args(line).ok_or(INVALID)?;
    if words.len() < 6 || !words.len().is_multiple_of(2) {
        return Err(INVALID);
    }
    let (mut name, mut number, mut letter) = (None, 0, None);
    for pair in words.chunks_exact(2) {
        let value = &pair[1];
        match pair[0].to_ascii_lowercase().as_slice() {
            b"file" if value.contains(&b'/') => {
                return Err("File can't be a path, just a filename");
            }
            b"file" => name = Some(value.clone()),
            b"seq" => number = leading_number(value),
            b"type" => letter = value.first().copied(),
            _ => {}
        }
    }
    let (Some(name), Some(letter)) = (name, letter) else { return Err(INVALID) };
    if number == 0 {
        return Err(INVALID);
    }
    let role = [Role::Base, Role::History, Role::Incremental];
    let role = role.into_iter().find(|role| role.letter() == letter);
    Ok(Part { name, number, role: role.ok_or("Unknown AOF file type")? })
}

/// The number that a text begins with, as C's `atoll` reads it; 0 if there is none.
fn leading_number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (digits, sign) = match text.split_first() {
        Some((b'-', rest)) => (rest, -1),
        Some((b'+', rest)) => (rest, 1),
        _ => (text, 1),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0i64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(sign * i64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        let error = Manifest::parse(text.as_bytes()).expect_err("no manifest");
        match error.line {
            Some((number, line)) => {
                format!("{number} {:?}: {}", String::from_utf8_lossy(&line), error.what)
            }
            None => error.what.to_string(),
        }
    }

    #[test]
    fn what_redis_writes_is_read_and_written_alike() {
        let text = b"file a.aof.2.base.rdb seq 2 type b\n\
                     file a.aof.1.base.rdb seq 1 type h\n\
                     file a.aof.4.incr.aof seq 4 type i\n\
                     file a.aof.5.incr.aof seq 5 type i\n";
        let manifest = Manifest::parse(text).expect("a manifest");
        assert_eq!(manifest.to_text(), text);
        assert_eq!(manifest.files().map(|part| part.number).collect::<Vec<_>>(), [2, 4, 5]);
        assert_eq!(manifest.history[0].role, Role::History);
    }

    #[test]
    fn comments_and_unknown_keys_are_passed_over() {
        let text = b"# hello\nFILE 'a b' other x seq 3 type base\n";
        let base = Manifest::parse(text).expect("a manifest").base.expect("a base");
        assert_eq!((base.name, base.number), (b"a b".to_vec(), 3));
    }

    #[test]
    fn errors_are_those_of_redis() {
        assert_eq!(error(""), "Found an empty AOF manifest");
        assert_eq!(error("file a seq 1 type b"), "The AOF manifest file contains too long line");
        assert_eq!(
            error(&format!("file {} seq 1 type b\n", "a".repeat(1100))),
            "The AOF manifest file contains too long line"
        );
        assert_eq!(error("\n"), "1 \"\": Invalid AOF manifest file format");
        assert_eq!(error("file a seq 1\n"), "1 \"file a seq 1\": Invalid AOF manifest file format");
        assert_eq!(
            error("#\nfile a seq x type b\n"),
            "2 \"file a seq x type b\": Invalid AOF manifest file format"
        );
        assert!(error("file d/a seq 1 type b\n").ends_with("just a filename"));
        assert!(error("file a seq 1 type x\n").ends_with("Unknown AOF file type"));
        let twice = "file a seq 1 type b\nfile b seq 2 type b\n";
        assert!(error(twice).ends_with("Found duplicate base file information"));
        let back = "file a seq 2 type i\nfile b seq 2 type i\n";
        assert!(error(back).ends_with("Found a non-monotonic sequence number"));
    }

    proptest! {
        #[test]
        fn any_names_survive(
            names in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5)
        ) {
            let mut manifest = Manifest::default();
            for (at, name) in names.into_iter().enumerate() {
                let name = name.into_iter().map(|byte| if byte == b'/' { b'_' } else { byte });
                let (name, number) = (name.collect(), at as i64 + 1);
                manifest.add(Part { name, number, role: Role::Incremental }).unwrap();
            }
            prop_assert_eq!(Manifest::parse(&manifest.to_text()), Ok(manifest));
        }

        #[test]
        fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Manifest::parse(&text);
        }
    }
}
