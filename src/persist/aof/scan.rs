//! Which commands does a file hold? The form is what clients send, arrays of strings, with lines of notes between them:
//! `#TS:1700000000` says that what follows was written from that unix second on.
//!
//! One item is read at a time, so memory is bounded by the longest command; a string is taken in steps, so a length that
//! lies costs what there is.

use std::io::{self, BufRead, BufReader, Read};

/// Longest line of a number or a note, as Redis has it.
const LINE_BYTES_MAX: usize = 1024;
/// A command's argument is read in steps of so many bytes.
const STEP_BYTES: u64 = 1 << 20;
/// More arguments than this are no command.
const ARGUMENTS_MAX: i64 = i32::MAX as i64;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A command.
    Command(Vec<Vec<u8>>),
    /// A note, without its `#` and its end of line.
    Note(Vec<u8>),
}

impl Item {
    /// The unix second that a note of time names.
    pub fn timestamp(&self) -> Option<Result<i64, ()>> {
        let Item::Note(text) = self else { return None };
        let digits = text.strip_prefix(b"TS:")?;
        Some(crate::base::number::parse_i64(digits).ok_or(()))
    }
}

/// Why there is no next item.
#[derive(Debug)]
pub enum ScanError {
    /// The file ends in the middle of one.
    Truncated(Fault),
    /// There is something else.
    Format(Fault),
    /// The file cannot be read.
    Io(io::Error),
}

/// Where the error is and what it is, as redis-check-aof tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Byte from the start of the file.
    pub at: u64,
    /// What was expected; empty if the file just ends.
    pub what: String,
}

/// Reads a file item by item.
#[derive(Debug)]
pub struct Scanner<R> {
    input: BufReader<R>,
    position: u64,
    lines: u64,
}

impl<R: Read> Scanner<R> {
    /// Reads on from `input`, of which `position` bytes are behind.
    pub fn new(input: R, position: u64) -> Self {
        Self { input: BufReader::with_capacity(64 * 1024, input), position, lines: 1 }
    }

    /// Bytes from the start of the file to the end of the last item.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The number of the line that comes next.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The next item; none at the end of the file.
    pub fn next_item(&mut self) -> Result<Option<Item>, ScanError> {
        let first = self.input.fill_buf().map_err(ScanError::Io)?.first().copied();
        match first {
            None => Ok(None),
            Some(b'#') => {
                let line = self.line()?;
                Ok(Some(Item::Note(line[1..].trim_ascii_end().to_vec())))
            }
            Some(b'*') => self.command().map(Some),
            Some(_) => Err(self.format(String::new())),
        }
    }

    fn command(&mut self) -> Result<Item, ScanError> {
        let count = self.number(b'*')?;
        if !(1..=ARGUMENTS_MAX).contains(&count) {
            return Err(self.format(format!("Expected a number of arguments, got: {count}")));
        }
        let mut argv = Vec::new();
        for _ in 0..count {
            let len = self.number(b'$')?;
            argv.push(self.string(len)?);
        }
        Ok(Item::Command(argv))
    }

    /// A line with its end.
    fn line(&mut self) -> Result<Vec<u8>, ScanError> {
        let mut line = Vec::new();
        let mut limited = (&mut self.input).take(LINE_BYTES_MAX as u64);
        let got = limited.read_until(b'\n', &mut line).map_err(ScanError::Io)?;
        if !line.ends_with(b"\n") {
            return Err(match got < LINE_BYTES_MAX {
                true if got == 0 => self.truncated(String::new()),
                true => self.truncated("Expected \\r\\n, got: 0000".to_string()),
                false => self.format("Expected a shorter line".to_string()),
            });
        }
        self.position += got as u64;
        Ok(line)
    }

