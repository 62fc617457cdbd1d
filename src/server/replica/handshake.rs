//! How do a replica and its primary come to terms? The replica says who it is and how far it has the history; the primary
//! answers that it goes on from there, or that a snapshot comes. Servers that know only SYNC are asked for that.
//!
//! The order is Redis's: PING; then AUTH and what REPLCONF tells in one go, answered in the same order, where a primary
//! may know less of REPLCONF; then PSYNC.

use super::wire::{Wire, WireError};
use crate::commands::server::REDIS_VERSION;
use crate::config::Config;
use crate::config::params::Param;
use crate::engine::log::encode;

/// What a replica says of itself.
#[derive(Debug)]
pub(super) struct Introduction {
    /// The words behind AUTH, if the primary wants them.
    pub(super) auth: Vec<Vec<u8>>,
    /// The port where it takes clients.
    pub(super) port: u16,
    /// The address that it is to be known by, unless that is the connection's.
    pub(super) address: Vec<u8>,
    /// The history that it has, and the offset of the next byte; None if it has none.
    pub(super) history: Option<(String, u64)>,
    /// The primary is to hand over its role.
    pub(super) takes_over: bool,
}

impl Introduction {
    /// What the configuration says.
    pub(super) fn of(config: &Config) -> Self {
        let word = |param| config.text(param).to_vec();
        let (user, password) = (word(Param::Masteruser), word(Param::Masterauth));
        let auth = match (user.is_empty(), password.is_empty()) {
            (_, true) => Vec::new(),
            (true, false) => vec![password],
            (false, false) => vec![user, password],
        };
        let port = match config.uint(Param::ReplicaAnnouncePort) {
            0 => config.uint(Param::Port),
            port => port,
        };
        let address = word(Param::ReplicaAnnounceIp);
        Self { auth, port: port as u16, address, history: None, takes_over: false }
    }
}

/// What the primary answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It goes on, perhaps under another id.
    Continues(Option<String>),
    /// A snapshot comes, of this history up to this offset.
    Full {
        /// The history's id.
        id: String,
        /// The offset of the last byte that is in the snapshot.
        offset: u64,
    },
    /// A snapshot comes; nothing is known of its history.
    FullUnknown,
}

/// Why the two did not come to terms.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The connection failed.
    Wire(WireError),
    /// The primary said something else; the log says what.
    Told,
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Refusal::Wire(error)
    }
}

fn send(wire: &mut Wire, argv: &[&[u8]]) -> Result<(), WireError> {
    let mut bytes = Vec::new();
    encode(&mut bytes, argv);
    wire.send(&bytes)
}

/// Sees whether the primary is there, and says who this replica is.
pub(super) fn introduce(wire: &mut Wire, own: &Introduction) -> Result<(), Refusal> {
    send(wire, &[b"PING"])?;
    let reply = wire.read_words()?;
    // Whoever wants a password says so now, and gets it next.
    let allowed = ["-NOAUTH", "-NOPERM", "-ERR operation not permitted"];
    if !reply.starts_with('+') && !allowed.iter().any(|text| reply.starts_with(text)) {
        tracing::warn!("Error reply to PING from master: '{reply}'");
        return Err(Refusal::Told);
    }
    tracing::info!("Master replied to PING, replication can continue...");
    let mut bytes = Vec::new();
    if !own.auth.is_empty() {
        let mut argv: Vec<&[u8]> = vec![b"AUTH"];
        argv.extend(own.auth.iter().map(Vec::as_slice));
        encode(&mut bytes, &argv);
    }
    let port = own.port.to_string();
    let mut told: Vec<(&str, &[&[u8]])> = Vec::new();
    let port = [&b"REPLCONF"[..], b"listening-port", port.as_bytes()];
    told.push(("REPLCONF listening-port", &port));
    let address = [&b"REPLCONF"[..], b"ip-address", &own.address];
    if !own.address.is_empty() {
        told.push(("REPLCONF ip-address", &address));
    }
    told.push(("REPLCONF capa", &[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]));
    let version = [&b"REPLCONF"[..], b"version", REDIS_VERSION.as_bytes()];
    told.push(("REPLCONF version", &version));
    told.iter().for_each(|(_, argv)| encode(&mut bytes, argv));
    wire.send(&bytes)?;
    if !own.auth.is_empty() {
        let reply = wire.read_words()?;
        if reply.starts_with('-') {
            tracing::warn!("Unable to AUTH to MASTER: {reply}");
            return Err(Refusal::Told);
        }
    }
    for (name, _) in told {
        let reply = wire.read_words()?;
        if reply.starts_with('-') {
            tracing::info!("(Non critical) Master does not understand {name}: {reply}");
        }
    }
    Ok(())
}

