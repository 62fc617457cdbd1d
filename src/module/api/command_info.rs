//! The documentation of commands: reading the structs that modules pass.
//!
//! The strides of the arrays come from the module, which may have been compiled with larger structs than
//! ours; each array ends at an entry that is empty. What is read lives for ever, like the commands.
#![expect(unsafe_code, reason = "walks C structs")]

use std::ffi::{c_char, c_int};

use mortise_module_abi as abi;

use super::super::command::{Docs, Draft};
use super::super::handle::c_text;
use crate::engine::spec::{Access, Arg, ArgKind, Arity, Begin, Find, KeySpec};

/// Entries of one array that are read; more is a mistake.
const ENTRIES_MAX: usize = 1024;

/// How deep arguments may consist of arguments.
const DEPTH_MAX: usize = 16;

/// Keeps a text for ever.
///
/// # Safety
/// `text` is null or a C string.
unsafe fn keep(text: *const c_char) -> &'static str {
    // SAFETY: the caller promises it.
    let text = unsafe { c_text(text) };
    if text.is_empty() { "" } else { Box::leak(text.into_boxed_str()) }
}

/// As [`keep`]; None for null.
///
/// # Safety
/// As for [`keep`].
unsafe fn keep_some(text: *const c_char) -> Option<&'static str> {
    // SAFETY: the caller promises it.
    (!text.is_null()).then(|| unsafe { keep(text) })
}

/// Puts what a module says into the draft. If it makes no sense, the draft stays as it is, and the error says why.
///
/// # Safety
/// `info` points to a struct as the ABI has it, whose version tells the strides of its arrays.
pub(super) unsafe fn read(info: &abi::CommandInfo, draft: &mut Draft) -> Result<(), String> {
    // SAFETY: null or the module's constant.
    let version = unsafe { info.version.as_ref() }.filter(|version| version.version >= 1);
    let version = version.ok_or("version missing")?;
    let too_many = |_| format!("arity {}: too many arguments", info.arity);
    let arity = match info.arity {
        0 => draft.arity,
        n @ 1.. => Arity::Exactly(u16::try_from(n).map_err(too_many)?),
        n => Arity::AtLeast(u16::try_from(n.unsigned_abs()).map_err(too_many)?),
    };
    // SAFETY: the caller promises texts and arrays as the ABI has them.
    let (docs, keys) = unsafe {
        let docs = Docs {
            summary: keep(info.summary),
            complexity: keep(info.complexity),
            since: keep(info.since),
            history: history(info.history, version)?,
            tips: tips(info.tips),
            args: arguments(info.args, version, 0)?,
        };
        (docs, keys(info.key_specs, version)?)
    };
    draft.arity = arity;
    draft.docs = docs;
    if !info.key_specs.is_null() {
        draft.keys = keys;
    }
    draft.documented = true;
    Ok(())
}

/// The entries of an array up to the one that `is_end` tells; an error if there is none such.
///
/// # Safety
/// `first` is null or points to entries `stride` bytes apart, the last of which is the end.
unsafe fn entries<'a, T>(
    first: *const T,
    stride: usize,
    is_end: impl Fn(&T) -> bool,
) -> Result<Vec<&'a T>, String> {
    let mut found = Vec::new();
    if first.is_null() {
        return Ok(found);
    }
    if stride < size_of::<T>() {
        return Err(format!("entries of {stride} bytes are too small"));
    }
    for index in 0..ENTRIES_MAX {
        // SAFETY: entries are read up to the end, so this one is there; a stride is not smaller than an
        // entry of ours.
        let Some(entry) = (unsafe { first.byte_add(index * stride).as_ref() }) else { break };
        if is_end(entry) {
            return Ok(found);
        }
        found.push(entry);
    }
    Err(format!("an array of more than {ENTRIES_MAX} entries"))
}

unsafe fn history(
    first: *const abi::CommandHistoryEntry,
    version: &abi::CommandInfoVersion,
) -> Result<&'static [(&'static str, &'static str)], String> {
    // SAFETY: the caller of `read` promises such an array.
    let entries = unsafe { entries(first, version.sizeof_historyentry, |e| e.since.is_null()) }?;
    if let Some(place) = entries.iter().position(|entry| entry.changes.is_null()) {
        return Err(format!("history[{place}].changes missing"));
    }
    // SAFETY: and that its texts are C strings.
    let pairs = entries.into_iter().map(|e| unsafe { (keep(e.since), keep(e.changes)) });
    Ok(Box::leak(pairs.collect()))
}

unsafe fn tips(text: *const c_char) -> &'static [&'static str] {
    // SAFETY: the caller of `read` promises a C string or null.
    Box::leak(unsafe { keep(text) }.split_ascii_whitespace().collect())
}

