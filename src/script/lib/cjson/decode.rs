//! `cjson.decode`.
#![expect(unsafe_code, reason = "a C function that Lua calls; a list that outlives Lua errors")]

use std::ffi::c_int;

use super::super::super::lua::{Lua, RawState};
use super::super::super::tick::poll;
use super::super::builder::Builder;
use super::super::number::{general, leading_number};
use super::{Settings, settings};

/// Values read between two looks at the clock.
const POLL_VALUES: u32 = 1 << 16;

/// A collection that is being read. Its table is on the Lua stack; an object's current key above it.
#[derive(Clone, Copy, Debug)]
pub(in super::super::super) enum Frame {
    /// The index of the element that is read.
    Array(c_int),
    Object,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// Its text is on the Lua stack.
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static [u8]),
}

impl Token {
    /// What error texts call it.
    fn name(self) -> &'static [u8] {
        match self {
            Self::ObjectBegin => b"T_OBJ_BEGIN",
            Self::ObjectEnd => b"T_OBJ_END",
            Self::ArrayBegin => b"T_ARR_BEGIN",
            Self::ArrayEnd => b"T_ARR_END",
            Self::String => b"T_STRING",
            Self::Number(_) => b"T_NUMBER",
            Self::Boolean(_) => b"T_BOOLEAN",
            Self::Null => b"T_NULL",
            Self::Colon => b"T_COLON",
            Self::Comma => b"T_COMMA",
            Self::End => b"T_END",
            Self::Error(text) => text,
        }
    }
}

/// `cjson.decode(text)`.
///
/// # Safety
///
/// Called by Lua with the settings as upvalue.
pub(super) unsafe extern "C-unwind" fn decode(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let settings = settings(lua);
    if lua.top() != 1 {
        lua.argument_error(1, c"expected 1 argument");
    }
    let text = lua.check_text(1);
    if matches!(text, [0, _, ..] | [_, 0, ..]) {
        lua.error(b"JSON parser does not support UTF-16 or UTF-32");
    }
    let mut decoder = Decoder { lua, settings, text, at: 0, token_at: 0, until_poll: POLL_VALUES };
    decoder.frames().clear();
    let token = decoder.next_token();
    decoder.value(token);
    while decoder.step() {}
    let token = decoder.next_token();
    if token != Token::End {
        decoder.unexpected(b"the end", token);
    }
    1
}

struct Decoder<'a> {
    lua: Lua,
    settings: &'a Settings,
    text: &'a [u8],
    at: usize,
    /// Where the last token began; where its fault is, for wrong ones.
    token_at: usize,
    until_poll: u32,
}

