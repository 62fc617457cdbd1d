//! How are the parameters with rules of their own read and written? Save points, buffer limits,
//! scores, events, addresses, the primary, percentiles.
//!
//! Each has a pair of functions: words to [`Value`] and back to text. Texts of errors are Redis's.

use crate::base::number::{parse_f64, parse_memory};
use crate::config::events;
use crate::config::params::Special;
use crate::config::value::{OutputLimit, SavePoint, Value};

/// Addresses that `bind` may name.
const BIND_MAX: usize = 16;
/// Save points and percentiles that may be set; far more than make sense.
const POINTS_MAX: usize = 1024;
/// Classes of `client-output-buffer-limit`, in the order of [`Value::OutputLimits`].
pub const OUTPUT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

/// What a parameter is at the start.
pub fn default(special: Special) -> Value {
    match special {
        Special::Dir => Value::Text(b"./".to_vec()),
        Special::Save => Value::Save(vec![
            SavePoint { seconds: 3600, changes: 1 },
            SavePoint { seconds: 300, changes: 100 },
            SavePoint { seconds: 60, changes: 10_000 },
        ]),
        Special::OutputLimits => Value::OutputLimits([
            OutputLimit { hard: 0, soft: 0, soft_seconds: 0 },
            OutputLimit { hard: 256 << 20, soft: 64 << 20, soft_seconds: 60 },
            OutputLimit { hard: 32 << 20, soft: 8 << 20, soft_seconds: 60 },
        ]),
        Special::OomValues => Value::OomValues([0, 200, 800]),
        Special::Events => Value::Events(0),
        Special::Bind => Value::Bind(vec![b"*".to_vec(), b"-::*".to_vec()]),
        Special::ReplicaOf => Value::ReplicaOf(None),
        Special::Percentiles => Value::Percentiles(vec![50.0, 99.0, 99.9]),
    }
}

/// Reads the words of a value; `old` is what some of them change only a part of.
pub fn parse(special: Special, words: &[&[u8]], old: &Value) -> Result<Value, String> {
    let wrong_number = || Err("wrong number of arguments".to_string());
    match special {
        Special::Dir => match words {
            [dir] => Ok(Value::Text(dir.to_vec())),
            _ => wrong_number(),
        },
        Special::Save => parse_save(words).ok_or_else(|| "Invalid save parameters".to_string()),
        Special::OutputLimits => parse_output_limits(words, old),
        Special::OomValues => match words {
            [a, b, c] => parse_oom_values([a, b, c]),
            _ => wrong_number(),
        },
        Special::Events => match words {
            [text] => events::parse(text)
                .map(Value::Events)
                .ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_string()),
            _ => wrong_number(),
        },
        Special::Bind if words.len() > BIND_MAX => {
            Err("Too many bind addresses specified.".to_string())
        }
        Special::Bind => {
            let addresses = unless_empty(words);
            match addresses.iter().find(|address| !is_plain(address)) {
                Some(_) => Err("Invalid bind address".to_string()),
                None => Ok(Value::Bind(addresses.iter().map(|w| w.to_vec()).collect())),
            }
        }
        Special::ReplicaOf => match words {
            [host, port] => parse_replica_of(host, port),
            _ => wrong_number(),
        },
        Special::Percentiles => parse_percentiles(unless_empty(words)),
    }
}

/// Whether a word can stand in a config file without quotes: there is no host whose name cannot, and one that
/// was written back without them would stop the next start.
fn is_plain(word: &[u8]) -> bool {
    let is_special = |byte: &u8| matches!(byte, 0..=b' ' | 0x7f | b'"' | b'\'' | b'\\');
    !word.is_empty() && !word.iter().any(is_special)
}

/// A single empty word stands for no word.
fn unless_empty<'a, 'b>(words: &'a [&'b [u8]]) -> &'a [&'b [u8]] {
    if words == [b""] { &[] } else { words }
}

