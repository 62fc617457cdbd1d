//! Does `cjson` read what it writes?
//!
//! Properties: decoding any bytes gives a value or an error; a decoded value that is encoded, decoded, encoded and decoded
//! stays the same from the first of these values on (the first text loses digits past the fourteenth).

use std::cell::RefCell;

use super::vm::Bench;

const SCRIPT: &[u8] = br#"
local function same(a, b)
  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b or (a ~= a and b ~= b) end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end
local read, value = pcall(cjson.decode, ARGV[1])
if not read then return type(value) ~= 'string' and 'an error that is no text' or nil end
local written, text = pcall(cjson.encode, value)
if not written then return nil end
local once = cjson.decode(text)
local twice = cjson.decode(cjson.encode(once))
if not same(once, twice) then return text end
return nil
"#;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new(false));
}

/// Checks one input.
pub fn check(bytes: &[u8]) {
    BENCH.with_borrow_mut(|bench| bench.expect(SCRIPT, &[bytes], 50));
}
