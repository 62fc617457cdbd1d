//! How are integers of any width kept in a string? BITFIELD, and BITFIELD_RO, which only reads.

use std::sync::atomic::Ordering;

use super::{BAD_OFFSET, bytes_of, offset_of};
use crate::base::number::{self, IntBuf};
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::{Env, ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::value::{StrValue, Value};
use crate::object::bitmap::{self, FieldType, Overflow};
use crate::resp::reply::Reply;

const ENCODING: Arg = Arg::string("encoding");
const OFFSET: Arg = Arg::integer("offset");

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "BITFIELD",
        summary: "Performs arbitrary bitfield integer operations on strings.",
        since: "3.2.0",
        complexity: "O(1) for each subcommand specified",
        group: Group::Bitmap,
        arity: Arity::AtLeast(2),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::ReadUpdate)
            .with(&["variable_flags"])
            .note("This command allows both access and modification of the key")],
        args: &[
            Arg::key("key"),
            Arg::one_of(
                "operation",
                &[
                    Arg::block("get-block", &[ENCODING, OFFSET]).token("GET"),
                    Arg::block("write", &[OVERFLOW, WRITE_OPERATION]),
                ],
            )
            .optional()
            .multiple(),
        ],
        run: Run::Write(bitfield),
        key_access: Some(field_access),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BITFIELD_RO",
        summary: "Performs arbitrary read-only bitfield integer operations on strings.",
        since: "6.0.0",
        complexity: "O(1) for each subcommand specified",
        group: Group::Bitmap,
        arity: Arity::AtLeast(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::block("get-block", &[ENCODING, OFFSET]).token("GET").optional().multiple_token(),
        ],
        run: Run::Read(bitfield_ro),
        ..CommandSpec::BASE
    },
];

const OVERFLOW: Arg = Arg::one_of(
    "overflow-block",
    &[Arg::flag("wrap", "WRAP"), Arg::flag("sat", "SAT"), Arg::flag("fail", "FAIL")],
)
.token("OVERFLOW")
.optional();

const WRITE_OPERATION: Arg = Arg::one_of(
    "write-operation",
    &[
        Arg::block("set-block", &[ENCODING, OFFSET, Arg::integer("value")]).token("SET"),
        Arg::block("incrby-block", &[ENCODING, OFFSET, Arg::integer("increment")]).token("INCRBY"),
    ],
);

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operation {
    action: Action,
    kind: FieldType,
    position: usize,
    overflow: Overflow,
}

impl Operation {
    /// The number of bytes that a string needs to be written to.
    fn len(&self) -> usize {
        (self.position + self.kind.bits() as usize).div_ceil(8)
    }
}

fn parse_type(arg: &[u8]) -> Result<FieldType, CommandError> {
    let parsed = match arg {
        [sign @ (b'i' | b'u'), bits @ ..] => {
            number::parse_i64(bits).and_then(|bits| FieldType::new(*sign == b'i', bits))
        }
        _ => None,
    };
    parsed.ok_or(CommandError::text(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
    ))
}

/// A position in bits, or behind `#` in fields of this type.
fn parse_position(arg: &[u8], kind: FieldType, env: Env<'_>) -> Result<usize, CommandError> {
    let bytes_max = env.shared.limits.bulk_bytes.load(Ordering::Relaxed);
    let position = match arg {
        [b'#', number @ ..] => offset_of(number, i64::from(kind.bits()), bytes_max),
        number => offset_of(number, 1, bytes_max),
    };
    position.ok_or(BAD_OFFSET)
}

fn parse_overflow(word: &[u8]) -> Result<Overflow, CommandError> {
    Ok(match word {
        _ if args::is(word, "WRAP") => Overflow::Wrap,
        _ if args::is(word, "SAT") => Overflow::Saturate,
        _ if args::is(word, "FAIL") => Overflow::Fail,
        _ => return Err(CommandError::text("ERR Invalid OVERFLOW type specified")),
    })
}

/// The operations behind the key, in order.
fn parse(argv: Argv<'_>, env: Env<'_>) -> Result<Vec<Operation>, CommandError> {
    let mut operations = Vec::with_capacity(argv.len() / 3);
    let mut overflow = Overflow::default();
    let mut rest = Cursor::new(argv, 2);
    while let Some(word) = rest.next() {
        let needed = match word {
            _ if args::is(word, "OVERFLOW") => 1,
            _ if args::is(word, "GET") => 2,
            _ if args::is(word, "SET") || args::is(word, "INCRBY") => 3,
            _ => return Err(CommandError::Syntax),
        };
        if rest.left() < needed {
            return Err(CommandError::Syntax);
        }
        if needed == 1 {
            overflow = parse_overflow(rest.value()?)?;
            continue;
        }
        let kind = parse_type(rest.value()?)?;
        let position = parse_position(rest.value()?, kind, env)?;
        let action = match word {
            _ if needed == 2 => Action::Get,
            _ if args::is(word, "SET") => Action::Set(rest.int()?),
            _ => Action::Add(rest.int()?),
        };
        operations.push(Operation { action, kind, position, overflow });
    }
    Ok(operations)
}

