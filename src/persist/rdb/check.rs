//! Is an RDB file sane? What redis-check-rdb does: it reads all parts and all values, and says where and at what it gave
//! up. Its words are those of redis-check-rdb.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::load::LoadError;
use super::parts::{Part, VERSION_WITH_CHECKSUM, read_magic, read_part};
use super::value::{self, dialect_of};
use super::window::{Summing, Window};
use crate::object::module::KeyName;
use crate::object::rdb::kind::{self, opcode};
use crate::object::rdb::module::{skip_items, type_name};
use crate::object::rdb::read::Reader;
use crate::object::rdb::{Check as Checked, Limits, LoadContext, NoTypes, RdbError};

/// Runs the tool with the arguments behind its name; its exit code.
pub fn check_rdb(name: &str, args: &[Vec<u8>], out: &mut dyn Write) -> io::Result<u8> {
    let [path] = args else {
        writeln!(out, "Usage: {name} <rdb-file-name>")?;
        return Ok(1);
    };
    let path = Path::new(OsStr::from_bytes(path));
    match check_rdb_file(path, path, out)? {
        Some(_) => Ok(0),
        None => Ok(1),
    }
}

/// Checks a file, or the snapshot that a file of commands begins with; where it ends, if it is sane. `name` is what the
/// user reads.
pub fn check_rdb_file(path: &Path, name: &Path, out: &mut dyn Write) -> io::Result<Option<u64>> {
    writeln!(out, "[offset 0] Checking RDB file {}", name.display())?;
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            let why = crate::persist::io::words(&error);
            writeln!(out, "Cannot open file {}: {why}", name.display())?;
            return Ok(None);
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut chunks = Summing::new(&mut file);
    let mut check = Check {
        window: Window::new(&mut chunks, None),
        out,
        now_ms: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
        doing: "start",
        trace: Trace::default(),
        keys: 0,
        expires: 0,
        expired: 0,
    };
    match check.run() {
        Ok(()) => {
            let end = check.window.offset();
            writeln!(check.out, "[offset {end}] \\o/ RDB looks OK! \\o/")?;
            check.tell_counts()?;
            Ok(Some(end))
        }
        Err(Failure::Console(error)) => Err(error),
        Err(Failure::File(text)) => {
            check.tell_error(&text)?;
            Ok(None)
        }
    }
}

/// What is being read.
#[derive(Clone, Debug, Default)]
struct Trace {
    /// The byte that leads it.
    kind: u8,
    /// The key, if it is one.
    key: Option<Vec<u8>>,
}

struct Check<'a, 'b> {
    window: Window<'a>,
    out: &'b mut dyn Write,
    now_ms: i64,
    doing: &'static str,
    trace: Trace,
    keys: u64,
    expires: u64,
    expired: u64,
}

/// Why a check ended.
enum Failure {
    /// Something is wrong with the file.
    File(String),
    /// Nobody can be told.
    Console(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Console(error)
    }
}

impl Check<'_, '_> {
    fn run(&mut self) -> Result<(), Failure> {
        let version = read_magic(&mut self.window).map_err(failure)?;
        let Some(dialect) = dialect_of(version) else {
            return Err(Failure::File(format!("Can't handle RDB format version {version}")));
        };
        let no_key = KeyName { name: None, db: -1 };
        let (limits, check) = (Limits::default(), Checked::Whole);
        let ctx = LoadContext { limits, types: &NoTypes, key: no_key, dialect, check };
        let (mut db, mut expire_at) = (0, None);
        loop {
            let trace = &mut self.trace;
            let part = self.window.part(|reader| read(reader, &ctx, db, trace));
            self.doing = doing(self.trace.kind);
            match part.map_err(failure)? {
                Part::End => break,
                Part::SelectDb(index) => {
                    db = u32::try_from(index).unwrap_or(u32::MAX);
                    self.tell(&format!("Selecting DB ID {index}"))?;
                }
                Part::Fact(name, value) => {
                    let (name, value) =
                        (String::from_utf8_lossy(&name), String::from_utf8_lossy(&value));
                    self.tell(&format!("AUX FIELD {name} = '{value}'"))?;
                }
                Part::ModuleData { id, .. } => {
                    self.tell(&format!("MODULE AUX for: {}", type_name(id)))?;
                }
                Part::ExpireAt(at) => expire_at = Some(at),
                Part::Key(()) => {
                    self.keys += 1;
                    if let Some(at) = expire_at.take() {
                        self.expires += 1;
                        self.expired += u64::from(at < self.now_ms);
                    }
                }
                Part::Frequency(_)
                | Part::Idle(_)
                | Part::Library(_)
                | Part::Hint
                | Part::Resize(_) => {}
            }
            self.trace = Trace::default();
        }
        if version >= VERSION_WITH_CHECKSUM {
            self.doing = "check-sum";
            self.check_sum()?;
        }
        Ok(())
    }

