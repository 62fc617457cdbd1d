//! How does an error keep its line? Rewrites tail calls, so that the frame of the caller stays.
//!
//! In `return redis.call('get', key)` the call is a tail call. LuaJIT drops the frame of the script
//! before it enters the C function; Lua 5.1, and so Redis, keeps it there and can say in which line
//! an error of the command happened. `return (redis.call('get', key))` means the same, cut to one
//! value, and is no tail call. So parentheses are put around
//!
//! - what the script itself returns, when it is one expression: Redis takes only the first value;
//! - inside functions, and in chunks of `loadstring`, a call of a known function that has exactly one
//!   result, by its plain name, or of `redis.call` by a local name that is never used for anything
//!   but calls.
//!
//! Tail calls of Lua functions inside functions stay what they are (they may recurse without end).
//! Only parentheses are added and no line breaks, so lines stay too. The rewriter needs only the
//! tokens and the blocks; what it cannot follow it leaves alone, and a text that fails to compile is
//! compiled again as it came.

/// Where a text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The source of a script; its value is one.
    Script,
    /// A chunk loaded by a script; it may give several values.
    Chunk,
}

/// Functions with exactly one result that can fail.
const SINGLE_RESULT: &[&[u8]] = &[
    b"redis.call",
    b"redis.pcall",
    b"redis.error_reply",
    b"redis.status_reply",
    b"redis.sha1hex",
    b"redis.acl_check_cmd",
    b"cjson.encode",
    b"cjson.decode",
    b"cmsgpack.pack",
    b"struct.pack",
    b"struct.size",
    b"string.format",
    b"string.rep",
    b"string.sub",
    b"string.len",
    b"string.lower",
    b"string.upper",
    b"string.reverse",
    b"string.char",
    b"table.concat",
    b"math.floor",
    b"math.ceil",
    b"math.max",
    b"math.min",
    b"math.random",
    b"math.abs",
    b"error",
    b"tonumber",
    b"tostring",
    b"type",
    b"rawget",
    b"setmetatable",
    b"getmetatable",
];

/// Copies `source` to `out` with the parentheses added. False: there are none to add, and `out` is
/// not to be used.
pub(super) fn keep_frames(source: &[u8], place: Place, out: &mut Vec<u8>) -> bool {
    let tokens: Vec<Token> = Lexer { source, at: 0 }.collect();
    let mut rewriter = Rewriter {
        source,
        place,
        aliases: aliases(source, &tokens),
        blocks: Vec::new(),
        returns: Vec::new(),
        wraps: Vec::new(),
        brackets: 0,
    };
    for token in tokens {
        rewriter.token(token);
    }
    rewriter.end_of_text();
    let mut marks = rewriter.wraps;
    if marks.is_empty() {
        return false;
    }
    marks.sort_unstable();
    out.clear();
    out.reserve(source.len() + marks.len());
    let mut copied = 0;
    for (at, parenthesis) in marks {
        out.extend_from_slice(&source[copied..at]);
        out.push(parenthesis);
        copied = at;
    }
    out.extend_from_slice(&source[copied..]);
    true
}

/// A token, as far as blocks and returns are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A name or keyword.
    Word,
    /// A string in quotes or long brackets.
    Text,
    Number,
    /// One byte of punctuation.
    Mark(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

/// A `return` whose expression is being read.
struct Return {
    /// Where its expression begins, and how the call at its beginning looks so far.
    first: Option<usize>,
    call: Call,
    /// The blocks and brackets open around it.
    blocks: usize,
    brackets: usize,
    /// A comma stood between two expressions.
    is_list: bool,
    last: Option<Token>,
}

/// The shape of an expression that is one call by name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    /// Names and dots, up to here.
    Name,
    /// The arguments are open.
    Arguments,
    /// The arguments are closed, and nothing followed.
    Complete,
    /// Something else.
    Other,
}

