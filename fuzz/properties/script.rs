//! Does the sandbox hold, whatever a script does?
//!
//! Input: a byte of options, then the source of a script. Properties: the script ends with one reply, in time and in memory;
//! what it did to its VM does not show in the script that runs next.

use super::vm::Bench;

/// What the next script sees: libraries, globals, metatables of basic types, its arguments.
const NEXT: &[u8] = br#"
local function names(t)
  local list = {}
  for k, v in pairs(t) do list[#list + 1] = tostring(k) .. ':' .. type(v) end
  table.sort(list)
  return table.concat(list, ',')
end
local seen = {}
for _, name in ipairs({'string', 'table', 'math', 'cjson', 'cmsgpack', 'struct', 'bit', 'redis', 'os'}) do
  seen[#seen + 1] = name .. '=' .. names(_G[name])
end
seen[#seen + 1] = names(_G)
seen[#seen + 1] = tostring(getmetatable('').__index == string)
seen[#seen + 1] = tostring(getmetatable(1)) .. tostring(getmetatable(error)) .. tostring(getmetatable(nil))
seen[#seen + 1] = #KEYS .. KEYS[1] .. #ARGV .. tostring(rawget(_G, 'leaked'))
seen[#seen + 1] = ('x'):rep(3) .. string.format('%d', 3.0) .. cjson.encode({1, {a = 2}}) .. bit.tohex(255)
seen[#seen + 1] = cmsgpack.unpack(cmsgpack.pack('m')) .. struct.unpack('>I2', struct.pack('>I2', 7))
seen[#seen + 1] = tostring(pcall(error, 'e')) .. tostring(select('#', 1, 2)) .. tostring(tonumber('0x10'))
seen[#seen + 1] = tostring(pcall(function() leaked = 1 end))
seen[#seen + 1] = type(redis.call('args', 'a'))
return seen
"#;

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Some((&options, source)) = bytes.split_first() else { return };
    let mut bench = Bench::new(options & 1 == 1);
    let expected = bench.run(NEXT, &[b"x"], 100);
    assert!(!expected.starts_with(b"-"), "{}", String::from_utf8_lossy(&expected));
    bench.run(source, &[b"1", b"two", b"{\"three\":[3]}"], 10);
    let seen = bench.run(NEXT, &[b"x"], 100);
    assert_eq!(
        String::from_utf8_lossy(&seen),
        String::from_utf8_lossy(&expected),
        "a script left something behind"
    );
}
