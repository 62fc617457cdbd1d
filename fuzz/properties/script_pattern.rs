//! Do Lua's string patterns end, and do the functions that use them agree?
//!
//! Input: the length of the pattern, the pattern, the text. Properties: `find`, `match`, `gmatch` and `gsub` find the same
//! place, replacing a match by itself changes nothing, `format` takes any format, and no pattern outlives its ticks.

use std::cell::RefCell;

use super::vm::Bench;

const SCRIPT: &[u8] = br#"
local pattern, text = ARGV[1], ARGV[2]
local found = {pcall(string.find, text, pattern)}
pcall(string.format, pattern, 1, text, 2, text)
if not found[1] then return type(found[2]) ~= 'string' and 'an error that is no text' or nil end
-- Patterns end at a zero byte, but one without special characters before it is searched for as a whole.
if string.find(pattern, '\0', 1, true) then pcall(string.gsub, text, pattern, '%0') return nil end
local first, last = found[2], found[3]
local matched = {pcall(string.match, text, pattern)}
-- A text without special characters is searched for as it is, and may be a wrong pattern.
if not table.remove(matched, 1) then return nil end
if first == nil then
  if #matched ~= 0 then return 'match finds what find does not' end
else
  if first < 1 or last < first - 1 or last > #text then return 'a match outside the text' end
  if #found == 3 and matched[1] ~= string.sub(text, first, last) then return 'another match' end
  if #found > 3 then
    for i = 4, #found do
      if matched[i - 3] ~= found[i] then return 'another capture' end
    end
  end
end
local replaced, same, count = pcall(string.gsub, text, pattern, '%0')
if not replaced then return nil end
if same ~= text then return 'replacing by itself changes ' .. same end
if (count == 0) ~= (first == nil) then return 'gsub counts ' .. count end
local walked = 0
for _ in string.gmatch(text, pattern) do walked = walked + 1 end
if walked > #text + 1 then return 'gmatch does not end' end
local gone = string.gsub(text, pattern, '')
if #gone > #text then return 'removing adds' end
return nil
"#;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new(false));
}

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Some((&len, rest)) = bytes.split_first() else { return };
    let (pattern, text) = rest.split_at(usize::from(len).min(rest.len()));
    BENCH.with_borrow_mut(|bench| bench.expect(SCRIPT, &[pattern, text], 20));
}
