//! What does a config file say? Directives, one a line, in the syntax of redis.conf.
//!
//! A parameter may come several times: the last counts, except that `save` adds up (the first of a
//! run drops the defaults, an empty one all so far). `include` reads other files in its place.
//! Directives that only other parts of the server understand (`user`, `rename-command`,
//! `loadmodule`, parameters of modules) are handed over with their lines, so that an error found
//! later can name the line too.
//!
//! Pure but for the reader that the caller passes for `include`.

use crate::base::quoting::split_args;
use crate::config::Config;
use crate::config::params::{Flags, Param, Spec, find, spec};
use crate::config::value::Value;

/// How deep files may include each other.
pub const INCLUDE_DEPTH_MAX: usize = 16;
/// How many files may be included in all.
pub const INCLUDES_MAX: usize = 1024;

/// Directives of old versions that are accepted and do nothing, each with one argument.
const FORGOTTEN: [&[u8]; 3] =
    [b"list-max-ziplist-entries", b"list-max-ziplist-value", b"lua-replicate-commands"];

const BAD_DIRECTIVE: &str = "Bad directive or wrong number of arguments";

/// What a config file says.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The parameters.
    pub config: Config,
    /// `loadmodule`: path and arguments.
    pub modules: Vec<Directive>,
    /// `user`: name and rules.
    pub users: Vec<Directive>,
    /// `rename-command`: old name and new name.
    pub renames: Vec<Directive>,
    /// Parameters of modules: name and value. The last of a name counts.
    pub module_settings: Vec<(Vec<u8>, Vec<u8>)>,
    /// What should be logged, though the server can start.
    pub warnings: Vec<String>,
    /// Directives that may be parameters of modules: line, name and value.
    unknown: Vec<(Line, Vec<u8>, Vec<u8>)>,
    /// Those of `module_settings` that are mistakes unless a shipped module knows them.
    doubtful: Vec<(Vec<u8>, Line)>,
    save_was_set: bool,
    includes: usize,
}

/// A line for another part of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Where it stands.
    pub line: Line,
    /// The words behind the name of the directive.
    pub words: Vec<Vec<u8>>,
}

/// A line of a config file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// The line without blanks around it.
    pub text: Vec<u8>,
}

impl Line {
    /// An error in this line.
    pub fn error(&self, message: impl Into<String>) -> FileError {
        FileError { place: Place::Line(self.clone()), message: message.into() }
    }
}

/// Why a server cannot start with its config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    place: Place,
    message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Line(Line),
    /// Directives that do not go together.
    Whole,
    /// A file that cannot be read; the message says which.
    Include,
}

impl FileError {
    /// The error as it is printed before the server exits. `product` is name and version.
    pub fn report(&self, product: &str) -> String {
        let head = format!("\n*** FATAL CONFIG FILE ERROR ({product}) ***\n");
        match &self.place {
            Place::Include => format!("{}\n", self.message),
            Place::Whole => format!("{head}{}\n", self.message),
            Place::Line(line) => format!(
                "{head}Reading the configuration file, at line {}\n>>> '{}'\n{}\n",
                line.number,
                String::from_utf8_lossy(&line.text),
                self.message
            ),
        }
    }
}

/// Reads what an `include` names (several files, if it has wildcards); the error is shown as it is.
pub type ReadInclude<'a> = dyn FnMut(&[u8]) -> Result<Vec<u8>, String> + 'a;

/// Reads the text of a config file, to which what came on standard input and the command line has
/// been appended.
pub fn load(text: &[u8], read: &mut ReadInclude<'_>) -> Result<Loaded, FileError> {
    let mut loaded = Loaded::default();
    loaded.read(text, read, 0)?;
    loaded.check_whole()?;
    Ok(loaded)
}

