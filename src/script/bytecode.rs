//! What does a compiled script change? Looks through LuaJIT's bytecode for the instructions that store.
//!
//! Scripts see the globals through a read-only proxy, which makes each use of `redis` or `KEYS` a
//! look-up past an empty table. A function that has no instruction for writing to globals cannot tell
//! the proxy from the real table behind it: `_G` is the proxy in both, and nothing else names the
//! environment of a function (`getfenv` would; where it is enabled, nobody gets the real table). Almost
//! no script writes to globals, since that is an error. What more may be done for one that writes to no table at all is
//! told in `plain`.
//!
//! The dump that is read here was just written by the Lua in this process; what is not understood
//! counts as writing. The numbers of the instructions are not taken from a header but from a probe.

/// The source of the probe.
pub(super) const PROBE: &[u8] = b"local t,k=... a=1 t[k]=1 t.x=1 t[1]=1 return b";

/// The numbers of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Codes {
    global_store: u8,
    global_load: u8,
    /// With a variable for the key, a name, a small number. (There is one more, for the last elements of a table that
    /// was just made.)
    table_stores: [u8; 3],
}

impl Codes {
    /// From the dump of [`PROBE`].
    pub(super) fn from_probe(dump: &[u8]) -> Option<Self> {
        let mut functions = Functions::new(dump)?;
        let probe = functions.next()??;
        let (codes, []) = probe.instructions.as_chunks::<4>() else { return None };
        let [_, one, store, one2, by_key, one3, by_name, one4, by_index, load, _] = codes else {
            return None;
        };
        let constants = [one, one2, one3, one4].map(|code| code[0]);
        let is_understood = functions.next().is_none()
            && constants == [one[0]; 4]
            && probe.global(load) == Some(b"b");
        let table_stores = [by_key[0], by_name[0], by_index[0]];
        let codes = Self { global_store: store[0], global_load: load[0], table_stores };
        is_understood.then_some(codes)
    }
}

/// What a script does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// It, or a function in it, stores a global.
    pub(super) stores_globals: bool,
    /// It stores into tables, or uses a global that was not asked for.
    pub(super) may_change_tables: bool,
}

/// Looks at all functions in the dump; `is_harmless` says which globals cannot be used to change a table. `None`: the dump
/// is not understood.
pub(super) fn examine(
    dump: &[u8],
    codes: Codes,
    is_harmless: impl Fn(&[u8]) -> bool,
) -> Option<Facts> {
    let mut facts = Facts { stores_globals: false, may_change_tables: false };
    for function in Functions::new(dump)? {
        let function = function?;
        for code in function.instructions.as_chunks::<4>().0 {
            facts.stores_globals |= code[0] == codes.global_store;
            facts.may_change_tables |= codes.table_stores.contains(&code[0]);
            if code[0] == codes.global_load {
                facts.may_change_tables |= !is_harmless(function.global(code)?);
            }
        }
    }
    Some(facts)
}

/// A function in a dump.
struct Function<'a> {
    /// Four bytes each, the operation first.
    instructions: &'a [u8],
    constants: Constants<'a>,
}

impl<'a> Function<'a> {
    /// The name of the global that an instruction is about. It counts the constants from the last one.
    fn global(&self, [_, _, low, high]: &[u8; 4]) -> Option<&'a [u8]> {
        let from_end = usize::from(u16::from_le_bytes([*low, *high]));
        let index = self.constants.count.checked_sub(from_end + 1)?;
        self.constants.clone().nth(index)?
    }
}

/// The constants of a function that are no numbers: the text of each, or `None` for other kinds. Ends early where it is
/// not understood.
#[derive(Clone)]
struct Constants<'a> {
    rest: &'a [u8],
    count: usize,
}