/// Reads an integer as `strtoll` does, to the end of the word: blanks before it, a sign, leading
/// zeros; nothing at all is 0.
fn lenient_i64(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?.trim_start();
    if text.is_empty() && word.is_empty() {
        return Some(0);
    }
    // What does not fit takes the nearest number, as strtoll has it; all limits here lie far below.
    match text.parse::<i64>() {
        Ok(value) => Some(value),
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => Some(i64::MAX),
        Err(error) if *error.kind() == std::num::IntErrorKind::NegOverflow => Some(i64::MIN),
        Err(_) => None,
    }
}

fn parse_save(words: &[&[u8]]) -> Option<Value> {
    let words = unless_empty(words);
    if !words.len().is_multiple_of(2) || words.len() > POINTS_MAX {
        return None;
    }
    let mut points = Vec::with_capacity(words.len() / 2);
    for pair in words.chunks_exact(2) {
        let (seconds, changes) = (lenient_i64(pair[0])?, lenient_i64(pair[1])?);
        if seconds < 1 || changes < 0 {
            return None;
        }
        points.push(SavePoint { seconds: seconds.unsigned_abs(), changes: changes.unsigned_abs() });
    }
    Some(Value::Save(points))
}

fn parse_output_limits(words: &[&[u8]], old: &Value) -> Result<Value, String> {
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".to_string());
    }
    let Value::OutputLimits(mut limits) = *old else { unreachable!("the parameter holds limits") };
    for group in words.chunks_exact(4) {
        let class = match group[0].to_ascii_lowercase().as_slice() {
            b"normal" => 0,
            b"slave" | b"replica" => 1,
            b"pubsub" => 2,
            _ => {
                let error = "Invalid client class specified in buffer limit configuration.";
                return Err(error.to_string());
            }
        };
        let parsed = (parse_memory(group[1]), parse_memory(group[2]), lenient_i64(group[3]));
        let (Some(hard), Some(soft), Some(soft_seconds @ 0..)) = parsed else {
            let error =
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
            return Err(error.to_string());
        };
        limits[class] = OutputLimit { hard, soft, soft_seconds: soft_seconds.unsigned_abs() };
    }
    Ok(Value::OutputLimits(limits))
}

fn parse_oom_values(words: [&[u8]; 3]) -> Result<Value, String> {
    let mut values = [0; 3];
    for (value, word) in values.iter_mut().zip(words) {
        *value = match lenient_i64(word).map(i32::try_from) {
            Some(Ok(score @ -2000..=2000)) => score,
            _ => {
                let error =
                    "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
                return Err(error.to_string());
            }
        };
    }
    Ok(Value::OomValues(values))
}

fn parse_replica_of(host: &[u8], port: &[u8]) -> Result<Value, String> {
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(Value::ReplicaOf(None));
    }
    if !is_plain(host) {
        return Err("Invalid master host".to_string());
    }
    match lenient_i64(port).map(u16::try_from) {
        Some(Ok(port)) => Ok(Value::ReplicaOf(Some((host.to_vec(), port)))),
        _ => Err("Invalid master port".to_string()),
    }
}

fn parse_percentiles(words: &[&[u8]]) -> Result<Value, String> {
    if words.len() > POINTS_MAX {
        return Err("Invalid latency-tracking-info-percentiles parameters".to_string());
    }
    let mut percentiles = Vec::with_capacity(words.len());
    for word in words {
        let Some(percentile) = parse_f64(word) else {
            return Err("Invalid latency-tracking-info-percentiles parameters".to_string());
        };
        if !(0.0..=100.0).contains(&percentile) {
            let error =
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
            return Err(error.to_string());
        }
        percentiles.push(percentile);
    }
    Ok(Value::Percentiles(percentiles))
}

/// A percentile with six decimals at most.
pub fn format_percentile(percentile: f64) -> String {
    let text = format!("{percentile:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}
