//! How is the server set up, and what does CONFIG GET, SET and REWRITE do with it?
//!
//! `params.rs` and `table/` say which parameters there are; a [`Config`] holds their values, by
//! number. `file.rs` reads config files and command lines, `rewrite.rs` writes files. Nothing here
//! acts on a value: who sets some gets told what changed, applies it, and on failure takes it back
//! ([`Config::revert`]).

use std::fmt;

use crate::base::glob::{Case, glob_match};
use crate::config::choices::words_of;
use crate::config::params::{Flags, Kind, Param, Spec, find, spec, specs};
use crate::config::value::{OutputLimit, SavePoint, Value};

pub mod check;
pub mod choices;
pub mod command_line;
pub mod events;
pub mod file;
pub mod include;
pub mod params;
pub mod rewrite;
mod special;
pub mod table;
pub mod title;
pub mod value;

/// Background rounds a second that `hz` can ask for; others count as the nearest of these.
const HZ_RANGE: std::ops::RangeInclusive<i64> = 1..=500;

/// The values of all parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    values: Vec<Value>,
}

/// What [`Config::set_many`] must know of the world.
#[derive(Clone, Copy, Debug)]
pub struct SetContext {
    /// Whether the dataset is being loaded.
    pub loading: bool,
    /// Whether this client may set protected parameters.
    pub protected_allowed: bool,
}

/// What was set: for applying it, or for taking it back.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Parameters whose value is another one now, or must be applied anew all the same.
    pub changed: Vec<Param>,
    /// Names of all that were set, as the config-change event of modules wants them.
    pub names: Vec<&'static str>,
    previous: Vec<(Param, Value)>,
}

/// Why CONFIG SET did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no parameter of this name.
    UnknownOption(Vec<u8>),
    /// A value was not accepted, or could not be applied.
    Failed {
        /// The parameter.
        name: Vec<u8>,
        /// Why; may be empty.
        message: String,
    },
    /// The parameter cannot be set while loading.
    Loading,
}

impl ConfigError {
    /// The error of a parameter that was accepted but could not be applied.
    pub fn not_applied(param: Param, message: impl Into<String>) -> Self {
        Self::Failed { name: spec(param).name.into(), message: message.into() }
    }

    /// The text of the error reply, without the leading `-`.
    pub fn reply(&self) -> Vec<u8> {
        match self {
            Self::Loading => b"LOADING Redis is loading the dataset in memory".to_vec(),
            Self::UnknownOption(name) => {
                let text = b"ERR Unknown option or number of arguments for CONFIG SET - '";
                [text, name.as_slice(), b"'"].concat()
            }
            Self::Failed { name, message } => {
                let text = b"ERR CONFIG SET failed (possibly related to argument '";
                let dash = if message.is_empty() { "" } else { " - " };
                [text, name.as_slice(), b"')", dash.as_bytes(), message.as_bytes()].concat()
            }
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.reply()))
    }
}

