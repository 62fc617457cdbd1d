//! How does a module run commands, and what do they answer?

use mortise_module_abi as abi;

use crate::context::Context;
use crate::error::Error;
use crate::raw::{self, Ctx, Node, ReplyKind, Text};
use crate::reply::{CommandResult, Reply};
use crate::string::Argument;

/// How a command is run. Without flags: as by nobody in particular, with all rights, and without
/// replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallFlags(u16);

macro_rules! call_flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal $letter:literal;)*) => {
        impl CallFlags {
            /// No flags.
            pub const NONE: CallFlags = CallFlags(0);
            $($(#[$doc])* pub const $name: CallFlags = CallFlags(1 << $bit);)*

            /// Both sets of flags.
            pub const fn and(self, other: CallFlags) -> CallFlags {
                CallFlags(self.0 | other.0)
            }

            fn letters(self) -> impl Iterator<Item = char> {
                [$((1u16 << $bit, $letter)),*]
                    .into_iter()
                    .filter(move |(bit, _)| self.0 & bit != 0)
                    .map(|(_, letter)| letter)
            }
        }
    };
}

call_flags! {
    /// Replicate the command, if it writes.
    REPLICATE = 0 '!';
    /// With `REPLICATE`: not to the append-only file.
    NOT_TO_AOF = 1 'A';
    /// With `REPLICATE`: not to replicas.
    NOT_TO_REPLICAS = 2 'R';
    /// Answer as in RESP3: maps, sets, doubles, booleans. Redis 7.0.
    RESP3 = 3 '3';
    /// Answer in the client's own protocol. Redis 7.0.
    CLIENT_PROTOCOL = 4 '0';
    /// With the rights of the context's user. Redis 7.0.
    AS_USER = 5 'C';
    /// With the rules of scripts. Redis 7.0.
    SCRIPT_MODE = 6 'S';
    /// Refuse commands that write. Redis 7.0.
    NO_WRITES = 7 'W';
    /// Refuse commands that take memory when it is out. Redis 7.0.
    DENY_OOM = 8 'M';
    /// Check only whether it would run. Redis 7.0.
    DRY_RUN = 9 'D';
}

/// Runs a command.
pub(crate) fn call<'h>(
    ctx: Ctx<'h>,
    command: &str,
    args: &[&dyn Argument],
    flags: CallFlags,
) -> Result<CallReply<'h>, Error> {
    let args: Vec<Text<'_>> = args.iter().map(|arg| arg.text()).collect();
    let mut format = String::from("v");
    format.extend(flags.letters());
    // With E, refusals come as error replies with their texts instead of as errno.
    if raw::has_error_replies() {
        format.push('E');
    }
    let reply = ctx.call(&raw::c_string(command), &raw::c_string(&format), &args);
    match reply {
        None if flags.0 & CallFlags::DRY_RUN.0 != 0 => Ok(CallReply { reply: None }),
        None => Err(Error::new(format_args!(
            "{command} was refused: {}",
            std::io::Error::last_os_error()
        ))),
        Some(reply) => {
            if let ReplyKind::Error(text) = reply.root().kind() {
                return Err(error(text));
            }
            // Some servers answer a dry run with something, which has no meaning.
            let is_dry = flags.0 & CallFlags::DRY_RUN.0 != 0;
            Ok(CallReply { reply: Some(reply).filter(|_| !is_dry) })
        }
    }
}

/// An error reply as an error. The server gives the text with or without the protocol's minus.
fn error(text: &[u8]) -> Error {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    Error::with_code(String::from_utf8_lossy(text).trim_end().to_owned())
}

/// What a command answered.
pub struct CallReply<'h> {
    /// None: a dry run that would have run.
    reply: Option<raw::Reply<'h>>,
}

impl CallReply<'_> {
    /// The answer as a value that borrows from it.
    pub fn value(&self) -> Value<'_> {
        self.reply.as_ref().map_or(Value::Null, |reply| Value::from(reply.root()))
    }

    /// The answer as a value of the caller's own: `call(...)?.read::<Option<i64>>()`. An error if it is something
    /// else.
    pub fn read<T: FromReply>(&self) -> Result<T, Error> {
        T::from_reply(self.value())
    }

    /// Sends the answer to the client as it is. It must be in the client's protocol:
    /// [`CallFlags::CLIENT_PROTOCOL`].
    pub fn forward(&self, ctx: &Context<'_>) -> CommandResult {
        match &self.reply {
            Some(reply) if ctx.reply().forwarded(reply) => Ok(Reply::Written),
            Some(_) => Err(Error::Refused("ReplyWithCallReply")),
            None => Ok(Reply::Ok),
        }
    }
}

