//! How does the documentation of a command look in C? Arrays of structs that end with an empty one, in memory that is only
//! needed until the server has copied it.

use std::ffi::{CString, c_char, c_int};
use std::{mem, ptr};

use mortise_module_abi as abi;

use super::context::{Ctx, ok};
use super::{c_string, need};
use crate::arg_spec::{ArgKind, ArgSpec};
use crate::command::Command;
use crate::error::Error;
use crate::key_spec::{BeginKeys, FindKeys, KeySpec};

impl Ctx<'_> {
    /// Tells what COMMAND DOCS and COMMAND INFO show.
    pub(crate) fn set_command_info(self, full_name: &str, command: &Command) -> Result<(), Error> {
        let set = need!(SetCommandInfo);
        let target = self.command(full_name)?;
        let mut memory = Memory::default();
        let info = abi::CommandInfo {
            version: &abi::CommandInfoVersion::CURRENT,
            summary: memory.text(command.summary),
            complexity: memory.text(command.complexity),
            since: memory.text(command.since),
            history: memory.history(command.history),
            tips: memory.text(&command.tips.join(" ")),
            arity: command.arity.wire(),
            key_specs: memory.keys(command.keys),
            args: memory.args(command.args),
        };
        // SAFETY: the command is this module's; the server copies everything behind `info`, which lives as long as
        // `memory`.
        let status = unsafe { set(target, &raw const info) };
        drop(memory);
        ok(status, "SetCommandInfo").map_err(|_| {
            Error::new(format_args!(
                "{full_name}: the server refused its documentation; its log says why"
            ))
        })
    }
}

/// What the structs point to. Growing a list moves its elements, but not the blocks that these own.
#[derive(Default)]
struct Memory {
    texts: Vec<CString>,
    histories: Vec<Vec<abi::CommandHistoryEntry>>,
    keys: Vec<Vec<abi::CommandKeySpec>>,
    args: Vec<Vec<abi::CommandArg>>,
}

/// Keeps an array and gives where it begins; NULL for an empty one.
fn keep<T>(kept: &mut Vec<Vec<T>>, mut entries: Vec<T>) -> *mut T {
    if entries.is_empty() {
        return ptr::null_mut();
    }
    // SAFETY: `T` is one of the structs above: integers, pointers and unions of them, for which zeros are valid; an
    // entry of zeros ends the array.
    entries.push(unsafe { mem::zeroed() });
    kept.push(entries);
    kept.last_mut().map_or(ptr::null_mut(), |entries| entries.as_mut_ptr())
}

impl Memory {
    /// NULL for an empty text.
    fn text(&mut self, text: &str) -> *const c_char {
        if text.is_empty() {
            return ptr::null();
        }
        let text = c_string(text);
        let pointer = text.as_ptr();
        self.texts.push(text);
        pointer
    }

    fn some_text(&mut self, text: Option<&str>) -> *const c_char {
        text.map_or(ptr::null(), |text| self.text(text))
    }

    fn history(&mut self, history: &[(&str, &str)]) -> *mut abi::CommandHistoryEntry {
        let entry = |(since, changes): &(&str, &str)| abi::CommandHistoryEntry {
            since: self.text(since),
            changes: self.text(changes),
        };
        let entries = history.iter().map(entry).collect();
        keep(&mut self.histories, entries)
    }

    fn keys(&mut self, keys: &[KeySpec]) -> *mut abi::CommandKeySpec {
        let entries = keys.iter().map(|spec| self.key(spec)).collect();
        keep(&mut self.keys, entries)
    }

    fn key(&mut self, spec: &KeySpec) -> abi::CommandKeySpec {
        // What a type does not read is zero.
        let nowhere = abi::BeginSearch { index: abi::BeginIndex { pos: 0 } };
        let (begin_search_type, bs) = match spec.begin {
            BeginKeys::At(pos) => {
                (abi::KSPEC_BS_INDEX, abi::BeginSearch { index: abi::BeginIndex { pos } })
            }
            BeginKeys::Behind(word, startfrom) => {
                let keyword = abi::BeginKeyword { keyword: self.text(word), startfrom };
                (abi::KSPEC_BS_KEYWORD, abi::BeginSearch { keyword })
            }
            BeginKeys::Unknown => (abi::KSPEC_BS_UNKNOWN, nowhere),
        };
        let (find_keys_type, fk) = match spec.find {
            FindKeys::Range { last, step, limit } => {
                let range = abi::FindRange { lastkey: last, keystep: step, limit };
                (abi::KSPEC_FK_RANGE, abi::FindKeys { range })
            }
            FindKeys::Counted { number, first, step } => {
                let keynum = abi::FindKeynum { keynumidx: number, firstkey: first, keystep: step };
                (abi::KSPEC_FK_KEYNUM, abi::FindKeys { keynum })
            }
            FindKeys::Unknown => {
                let range = abi::FindRange { lastkey: 0, keystep: 0, limit: 0 };
                (abi::KSPEC_FK_UNKNOWN, abi::FindKeys { range })
            }
        };
        abi::CommandKeySpec {
            notes: self.text(spec.notes),
            flags: spec.bits(),
            begin_search_type,
            bs,
            find_keys_type,
            fk,
        }
    }

    fn args(&mut self, args: &[ArgSpec]) -> *mut abi::CommandArg {
        let entries = args.iter().map(|arg| self.arg(arg)).collect();
        keep(&mut self.args, entries)
    }

    fn arg(&mut self, arg: &ArgSpec) -> abi::CommandArg {
        let (kind, key_spec_index) = match arg.kind {
            ArgKind::Key(index) => (abi::ARG_TYPE_KEY, c_int::try_from(index).unwrap_or(0)),
            ArgKind::String => (abi::ARG_TYPE_STRING, -1),
            ArgKind::Integer => (abi::ARG_TYPE_INTEGER, -1),
            ArgKind::Double => (abi::ARG_TYPE_DOUBLE, -1),
            ArgKind::Pattern => (abi::ARG_TYPE_PATTERN, -1),
            ArgKind::UnixTime => (abi::ARG_TYPE_UNIX_TIME, -1),
            ArgKind::PureToken => (abi::ARG_TYPE_PURE_TOKEN, -1),
            ArgKind::OneOf(_) => (abi::ARG_TYPE_ONEOF, -1),
            ArgKind::Block(_) => (abi::ARG_TYPE_BLOCK, -1),
        };
        let flag = |is_set: bool, bit: c_int| if is_set { bit } else { 0 };
        abi::CommandArg {
            name: self.text(arg.name),
            kind,
            key_spec_index,
            token: self.some_text(arg.token),
            summary: self.text(arg.summary),
            since: self.some_text(arg.since),
            flags: flag(arg.optional, abi::CMD_ARG_OPTIONAL)
                | flag(arg.multiple, abi::CMD_ARG_MULTIPLE)
                | flag(arg.multiple_token, abi::CMD_ARG_MULTIPLE_TOKEN),
            deprecated_since: self.some_text(arg.deprecated),
            subargs: self.args(arg.parts()),
            display_text: self.some_text(arg.shown_as),
        }
    }
}
