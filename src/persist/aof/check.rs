//! Is an append-only file whole? What redis-check-aof does: it reads all parts, says how far each is good, and with
//! `--fix` or `--truncate-to-timestamp` cuts the last one off there.
//!
//! Its words and exit codes are those of redis-check-aof, since scripts look for them.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::manifest::{Manifest, Part};
use super::scan::{Item, ScanError, Scanner};
use crate::base::number::parse_i64;
use crate::persist::io::words;
use crate::persist::rdb::check::check_rdb_file;

/// Where a tool writes, and where its questions are answered.
#[expect(missing_debug_implementations, reason = "streams have none")]
pub struct Console<'a> {
    /// What the user reads.
    pub out: &'a mut dyn Write,
    /// What the user answers.
    pub answers: &'a mut dyn BufRead,
}

/// What is done about a bad end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repair {
    /// Nothing.
    None,
    /// It is cut off, once the user agrees.
    Fix,
    /// What was written after this unix second is cut off, good or not.
    Until(i64),
}

/// Why a check ended early: the exit code is 1.
enum Stopped {
    /// It was said why.
    Told,
    /// The console is gone.
    Console(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Stopped::Console(error)
    }
}

/// How a file was found.
enum Verdict {
    Valid,
    Empty,
    CutAtTime(i64),
    Cut,
}

/// Prints a line, and gives up.
macro_rules! stop {
    ($console:expr, $($arg:tt)*) => {{
        writeln!($console.out, $($arg)*)?;
        return Err(Stopped::Told);
    }};
}

/// Runs the tool with the arguments behind its name; its exit code.
pub fn check_aof(name: &str, args: &[Vec<u8>], console: &mut Console<'_>) -> io::Result<u8> {
    let (repair, path) = match args {
        [path] => (Repair::None, path),
        [option, path] if option == b"--fix" => (Repair::Fix, path),
        [option, second, path] if option == b"--truncate-to-timestamp" => {
            let Some(second) = parse_i64(second) else {
                writeln!(console.out, "Invalid timestamp, aborting...")?;
                return Ok(1);
            };
            // Second 0 is no wish to cut, as in Redis.
            (if second == 0 { Repair::None } else { Repair::Until(second) }, path)
        }
        _ => {
            let options = "[--fix|--truncate-to-timestamp $timestamp]";
            writeln!(console.out, "Usage: {name} {options} <file.manifest|file.aof>")?;
            return Ok(1);
        }
    };
    let mut checker = Checker { console, repair, lines: 0 };
    match checker.check(Path::new(OsStr::from_bytes(path))) {
        Ok(()) => Ok(0),
        Err(Stopped::Told) => Ok(1),
        Err(Stopped::Console(error)) => Err(error),
    }
}

struct Checker<'a, 'b> {
    console: &'a mut Console<'b>,
    repair: Repair,
    /// Lines of the files before.
    lines: u64,
}

impl Checker<'_, '_> {
    fn check(&mut self, path: &Path) -> Result<(), Stopped> {
        let mut file = self.open(path)?;
        let mut head = Vec::new();
        let read = (&mut file).take(1 << 20).read_to_end(&mut head);
        if let Err(error) = read {
            stop!(self.console, "Cannot read file: {}: {}", path.display(), words(&error));
        }
        if is_manifest(&head) {
            return self.check_parts(path);
        }
        writeln!(self.console.out, "Start checking Old-Style AOF")?;
        let verdict = self.check_file(path, path, true, is_rdb(&head))?;
        self.tell("AOF", path, &verdict)
    }

    fn open(&mut self, path: &Path) -> Result<File, Stopped> {
        match File::open(path) {
            Ok(file) => Ok(file),
            Err(error) => stop!(
                self.console,
                "Cannot open file {}: {}, aborting...",
                path.display(),
                words(&error)
            ),
        }
    }