struct Rewriter<'a> {
    source: &'a [u8],
    place: Place,
    /// Local names of `redis.call` and `redis.pcall`.
    aliases: Vec<&'a [u8]>,
    /// The open blocks; true for function bodies.
    blocks: Vec<bool>,
    returns: Vec<Return>,
    /// Parentheses to insert.
    wraps: Vec<(usize, u8)>,
    brackets: usize,
}

impl Rewriter<'_> {
    fn token(&mut self, token: Token) {
        let word =
            if token.kind == Kind::Word { &self.source[token.start..token.end] } else { b"" };
        match word {
            b"end" | b"until" => {
                self.close_returns();
                self.blocks.pop();
                self.seen(token);
                return;
            }
            b"else" | b"elseif" => return self.close_returns(),
            b"return" => {
                let (blocks, brackets) = (self.blocks.len(), self.brackets);
                self.returns.push(Return {
                    first: None,
                    call: Call::Name,
                    blocks,
                    brackets,
                    is_list: false,
                    last: None,
                });
                return;
            }
            b"function" => self.blocks.push(true),
            b"do" | b"if" | b"repeat" => self.blocks.push(false),
            _ => {}
        }
        match token.kind {
            Kind::Mark(b'(' | b'[' | b'{') => self.brackets += 1,
            Kind::Mark(b')' | b']' | b'}') => self.brackets = self.brackets.saturating_sub(1),
            Kind::Mark(b';') if self.at_return_level() => return self.close_returns(),
            _ => {}
        }
        self.seen(token);
    }

    fn at_return_level(&self) -> bool {
        self.returns.last().is_some_and(|r| r.blocks == self.blocks.len())
    }

    /// A token inside the expression of the innermost `return`.
    fn seen(&mut self, token: Token) {
        let (blocks, brackets) = (self.blocks.len(), self.brackets);
        let Some(current) = self.returns.last_mut() else { return };
        let on_level = current.blocks == blocks && current.brackets == brackets;
        if on_level && token.kind == Kind::Mark(b',') {
            current.is_list = true;
        }
        current.first.get_or_insert(token.start);
        current.last = Some(token);
        current.call = match (current.call, token.kind) {
            (Call::Name, Kind::Word | Kind::Mark(b'.')) => Call::Name,
            (Call::Name, Kind::Mark(b'(')) => Call::Arguments,
            (Call::Arguments, Kind::Mark(b')')) if on_level => Call::Complete,
            (Call::Arguments, _) => Call::Arguments,
            _ => Call::Other,
        };
    }

    /// A block ends, and with it a `return` in it.
    fn close_returns(&mut self) {
        while self.at_return_level() {
            let done = self.returns.pop().expect("there is one at this level");
            self.wrap(&done);
        }
    }

    fn end_of_text(&mut self) {
        while let Some(done) = self.returns.pop() {
            self.wrap(&done);
        }
    }

    fn wrap(&mut self, done: &Return) {
        let (Some(first), Some(last)) = (done.first, done.last) else { return };
        // Only these can end a call: its arguments, a string or a table as the one argument.
        if done.is_list || !matches!(last.kind, Kind::Mark(b')' | b'}') | Kind::Text) {
            return;
        }
        let is_outermost = self.place == Place::Script && !self.blocks_up_to(done.blocks);
        if is_outermost || (done.call == Call::Complete && self.is_single_result(first)) {
            self.wraps.push((first, b'('));
            self.wraps.push((last.end, b')'));
        }
    }

    /// Whether a function is among the outermost `count` blocks.
    fn blocks_up_to(&self, count: usize) -> bool {
        self.blocks.iter().take(count).any(|is_function| *is_function)
    }

    fn is_single_result(&self, first: usize) -> bool {
        let text = &self.source[first..];
        let name = &text[..memchr::memchr(b'(', text).unwrap_or(0)];
        let name = name.trim_ascii();
        SINGLE_RESULT.contains(&name) || self.aliases.contains(&name)
    }
}

/// More names than this for one function are not looked for.
const ALIASES_MAX: usize = 8;