    /// The number behind `prefix`, in a line of its own.
    fn number(&mut self, prefix: u8) -> Result<i64, ScanError> {
        let at = self.position;
        let line = self.line()?;
        let fault = |what: String| ScanError::Format(Fault { at, what });
        if line[0] != prefix {
            let (want, got) = (char::from(prefix), char::from(line[0]));
            return Err(fault(format!("Expected prefix '{want}', got: '{got}'")));
        }
        let digits = line[1..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-');
        let digits = digits.count() + 1;
        let end = &line[digits..];
        if end != b"\r\n" {
            let second = end.get(1).copied().unwrap_or(0);
            return Err(fault(format!("Expected \\r\\n, got: {:02x}{second:02x}", end[0])));
        }
        self.lines += 1;
        let number = crate::base::number::parse_i64(&line[1..digits]);
        number.ok_or_else(|| fault("Expected a number".to_string()))
    }

    /// A string of this length, and the end of its line.
    fn string(&mut self, len: i64) -> Result<Vec<u8>, ScanError> {
        let at = self.position;
        let Ok(wanted) = u64::try_from(len) else {
            let what = "which is not in the suitable range";
            return Err(self.format(format!("Expected to read string of {len} bytes, {what}")));
        };
        let mut text = Vec::new();
        let whole = wanted.saturating_add(2);
        while (text.len() as u64) < whole {
            let step = (whole - text.len() as u64).min(STEP_BYTES);
            let got = (&mut self.input).take(step).read_to_end(&mut text);
            if got.map_err(ScanError::Io)? == 0 {
                let what = format!("Expected to read {whole} bytes, got {} bytes", text.len());
                return Err(ScanError::Truncated(Fault { at, what }));
            }
        }
        self.position += whole;
        let end = &text[wanted as usize..];
        if end != b"\r\n" {
            let what = format!("Expected \\r\\n, got: {:02x}{:02x}", end[0], end[1]);
            return Err(ScanError::Format(Fault { at, what }));
        }
        self.lines += 1;
        text.truncate(wanted as usize);
        Ok(text)
    }

    fn truncated(&self, what: String) -> ScanError {
        ScanError::Truncated(Fault { at: self.position, what })
    }

    fn format(&self, what: String) -> ScanError {
        ScanError::Format(Fault { at: self.position, what })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::log::encode;

    /// The items of a text, and how it ended.
    fn scan(text: &[u8]) -> (Vec<Item>, u64, String) {
        let mut scanner = Scanner::new(text, 0);
        let mut items = Vec::new();
        let mut whole = 0;
        let end = loop {
            match scanner.next_item() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break "end".to_string(),
                Err(ScanError::Truncated(fault)) => {
                    break format!("truncated at {}: {}", fault.at, fault.what);
                }
                Err(ScanError::Format(fault)) => break format!("at {}: {}", fault.at, fault.what),
                Err(ScanError::Io(error)) => panic!("memory cannot fail: {error}"),
            }
            whole = scanner.position();
        };
        (items, whole, end)
    }

    fn end(text: &str) -> String {
        scan(text.as_bytes()).2
    }

    #[test]
    fn commands_and_notes_come_in_order() {
        let text = b"#TS:1700000000\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n#other\r\n*1\r\n$0\r\n\r\n";
        let (items, position, end) = scan(text);
        let command = |words: &[&str]| {
            Item::Command(words.iter().map(|word| word.as_bytes().to_vec()).collect())
        };
        assert_eq!(items[0].timestamp(), Some(Ok(1_700_000_000)));
        assert_eq!(items[1], command(&["DEL", "a"]));
        assert_eq!((&items[2], items[2].timestamp()), (&Item::Note(b"other".to_vec()), None));
        assert_eq!(items[3], command(&[""]));
        assert_eq!((position, end.as_str()), (text.len() as u64, "end"));
    }

    #[test]
    fn errors_say_where_and_what() {
        assert_eq!(end("PING\r\n"), "at 0: ");
        assert_eq!(end("*1\r\n:4\r\n"), "at 4: Expected prefix '$', got: ':'");
        assert_eq!(end("*1\n$4"), "at 0: Expected \\r\\n, got: 0a00");
        assert_eq!(end("*1\r\n$2\r\nabc\r\n"), "at 8: Expected \\r\\n, got: 630d");
        assert_eq!(
            end("*1\r\n$-1\r\n"),
            "at 9: Expected to read string of -1 bytes, which is not in the suitable range"
        );
        assert_eq!(end("*1\r\n$9\r\nab"), "truncated at 8: Expected to read 11 bytes, got 2 bytes");
        assert_eq!(end("*1\r\n$9"), "truncated at 4: Expected \\r\\n, got: 0000");
        assert_eq!(end("*1\r\n"), "truncated at 4: ");
        assert_eq!(end("*0\r\n"), "at 4: Expected a number of arguments, got: 0");
    }

    #[test]
    fn a_length_that_lies_takes_no_memory() {
        assert!(end("*1\r\n$9223372036854775807\r\nab").starts_with("truncated at 26"));
    }

    proptest! {
        #[test]
        fn what_is_logged_is_read_up_to_any_cut(
            commands in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 1..4),
                1..5,
            ),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut text = Vec::new();
            let mut ends = vec![0];
            for argv in &commands {
                let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
                encode(&mut text, &argv);
                ends.push(text.len());
            }
            let cut = cut.index(text.len() + 1);
            let (items, position, end) = scan(&text[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            prop_assert_eq!(position, ends[whole] as u64);
            prop_assert_eq!(end == "end", ends.contains(&cut), "{}", end);
            prop_assert!(end == "end" || end.starts_with("truncated"), "{}", end);
            let expected: Vec<Item> =
                commands[..whole].iter().cloned().map(Item::Command).collect();
            prop_assert_eq!(items, expected);
        }

        #[test]
        fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            scan(&text);
        }
    }
}