    fn check_parts(&mut self, path: &Path) -> Result<(), Stopped> {
        writeln!(self.console.out, "Start checking Multi Part AOF")?;
        let mut text = Vec::new();
        self.open(path)?.read_to_end(&mut text)?;
        let manifest = match Manifest::parse(&text) {
            Ok(manifest) => manifest,
            Err(error) => stop!(self.console, "{error}"),
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let last = manifest.files().next_back().cloned();
        if let Some(base) = &manifest.base {
            let at = folder.join(OsStr::from_bytes(&base.name));
            let mut head = Vec::new();
            self.open(&at)?.take(8).read_to_end(&mut head)?;
            let form = if is_rdb(&head) { "RDB" } else { "RESP" };
            writeln!(self.console.out, "Start to check BASE AOF ({form} format).")?;
            self.check_part(folder, base, "BASE AOF", last.as_ref(), is_rdb(&head))?;
        }
        if !manifest.incremental.is_empty() {
            writeln!(self.console.out, "Start to check INCR files.")?;
        }
        for part in &manifest.incremental {
            self.check_part(folder, part, "INCR AOF", last.as_ref(), false)?;
        }
        writeln!(self.console.out, "All AOF files and manifest are valid")?;
        Ok(())
    }

    fn check_part(
        &mut self,
        folder: &Path,
        part: &Part,
        kind: &str,
        last: Option<&Part>,
        is_rdb: bool,
    ) -> Result<(), Stopped> {
        let name = Path::new(OsStr::from_bytes(&part.name));
        let is_last = last == Some(part);
        let verdict = self.check_file(&folder.join(name), name, is_last, is_rdb)?;
        self.tell(kind, name, &verdict)
    }

    fn tell(&mut self, kind: &str, name: &Path, verdict: &Verdict) -> Result<(), Stopped> {
        let (out, name) = (&mut *self.console.out, name.display());
        match verdict {
            Verdict::Valid => writeln!(out, "{kind} {name} is valid")?,
            Verdict::Empty => writeln!(out, "{kind} {name} is empty")?,
            Verdict::CutAtTime(second) => {
                writeln!(out, "Successfully truncated AOF {name} to timestamp {second}")?;
            }
            Verdict::Cut => writeln!(out, "Successfully truncated AOF {name}")?,
        }
        Ok(())
    }

    fn check_file(
        &mut self,
        path: &Path,
        name: &Path,
        is_last: bool,
        has_preamble: bool,
    ) -> Result<Verdict, Stopped> {
        let shown = name.display();
        let file = OpenOptions::new().read(true).write(true).open(path);
        let opened = file.and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size, mut file) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                stop!(self.console, "Cannot open file {shown}: {}, aborting...", words(&error))
            }
        };
        if size == 0 {
            return Ok(Verdict::Empty);
        }
        let mut start = 0;
        if has_preamble {
            match check_rdb_file(path, name, self.console.out)? {
                Some(end) => start = end,
                None => stop!(self.console, "RDB preamble of AOF file is not sane, aborting."),
            }
            writeln!(self.console.out, "RDB preamble is OK, proceeding with AOF tail...")?;
        }
        file.seek(SeekFrom::Start(start))?;
        let (good, lines) = match self.scan(&mut file, start, name, is_last)? {
            Scanned::UpTo { good, lines } => (good, lines),
            Scanned::After { second, at } => {
                if let Err(error) = file.set_len(at) {
                    let why = words(&error);
                    stop!(
                        self.console,
                        "Failed to truncate AOF {shown} to timestamp {second}: {why}"
                    );
                }
                return Ok(Verdict::CutAtTime(second));
            }
        };
        let bad = size - good;
        if let (0, Repair::Until(second)) = (bad, self.repair) {
            let out = &mut self.console.out;
            writeln!(out, "Truncate nothing in AOF {shown} to timestamp {second}")?;
            return Ok(Verdict::Valid);
        }
        writeln!(
            self.console.out,
            "AOF analyzed: filename={shown}, size={size}, ok_up_to={good}, ok_up_to_line={lines}, diff={bad}"
        )?;
        if bad == 0 {
            return Ok(Verdict::Valid);
        }
        self.cut(&file, name, is_last, size, good)
    }

    /// Cuts a bad end off, if that is wanted.
    fn cut(
        &mut self,
        file: &File,
        name: &Path,
        is_last: bool,
        size: u64,
        good: u64,
    ) -> Result<Verdict, Stopped> {
        let name = name.display();
        if self.repair != Repair::Fix {
            stop!(self.console, "AOF {name} is not valid. Use the --fix option to try fixing it.");
        }
        if !is_last {
            stop!(self.console, "Failed to truncate AOF {name} because it is not the last file");
        }
        writeln!(
            self.console.out,
            "This will shrink the AOF {name} from {size} bytes, with {} bytes, to {good} bytes",
            size - good
        )?;
        write!(self.console.out, "Continue? [y/N]: ")?;
        self.console.out.flush()?;
        let mut answer = String::new();
        self.console.answers.read_line(&mut answer)?;
        if !answer.starts_with(['y', 'Y']) {
            stop!(self.console, "Aborting...");
        }
        if let Err(error) = file.set_len(good) {
            stop!(self.console, "Failed to truncate AOF {name}: {}", words(&error));
        }
        Ok(Verdict::Cut)
    }

    /// Reads commands until something is wrong, or later than wanted.
    fn scan(
        &mut self,
        file: &mut File,
        start: u64,
        name: &Path,
        is_last: bool,
    ) -> Result<Scanned, Stopped> {
        let mut scanner = Scanner::new(file, start);
        let mut good = start;
        let mut in_multi = false;
        let lines = self.lines;
        let error = loop {
            let before = scanner.position();
            match scanner.next_item() {
                Ok(None) if in_multi => {
                    break Some((before, "Reached EOF before reading EXEC for MULTI".to_string()));
                }
                Ok(None) => break None,
                Ok(Some(item @ Item::Note(_))) => {
                    if let Some(second) = self.is_too_late(&item)? {
                        return self.cut_at(name, is_last, second, before);
                    }
                }
                Ok(Some(Item::Command(argv))) => {
                    let is = |word: &str| argv[0].eq_ignore_ascii_case(word.as_bytes());
                    let unexpected = match (is("multi"), is("exec"), in_multi) {
                        (true, _, true) => Some("MULTI"),
                        (_, true, false) => Some("EXEC"),
                        _ => None,
                    };
                    if let Some(word) = unexpected {
                        let what = format!("Unexpected {word} in AOF {}", name.display());
                        break Some((before, what));
                    }
                    in_multi = is("multi") || in_multi && !is("exec");
                }
                Err(ScanError::Truncated(fault)) if fault.what.is_empty() && in_multi => {
                    let what = "Reached EOF before reading EXEC for MULTI";
                    break Some((fault.at, what.to_string()));
                }
                Err(ScanError::Format(fault)) if fault.what.is_empty() => {
                    writeln!(self.console.out, "AOF {} format error", name.display())?;
                    break None;
                }
                Err(ScanError::Format(fault) | ScanError::Truncated(fault)) => {
                    break Some((fault.at, fault.what)).filter(|(_, what)| !what.is_empty());
                }
                Err(ScanError::Io(error)) => {
                    let (name, why) = (name.display(), words(&error));
                    stop!(self.console, "Failed to read from AOF {name}: {why}, aborting...");
                }
            }
            if !in_multi {
                good = scanner.position();
            }
        };
        if let Some((at, what)) = error {
            writeln!(self.console.out, "0x{at:16x}: {what}")?;
        }
        self.lines = lines + scanner.lines() - 1;
        Ok(Scanned::UpTo { good, lines: self.lines + 1 })
    }

    /// The wanted second, if a note says that what follows is of a later one.
    fn is_too_late(&mut self, note: &Item) -> Result<Option<i64>, Stopped> {
        let (Repair::Until(wanted), Some(second)) = (self.repair, note.timestamp()) else {
            return Ok(None);
        };
        match second {
            Ok(second) => Ok((second > wanted).then_some(wanted)),
            Err(()) => stop!(self.console, "Invalid timestamp annotation"),
        }
    }

    fn cut_at(
        &mut self,
        name: &Path,
        is_last: bool,
        second: i64,
        at: u64,
    ) -> Result<Scanned, Stopped> {
        let name = name.display();
        if at == 0 {
            stop!(self.console, "AOF {name} has nothing before timestamp {second}, aborting...");
        }
        if !is_last {
            let what = "because it is not the last file";
            let out = &mut self.console.out;
            writeln!(
                out,
                "Failed to truncate AOF {name} to timestamp {second} to offset {at} {what}."
            )?;
            stop!(
                self.console,
                "If you insist, please delete all files after this file according to the manifest file and \
                 delete the corresponding records in manifest file manually. Then re-run redis-check-aof."
            );
        }
        Ok(Scanned::After { second, at })
    }
}