/// The names of `local name = redis.call`, as far as nothing else in the text is done with them than
/// calling: so they cannot mean anything else where they are called.
fn aliases<'a>(source: &'a [u8], tokens: &[Token]) -> Vec<&'a [u8]> {
    let text = |token: &Token| &source[token.start..token.end];
    let is_only_called = |name: &[u8], definition: usize| {
        tokens.iter().enumerate().all(|(at, token)| {
            let before = at.checked_sub(1).map_or(&b""[..], |at| text(&tokens[at]));
            at == definition
                || token.kind != Kind::Word
                || text(token) != name
                || matches!(before, b"." | b":")
                || (before != b"function"
                    && tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Mark(b'(')))
        })
    };
    let mut names = Vec::new();
    for (at, window) in tokens.windows(6).enumerate() {
        let [local, name, equals, redis, dot, call] = window else { continue };
        let is_definition = text(local) == b"local"
            && name.kind == Kind::Word
            && text(equals) == b"="
            && text(redis) == b"redis"
            && text(dot) == b"."
            && matches!(text(call), b"call" | b"pcall");
        let goes_on = tokens.get(at + 6).is_some_and(|next| {
            matches!(next.kind, Kind::Mark(b'(' | b'.' | b'[' | b':' | b'{') | Kind::Text)
        });
        if is_definition
            && !goes_on
            && names.len() < ALIASES_MAX
            && is_only_called(text(name), at + 1)
        {
            names.push(text(name));
        }
    }
    names
}

/// Splits a text into tokens, leaving out comments and blanks.
struct Lexer<'a> {
    source: &'a [u8],
    at: usize,
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let start = self.at;
            let kind = match self.byte(0)? {
                b' ' | b'\t'..=b'\r' => {
                    self.at += 1;
                    continue;
                }
                b'-' if self.byte(1) == Some(b'-') => {
                    self.skip_comment();
                    continue;
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | 128.. => {
                    self.skip_while(|b| b.is_ascii_alphanumeric() || b == b'_' || b >= 128);
                    Kind::Word
                }
                b'0'..=b'9' => self.number(),
                b'.' if self.byte(1).is_some_and(|b| b.is_ascii_digit()) => self.number(),
                quote @ (b'"' | b'\'') => {
                    self.skip_quoted(quote);
                    Kind::Text
                }
                b'[' if self.long_bracket().is_some() => {
                    self.skip_long_bracket();
                    Kind::Text
                }
                mark => {
                    self.at += 1;
                    Kind::Mark(mark)
                }
            };
            return Some(Token { kind, start, end: self.at });
        }
    }
}

