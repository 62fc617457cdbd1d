//! `struct`: C structures as strings, by the rules of the library that Redis ships (struct 0.3).
//!
//! A format is a sequence of letters: `>` and `<` choose the byte order, `!n` the largest alignment,
//! `x` is padding, `b` `h` `l` `i` and their capitals are integers, `T` a size, `f` and `d` floats,
//! `s` a string that ends with a zero byte, `cn` a string of n bytes (`c0`: as long as the argument
//! is, or as the number before says). Sizes are those of 64-bit Linux.
#![expect(unsafe_code, reason = "C functions that Lua calls")]

use std::ffi::c_int;

use super::super::error::c_text;
use super::super::lua::{Function, Lua, RawState, to_integer};
use super::super::tick::poll;
use super::add_functions;
use super::builder::Builder;
use super::number::general;

const FUNCTIONS: &[(&[u8], Function)] = &[(b"pack", pack), (b"size", size), (b"unpack", unpack)];

/// The largest integers.
const INTEGER_BYTES_MAX: i32 = 32;
/// What `!` means without a number.
const ALIGNMENT_DEFAULT: i32 = 8;
/// Letters between two looks at the clock.
const POLL_LETTERS: u32 = 1 << 16;

/// Adds the functions to the table on top.
pub(in super::super) fn add(lua: Lua) {
    add_functions(lua, FUNCTIONS);
}

/// A format that is being read.
struct Format<'a> {
    lua: Lua,
    rest: &'a [u8],
    big_endian: bool,
    alignment: u64,
    until_poll: u32,
}

impl<'a> Format<'a> {
    /// The format in the first argument. It ends at a zero byte, as C's strings do.
    fn new(lua: Lua) -> Self {
        let rest = c_text(lua.check_text(1));
        Self { lua, rest, big_endian: false, alignment: 1, until_poll: POLL_LETTERS }
    }

    /// The next letter and the size of what it stands for.
    fn next(&mut self) -> Option<(u8, u64)> {
        let (&letter, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.until_poll -= 1;
        if self.until_poll == 0 {
            self.until_poll = POLL_LETTERS;
            poll(self.lua);
        }
        let size = match letter {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(1) as u64,
            b'i' | b'I' => self.integer_size(),
            _ => 0,
        };
        Some((letter, size))
    }

    /// The number that follows, if there is one.
    fn number(&mut self, default: i32) -> i32 {
        if !self.rest.first().is_some_and(u8::is_ascii_digit) {
            return default;
        }
        let mut value = 0i32;
        while let [digit @ b'0'..=b'9', rest @ ..] = self.rest {
            let next = value.checked_mul(10).and_then(|v| v.checked_add(i32::from(digit - b'0')));
            let Some(next) = next else { self.lua.error(b"integral size overflow") };
            value = next;
            self.rest = rest;
        }
        value
    }

    fn integer_size(&mut self) -> u64 {
        let size = self.number(4);
        if size > INTEGER_BYTES_MAX {
            self.lua.error_parts(&[
                b"integral size ",
                general(f64::from(size), 14).as_bytes(),
                b" is larger than limit of 32",
            ]);
        }
        size as u64
    }

    /// Bytes of padding in front of an element at `position`.
    fn padding(&self, position: u64, letter: u8, size: u64) -> u64 {
        if size == 0 || letter == b'c' {
            return 0;
        }
        let size = size.min(self.alignment);
        size.wrapping_sub(position & (size - 1)) & (size - 1)
    }

    /// Letters that stand for no element.
    fn control(&mut self, letter: u8) {
        match letter {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let alignment = self.number(ALIGNMENT_DEFAULT);
                if alignment <= 0 || !(alignment as u32).is_power_of_two() {
                    self.lua.error_parts(&[
                        b"alignment ",
                        general(f64::from(alignment), 14).as_bytes(),
                        b" is not a power of 2",
                    ]);
                }
                self.alignment = alignment as u64;
            }
            _ => {
                let lua = self.lua;
                lua.push_bytes(b"invalid format option '");
                lua.push_bytes(&[letter]);
                lua.push_bytes(b"'");
                lua.concat(3);
                lua.argument_error_on_top(1)
            }
        }
    }
}

