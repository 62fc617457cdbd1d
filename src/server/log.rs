//! How is the log written? One event, one line: in Redis's own form, or as JSON for collectors.
//!
//! The human form is `pid:role day month year time.ms mark message`, which Redis's tools and test
//! suites expect; marks are `.` debug, `-` verbose, `*` notice, `#` warning.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Redis's form.
    Human,
    /// An object per line.
    Json,
}

/// Writes events as lines.
#[derive(Debug)]
struct LineLayer {
    /// Opened anew for each line, so that the file can be moved away while the server runs.
    path: Option<PathBuf>,
}

/// The level below which nothing is written: 0 debug, 1 verbose, 2 notice, 3 warning, 4 nothing.
static LEVEL: AtomicU8 = AtomicU8::new(2);

/// Sets `loglevel`.
pub fn set_level(name: &str) {
    let level = match name {
        "debug" => 0,
        "verbose" => 1,
        "notice" => 2,
        "warning" => 3,
        _ => 4,
    };
    LEVEL.store(level, Ordering::Relaxed);
}

/// Whether lines are objects.
static JSON: AtomicBool = AtomicBool::new(false);

/// Sets `log-format`.
pub fn set_format(format: Format) {
    JSON.store(format == Format::Json, Ordering::Relaxed);
}

/// Whether this server is a replica.
static IS_REPLICA: AtomicBool = AtomicBool::new(false);

/// Starts logging to a file, or to standard output if `path` is empty.
pub fn init(path: &str) -> std::io::Result<()> {
    let path = match path {
        "" => None,
        path => Some(std::path::absolute(path)?),
    };
    if let Some(path) = &path {
        open(path)?;
        crate::module::crash::report_to(path);
    }
    let subscriber = tracing_subscriber::registry().with(LineLayer { path });
    // A second start in one process (tests) keeps the first log.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Redis's level of a tracing level: notice is INFO, verbose is DEBUG, debug is TRACE.
fn rank(level: &Level) -> u8 {
    match *level {
        Level::TRACE => 0,
        Level::DEBUG => 1,
        Level::INFO => 2,
        Level::WARN | Level::ERROR => 3,
    }
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let rank = rank(event.metadata().level());
        if rank < LEVEL.load(Ordering::Relaxed) {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = match JSON.load(Ordering::Relaxed) {
            false => human_line(rank, &fields),
            true => json_line(rank, &fields),
        };
        // A full disk must not stop the server; the next line tries again.
        let _ = match &self.path {
            Some(path) => open(path).and_then(|mut file| file.write_all(line.as_bytes())),
            None => std::io::stdout().lock().write_all(line.as_bytes()),
        };
    }
}

/// An event's message and its other fields.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.rest.push((field.name(), format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned();
        } else {
            self.rest.push((field.name(), value.to_owned()));
        }
    }
}

/// Says in each line whether this server is a replica.
pub fn show_role(is_replica: bool) {
    IS_REPLICA.store(is_replica, Ordering::Relaxed);
}

fn human_line(rank: u8, fields: &Fields) -> String {
    let mark = [".", "-", "*", "#"][usize::from(rank)];
    let now = chrono::Local::now().format("%d %b %Y %H:%M:%S%.3f");
    let role = if IS_REPLICA.load(Ordering::Relaxed) { 'S' } else { 'M' };
    let mut line = format!("{}:{role} {now} {mark} {}", std::process::id(), fields.message);
    for (name, value) in &fields.rest {
        let _ = write!(line, " {name}={value}");
    }
    line.push('\n');
    line
}

fn json_line(rank: u8, fields: &Fields) -> String {
    let level = ["debug", "verbose", "notice", "warning"][usize::from(rank)];
    let now = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.3fZ");
    let mut line =
        format!("{{\"time\":\"{now}\",\"level\":\"{level}\",\"pid\":{}", std::process::id());
    let message = ("message", fields.message.clone());
    for (name, value) in std::iter::once(&message).chain(&fields.rest) {
        let _ = write!(line, ",\"{name}\":");
        quote(&mut line, value);
    }
    line.push_str("}\n");
    line
}

/// Writes a JSON string.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_escape_what_json_requires() {
        let fields = Fields { message: "a \"b\"\n\u{1}".into(), rest: vec![("port", "1".into())] };
        let line = json_line(3, &fields);
        assert!(line.contains(r#""level":"warning""#), "{line}");
        assert!(line.contains(r#""message":"a \"b\"\n\u0001","port":"1"}"#), "{line}");
    }
}