    fn check_sum(&mut self) -> Result<(), Failure> {
        let expected = self.window.checksum();
        let found = self.window.part(|reader| reader.array()).map_err(failure)?;
        match u64::from_le_bytes(found) {
            0 => self.tell("RDB file was saved with checksum disabled: no check performed."),
            found if found == expected => self.tell("Checksum OK"),
            _ => Err(Failure::File("RDB CRC error".to_string())),
        }
    }

    fn tell(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "[offset {}] {text}", self.window.offset())?;
        Ok(())
    }

    fn tell_counts(&mut self) -> io::Result<()> {
        writeln!(self.out, "[info] {} keys read", self.keys)?;
        writeln!(self.out, "[info] {} expires", self.expires)?;
        writeln!(self.out, "[info] {} already expired", self.expired)
    }

    fn tell_error(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "--- RDB ERROR DETECTED ---")?;
        writeln!(self.out, "[offset {}] {text}", self.window.offset())?;
        writeln!(self.out, "[additional info] While doing: {}", self.doing)?;
        if let Some(key) = &self.trace.key {
            let key = String::from_utf8_lossy(key);
            writeln!(self.out, "[additional info] Reading key '{key}'")?;
            let (number, name) = (self.trace.kind, kind_name(self.trace.kind));
            writeln!(self.out, "[additional info] Reading type {number} ({name})")?;
        }
        self.tell_counts()
    }
}

fn failure(error: LoadError) -> Failure {
    Failure::File(match error {
        LoadError::Part { error, .. } => error.to_string(),
        other => other.to_string(),
    })
}

/// Reads a part, whatever modules it needs.
fn read(
    reader: &mut Reader<'_>,
    ctx: &LoadContext<'_>,
    db: u32,
    trace: &mut Trace,
) -> Result<Part<()>, RdbError> {
    *trace = Trace { kind: reader.rest().first().copied().unwrap_or(0), key: None };
    read_part(reader, |kind, reader| {
        let key = reader.string()?.into_owned();
        let name = KeyName { name: Some(&key), db: db as i32 };
        let read = match kind {
            kind::MODULE_2 => reader.number().and_then(|_| skip_items(reader)),
            kind => value::load(kind, reader, &LoadContext { key: name, ..*ctx }).map(drop),
        };
        trace.key = Some(key);
        match read {
            // A key that holds nothing is passed over when it is loaded.
            Err(RdbError::Empty) => Ok(()),
            read => read,
        }
    })
}

fn doing(kind: u8) -> &'static str {
    match kind {
        opcode::EXPIRE | opcode::EXPIRE_MS => "read-expire",
        opcode::SELECT_DB | opcode::RESIZE_DB | opcode::SLOT_INFO => "read-len",
        opcode::AUX => "read-aux",
        opcode::MODULE_AUX => "read-module-aux",
        opcode::FUNCTION | opcode::FUNCTION_PRE_GA => "read-functions",
        kind if kind::is_value(kind) => "read-object-value",
        _ => "read-type",
    }
}