impl Decoder<'_> {
    fn frames(&mut self) -> &mut Vec<Frame> {
        // SAFETY: the one borrow: each use ends before the next begins, within this file, and no code
        // of scripts runs while a text is decoded.
        unsafe { self.lua.state().decode_frames.borrow() }
    }

    /// A value of the innermost collection is on top: stores it and reads on. False when no
    /// collection is open.
    fn step(&mut self) -> bool {
        let lua = self.lua;
        self.until_poll -= 1;
        if self.until_poll == 0 {
            self.until_poll = POLL_VALUES;
            poll(lua);
        }
        let Some(frame) = self.frames().last_mut() else { return false };
        match frame {
            Frame::Array(index) => {
                lua.raw_set_index(-2, *index);
                *index = index.wrapping_add(1);
                match self.next_token() {
                    Token::ArrayEnd => self.close(),
                    Token::Comma => {
                        let token = self.next_token();
                        self.value(token);
                    }
                    token => self.unexpected(b"comma or array end", token),
                }
            }
            Frame::Object => {
                lua.raw_set(-3);
                match self.next_token() {
                    Token::ObjectEnd => self.close(),
                    Token::Comma => {
                        let token = self.next_token();
                        self.member(token);
                    }
                    token => self.unexpected(b"comma or object end", token),
                }
            }
        }
        true
    }

    fn close(&mut self) {
        self.frames().pop();
    }

    /// Pushes a scalar, or begins a collection and pushes what it begins with. An empty collection is
    /// complete at once.
    fn value(&mut self, token: Token) {
        let mut token = token;
        loop {
            match token {
                Token::String => {}
                Token::Number(value) => self.lua.push_number(value),
                Token::Boolean(value) => self.lua.push_bool(value),
                Token::Null => self.lua.push_light(std::ptr::null_mut()),
                Token::ObjectBegin => {
                    self.open(Frame::Object);
                    match self.next_token() {
                        Token::ObjectEnd => self.close(),
                        first => {
                            token = self.member_value(first);
                            continue;
                        }
                    }
                }
                Token::ArrayBegin => {
                    self.open(Frame::Array(1));
                    match self.next_token() {
                        Token::ArrayEnd => self.close(),
                        first => {
                            token = first;
                            continue;
                        }
                    }
                }
                _ => self.unexpected(b"value", token),
            }
            return;
        }
    }

    /// Reads `"key": value` from its first token on.
    fn member(&mut self, token: Token) {
        let token = self.member_value(token);
        self.value(token);
    }

    /// Reads `"key":`, whose key stays on the stack, and the first token of the value.
    fn member_value(&mut self, token: Token) -> Token {
        if token != Token::String {
            self.unexpected(b"object key string", token);
        }
        match self.next_token() {
            Token::Colon => self.next_token(),
            token => self.unexpected(b"colon", token),
        }
    }

    fn open(&mut self, frame: Frame) {
        let lua = self.lua;
        let depth = self.frames().len() as c_int + 1;
        if depth > self.settings.decode_depth_max.get() || !lua.reserve(6) {
            lua.error_parts(&[
                b"Found too many nested data structures (",
                general(f64::from(depth), 14).as_bytes(),
                b") at character ",
                general(self.at as f64, 14).as_bytes(),
            ]);
        }
        self.frames().push(frame);
        lua.push_table(0, 0);
    }

    #[cold]
    fn unexpected(&self, expected: &[u8], found: Token) -> ! {
        self.lua.error_parts(&[
            b"Expected ",
            expected,
            b" but found ",
            found.name(),
            b" at character ",
            general(self.token_at as f64 + 1.0, 14).as_bytes(),
        ])
    }

    /// The byte `ahead` of here; a text ends as a C string does, with a zero byte.
    fn byte(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Reads a token; a string is pushed.
    fn next_token(&mut self) -> Token {
        while matches!(self.byte(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.token_at = self.at;
        let single = match self.byte(0) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            0 => return Token::End,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => {
                if !self.settings.decode_invalid.get() && self.is_no_json_number() {
                    return Token::Error(b"invalid number");
                }
                return self.number();
            }
            b't' | b'f' | b'n' | b'i' | b'I' | b'N' | b'+' => return self.word(),
            _ => return Token::Error(b"invalid token"),
        };
        self.at += 1;
        single
    }

    fn word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        for (word, token) in [
            (&b"true"[..], Token::Boolean(true)),
            (b"false", Token::Boolean(false)),
            (b"null", Token::Null),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        if self.settings.decode_invalid.get() && self.is_no_json_number() {
            return self.number();
        }
        Token::Error(b"invalid token")
    }

    /// Whether what `strtod` would read here is a number that JSON has not: a plus sign, hexadecimal,
    /// leading zeros, infinities, nan.
    fn is_no_json_number(&self) -> bool {
        let rest = &self.text[self.at..];
        if rest.first() == Some(&b'+') {
            return true;
        }
        let rest = rest.strip_prefix(b"-").unwrap_or(rest);
        match rest {
            [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
            [byte, ..] if *byte <= b'9' => false,
            _ => rest.get(..3).is_some_and(|word| {
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }),
        }
    }

    fn number(&mut self) -> Token {
        match leading_number(&self.text[self.at..]) {
            Some((value, len)) => {
                self.at += len;
                Token::Number(value)
            }
            None => {
                self.token_at = self.at;
                Token::Error(b"invalid number")
            }
        }
    }

    /// Reads a string and pushes it. One without escapes is taken from the text as it is.
    fn string(&mut self) -> Token {
        self.at += 1;
        let rest = &self.text[self.at..];
        let plain = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0));
        if let Some(len) = plain
            && rest[len] == b'"'
        {
            self.lua.push_bytes(&rest[..len]);
            self.at += len + 1;
            return Token::String;
        }
        let mut out = Builder::new(self.lua);
        loop {
            let rest = &self.text[self.at..];
            let len = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0)).unwrap_or(rest.len());
            out.add(&rest[..len]);
            self.at += len;
            match self.byte(0) {
                b'"' => {
                    self.at += 1;
                    out.finish();
                    return Token::String;
                }
                b'\\' => {
                    if let Err(text) = self.escape(&mut out) {
                        return self.string_error(out, text);
                    }
                }
                _ => return self.string_error(out, b"unexpected end of string"),
            }
        }
    }

    fn string_error(&mut self, out: Builder, text: &'static [u8]) -> Token {
        out.discard();
        self.token_at = self.at;
        Token::Error(text)
    }

    fn escape(&mut self, out: &mut Builder) -> Result<(), &'static [u8]> {
        let byte = match self.byte(1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 12,
            b'r' => b'\r',
            b'u' => {
                let (code, len) = self.code_point().ok_or(&b"invalid unicode escape code"[..])?;
                let mut utf8 = [0; 4];
                out.add(code.encode_utf8(&mut utf8).as_bytes());
                self.at += len;
                return Ok(());
            }
            _ => return Err(b"invalid escape code"),
        };
        out.add(&[byte]);
        self.at += 2;
        Ok(())
    }

    /// The character of the escape here, one or two units of UTF-16, and the length of the text.
    fn code_point(&self) -> Option<(char, usize)> {
        let unit = self.hex4(2)?;
        if !(0xD800..0xE000).contains(&unit) {
            return Some((char::from_u32(unit)?, 6));
        }
        if unit >= 0xDC00 || self.byte(6) != b'\\' || self.byte(7) != b'u' {
            return None;
        }
        let low = self.hex4(8)?;
        if !(0xDC00..0xE000).contains(&low) {
            return None;
        }
        Some((char::from_u32(0x10000 + ((unit & 0x3FF) << 10 | (low & 0x3FF)))?, 12))
    }

    fn hex4(&self, ahead: usize) -> Option<u32> {
        (ahead..ahead + 4).try_fold(0, |value, ahead| {
            Some(value << 4 | char::from(self.byte(ahead)).to_digit(16)?)
        })
    }
}
