//! Does `struct` read what it writes?
//!
//! Input: the length of the format, the format, the packed bytes. Properties: any format on any bytes gives values or an
//! error; values that can be packed by the same format are unpacked again as they were; `struct.size` agrees with what
//! packing writes.

use std::cell::RefCell;

use super::vm::Bench;

const SCRIPT: &[u8] = br#"
local format = ARGV[1]
local found = {pcall(struct.unpack, format, ARGV[2])}
if not found[1] then return type(found[2]) ~= 'string' and 'an error that is no text' or nil end
local count = #found
local stop = found[count]
if type(stop) ~= 'number' or stop < 1 or stop > #ARGV[2] + 1 then return 'an end out of the text' end
for i = 2, count - 1 do
  -- Larger integers lose their last digits as doubles.
  if type(found[i]) == 'number' and math.abs(found[i]) >= 2^53 then return nil end
end
local packed, text = pcall(struct.pack, format, unpack(found, 2, count - 1))
if not packed then return nil end
local sized, size = pcall(struct.size, format)
if sized and size ~= #text then return 'a size of ' .. size .. ' for ' .. #text end
local again = {struct.unpack(format, text)}
if #again ~= count - 1 then return 'another number of values' end
for i = 1, #again - 1 do
  local a, b = found[i + 1], again[i]
  if not (a == b or (a ~= a and b ~= b)) then return 'another value' end
end
return nil
"#;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new(false));
}

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Some((&len, rest)) = bytes.split_first() else { return };
    let (format, packed) = rest.split_at(usize::from(len).min(rest.len()));
    BENCH.with_borrow_mut(|bench| bench.expect(SCRIPT, &[format, packed], 50));
}
