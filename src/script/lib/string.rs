//! `string.find`, `match`, `gmatch`, `gsub`, `len` and `rep`.
#![expect(unsafe_code, reason = "C functions that Lua calls")]

use std::ffi::c_int;

use super::super::lua::{Function, Kind, Lua, RawState, upvalue};
use super::super::tick::poll;
use super::builder::Builder;
use super::format;
use super::pattern::{CAPTURES_MAX, Capture, Matcher, PatternError};
use super::{Depth, add_functions};

const FUNCTIONS: &[(&[u8], Function)] = &[
    (b"find", find),
    (b"format", format::format),
    (b"gfind", gmatch),
    (b"gmatch", gmatch),
    (b"gsub", gsub),
    (b"len", len),
    (b"match", match_),
    (b"rep", rep),
];

/// Adds the functions to the table on top.
pub(in super::super) fn add(lua: Lua) {
    add_functions(lua, FUNCTIONS);
}

/// Bytes that make a search text a pattern.
const SPECIALS: &[u8] = b"^$*+?.([%-";

/// `string.find(text, pattern, start, plain)`.
unsafe extern "C-unwind" fn find(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    search(unsafe { Lua::from_raw(raw) }, Wanted::Place)
}

/// `string.match(text, pattern, start)`.
unsafe extern "C-unwind" fn match_(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    search(unsafe { Lua::from_raw(raw) }, Wanted::Captures)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Where the match is, then its captures.
    Place,
    /// The captures, or the whole match if there are none.
    Captures,
}

fn search(lua: Lua, wanted: Wanted) -> c_int {
    let text = lua.check_text(1);
    let pattern = lua.check_text(2);
    let start = start_offset(lua, 3, text.len());
    if wanted == Wanted::Place && (lua.truth(4) || is_plain(pattern)) {
        let Some(ahead) = memchr::memmem::find(&text[start..], pattern) else {
            lua.push_nil();
            return 1;
        };
        lua.push_len(start + ahead + 1);
        lua.push_len(start + ahead + pattern.len());
        return 2;
    }
    let (pattern, anchored) = split_anchor(pattern);
    let mut matcher = Matcher::new(text, pattern, || is_killed(lua));
    let last = if anchored { start } else { text.len() };
    for at in start..=last {
        let Some(end) = check(lua, matcher.match_at(at)) else { continue };
        if wanted == Wanted::Captures {
            return push_captures(lua, text, matcher.captures(), Some((at, end)));
        }
        lua.push_len(at + 1);
        lua.push_len(end);
        return push_captures(lua, text, matcher.captures(), None) + 2;
    }
    lua.push_nil();
    1
}

/// The offset that an optional argument names: from 1, or negative from the end.
fn start_offset(lua: Lua, argument: c_int, len: usize) -> usize {
    if lua.is_absent(argument) {
        return 0;
    }
    let position = lua.check_integer(argument);
    let position = if position < 0 { position.saturating_add(len as i64 + 1) } else { position };
    usize::try_from(position.saturating_sub(1)).unwrap_or(0).min(len)
}

/// Whether nothing in the pattern is special. As in Lua, what follows a zero byte is not looked at.
fn is_plain(pattern: &[u8]) -> bool {
    !pattern.iter().take_while(|&&b| b != 0).any(|b| SPECIALS.contains(b))
}

fn split_anchor(pattern: &[u8]) -> (&[u8], bool) {
    match pattern.strip_prefix(b"^") {
        Some(rest) => (rest, true),
        None => (pattern, false),
    }
}

/// Asks the host whether to go on; the error is raised where no borrow of the matcher is alive.
fn is_killed(lua: Lua) -> bool {
    poll(lua);
    false
}

/// The match, if any; what is wrong with a pattern is raised.
#[inline]
fn check<T>(lua: Lua, result: Result<T, PatternError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => lua.error(error.text()),
    }
}

/// Pushes the captures, or `whole` if there are none. Returns how many values.
fn push_captures(
    lua: Lua,
    text: &[u8],
    captures: &[Capture],
    whole: Option<(usize, usize)>,
) -> c_int {
    if captures.is_empty() {
        let Some((start, end)) = whole else { return 0 };
        lua.push_bytes(&text[start..end]);
        return 1;
    }
    if !lua.reserve(CAPTURES_MAX as c_int) {
        lua.error(b"stack overflow (too many captures)");
    }
    for capture in captures {
        push_capture(lua, text, *capture);
    }
    captures.len() as c_int
}

fn push_capture(lua: Lua, text: &[u8], capture: Capture) {
    match capture {
        Capture::Text { start, end } => lua.push_bytes(&text[start..end]),
        Capture::Position(at) => lua.push_len(at + 1),
        Capture::Open { .. } => lua.error(PatternError::UnfinishedCapture.text()),
    }
}

/// `string.gmatch(text, pattern)`.
unsafe extern "C-unwind" fn gmatch(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_text(1);
    lua.check_text(2);
    lua.set_top(2);
    lua.push_number(0.0);
    lua.push_function(gmatch_next, 3);
    1
}