impl Lexer<'_> {
    fn byte(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at + ahead).copied()
    }

    fn skip_while(&mut self, accept: impl Fn(u8) -> bool) {
        while self.byte(0).is_some_and(&accept) {
            self.at += 1;
        }
    }

    /// Everything that may belong to a number; whether it is one is not our business.
    fn number(&mut self) -> Kind {
        while let Some(byte) = self.byte(0) {
            let previous = self.source[self.at.saturating_sub(1)];
            let signed = matches!(byte, b'+' | b'-') && matches!(previous, b'e' | b'E');
            // The two dots of a concatenation end a number.
            let dots = byte == b'.' && self.byte(1) == Some(b'.');
            if dots || !(byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_' || signed) {
                break;
            }
            self.at += 1;
        }
        Kind::Number
    }

    fn skip_quoted(&mut self, quote: u8) {
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            self.at += 1;
            match byte {
                b'\\' => self.at = (self.at + 1).min(self.source.len()),
                _ if byte == quote => return,
                _ => {}
            }
        }
    }

    /// The level of the long bracket that opens here.
    fn long_bracket(&self) -> Option<usize> {
        let level = self.source[self.at + 1..].iter().take_while(|&&b| b == b'=').count();
        (self.byte(level + 1) == Some(b'[')).then_some(level)
    }

    fn skip_long_bracket(&mut self) {
        let level = self.long_bracket().unwrap_or(0);
        self.at += level + 2;
        while let Some(ahead) = memchr::memchr(b']', &self.source[self.at..]) {
            self.at += ahead + 1;
            let equals = self.source[self.at..].iter().take_while(|&&b| b == b'=').count();
            if equals == level && self.byte(equals) == Some(b']') {
                self.at += equals + 1;
                return;
            }
        }
        self.at = self.source.len();
    }

    fn skip_comment(&mut self) {
        self.at += 2;
        if self.byte(0) == Some(b'[') && self.long_bracket().is_some() {
            self.skip_long_bracket();
        } else {
            self.skip_while(|b| b != b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(place: Place, source: &str) -> String {
        let mut out = Vec::new();
        if keep_frames(source.as_bytes(), place, &mut out) {
            String::from_utf8(out).unwrap()
        } else {
            source.to_owned()
        }
    }

    #[test]
    fn the_value_of_a_script_keeps_its_frame() {
        for (from, to) in [
            ("return f(1)", "return (f(1))"),
            ("return redis.call('get', KEYS[1]) -- x", "return (redis.call('get', KEYS[1])) -- x"),
            (
                "if a then return f() else return g() end",
                "if a then return (f()) else return (g()) end",
            ),
            ("do return f{1} end", "do return (f{1}) end"),
            ("return f'x';", "return (f'x');"),
            ("for i=1,2 do return a:b() end", "for i=1,2 do return (a:b()) end"),
            ("return f(function() return g() end)", "return (f(function() return g() end))"),
            ("return 1", "return 1"),
            ("return", "return"),
            ("return f(), g()", "return f(), g()"),
            ("return f [[ return end ]]", "return (f [[ return end ]])"),
            ("return {f(), 2}", "return ({f(), 2})"),
        ] {
            assert_eq!(rewritten(Place::Script, from), to);
        }
    }

    #[test]
    fn inside_functions_only_known_calls_of_one_result_are_wrapped() {
        for (from, to) in [
            ("local function f() return g() end", "local function f() return g() end"),
            (
                "local f = function() return redis.call('x') end",
                "local f = function() return (redis.call('x')) end",
            ),
            (
                "function f() return redis.call('x')() end",
                "function f() return redis.call('x')() end",
            ),
            (
                "function f() if a then return tonumber(b) end return unpack(t) end",
                "function f() if a then return (tonumber(b)) end return unpack(t) end",
            ),
            (
                "function f() return my.redis.call(1) end",
                "function f() return my.redis.call(1) end",
            ),
        ] {
            assert_eq!(rewritten(Place::Script, from), to);
        }
        let alias = "local rcall = redis.call\nlocal function f() return rcall('x') end";
        assert!(rewritten(Place::Script, alias).ends_with("return (rcall('x')) end"));
        for other in
            ["rcall = f", "local function rcall() end", "g(rcall)", "for rcall in x do end"]
        {
            let text = format!("{alias} {other}");
            assert_eq!(rewritten(Place::Script, &text), text);
        }
        assert_eq!(rewritten(Place::Chunk, "return f()"), "return f()");
        assert_eq!(rewritten(Place::Chunk, "return error('x')"), "return (error('x'))");
    }

    #[test]
    fn strings_and_comments_hide_keywords() {
        for text in [
            "x = 'return f()'",
            "--[==[ return f() ]==] x = 1",
            "-- return f()",
            "x = \"\\\" return f()\"",
        ] {
            assert_eq!(rewritten(Place::Script, text), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_only_gains_parentheses(text in "[a-c(){}\\[\\],;='\"\\\\ \n.-]*|(return |end |function |if |f\\(\\) |, |; |do |\\{ |\\} )*") {
            let out = rewritten(Place::Script, &text);
            let mut rest = text.bytes().peekable();
            for byte in out.bytes() {
                if rest.peek() == Some(&byte) {
                    rest.next();
                } else {
                    proptest::prop_assert!(matches!(byte, b'(' | b')'));
                }
            }
            proptest::prop_assert!(rest.next().is_none());
        }
    }
}