impl Loaded {
    fn read(
        &mut self,
        text: &[u8],
        read: &mut ReadInclude<'_>,
        depth: usize,
    ) -> Result<(), FileError> {
        for (at, raw) in text.split(|&b| b == b'\n').enumerate() {
            let text = trim(raw);
            if text.is_empty() || text[0] == b'#' {
                continue;
            }
            let line = Line { number: at + 1, text: text.to_vec() };
            let Some(mut words) = split_args(text) else {
                return Err(line.error("Unbalanced quotes in configuration line"));
            };
            if words.is_empty() {
                continue;
            }
            let name = words.remove(0).to_ascii_lowercase();
            if let Some(spec) = find(&name) {
                self.set(spec, &words).map_err(|message| line.error(message))?;
            } else if name == b"include" && words.len() == 1 {
                self.include(&words[0], &line, read, depth)?;
            } else {
                self.hand_over(&name, line, words)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, spec: &'static Spec, words: &[Vec<u8>]) -> Result<(), String> {
        let several = spec.flags.has(Flags::MULTI);
        if !several && words.len() != 1 {
            return Err("wrong number of arguments".to_string());
        }
        // A single word with blanks in it stands for several.
        let split = match words {
            [only] if several && !only.is_empty() => {
                Some(split_args(only).ok_or("Unbalanced quotes in configuration line")?)
            }
            _ => None,
        };
        let words: Vec<&[u8]> =
            split.as_deref().unwrap_or(words).iter().map(Vec::as_slice).collect();
        let (old, _) = self.config.set(spec, &words)?;
        if spec.param == Param::Save {
            self.add_save_points(old, &words);
        }
        Ok(())
    }

    /// After a `save`: puts the points of earlier lines in front of the new ones.
    fn add_save_points(&mut self, old: Value, words: &[&[u8]]) {
        let keep = std::mem::replace(&mut self.save_was_set, true) && words != [b""];
        if let (true, Value::Save(mut points)) = (keep, old) {
            points.extend_from_slice(self.config.save_points());
            self.config.put(Param::Save, Value::Save(points));
        }
    }

    fn include(
        &mut self,
        path: &[u8],
        line: &Line,
        read: &mut ReadInclude<'_>,
        depth: usize,
    ) -> Result<(), FileError> {
        self.includes += 1;
        if depth == INCLUDE_DEPTH_MAX || self.includes > INCLUDES_MAX {
            return Err(line.error("too many included files"));
        }
        let text = read(path).map_err(|message| FileError { place: Place::Include, message })?;
        self.read(&text, read, depth + 1)
    }

    /// Keeps a directive for the part of the server that understands it.
    fn hand_over(&mut self, name: &[u8], line: Line, words: Vec<Vec<u8>>) -> Result<(), FileError> {
        match name {
            b"rename-command" if words.len() == 2 => self.renames.push(Directive { line, words }),
            b"user" if !words.is_empty() => self.users.push(Directive { line, words }),
            b"loadmodule" if !words.is_empty() => self.modules.push(Directive { line, words }),
            b"sentinel" => return Err(line.error("sentinel directive while not in sentinel mode")),
            _ if FORGOTTEN.contains(&name) && words.len() == 1 => {}
            _ if name.contains(&b'.') => {
                if words.is_empty() {
                    return Err(line.error("Module config specified without value"));
                }
                self.module_settings.retain(|(other, _)| other != name);
                self.module_settings.push((name.to_vec(), words.join(&b' ')));
            }
            // Modules may have parameters whose names say nothing of them (since Redis 8).
            _ if !words.is_empty() => {
                let value = words.join(&b' ');
                self.unknown.push((line, name.to_vec(), value));
            }
            _ => return Err(line.error(BAD_DIRECTIVE)),
        }
        Ok(())
    }

    /// The error for a setting, by its name in lower case, that was left to the shipped modules and that none of them knows.
    pub fn refusal(&self, name: &[u8]) -> Option<FileError> {
        let (_, line) = self.doubtful.iter().find(|(other, _)| other == name)?;
        Some(line.error(BAD_DIRECTIVE))
    }

    /// Once all is read: directives that nobody here knows are for the modules, if there are some.
    fn settle_unknown(&mut self) -> Result<(), FileError> {
        for (line, name, value) in std::mem::take(&mut self.unknown) {
            if self.modules.is_empty() {
                if !self.config.flag(Param::DefaultModules) {
                    return Err(line.error(BAD_DIRECTIVE));
                }
                self.doubtful.push((name.to_ascii_lowercase(), line));
            }
            self.module_settings.retain(|(other, _)| *other != name);
            self.module_settings.push((name, value));
        }
        Ok(())
    }

    fn check_whole(&mut self) -> Result<(), FileError> {
        self.settle_unknown()?;
        if !self.config.flag(Param::ClusterEnabled) {
            return Ok(());
        }
        if self.config.replica_of().is_some() {
            let message = "replicaof directive not allowed in cluster mode".to_string();
            return Err(FileError { place: Place::Whole, message });
        }
        let databases = self.config.int(Param::Databases);
        if databases > 1 {
            self.config.put(Param::Databases, Value::Number(1));
            self.warnings.push(format!(
                "{} is 1 instead of {databases}: a cluster has one db",
                spec(Param::Databases).name
            ));
        }
        Ok(())
    }
}

/// `raw` without the blanks around it that config lines may have.
pub(super) fn trim(raw: &[u8]) -> &[u8] {
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    let start = raw.iter().position(|b| !is_blank(b)).unwrap_or(raw.len());
    let end = raw.iter().rposition(|b| !is_blank(b)).map_or(start, |last| last + 1);
    &raw[start..end]
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