/// A value inside a [`CallReply`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Value<'r> {
    /// Null.
    Null,
    /// An integer.
    Int(i64),
    /// A status or a bulk string.
    String(&'r [u8]),
    /// An error inside an array; an error as the whole answer is an `Err` of the call.
    Error(&'r [u8]),
    /// A list.
    Array(Elements<'r>),
    /// Pairs. RESP3.
    Map(Pairs<'r>),
    /// Elements without order. RESP3.
    Set(Elements<'r>),
    /// A boolean. RESP3.
    Bool(bool),
    /// A double. RESP3.
    Double(f64),
    /// A large integer, in digits. RESP3.
    BigNumber(&'r [u8]),
    /// A text with a format. RESP3.
    Verbatim(&'r [u8]),
    /// Something that this SDK does not know.
    Unknown,
}

impl<'r> From<Node<'r>> for Value<'r> {
    fn from(node: Node<'r>) -> Value<'r> {
        match node.kind() {
            ReplyKind::Unknown => Value::Unknown,
            ReplyKind::String(bytes) => Value::String(bytes),
            ReplyKind::Error(bytes) => Value::Error(bytes),
            ReplyKind::Integer(value) => Value::Int(value),
            ReplyKind::Array(len) => Value::Array(Elements { node: Some(node), next: 0, len }),
            ReplyKind::Null => Value::Null,
            ReplyKind::Map(len) => Value::Map(Pairs { node, next: 0, len }),
            ReplyKind::Set(len) => Value::Set(Elements { node: Some(node), next: 0, len }),
            ReplyKind::Bool(value) => Value::Bool(value),
            ReplyKind::Double(value) => Value::Double(value),
            ReplyKind::BigNumber(digits) => Value::BigNumber(digits),
            ReplyKind::Verbatim(text) => Value::Verbatim(text),
        }
    }
}

impl<'r> Value<'r> {
    /// The bytes of a string of any kind.
    pub fn as_bytes(&self) -> Option<&'r [u8]> {
        match self {
            Value::String(bytes) | Value::Verbatim(bytes) | Value::BigNumber(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// An integer, also one in a string.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            Value::String(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// A number, also one in a string.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Double(value) => Some(*value),
            Value::Int(value) => Some(*value as f64),
            Value::String(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The elements of an array or a set; none for anything else.
    pub fn elements(&self) -> Elements<'r> {
        match self {
            Value::Array(elements) | Value::Set(elements) => *elements,
            _ => Elements { node: None, next: 0, len: 0 },
        }
    }
}

/// What an answer can be read as: numbers, `bool`, `String` and `Vec<u8>` of what spells them, an `Option`
/// for what may be null, a `Vec` of elements, a `Vec` of pairs of a map (or of an array in pairs, as RESP2
/// has them), `()` for anything.
pub trait FromReply: Sized {
    /// Reads it. An error says what was expected.
    fn from_reply(value: Value<'_>) -> Result<Self, Error>;
}

macro_rules! from_reply {
    ($($type:ty, $what:literal: |$value:ident| $read:expr;)*) => { $(
        impl FromReply for $type {
            fn from_reply($value: Value<'_>) -> Result<$type, Error> {
                $read.ok_or_else(|| unexpected($what, &$value))
            }
        }
    )* };
}

from_reply! {
    i64, "an integer": |value| value.as_i64();
    f64, "a number": |value| value.as_f64();
    bool, "a boolean": |value| match &value {
        Value::Bool(value) => Some(*value),
        value => value.as_i64().map(|number| number != 0),
    };
    Vec<u8>, "a string": |value| value.as_bytes().map(<[u8]>::to_vec);
    String, "a text": |value| {
        value.as_bytes().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
    };
}

fn unexpected(what: &str, value: &Value<'_>) -> Error {
    Error::new(format_args!("the command answered {value:?} instead of {what}"))
}

impl FromReply for () {
    fn from_reply(_: Value<'_>) -> Result<(), Error> {
        Ok(())
    }
}

impl<T: FromReply> FromReply for Option<T> {
    fn from_reply(value: Value<'_>) -> Result<Option<T>, Error> {
        match value {
            Value::Null => Ok(None),
            value => T::from_reply(value).map(Some),
        }
    }
}

impl<T: FromElements> FromReply for Vec<T> {
    fn from_reply(value: Value<'_>) -> Result<Vec<T>, Error> {
        T::from_elements(value)
    }
}

/// What a `Vec` can be read of; see [`FromReply`].
pub trait FromElements: Sized {
    #[doc(hidden)]
    fn from_elements(value: Value<'_>) -> Result<Vec<Self>, Error>;
}

macro_rules! from_elements {
    ($($type:ty)*) => { $(
        impl FromElements for $type {
            fn from_elements(value: Value<'_>) -> Result<Vec<$type>, Error> {
                match value {
                    Value::Array(all) | Value::Set(all) => all.map(FromReply::from_reply).collect(),
                    value => Err(unexpected("a list", &value)),
                }
            }
        }
    )* };
}

from_elements! {
    i64 f64 bool String Vec<u8>
    Option<i64> Option<f64> Option<String> Option<Vec<u8>>
}

impl<K: FromReply, V: FromReply> FromElements for (K, V) {
    fn from_elements(value: Value<'_>) -> Result<Vec<(K, V)>, Error> {
        let read = |(key, value)| Ok((K::from_reply(key)?, V::from_reply(value)?));
        match value {
            Value::Map(pairs) => pairs.map(read).collect(),
            Value::Array(mut all) => {
                let mut pairs = Vec::new();
                while let Some(key) = all.next() {
                    let value =
                        all.next().ok_or(Error::new("the list has a key without a value"))?;
                    pairs.push(read((key, value))?);
                }
                Ok(pairs)
            }
            value => Err(unexpected("pairs", &value)),
        }
    }
}

/// A copy of an answer, to be sent on or kept.
impl From<Value<'_>> for Reply {
    fn from(value: Value<'_>) -> Reply {
        match value {
            Value::Null | Value::Unknown => Reply::Null,
            Value::Int(value) => Reply::Int(value),
            Value::String(bytes) => Reply::Bulk(bytes.to_vec()),
            Value::Error(text) => Reply::Error(error(text)),
            Value::Array(elements) => Reply::Array(elements.map(Reply::from).collect()),
            Value::Map(pairs) => {
                Reply::Map(pairs.map(|(key, value)| (key.into(), value.into())).collect())
            }
            Value::Set(elements) => Reply::Set(elements.map(Reply::from).collect()),
            Value::Bool(value) => Reply::Bool(value),
            Value::Double(value) => Reply::Double(value),
            Value::BigNumber(digits) => {
                Reply::BigNumber(String::from_utf8_lossy(digits).into_owned())
            }
            Value::Verbatim(text) => Reply::Verbatim { format: *b"txt", text: text.to_vec() },
        }
    }
}

/// The elements of an array or a set.
#[derive(Clone, Copy)]
pub struct Elements<'r> {
    /// None: there are no elements.
    node: Option<Node<'r>>,
    next: usize,
    len: usize,
}

impl<'r> Iterator for Elements<'r> {
    type Item = Value<'r>;

    fn next(&mut self) -> Option<Value<'r>> {
        if self.next >= self.len {
            return None;
        }
        let element = self.node?.element(self.next)?;
        self.next += 1;
        Some(element.into())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len - self.next, Some(self.len - self.next))
    }
}

impl std::fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// The pairs of a map.
#[derive(Clone, Copy)]
pub struct Pairs<'r> {
    node: Node<'r>,
    next: usize,
    len: usize,
}

impl<'r> Iterator for Pairs<'r> {
    type Item = (Value<'r>, Value<'r>);

    fn next(&mut self) -> Option<(Value<'r>, Value<'r>)> {
        if self.next >= self.len {
            return None;
        }
        let (key, value) = self.node.pair(self.next)?;
        self.next += 1;
        Some((key.into(), value.into()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len - self.next, Some(self.len - self.next))
    }
}

impl std::fmt::Debug for Pairs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(*self).finish()
    }
}

const _: () = assert!(abi::REPLY_PROMISE == 12, "a promise is Unknown here: K is not offered");
