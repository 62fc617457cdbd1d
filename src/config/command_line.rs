//! What does the command line ask for? `[FILE] [-] [--directive value ...]`, turned into config
//! lines.
//!
//! An argument with two dashes in front starts a directive; those behind it are its values, quoted
//! so that they arrive unchanged. The first value of a directive may have dashes itself. An
//! argument may hold directive and values together (`"--maxmemory 700mb"`). `--save` without a
//! value means none. A lone `-`, first or last, asks for more lines from standard input.
//!
//! The lines are to be read after the file and standard input: the last word counts.

use crate::base::quoting::{append_quoted, split_args};

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Print the version.
    Version,
    /// Print the usage.
    Help,
    /// Start the server.
    Run(CommandLine),
}

/// How to start the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The config file.
    pub config_file: Option<Vec<u8>>,
    /// Whether standard input has config lines.
    pub from_stdin: bool,
    /// Config lines made from the directives.
    pub options: Vec<u8>,
}

impl CommandLine {
    /// All config lines in the order in which they count.
    pub fn full_text(&self, file: &[u8], stdin: &[u8]) -> Vec<u8> {
        [file, stdin, b"\n", &self.options].concat()
    }
}

/// Reads the arguments behind the program's name.
pub fn parse(args: &[Vec<u8>]) -> Invocation {
    let mut line = CommandLine::default();
    let mut rest = args;
    match args.first().map(Vec::as_slice) {
        Some(b"-v" | b"--version") => return Invocation::Version,
        Some(b"-h" | b"--help") => return Invocation::Help,
        Some(file) if !file.starts_with(b"-") => {
            line.config_file = Some(file.to_vec());
            rest = &args[1..];
        }
        _ => {}
    }
    // Whether the last directive has its first value, so that dashes start another one.
    let mut has_value = true;
    let last = args.len() - rest.len();
    for (at, arg) in rest.iter().enumerate() {
        let is_first = last == 0 && at == 0;
        let next = rest.get(at + 1);
        if arg == b"-" && (is_first || next.is_none()) {
            line.from_stdin = true;
        } else if has_value && arg.starts_with(b"--") {
            if !line.options.is_empty() {
                line.options.push(b'\n');
            }
            line.options.extend_from_slice(&arg[2..]);
            line.options.push(b' ');
            let is_bare = split_args(arg).is_some_and(|words| words.len() == 1);
            has_value = !is_bare;
            let ends = next.is_none_or(|next| next.starts_with(b"--"));
            if is_bare && ends && arg.eq_ignore_ascii_case(b"--save") {
                line.options.extend_from_slice(b"\"\"");
                has_value = true;
            }
        } else {
            append_quoted(&mut line.options, arg);
            line.options.push(b' ');
            has_value = true;
        }
    }
    Invocation::Run(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> CommandLine {
        let args: Vec<_> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        match parse(&args) {
            Invocation::Run(line) => line,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn file_and_standard_input() {
        assert_eq!(run(&[]), CommandLine::default());
        let line = run(&["a.conf", "-"]);
        assert_eq!(line.config_file.as_deref(), Some(&b"a.conf"[..]));
        assert!(line.from_stdin && line.options.is_empty());
        assert!(run(&["-", "--port", "1"]).from_stdin);
        assert!(!run(&["--bind", "-", "1"]).from_stdin);
        assert_eq!(run(&["--bind", "-", "1"]).options, b"bind \"-\" \"1\" ");
        assert_eq!(parse(&[b"--version".to_vec()]), Invocation::Version);
        assert_eq!(parse(&[b"-h".to_vec()]), Invocation::Help);
    }

    #[test]
    fn later_lines_come_last() {
        let line = run(&["a.conf", "--port", "3"]);
        assert_eq!(line.full_text(b"port 1\n", b"port 2\n"), b"port 1\nport 2\n\nport \"3\" ");
    }
}