/// `struct.pack(format, ...)`.
unsafe extern "C-unwind" fn pack(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let mut format = Format::new(lua);
    let mut out = Builder::new(lua);
    let mut argument = 1;
    let mut next_argument = || {
        argument += 1;
        argument
    };
    while let Some((letter, size)) = format.next() {
        let position = out.bytes().len() as u64;
        out.add_repeated(&[0], format.padding(position, letter, size) as usize);
        match letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let value = integer_bits(lua.check_number(next_argument()));
                let mut bytes = [0; INTEGER_BYTES_MAX as usize];
                bytes[..8].copy_from_slice(&value.to_le_bytes());
                add_ordered(&mut out, &mut bytes[..size as usize], format.big_endian);
            }
            b'x' => out.add(&[0]),
            b'f' => {
                let mut bytes = (lua.check_number(next_argument()) as f32).to_le_bytes();
                add_ordered(&mut out, &mut bytes, format.big_endian);
            }
            b'd' => {
                let mut bytes = lua.check_number(next_argument()).to_le_bytes();
                add_ordered(&mut out, &mut bytes, format.big_endian);
            }
            b'c' | b's' => {
                let at = next_argument();
                let text = lua.check_text(at);
                let len = if size == 0 { text.len() as u64 } else { size };
                if (text.len() as u64) < len {
                    // The original counts the argument before it complains.
                    lua.argument_error(at + 1, c"string too short");
                }
                out.add(&text[..len as usize]);
                if letter == b's' {
                    out.add(&[0]);
                }
            }
            _ => format.control(letter),
        }
    }
    out.finish();
    1
}

/// The 64 bits that C makes of a number: negative ones through a signed integer, others through an
/// unsigned one.
fn integer_bits(value: f64) -> u64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if value < LIMIT {
        to_integer(value) as u64
    } else {
        to_integer(value - LIMIT) as u64 ^ 1 << 63
    }
}

/// Adds little-endian bytes in the wanted order.
fn add_ordered(out: &mut Builder, bytes: &mut [u8], big_endian: bool) {
    if big_endian {
        bytes.reverse();
    }
    out.add(bytes);
}

/// `struct.unpack(format, text, position)`: the elements, and the position behind them.
unsafe extern "C-unwind" fn unpack(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let mut format = Format::new(lua);
    let text = lua.check_text(2);
    let position = if lua.is_absent(3) { 1 } else { lua.check_integer(3) as u64 };
    if position == 0 {
        lua.argument_error(3, c"offset must be 1 or greater");
    }
    let mut position = position - 1;
    let mut count = 0;
    while let Some((letter, mut size)) = format.next() {
        position = position.wrapping_add(format.padding(position, letter, size));
        let bytes = element(lua, text, position, size);
        if !lua.reserve(2) {
            lua.error(b"stack overflow (too many results)");
        }
        match letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let is_signed = letter.is_ascii_lowercase();
                lua.push_number(read_integer(bytes, format.big_endian, is_signed));
                count += 1;
            }
            b'x' => {}
            b'f' => {
                let mut bytes: [u8; 4] = bytes.try_into().expect("the size of f is 4");
                if format.big_endian {
                    bytes.reverse();
                }
                lua.push_number(f64::from(f32::from_le_bytes(bytes)));
                count += 1;
            }
            b'd' => {
                let mut bytes: [u8; 8] = bytes.try_into().expect("the size of d is 8");
                if format.big_endian {
                    bytes.reverse();
                }
                lua.push_number(f64::from_le_bytes(bytes));
                count += 1;
            }
            b'c' => {
                if size == 0 {
                    if count == 0 || !lua.is_numeric(-1) {
                        lua.error(b"format 'c0' needs a previous size");
                    }
                    size = to_integer(lua.number(-1)) as u64;
                    lua.pop(1);
                    count -= 1;
                }
                lua.push_bytes(element(lua, text, position, size));
                count += 1;
            }
            b's' => {
                let rest = &text[position as usize..];
                let Some(len) = memchr::memchr(0, rest) else {
                    lua.error(b"unfinished string in data");
                };
                lua.push_bytes(&rest[..len]);
                size = len as u64 + 1;
                count += 1;
            }
            _ => format.control(letter),
        }
        position += size;
    }
    lua.push_number(position as f64 + 1.0);
    count + 1
}

/// The bytes of an element, which must all be there.
fn element(lua: Lua, text: &[u8], position: u64, size: u64) -> &[u8] {
    let len = text.len() as u64;
    if size > len || position > len - size {
        lua.argument_error(2, c"data string too short");
    }
    &text[position as usize..(position + size) as usize]
}

/// Of integers longer than 8 bytes the low 8 count, as in C; shift distances wrap as on x86.
fn read_integer(bytes: &[u8], big_endian: bool, is_signed: bool) -> f64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value =
        if big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) };
    if !is_signed {
        return value as f64;
    }
    let sign_bits = u64::MAX.wrapping_shl((bytes.len() as u32 * 8).wrapping_sub(1));
    let value = if value & sign_bits != 0 { value | sign_bits } else { value };
    value as i64 as f64
}

/// `struct.size(format)`.
unsafe extern "C-unwind" fn size(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let mut format = Format::new(lua);
    let mut position = 0u64;
    while let Some((letter, size)) = format.next() {
        position = position.wrapping_add(format.padding(position, letter, size));
        match letter {
            b's' => lua.argument_error(1, c"option 's' has no fixed size"),
            b'c' if size == 0 => lua.argument_error(1, c"option 'c0' has no fixed size"),
            _ if !letter.is_ascii_alphanumeric() => format.control(letter),
            _ => {}
        }
        position = position.wrapping_add(size);
    }
    lua.push_number(position as f64);
    1
}