/// How many bytes the operations need to write to; none if they only read.
fn len_to_write(operations: &[Operation]) -> Option<usize> {
    operations.iter().filter(|op| op.action != Action::Get).map(Operation::len).max()
}

fn reply_fields(operations: &[Operation], bytes: &[u8], reply: &mut Reply<'_>) {
    reply.array(operations.len());
    for operation in operations {
        reply.int(bitmap::field(bytes, operation.position, operation.kind));
    }
}

fn bitfield_ro(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let operations = parse(argv, ctx.env)?;
    if len_to_write(&operations).is_some() {
        return Err(CommandError::text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    let mut digits = IntBuf::new();
    let bytes = bytes_of(ctx.string(argv[1])?, &mut digits);
    reply_fields(&operations, bytes, reply);
    Ok(())
}

/// The key is written unless every operation is a GET. What is no operation counts as one that writes.
fn field_access(argv: Argv<'_>) -> Access {
    let mut rest = argv.get(2..).unwrap_or_default();
    loop {
        rest = match rest {
            [] => return Access::Read,
            [word, _, _, rest @ ..] if args::is(word, "GET") => rest,
            [word, _, rest @ ..] if args::is(word, "OVERFLOW") => rest,
            _ => return Access::ReadUpdate,
        };
    }
}

fn bitfield(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let operations = parse(argv, ctx.env)?;
    let Some(len_min) = len_to_write(&operations) else {
        let mut digits = IntBuf::new();
        let bytes = bytes_of(ctx.read().string(key)?, &mut digits);
        reply_fields(&operations, bytes, reply);
        return Ok(());
    };
    let found = ctx.string(key)?.map(|(slot, value)| (slot, value.len()));
    let grows = found.is_none_or(|(_, len)| len < len_min);
    let slot = match found {
        Some((slot, _)) => slot,
        None => ctx.insert(key, Value::Str(StrValue::raw(vec![0])), None),
    };
    let bytes = ctx.db_mut().string_bytes_mut(slot, len_min);
    let bytes = bytes.expect("a string was found or made");
    reply.array(operations.len());
    let mut changes = 0;
    for operation in &operations {
        changes += u64::from(perform(operation, bytes, grows, reply));
    }
    announce(ctx, key, changes, grows, found.is_none());
    Ok(())
}

/// Does one operation and answers; whether it changed something, which in a string that had to be made
/// longer each write does.
fn perform(op: &Operation, bytes: &mut [u8], grows: bool, reply: &mut Reply<'_>) -> bool {
    let old = bitmap::field(bytes, op.position, op.kind);
    let fitting = match op.action {
        Action::Get => {
            reply.int(old);
            return false;
        }
        Action::Set(value) => op.kind.fit_given(value, op.overflow),
        Action::Add(delta) => op.kind.fit(i128::from(old) + i128::from(delta), op.overflow),
    };
    let Some(new) = fitting else {
        reply.null();
        return false;
    };
    bitmap::set_field(bytes, op.position, op.kind, new);
    reply.int(if matches!(op.action, Action::Set(_)) { old } else { new });
    grows || old != new
}

/// A string that only grew, because nothing fitted, is propagated too, since it has become another one;
/// Redis leaves that out, and its replicas without the zeros.
fn announce(ctx: &mut WriteCtx<'_>, key: &[u8], changes: u64, grows: bool, is_new: bool) {
    if changes == 0 && !grows {
        return;
    }
    ctx.changed(key);
    ctx.count_changes(changes.saturating_sub(1));
    if is_new {
        ctx.created(key);
    }
    if changes > 0 {
        ctx.notify(EventClass::STRING, "setbit", key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_a_sign_and_a_width() {
        assert_eq!(parse_type(b"u8").ok(), FieldType::new(false, 8));
        assert_eq!(parse_type(b"i64").ok(), FieldType::new(true, 64));
        for bad in ["", "u", "u64", "i65", "i0", "U8", "8", "u-1", "u8 "] {
            assert!(parse_type(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_field_needs_the_bytes_that_it_lies_in() {
        let kind = FieldType::new(true, 64).expect("a type");
        let operation = |position| Operation {
            action: Action::Set(1),
            kind,
            position,
            overflow: Overflow::Wrap,
        };
        assert_eq!(operation(0).len(), 8);
        assert_eq!(operation(1).len(), 9);
        assert_eq!(len_to_write(&[operation(8), operation(0)]), Some(9));
        assert_eq!(len_to_write(&[Operation { action: Action::Get, ..operation(0) }]), None);
    }
}