impl std::error::Error for ConfigError {}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// All parameters at their defaults.
    pub fn new() -> Self {
        Self { values: specs().map(Value::default_of).collect() }
    }

    /// The value of a parameter.
    #[inline]
    pub fn value(&self, param: Param) -> &Value {
        &self.values[param as usize]
    }

    /// A parameter that is `yes` or `no`.
    #[inline]
    pub fn flag(&self, param: Param) -> bool {
        match self.value(param) {
            Value::Flag(on) => *on,
            other => wrong_kind(param, other),
        }
    }

    /// A number, unsigned ones by their bits.
    #[inline]
    pub fn int(&self, param: Param) -> i64 {
        match self.value(param) {
            Value::Number(value) => *value,
            other => wrong_kind(param, other),
        }
    }

    /// A number that cannot be negative.
    #[inline]
    pub fn uint(&self, param: Param) -> u64 {
        self.int(param) as u64
    }

    /// A number that cannot be negative, as a size.
    #[inline]
    pub fn size(&self, param: Param) -> usize {
        self.int(param) as usize
    }

    /// A text, empty if there is none.
    pub fn text(&self, param: Param) -> &[u8] {
        match self.value(param) {
            Value::Text(text) => text,
            other => wrong_kind(param, other),
        }
    }

    /// The number of a word, see `choices.rs`.
    #[inline]
    pub fn choice(&self, param: Param) -> u32 {
        match self.value(param) {
            Value::Choice(number) => *number,
            other => wrong_kind(param, other),
        }
    }

    /// The word of a choice (the words of its bits).
    pub fn choice_name(&self, param: Param) -> String {
        match spec(param).kind {
            Kind::Choice { choices, .. } => words_of(choices, self.choice(param)),
            _ => wrong_kind(param, self.value(param)),
        }
    }

    /// `save`
    pub fn save_points(&self) -> &[SavePoint] {
        match self.value(Param::Save) {
            Value::Save(points) => points,
            other => wrong_kind(Param::Save, other),
        }
    }

    /// `client-output-buffer-limit`: of normal clients, replicas, subscribers.
    pub fn output_limits(&self) -> [OutputLimit; 3] {
        match self.value(Param::ClientOutputBufferLimit) {
            Value::OutputLimits(limits) => *limits,
            other => wrong_kind(Param::ClientOutputBufferLimit, other),
        }
    }

    /// `oom-score-adj-values`: as primary, as replica, of children.
    pub fn oom_values(&self) -> [i32; 3] {
        match self.value(Param::OomScoreAdjValues) {
            Value::OomValues(values) => *values,
            other => wrong_kind(Param::OomScoreAdjValues, other),
        }
    }

    /// `notify-keyspace-events`, bits of `events.rs`.
    pub fn notify_events(&self) -> u32 {
        match self.value(Param::NotifyKeyspaceEvents) {
            Value::Events(flags) => *flags,
            other => wrong_kind(Param::NotifyKeyspaceEvents, other),
        }
    }

    /// `bind`
    pub fn bind(&self) -> &[Vec<u8>] {
        match self.value(Param::Bind) {
            Value::Bind(addresses) => addresses,
            other => wrong_kind(Param::Bind, other),
        }
    }

    /// `replicaof`
    pub fn replica_of(&self) -> Option<(&[u8], u16)> {
        match self.value(Param::Replicaof) {
            Value::ReplicaOf(primary) => primary.as_ref().map(|(host, port)| (&host[..], *port)),
            other => wrong_kind(Param::Replicaof, other),
        }
    }

    /// `latency-tracking-info-percentiles`
    pub fn percentiles(&self) -> &[f64] {
        match self.value(Param::LatencyTrackingInfoPercentiles) {
            Value::Percentiles(percentiles) => percentiles,
            other => wrong_kind(Param::LatencyTrackingInfoPercentiles, other),
        }
    }

    /// The value of a parameter by its name or former name, as CONFIG GET shows it.
    pub fn get(&self, name: &[u8]) -> Option<Vec<u8>> {
        let spec = find(name)?;
        Some(self.value(spec.param).show(spec))
    }

    /// What CONFIG GET replies: names and values of all that match one of the patterns.
    ///
    /// A name without wildcards is found even if hidden, and returned as it was asked for.
    pub fn matching(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        let mut add = |name: &[u8], spec: &'static Spec| {
            if seen.insert(name.to_ascii_lowercase()) {
                found.push((name.to_vec(), self.value(spec.param).show(spec)));
            }
        };
        for &pattern in patterns {
            if !pattern.iter().any(|b| matches!(b, b'[' | b'*' | b'?')) {
                if let Some(spec) = find(pattern) {
                    add(pattern, spec);
                }
                continue;
            }
            for spec in specs().filter(|spec| !spec.flags.has(Flags::HIDDEN)) {
                for name in [Some(spec.name), spec.alias].into_iter().flatten() {
                    if glob_match(pattern, name.as_bytes(), Case::Insensitive) {
                        add(name.as_bytes(), spec);
                    }
                }
            }
        }
        found
    }

    /// CONFIG SET: sets all of the pairs or none. Apply [`Changes::changed`] then, or
    /// [`Config::revert`].
    pub fn set_many(
        &mut self,
        pairs: &[(&[u8], &[u8])],
        context: SetContext,
    ) -> Result<Changes, ConfigError> {
        let chosen = choose(pairs, context)?;
        let mut changes = Changes { changed: Vec::new(), names: Vec::new(), previous: Vec::new() };
        for (spec, name, value) in chosen {
            let words: Vec<&[u8]> = match value {
                [] if spec.flags.has(Flags::MULTI) => Vec::new(),
                value if spec.flags.has(Flags::MULTI) => value.split(|&b| b == b' ').collect(),
                value => vec![value],
            };
            match self.set(spec, &words) {
                Ok((old, is_change)) => {
                    changes.previous.push((spec.param, old));
                    changes.names.push(spec.name);
                    if is_change {
                        changes.changed.push(spec.param);
                    }
                }
                Err(message) => {
                    self.revert(changes);
                    return Err(ConfigError::Failed { name: name.into(), message });
                }
            }
        }
        Ok(changes)
    }

    /// Takes back what [`Config::set_many`] did.
    pub fn revert(&mut self, changes: Changes) {
        for (param, old) in changes.previous.into_iter().rev() {
            self.values[param as usize] = old;
        }
    }

    /// Puts a value in place unchecked: for what is known only when it is applied, such as the
    /// absolute path of `dir` or the port that was free.
    pub fn put(&mut self, param: Param, value: Value) {
        let same_kind = std::mem::discriminant(&value) == std::mem::discriminant(self.value(param));
        assert!(same_kind, "{} holds another kind of value", spec(param).name);
        self.values[param as usize] = value;
    }

    /// Sets one parameter to the value of some words: the old value, and whether anything changed.
    fn set(&mut self, spec: &Spec, words: &[&[u8]]) -> Result<(Value, bool), String> {
        let place = &mut self.values[spec.param as usize];
        let mut new = Value::parse(spec, words, place)?;
        if let (Param::Hz, Value::Number(hz)) = (spec.param, &mut new) {
            *hz = (*hz).clamp(*HZ_RANGE.start(), *HZ_RANGE.end());
        }
        let is_change = new != *place || spec.flags.has(Flags::VOLATILE);
        Ok((std::mem::replace(place, new), is_change))
    }
}

