//! `string.format`: C's conversions, with Lua 5.1's checks around them.
#![expect(unsafe_code, reason = "a C function that Lua calls; snprintf of the C library")]

use std::ffi::c_int;

use super::super::lua::{Lua, RawState, to_integer};
use super::builder::Builder;

/// The longest conversion of a number: `%99.99f` of -1e308.
const ITEM_BYTES_MAX: usize = 512;

/// A conversion as given, `%-5.2f`, with room for a length modifier and the zero byte.
struct Conversion {
    text: [u8; 32],
    len: usize,
    has_precision: bool,
}

/// `string.format(template, ...)`.
///
/// # Safety
///
/// Called by Lua.
pub(super) unsafe extern "C-unwind" fn format(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let count = lua.top();
    let mut rest = lua.check_text(1);
    let mut argument = 1;
    let mut out = Builder::new(lua);
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.add(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(b"%") {
            out.add(b"%");
            rest = after;
            continue;
        }
        argument += 1;
        if argument > count {
            lua.argument_error(argument, c"no value");
        }
        let mut conversion = read_conversion(lua, &mut rest);
        let (letter, after) = rest.split_first().unwrap_or((&0, &[]));
        add_argument(lua, &mut out, &mut conversion, *letter, argument);
        rest = after;
    }
    out.add(rest);
    out.finish();
    1
}

/// Reads flags, width and precision, up to the letter.
fn read_conversion(lua: Lua, rest: &mut &[u8]) -> Conversion {
    let text = *rest;
    let flags = text.iter().take_while(|b| b"-+ #0".contains(b)).count();
    if flags > 5 {
        lua.error(b"invalid format (repeated flags)");
    }
    let digits = |at: usize| text[at..].iter().take(2).take_while(|b| b.is_ascii_digit()).count();
    let mut at = flags + digits(flags);
    let has_precision = text.get(at) == Some(&b'.');
    if has_precision {
        at += 1;
        at += digits(at);
    }
    if text.get(at).is_some_and(u8::is_ascii_digit) {
        lua.error(b"invalid format (width or precision too long)");
    }
    let mut conversion = Conversion { text: [0; 32], len: 0, has_precision };
    conversion.push(b"%");
    conversion.push(&text[..at]);
    *rest = &text[at..];
    conversion
}

impl Conversion {
    fn push(&mut self, bytes: &[u8]) {
        self.text[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn is_plain(&self) -> bool {
        self.len == 1
    }
}

fn add_argument(
    lua: Lua,
    out: &mut Builder,
    conversion: &mut Conversion,
    letter: u8,
    argument: c_int,
) {
    match letter {
        b'c' => {
            let byte = to_integer(lua.check_number(argument)) as c_int;
            conversion.push(b"c");
            add_printed(out, |buffer, len| {
                // SAFETY: the conversion takes one `int`; the buffer has `len` bytes.
                unsafe { libc::snprintf(buffer, len, conversion.text.as_ptr().cast(), byte) }
            });
        }
        b'd' | b'i' | b'o' | b'u' | b'x' | b'X' => {
            let value = to_integer(lua.check_number(argument));
            if conversion.is_plain() && matches!(letter, b'd' | b'i') {
                return out.add(itoa::Buffer::new().format(value).as_bytes());
            }
            conversion.push(b"ll");
            conversion.push(&[letter]);
            add_printed(out, |buffer, len| {
                // SAFETY: the conversion takes one `long long`; the buffer has `len` bytes.
                unsafe { libc::snprintf(buffer, len, conversion.text.as_ptr().cast(), value) }
            });
        }
        b'e' | b'E' | b'f' | b'g' | b'G' => {
            let value = lua.check_number(argument);
            conversion.push(&[letter]);
            add_printed(out, |buffer, len| {
                // SAFETY: the conversion takes one `double`; the buffer has `len` bytes.
                unsafe { libc::snprintf(buffer, len, conversion.text.as_ptr().cast(), value) }
            });
        }
        b'q' => add_quoted(out, lua.check_text(argument)),
        b's' => add_string(lua, out, conversion, argument),
        _ => lua.error_parts(&[
            b"invalid option '%",
            super::super::error::c_text(&[letter]),
            b"' to 'format'",
        ]),
    }
}

/// Appends what `print` writes: C text of less than [`ITEM_BYTES_MAX`] bytes.
fn add_printed(out: &mut Builder, print: impl FnOnce(*mut libc::c_char, usize) -> c_int) {
    let mut buffer = [0u8; ITEM_BYTES_MAX];
    let len = print(buffer.as_mut_ptr().cast(), buffer.len());
    let len = usize::try_from(len).unwrap_or(0).min(ITEM_BYTES_MAX - 1);
    // Lua takes what C takes for the text's end; `%c` of 0 ends it early.
    let end = memchr::memchr(0, &buffer[..len]).unwrap_or(len);
    out.add(&buffer[..end]);
}

/// `%s`: long strings go in whole unless a precision cuts them; the others end at a zero byte, as C's.
fn add_string(lua: Lua, out: &mut Builder, conversion: &mut Conversion, argument: c_int) {
    let text = lua.check_text(argument);
    if !conversion.has_precision && text.len() >= 100 {
        return out.add(text);
    }
    let text_end = memchr::memchr(0, text).unwrap_or(text.len());
    if conversion.is_plain() {
        return out.add(&text[..text_end]);
    }
    conversion.push(b"s");
    add_printed(out, |buffer, len| {
        // SAFETY: the conversion takes one C string, and Lua's strings end with a zero byte; the
        // buffer has `len` bytes.
        unsafe { libc::snprintf(buffer, len, conversion.text.as_ptr().cast(), text.as_ptr()) }
    });
}

/// `%q`: a string that Lua would read back.
fn add_quoted(out: &mut Builder, text: &[u8]) {
    out.add(b"\"");
    for byte in text {
        match byte {
            b'"' | b'\\' | b'\n' => out.add(&[b'\\', *byte]),
            b'\r' => out.add(b"\\r"),
            0 => out.add(b"\\000"),
            _ => out.add(&[*byte]),
        }
    }
    out.add(b"\"");
}
