//! Does `cmsgpack` read what it writes?
//!
//! Properties: unpacking any bytes gives values or an error; unpacked values that are packed, unpacked, packed and unpacked
//! stay the same from the first of these on (what nests too deeply becomes nil, an array with a hole a map).

use std::cell::RefCell;

use super::vm::Bench;

const SCRIPT: &[u8] = br#"
local function same(a, b)
  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b or (a ~= a and b ~= b) end
  -- Keys that are tables have no equal.
  for k, v in pairs(a) do if type(k) ~= 'table' and not same(v, b[k]) then return false end end
  for k in pairs(b) do if type(k) ~= 'table' and a[k] == nil then return false end end
  return true
end
local read, value = pcall(cmsgpack.unpack_one, ARGV[1])
local all = {pcall(cmsgpack.unpack, ARGV[1])}
if not read then return type(value) ~= 'string' and 'an error that is no text' or nil end
local _, value = cmsgpack.unpack_one(ARGV[1])
-- A key that nests too deeply becomes nil, which is no key.
local fine, once = pcall(cmsgpack.unpack, cmsgpack.pack(value))
if not fine then return nil end
local twice = cmsgpack.unpack(cmsgpack.pack(once))
if not same(once, twice) then return 'two different values' end
if all[1] and #all == 2 and not same(all[2], value) then return 'unpack and unpack_one differ' end
local offset, count = 0, 0
while offset >= 0 and count < 100 do
  local fine, next = pcall(cmsgpack.unpack_one, ARGV[1], offset)
  if not fine then break end
  if next ~= -1 and next <= offset then return 'no progress' end
  offset, count = next, count + 1
end
return nil
"#;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new(false));
}

/// Checks one input.
pub fn check(bytes: &[u8]) {
    // An empty text has no first value.
    if !bytes.is_empty() {
        BENCH.with_borrow_mut(|bench| bench.expect(SCRIPT, &[bytes], 50));
    }
}