type Chosen<'a> = (&'static Spec, &'static str, &'a [u8]);

/// Finds the parameters of CONFIG SET; refuses what may not be set. The first problem counts.
fn choose<'a>(
    pairs: &[(&'a [u8], &'a [u8])],
    context: SetContext,
) -> Result<Vec<Chosen<'a>>, ConfigError> {
    let mut chosen: Vec<Chosen<'a>> = Vec::with_capacity(pairs.len());
    for &(name, value) in pairs {
        let refuse = |message: &str| {
            Err(ConfigError::Failed { name: name.to_vec(), message: message.to_string() })
        };
        let Some(spec) = find(name) else {
            return Err(ConfigError::UnknownOption(name.to_vec()));
        };
        if spec.flags.has(Flags::IMMUTABLE) {
            return refuse("can't set immutable config");
        }
        if spec.flags.has(Flags::PROTECTED) && !context.protected_allowed {
            return refuse("can't set protected config");
        }
        if spec.flags.has(Flags::DENY_LOADING) && context.loading {
            return Err(ConfigError::Loading);
        }
        // Redis tells a name from its former name here, and the later of the two wins.
        let own_name = [Some(spec.name), spec.alias]
            .into_iter()
            .flatten()
            .find(|own| own.as_bytes().eq_ignore_ascii_case(name))
            .unwrap_or(spec.name);
        if chosen.iter().any(|(_, other, _)| *other == own_name) {
            return refuse("duplicate parameter");
        }
        chosen.push((spec, own_name, value));
    }
    Ok(chosen)
}

fn wrong_kind(param: Param, value: &Value) -> ! {
    unreachable!("{} is asked for as another kind than {value:?}", spec(param).name)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
