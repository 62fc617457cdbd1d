//! The documentation of commands: reading the structs that modules pass.
//!
//! The strides of the arrays come from the module, which may have been compiled with larger structs than
//! ours; each array ends at an entry that is empty. What is read lives for ever, like the commands.
#![expect(unsafe_code, reason = "walks C structs")]

use std::ffi::{c_char, c_int};

use mortise_module_abi as abi;

use super::super::command::{Docs, Draft};
use super::super::handle::{c_bytes, c_text};
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

/// Puts what a module says into the draft; None if it makes no sense.
///
/// # Safety
/// `info` points to a struct as the ABI has it, whose version tells the strides of its arrays.
pub(super) unsafe fn read(info: &abi::CommandInfo, draft: &mut Draft) -> Option<()> {
    // SAFETY: null or the module's constant.
    let version = unsafe { info.version.as_ref() }.filter(|version| version.version >= 1)?;
    let arity = match info.arity {
        0 => draft.arity,
        n @ 1.. => Arity::Exactly(u16::try_from(n).ok()?),
        n => Arity::AtLeast(u16::try_from(n.checked_neg()?).ok()?),
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
    Some(())
}

/// The entries of an array up to the one that `is_end` tells; None if there is none such.
///
/// # Safety
/// `first` is null or points to entries `stride` bytes apart, the last of which is the end.
unsafe fn entries<'a, T>(
    first: *const T,
    stride: usize,
    is_end: impl Fn(&T) -> bool,
) -> Option<Vec<&'a T>> {
    let mut found = Vec::new();
    if first.is_null() {
        return Some(found);
    }
    if stride < size_of::<T>() {
        return None;
    }
    for index in 0..ENTRIES_MAX {
        // SAFETY: entries are read up to the end, so this one is there; a stride is not smaller than an
        // entry of ours.
        let entry = unsafe { first.byte_add(index * stride).as_ref() }?;
        if is_end(entry) {
            return Some(found);
        }
        found.push(entry);
    }
    None
}

unsafe fn history(
    first: *const abi::CommandHistoryEntry,
    version: &abi::CommandInfoVersion,
) -> Option<&'static [(&'static str, &'static str)]> {
    // SAFETY: the caller of `read` promises such an array.
    let entries = unsafe { entries(first, version.sizeof_historyentry, |e| e.since.is_null()) }?;
    // SAFETY: and that its texts are C strings.
    let pairs = entries.into_iter().map(|e| unsafe { (keep(e.since), keep(e.changes)) });
    Some(Box::leak(pairs.collect()))
}

unsafe fn tips(text: *const c_char) -> &'static [&'static str] {
    // SAFETY: the caller of `read` promises a C string or null.
    Box::leak(unsafe { keep(text) }.split_ascii_whitespace().collect())
}

unsafe fn arguments(
    first: *const abi::CommandArg,
    version: &abi::CommandInfoVersion,
    depth: usize,
) -> Option<&'static [Arg]> {
    if depth > DEPTH_MAX {
        return None;
    }
    // SAFETY: the caller of `read` promises such an array.
    let entries = unsafe { entries(first, version.sizeof_arg, |arg| arg.name.is_null()) }?;
    let mut args = Vec::with_capacity(entries.len());
    for entry in entries {
        // SAFETY: as above, for the array within.
        let inner = unsafe { arguments(entry.subargs, version, depth + 1) }?;
        // SAFETY: and its texts are C strings or null.
        args.push(unsafe { argument(entry, inner) }?);
    }
    Some(Box::leak(args.into_boxed_slice()))
}

unsafe fn argument(entry: &abi::CommandArg, inner: &'static [Arg]) -> Option<Arg> {
    // SAFETY: the caller promises C strings or null.
    let (name, token, since) =
        unsafe { (keep(entry.name), keep_some(entry.token), keep_some(entry.since)) };
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
        _ => return None,
    };
    let has_inner = matches!(kind, ArgKind::OneOf | ArgKind::Block);
    if (kind == ArgKind::PureToken && token.is_none()) || has_inner == inner.is_empty() {
        return None;
    }
    Some(Arg {
        kind,
        token,
        key_spec: u8::try_from(entry.key_spec_index).ok().filter(|_| kind == ArgKind::Key),
        optional: entry.flags & abi::CMD_ARG_OPTIONAL != 0,
        multiple: entry.flags & (abi::CMD_ARG_MULTIPLE | abi::CMD_ARG_MULTIPLE_TOKEN) != 0,
        multiple_token: entry.flags & abi::CMD_ARG_MULTIPLE_TOKEN != 0,
        since,
        args: inner,
        ..Arg::string(name)
    })
}

unsafe fn keys(
    first: *const abi::CommandKeySpec,
    version: &abi::CommandInfoVersion,
) -> Option<Vec<KeySpec>> {
    let is_end = |spec: &abi::CommandKeySpec| spec.begin_search_type == abi::KSPEC_BS_INVALID;
    // SAFETY: the caller of `read` promises such an array.
    let entries = unsafe { entries(first, version.sizeof_keyspec, is_end) }?;
    // SAFETY: the unions are read as their types say.
    entries.into_iter().map(|entry| unsafe { key_spec(entry) }).collect()
}

unsafe fn key_spec(entry: &abi::CommandKeySpec) -> Option<KeySpec> {
    let begin = match entry.begin_search_type {
        abi::KSPEC_BS_UNKNOWN => Begin::Unknown,
        // SAFETY: the type says that the union holds this.
        abi::KSPEC_BS_INDEX => Begin::Index(unsafe { entry.bs.index }.pos),
        abi::KSPEC_BS_KEYWORD => {
            // SAFETY: as above.
            let keyword = unsafe { entry.bs.keyword };
            // SAFETY: the keyword is a C string or null.
            unsafe { c_bytes(keyword.keyword) }?;
            // SAFETY: as above.
            Begin::Keyword(unsafe { keep(keyword.keyword) }, keyword.startfrom)
        }
        _ => return None,
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
        _ => return None,
    };
    let (access, extra): (Vec<_>, Vec<_>) =
        flag_names(entry.flags).partition(|name| !EXTRA.contains(name));
    Some(KeySpec {
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