unsafe fn arguments(
    first: *const abi::CommandArg,
    version: &abi::CommandInfoVersion,
    depth: usize,
) -> Result<&'static [Arg], String> {
    if depth > DEPTH_MAX {
        return Err(format!("arguments are nested deeper than {DEPTH_MAX}"));
    }
    // SAFETY: the caller of `read` promises such an array.
    let entries = unsafe { entries(first, version.sizeof_arg, |arg| arg.name.is_null()) }?;
    let mut args = Vec::with_capacity(entries.len());
    for entry in entries {
        // SAFETY: as above, for the array within.
        let inner = unsafe { arguments(entry.subargs, version, depth + 1) }?;
        // SAFETY: and its texts are C strings or null.
        let arg = unsafe { argument(entry, inner) };
        // SAFETY: as above.
        let name = || unsafe { c_text(entry.name) };
        args.push(arg.map_err(|problem| format!("Argument \"{}\": {problem}", name()))?);
    }
    Ok(Box::leak(args.into_boxed_slice()))
}

/// One argument, as Redis accepts it.
unsafe fn argument(entry: &abi::CommandArg, inner: &'static [Arg]) -> Result<Arg, String> {
    let kind = match entry.kind {
        abi::ARG_TYPE_STRING => ArgKind::String,
        abi::ARG_TYPE_INTEGER => ArgKind::Integer,
        abi::ARG_TYPE_DOUBLE => ArgKind::Double,
        abi::ARG_TYPE_KEY => ArgKind::Key,
        abi::ARG_TYPE_PATTERN => ArgKind::Pattern,
        abi::ARG_TYPE_UNIX_TIME => ArgKind::UnixTime,
        abi::ARG_TYPE_PURE_TOKEN => ArgKind::PureToken,
        abi::ARG_TYPE_ONEOF => ArgKind::OneOf,
        abi::ARG_TYPE_BLOCK => ArgKind::Block,
        other => return Err(format!("Undefined type {other}")),
    };
    if kind == ArgKind::PureToken && entry.token.is_null() {
        return Err("token required when type is PURE_TOKEN".to_owned());
    }
    let key_spec = match kind {
        ArgKind::Key => match u8::try_from(entry.key_spec_index) {
            Ok(index) => Some(index),
            Err(_) => return Err("key_spec_index required when type is KEY".to_owned()),
        },
        // Zero is what a struct has in which nobody has written it.
        _ if !matches!(entry.key_spec_index, -1 | 0) => {
            return Err("key_spec_index specified but type isn't KEY".to_owned());
        }
        _ => None,
    };
    let known = abi::CMD_ARG_OPTIONAL | abi::CMD_ARG_MULTIPLE | abi::CMD_ARG_MULTIPLE_TOKEN;
    if entry.flags & !known != 0 {
        return Err("Invalid flags".to_owned());
    }
    match (kind.has_parts(), entry.subargs.is_null()) {
        (true, true) => return Err("subargs required when type is ONEOF or BLOCK".to_owned()),
        (false, false) => {
            return Err("subargs specified but type isn't ONEOF nor BLOCK".to_owned());
        }
        _ => {}
    }
    // SAFETY: the caller promises C strings or null.
    unsafe {
        Ok(Arg {
            kind,
            token: keep_some(entry.token),
            key_spec,
            summary: keep_some(entry.summary),
            optional: entry.flags & abi::CMD_ARG_OPTIONAL != 0,
            multiple: entry.flags & (abi::CMD_ARG_MULTIPLE | abi::CMD_ARG_MULTIPLE_TOKEN) != 0,
            multiple_token: entry.flags & abi::CMD_ARG_MULTIPLE_TOKEN != 0,
            since: keep_some(entry.since),
            deprecated: keep_some(entry.deprecated_since),
            shown_as: keep_some(entry.display_text),
            args: inner,
            ..Arg::string(keep(entry.name))
        })
    }
}

unsafe fn keys(
    first: *const abi::CommandKeySpec,
    version: &abi::CommandInfoVersion,
) -> Result<Vec<KeySpec>, String> {
    let is_end = |spec: &abi::CommandKeySpec| spec.begin_search_type == abi::KSPEC_BS_INVALID;
    // SAFETY: the caller of `read` promises such an array.
    let entries = unsafe { entries(first, version.sizeof_keyspec, is_end) }?;
    let mut specs = Vec::with_capacity(entries.len());
    for (place, entry) in entries.into_iter().enumerate() {
        // SAFETY: the unions are read as their types say.
        let spec = unsafe { key_spec(entry) };
        specs.push(spec.map_err(|problem| format!("key_specs[{place}].{problem}"))?);
    }
    Ok(specs)
}