/// How far a file was read.
enum Scanned {
    /// To its end, or to an error.
    UpTo { good: u64, lines: u64 },
    /// To a note of a later time than is wanted.
    After { second: i64, at: u64 },
}

fn is_rdb(head: &[u8]) -> bool {
    head.len() >= 8 && (head.starts_with(b"REDIS") || head.starts_with(b"VALKEY"))
}

/// Whether the first line that is no comment begins as a manifest's does.
fn is_manifest(head: &[u8]) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n');
    lines.find(|line| !line.starts_with(b"#")).is_some_and(|line| line.starts_with(b"file"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::engine::log::encode;

    /// A folder of a test's own.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            // What is left behind harms nobody.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    impl Folder {
        fn new() -> Self {
            let name = format!("aof-{:?}-{}", std::thread::current().id(), std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }

        fn write(&self, name: &str, bytes: &[u8]) -> String {
            let path = self.0.join(name);
            std::fs::write(&path, bytes).expect("a file");
            path.display().to_string()
        }

        fn len(&self, name: &str) -> u64 {
            std::fs::metadata(self.0.join(name)).expect("a file").len()
        }

        /// The exit code and what was printed, without the folder's path.
        fn check(&self, args: &[&str], mut answers: &[u8]) -> (u8, String) {
            let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
            let mut out = Vec::new();
            let mut console = Console { out: &mut out, answers: &mut answers };
            let code = check_aof("check-aof", &args, &mut console).expect("memory takes all");
            let folder = format!("{}/", self.0.display());
            (code, String::from_utf8(out).expect("text").replace(&folder, ""))
        }
    }

    fn commands(texts: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for text in texts {
            match text.strip_prefix('#') {
                Some(note) => out.extend_from_slice(format!("#{note}\r\n").as_bytes()),
                None => {
                    let argv: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
                    encode(&mut out, &argv);
                }
            }
        }
        out
    }

    #[test]
    fn a_whole_file_is_valid() {
        let folder = Folder::new();
        let path = folder.write("a.aof", &commands(&["SELECT 0", "MULTI", "SET a 1", "EXEC"]));
        let (code, said) = folder.check(&[&path], b"");
        assert_eq!(code, 0, "{said}");
        assert_eq!(
            said,
            "Start checking Old-Style AOF\n\
             AOF analyzed: filename=a.aof, size=79, ok_up_to=79, ok_up_to_line=19, diff=0\n\
             AOF a.aof is valid\n"
        );
        let path = folder.write("empty.aof", b"");
        assert!(folder.check(&[&path], b"").1.ends_with("AOF empty.aof is empty\n"));
    }

    #[test]
    fn a_bad_end_is_cut_if_the_user_agrees() {
        let folder = Folder::new();
        let good = commands(&["SET a 1"]);
        let bytes = [&good[..], &commands(&["MULTI", "SET b 2"])].concat();
        let path = folder.write("a.aof", &bytes);
        let (code, said) = folder.check(&[&path], b"");
        assert_eq!(code, 1);
        assert!(said.contains("Reached EOF before reading EXEC for MULTI"), "{said}");
        assert!(said.ends_with("AOF a.aof is not valid. Use the --fix option to try fixing it.\n"));
        assert_eq!(folder.check(&["--fix", &path], b"n\n").0, 1);
        assert_eq!(folder.len("a.aof"), bytes.len() as u64);
        let (code, said) = folder.check(&["--fix", &path], b"y\n");
        assert!(said.ends_with("Continue? [y/N]: Successfully truncated AOF a.aof\n"), "{said}");
        assert_eq!((code, folder.len("a.aof")), (0, good.len() as u64));
    }

    #[test]
    fn errors_say_what_stands_where() {
        let folder = Folder::new();
        let said = |bytes: &[u8]| folder.check(&[&folder.write("a.aof", bytes)], b"").1;
        assert!(said(b"PING\r\n").contains("AOF a.aof format error\n"));
        assert!(
            said(b"*1\r\n$4\r\nPI")
                .contains("\n0x               8: Expected to read 6 bytes, got 2")
        );
        assert!(said(&commands(&["EXEC"])).contains("Unexpected EXEC in AOF a.aof"));
        assert!(said(&commands(&["MULTI", "MULTI"])).contains("Unexpected MULTI in AOF a.aof"));
    }

    #[test]
    fn what_is_later_than_a_second_is_cut() {
        let folder = Folder::new();
        let early = commands(&["#TS:1000", "SET a 1"]);
        let path =
            folder.write("a.aof", &[early.clone(), commands(&["#TS:2000", "SET a 2"])].concat());
        let cut = |second: &str| folder.check(&["--truncate-to-timestamp", second, &path], b"");
        assert!(cut("999").1.ends_with("has nothing before timestamp 999, aborting...\n"));
        assert!(cut("2000").1.contains("Truncate nothing in AOF a.aof to timestamp 2000\n"));
        let (code, said) = cut("1999");
        assert_eq!(code, 0);
        assert!(said.ends_with("Successfully truncated AOF a.aof to timestamp 1999\n"), "{said}");
        assert_eq!(folder.len("a.aof"), early.len() as u64);
        assert_eq!(cut("x"), (1, "Invalid timestamp, aborting...\n".to_string()));
    }

    #[test]
    fn only_the_last_part_is_cut() {
        let folder = Folder::new();
        let good = commands(&["SET a 1"]);
        folder.write("a.1.incr.aof", &good[..good.len() - 1]);
        folder.write("a.2.incr.aof", &good);
        let manifest = "file a.1.incr.aof seq 1 type i\nfile a.2.incr.aof seq 2 type i\n";
        let path = folder.write("a.manifest", manifest.as_bytes());
        let (code, said) = folder.check(&["--fix", &path], b"y\n");
        assert_eq!(code, 1);
        assert!(said.starts_with("Start checking Multi Part AOF\nStart to check INCR files.\n"));
        assert!(
            said.ends_with("Failed to truncate AOF a.1.incr.aof because it is not the last file\n"),
            "{said}"
        );
        folder.write("a.1.incr.aof", &good);
        let (code, said) = folder.check(&[&path], b"");
        assert!(said.ends_with("All AOF files and manifest are valid\n"), "{said}");
        assert_eq!(code, 0);
        let missing = folder.write("b.manifest", b"file b.incr.aof seq 1 type i\n");
        let (code, said) = folder.check(&[&missing], b"");
        assert_eq!(code, 1);
        assert!(said.contains("Cannot open file b.incr.aof: No such file or directory"), "{said}");
    }

    #[test]
    fn arguments_that_make_no_sense_are_told_of() {
        let usage = "Usage: check-aof [--fix|--truncate-to-timestamp $timestamp] \
                     <file.manifest|file.aof>\n";
        let folder = Folder::new();
        assert_eq!(folder.check(&[], b""), (1, usage.to_string()));
        assert_eq!(folder.check(&["--mend", "x"], b""), (1, usage.to_string()));
    }
}