/// Asks to follow.
pub(super) fn ask(wire: &mut Wire, own: &Introduction) -> Result<Answer, Refusal> {
    let (id, offset) = match &own.history {
        Some((id, offset)) => {
            tracing::info!("Trying a partial resynchronization (request {id}:{offset}).");
            (id.as_str(), offset.to_string())
        }
        None => {
            tracing::info!("Partial resynchronization not possible (no cached master)");
            ("?", "-1".to_owned())
        }
    };
    let mut argv: Vec<&[u8]> = vec![b"PSYNC", id.as_bytes(), offset.as_bytes()];
    if own.takes_over {
        argv.push(b"FAILOVER");
    }
    send(wire, &argv)?;
    let reply = wire.read_words()?;
    if let Some(answer) = parse_answer(&reply) {
        return Ok(answer);
    }
    if ["-NOMASTERLINK", "-LOADING"].iter().any(|text| reply.starts_with(text)) {
        tracing::info!("Master is currently unable to PSYNC but should be in the future: {reply}");
        return Err(Refusal::Told);
    }
    if own.takes_over {
        // Who gives the failover up says why.
        return Err(Refusal::Told);
    }
    if reply.starts_with("-ERR") {
        tracing::info!("Master does not support PSYNC or is in error state (reply: {reply})");
    } else {
        tracing::warn!("Unexpected reply to PSYNC from master: {reply}");
    }
    tracing::info!("Retrying with SYNC...");
    wire.send(b"SYNC\r\n")?;
    Ok(Answer::FullUnknown)
}

/// What a reply to PSYNC promises, if it does.
fn parse_answer(reply: &str) -> Option<Answer> {
    let mut words = reply.split_ascii_whitespace();
    match words.next()? {
        "+FULLRESYNC" => {
            let (id, offset) = (words.next()?, words.next()?);
            let offset = offset.parse().ok()?;
            is_id(id).then(|| Answer::Full { id: id.to_owned(), offset })
        }
        "+CONTINUE" => {
            let id = words.next().filter(|id| is_id(id));
            Some(Answer::Continues(id.map(str::to_owned)))
        }
        _ => None,
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_psync_are_understood_or_refused() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let full = |offset| Some(Answer::Full { id: id.to_owned(), offset });
        assert_eq!(parse_answer(&format!("+FULLRESYNC {id} 17")), full(17));
        assert_eq!(parse_answer("+CONTINUE"), Some(Answer::Continues(None)));
        let with_id = Some(Answer::Continues(Some(id.to_owned())));
        assert_eq!(parse_answer(&format!("+CONTINUE {id}")), with_id);
        for wrong in ["", "+FULLRESYNC", "+FULLRESYNC short 1", "-ERR", "+OK", "$10"] {
            assert_eq!(parse_answer(wrong), None, "{wrong}");
        }
        assert_eq!(parse_answer(&format!("+FULLRESYNC {id} -1")), None);
    }

    #[test]
    fn a_password_without_a_user_is_the_default_users() {
        use crate::config::value::Value;
        let mut config = Config::default();
        assert!(Introduction::of(&config).auth.is_empty());
        config.put(Param::Masterauth, Value::Text(b"secret".to_vec()));
        assert_eq!(Introduction::of(&config).auth, [b"secret"]);
        config.put(Param::Masteruser, Value::Text(b"me".to_vec()));
        assert_eq!(Introduction::of(&config).auth, [&b"me"[..], b"secret"]);
        assert_eq!(Introduction::of(&config).port, 6379);
    }
}