unsafe fn key_spec(entry: &abi::CommandKeySpec) -> Result<KeySpec, String> {
    let of = |bits: u64| (entry.flags & bits).count_ones();
    if of(abi::CMD_KEY_RO | abi::CMD_KEY_RW | abi::CMD_KEY_OW | abi::CMD_KEY_RM) != 1 {
        return Err("flags: Exactly one of the flags RO, RW, OW, RM required".to_owned());
    }
    if of(abi::CMD_KEY_INSERT | abi::CMD_KEY_DELETE | abi::CMD_KEY_UPDATE) > 1 {
        return Err("flags: INSERT, DELETE and UPDATE are mutually exclusive".to_owned());
    }
    let begin = match entry.begin_search_type {
        abi::KSPEC_BS_UNKNOWN => Begin::Unknown,
        // SAFETY: the type says that the union holds this.
        abi::KSPEC_BS_INDEX => Begin::Index(unsafe { entry.bs.index }.pos),
        abi::KSPEC_BS_KEYWORD => {
            // SAFETY: as above.
            let keyword = unsafe { entry.bs.keyword };
            if keyword.keyword.is_null() {
                return Err(
                    "bs.keyword.keyword required when begin_search_type is KEYWORD".to_owned()
                );
            }
            // SAFETY: as above.
            Begin::Keyword(unsafe { keep(keyword.keyword) }, keyword.startfrom)
        }
        other => return Err(format!("begin_search_type: Invalid value {other}")),
    };
    let find = match entry.find_keys_type {
        abi::KSPEC_FK_OMITTED => Find::Range { last: 0, step: 1, limit: 0 },
        abi::KSPEC_FK_UNKNOWN => Find::Unknown,
        abi::KSPEC_FK_RANGE => {
            // SAFETY: the type says that the union holds this.
            let range = unsafe { entry.fk.range };
            Find::Range { last: range.lastkey, step: range.keystep, limit: range.limit }
        }
        abi::KSPEC_FK_KEYNUM => {
            // SAFETY: as above.
            let number = unsafe { entry.fk.keynum };
            Find::KeyNum { index: number.keynumidx, first: number.firstkey, step: number.keystep }
        }
        other => return Err(format!("find_keys_type: Invalid value {other}")),
    };
    let (access, extra): (Vec<_>, Vec<_>) =
        flag_names(entry.flags).partition(|name| !EXTRA.contains(name));
    Ok(KeySpec {
        begin,
        find,
        access: Access::Flags(Box::leak(access.into_boxed_slice())),
        extra: Box::leak(extra.into_boxed_slice()),
        // SAFETY: a C string or null.
        notes: unsafe { keep(entry.notes) },
    })
}

/// The flags of keys by their names in COMMAND INFO.
const KEY_FLAGS: [(u64, &str); 11] = [
    (abi::CMD_KEY_RO, "RO"),
    (abi::CMD_KEY_RW, "RW"),
    (abi::CMD_KEY_OW, "OW"),
    (abi::CMD_KEY_RM, "RM"),
    (abi::CMD_KEY_ACCESS, "access"),
    (abi::CMD_KEY_UPDATE, "update"),
    (abi::CMD_KEY_INSERT, "insert"),
    (abi::CMD_KEY_DELETE, "delete"),
    (abi::CMD_KEY_NOT_KEY, "not_key"),
    (abi::CMD_KEY_INCOMPLETE, "incomplete"),
    (abi::CMD_KEY_VARIABLE_FLAGS, "variable_flags"),
];

/// Those that do not say what is done with a key.
const EXTRA: [&str; 3] = ["not_key", "incomplete", "variable_flags"];

/// The names of the flags that are set.
pub(super) fn flag_names(bits: u64) -> impl Iterator<Item = &'static str> {
    KEY_FLAGS.into_iter().filter(move |(bit, _)| bits & bit != 0).map(|(_, name)| name)
}

/// The flags of these names.
pub(super) fn flag_bits(names: &[&str]) -> c_int {
    let bits = KEY_FLAGS.iter().filter(|(_, name)| names.contains(name)).map(|(bit, _)| bit);
    bits.fold(0, |all, bit| all | bit) as c_int
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_keys_have_names_and_numbers() {
        let bits = abi::CMD_KEY_RW | abi::CMD_KEY_ACCESS | abi::CMD_KEY_NOT_KEY;
        let names: Vec<_> = flag_names(bits).collect();
        assert_eq!(names, ["RW", "access", "not_key"]);
        assert_eq!(flag_bits(&names), bits as c_int);
    }
}