/// Redis's name of an encoding.
fn kind_name(kind: u8) -> &'static str {
    const NAMES: [&str; 26] = [
        "string",
        "list-linked",
        "set-hashtable",
        "zset-v1",
        "hash-hashtable",
        "zset-v2",
        "module-pre-release",
        "module-value",
        "",
        "hash-zipmap",
        "list-ziplist",
        "set-intset",
        "zset-ziplist",
        "hash-ziplist",
        "quicklist",
        "stream",
        "hash-listpack",
        "zset-listpack",
        "quicklist-v2",
        "stream-v2",
        "set-listpack",
        "stream-v3",
        "hash-hashtable-md-pre-release",
        "hash-listpack-md-pre-release",
        "hash-hashtable-md",
        "hash-listpack-md",
    ];
    NAMES.get(usize::from(kind)).copied().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::crc::crc64;

    /// Checks a file with these parts and, if wanted, the right checksum.
    fn check(parts: &[&[u8]], sealed: bool) -> (Option<u64>, String) {
        let mut bytes = [b"REDIS0011", parts.concat().as_slice()].concat();
        if sealed {
            let sum = crc64(0, &bytes);
            bytes.extend_from_slice(&sum.to_le_bytes());
        }
        let name = format!("check-{:?}-{}", std::thread::current().id(), std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, &bytes).expect("a file");
        let mut out = Vec::new();
        let end = check_rdb_file(&path, &path, &mut out).expect("memory takes all");
        std::fs::remove_file(&path).expect("the file is there");
        (end, String::from_utf8(out).expect("text").replace(&path.display().to_string(), "FILE"))
    }

    #[test]
    fn a_sane_file_is_told_part_by_part() {
        let parts: &[&[u8]] = &[
            b"\xfa\x03ver\x017",
            b"\xfe\x00",
            b"\xfb\x02\x01",
            b"\xfc\x01\0\0\0\0\0\0\0\x00\x01a\x01b",
            b"\x00\x01c\x01d",
            // A value of a module that is not there.
            b"\x07\x01m\x81\0\0\0\0\0\0\0\x01\x02\x05\x00",
            b"\xff",
        ];
        let (end, said) = check(parts, true);
        let expected = "[offset 0] Checking RDB file FILE\n\
            [offset 16] AUX FIELD ver = '7'\n\
            [offset 18] Selecting DB ID 0\n\
            [offset 64] Checksum OK\n\
            [offset 64] \\o/ RDB looks OK! \\o/\n\
            [info] 3 keys read\n[info] 1 expires\n[info] 1 already expired\n";
        assert_eq!((end, said.as_str()), (Some(64), expected));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_key() {
        let (end, said) = check(&[b"\x00\x01a\x01b", b"\x0b\x03abc\x05wrong", b"\xff"], true);
        assert_eq!(end, None);
        assert!(said.contains("--- RDB ERROR DETECTED ---\n[offset 14] "), "{said}");
        assert!(said.contains("[additional info] While doing: read-object-value\n"), "{said}");
        assert!(said.contains("Reading key 'abc'\n"), "{said}");
        assert!(said.contains("Reading type 11 (set-intset)\n[info] 1 keys read\n"), "{said}");
    }

    #[test]
    fn ends_and_checksums_are_looked_at() {
        let (end, said) = check(&[b"\x00\x01a\x05b"], false);
        assert_eq!(end, None);
        assert!(said.contains("Unexpected EOF reading RDB file"), "{said}");
        let (end, said) = check(&[b"\xff", &[1; 8]], false);
        assert_eq!(end, None);
        assert!(said.contains("RDB CRC error\n[additional info] While doing: check-sum"), "{said}");
        let (end, said) = check(&[b"\xff", &[0; 8]], false);
        assert_eq!(end, Some(18));
        assert!(said.contains("saved with checksum disabled: no check performed."), "{said}");
        let (end, said) = check(&[b"\x2a\x01a"], false);
        assert_eq!(end, None);
        assert!(said.contains("[offset 9] Unknown RDB encoding type 42\n"), "{said}");
    }
}