impl Constants<'_> {
    const TABLE: u32 = 1;
    const COMPLEX: u32 = 4;
    const STRING: u32 = 5;

    /// Passes over so many numbers of seven bits a byte.
    fn skip(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| read_uleb128(&mut self.rest).map(|_| ()))
    }

    /// Passes over an element of a table.
    fn skip_element(&mut self) -> Option<()> {
        const INTEGER: u32 = 3;
        const NUMBER: u32 = 4;
        match read_uleb128(&mut self.rest)? {
            INTEGER => self.skip(1),
            NUMBER => self.skip(2),
            kind if kind >= Self::STRING => {
                self.rest = self.rest.get((kind - Self::STRING) as usize..)?;
                Some(())
            }
            _ => Some(()),
        }
    }
}

impl<'a> Iterator for Constants<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        match read_uleb128(&mut self.rest)? {
            0 => {}
            Self::TABLE => {
                let elements = read_uleb128(&mut self.rest)?;
                let pairs = read_uleb128(&mut self.rest)?;
                for _ in 0..u64::from(elements) + 2 * u64::from(pairs) {
                    self.skip_element()?;
                }
            }
            Self::COMPLEX => self.skip(4)?,
            kind if kind < Self::COMPLEX => self.skip(2)?,
            kind => {
                let (text, rest) = self.rest.split_at_checked((kind - Self::STRING) as usize)?;
                self.rest = rest;
                return Some(Some(text));
            }
        }
        Some(None)
    }
}

/// Yields the functions of a dump. `None` inside: not understood.
struct Functions<'a> {
    rest: &'a [u8],
    has_debug: bool,
}

impl<'a> Functions<'a> {
    /// Bits of the head that say how functions are laid out.
    const BIG_ENDIAN: u32 = 1;
    const STRIPPED: u32 = 2;

    /// Reads the head: signature, version, flags, and the chunk's name unless it is stripped.
    fn new(dump: &'a [u8]) -> Option<Self> {
        let mut rest = dump.strip_prefix(b"\x1bLJ\x02")?;
        let flags = read_uleb128(&mut rest)?;
        if flags & Self::BIG_ENDIAN != 0 {
            return None;
        }
        let has_debug = flags & Self::STRIPPED == 0;
        if has_debug {
            let len = read_uleb128(&mut rest)? as usize;
            rest = rest.get(len..)?;
        }
        Some(Self { rest, has_debug })
    }

    /// A function: its head (flags, parameters, frame, upvalues, then the numbers of constants and instructions, and the size
    /// of what is there for debugging), then instructions, upvalues of two bytes, and constants.
    fn read(&self, function: &'a [u8]) -> Option<Function<'a>> {
        let upvalues = usize::from(*function.get(3)?);
        let mut rest = function.get(4..)?;
        let constants = read_uleb128(&mut rest)? as usize;
        read_uleb128(&mut rest)?;
        let count = read_uleb128(&mut rest)? as usize;
        if self.has_debug && read_uleb128(&mut rest)? > 0 {
            read_uleb128(&mut rest)?;
            read_uleb128(&mut rest)?;
        }
        let (instructions, rest) = rest.split_at_checked(count.checked_mul(4)?)?;
        let constants = Constants { rest: rest.get(2 * upvalues..)?, count: constants };
        Some(Function { instructions, constants })
    }
}

impl<'a> Iterator for Functions<'a> {
    type Item = Option<Function<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let len = match read_uleb128(&mut self.rest) {
            // A zero ends the dump.
            Some(0) if self.rest.is_empty() => return None,
            Some(len) => len as usize,
            None => {
                // The dump ends in the middle; the next call finds nothing.
                self.rest = b"\0";
                return Some(None);
            }
        };
        let Some((function, rest)) = self.rest.split_at_checked(len) else {
            self.rest = b"\0";
            return Some(None);
        };
        self.rest = rest;
        Some(self.read(function))
    }
}

/// Reads seven bits a byte, the low ones first; the last byte is below 128.
fn read_uleb128(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0u32;
    for shift in (0..32).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            let dump = [b"\x1bLJ\x02", &bytes[..]].concat();
            let _ = examine(&dump, Codes { global_store: 1, global_load: 2, table_stores: [3; 3] }, |_| true);
            let _ = Codes::from_probe(&dump);
        }
    }
}
