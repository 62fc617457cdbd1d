//! Does a compiled script write to globals? Looks through LuaJIT's bytecode for the instruction.
//!
//! Scripts see the globals through a read-only proxy, which makes each use of `redis` or `KEYS` a
//! look-up past an empty table. A function that has no instruction for writing to globals cannot tell
//! the proxy from the real table behind it: `_G` is the proxy in both, and nothing else names the
//! environment of a function (`getfenv` would; where it is enabled, nobody gets the real table). Almost
//! no script writes to globals, since that is an error.
//!
//! The dump that is read here was just written by the Lua in this process; what is not understood
//! counts as writing. The number of the instruction is not taken from a header but from a probe.

/// The source of the probe, whose second instruction stores a global.
pub(super) const PROBE: &[u8] = b"a=1";

/// The number of the instruction that stores a global, from the dump of [`PROBE`].
pub(super) fn global_store(dump: &[u8]) -> Option<u8> {
    let mut functions = Functions::new(dump)?;
    let [_load, store, _return] = functions.next()??.as_chunks::<4>().0 else { return None };
    functions.next().is_none().then_some(store[0])
}

/// Whether any function in the dump stores a global with the instruction `store`. `None`: the dump is
/// not understood.
pub(super) fn stores_globals(dump: &[u8], store: u8) -> Option<bool> {
    let mut stores = false;
    for instructions in Functions::new(dump)? {
        stores |= instructions?.as_chunks::<4>().0.iter().any(|code| code[0] == store);
    }
    Some(stores)
}

/// Yields the instructions of each function of a dump, four bytes each, the operation first. `None`
/// inside: not understood.
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

    /// The instructions in a function: behind its head (flags, parameters, frame, upvalues, then the
    /// numbers of constants and instructions, and the size of what is there for debugging).
    fn instructions(&self, function: &'a [u8]) -> Option<&'a [u8]> {
        let mut rest = function.get(4..)?;
        read_uleb128(&mut rest)?;
        read_uleb128(&mut rest)?;
        let count = read_uleb128(&mut rest)? as usize;
        if self.has_debug && read_uleb128(&mut rest)? > 0 {
            read_uleb128(&mut rest)?;
            read_uleb128(&mut rest)?;
        }
        rest.get(..count.checked_mul(4)?)
    }
}

impl<'a> Iterator for Functions<'a> {
    type Item = Option<&'a [u8]>;

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
        Some(self.instructions(function))
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
            let _ = stores_globals(&dump, 1);
            let _ = global_store(&dump);
        }
    }
}