/// The iterator of `gmatch`: its upvalues are the text, the pattern and the next offset.
unsafe extern "C-unwind" fn gmatch_next(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let text = lua.text(upvalue(1)).unwrap_or_default();
    let pattern = lua.text(upvalue(2)).unwrap_or_default();
    let start = lua.number(upvalue(3)) as usize;
    let mut matcher = Matcher::new(text, pattern, || is_killed(lua));
    for at in start..=text.len() {
        let Some(end) = check(lua, matcher.match_at(at)) else { continue };
        // An empty match moves on by one, or it would be found for ever.
        lua.push_len(end + usize::from(end == at));
        lua.replace(upvalue(3));
        return push_captures(lua, text, matcher.captures(), Some((at, end)));
    }
    0
}

/// `string.gsub(text, pattern, replacement, count)`.
unsafe extern "C-unwind" fn gsub(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let text = lua.check_text(1);
    let (pattern, anchored) = split_anchor(lua.check_text(2));
    let kind = lua.kind(3);
    let max = if lua.is_absent(4) { i64::MAX } else { i64::from(lua.check_int(4)) };
    if !matches!(kind, Kind::Number | Kind::String | Kind::Table | Kind::Function) {
        lua.argument_error(3, c"string/function/table expected");
    }
    if kind == Kind::Number {
        lua.text(3);
    }
    let depth = Depth::enter(lua);
    let mut matcher = Matcher::new(text, pattern, || is_killed(lua));
    let mut out = Builder::new(lua);
    let mut count = 0;
    let mut at = 0;
    while count < max {
        let found = check(lua, matcher.match_at(at));
        if let Some(end) = found {
            count += 1;
            let place = Place { text, captures: matcher.captures(), start: at, end };
            match kind {
                Kind::String | Kind::Number => add_template(lua, &mut out, &place),
                _ => add_computed(lua, &mut out, kind, &place),
            }
        }
        match found {
            Some(end) if end > at => at = end,
            _ if at < text.len() => {
                out.add(&text[at..=at]);
                at += 1;
            }
            _ => break,
        }
        if anchored {
            break;
        }
    }
    out.add(&text[at..]);
    out.finish();
    depth.leave(lua.state());
    lua.push_number(count as f64);
    2
}

/// A match of `gsub`.
struct Place<'a> {
    text: &'a [u8],
    captures: &'a [Capture],
    start: usize,
    end: usize,
}

impl Place<'_> {
    fn whole(&self) -> &[u8] {
        &self.text[self.start..self.end]
    }

    /// Pushes capture `index` from 0, the whole match being the first if there are none.
    fn push(&self, lua: Lua, index: usize) {
        match self.captures.get(index) {
            Some(capture) => push_capture(lua, self.text, *capture),
            None if index == 0 => lua.push_bytes(self.whole()),
            None => lua.error(PatternError::InvalidCaptureIndex.text()),
        }
    }
}

/// Adds the string at 3 with its `%0` to `%9` filled in.
fn add_template(lua: Lua, out: &mut Builder, place: &Place<'_>) {
    let mut rest = lua.text(3).unwrap_or_default();
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.add(&rest[..at]);
        match rest.get(at + 1) {
            Some(b'0') => out.add(place.whole()),
            Some(digit @ b'1'..=b'9') => {
                place.push(lua, usize::from(digit - b'1'));
                out.add(lua.text(-1).unwrap_or_default());
                lua.pop(1);
            }
            Some(byte) => out.add(&[*byte]),
            // Lua adds the zero byte that ends its strings.
            None => {
                out.add(b"\0");
                return;
            }
        }
        rest = &rest[at + 2..];
    }
    out.add(rest);
}

/// Adds what the function or table at 3 gives for the match; false and nil leave it as it is.
fn add_computed(lua: Lua, out: &mut Builder, kind: Kind, place: &Place<'_>) {
    if kind == Kind::Function {
        lua.copy(3);
        let count = push_captures(lua, place.text, place.captures, Some((place.start, place.end)));
        lua.call(count, 1);
    } else {
        place.push(lua, 0);
        lua.get(3);
    }
    if !lua.truth(-1) {
        out.add(place.whole());
    } else if matches!(lua.kind(-1), Kind::String | Kind::Number) {
        out.add(lua.text(-1).unwrap_or_default());
    } else {
        let name = lua.kind_name(-1);
        lua.error_parts(&[b"invalid replacement value (a ", name, b")"]);
    }
    lua.pop(1);
}

/// `string.rep(text, count)`.
unsafe extern "C-unwind" fn rep(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let text = lua.check_text(1);
    let count = usize::try_from(lua.check_int(2)).unwrap_or(0);
    let mut out = Builder::new(lua);
    if !text.is_empty() {
        out.add_repeated(text, count);
    }
    out.finish();
    1
}

/// `string.len(text)`.
unsafe extern "C-unwind" fn len(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.push_len(lua.check_text(1).len());
    1
}
