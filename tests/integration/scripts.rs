//! What may scripts do to the process? Nothing: whatever they try ends in an error, and the server goes on.

use crate::harness::server::Server;

#[test]
fn deprecated_functions_are_there_when_the_configuration_says_so() {
    let source = "return {type(rawget(_G, 'getfenv')), type(rawget(_G, 'setfenv')), type(rawget(_G, 'newproxy'))}";
    for (args, expected) in [
        (&[][..], "nil"),
        (&["--lua-enable-deprecated-api", "no"][..], "nil"),
        (&["--lua-enable-deprecated-api", "yes"][..], "function"),
    ] {
        let server = Server::start(args);
        let mut client = server.tcp();
        let function = format!(
            "#!lua name=lib\nredis.register_function{{function_name='f', flags={{'no-writes'}}, callback=function() {source} end}}"
        );
        assert_eq!(client.call(&["FUNCTION", "LOAD", &function]).text(), "lib");
        for call in [
            &["EVAL", source, "0"][..],
            &["EVAL_RO", source, "0"],
            &["FCALL", "f", "0"],
            &["FCALL_RO", "f", "0"],
        ] {
            let texts: Vec<String> = client.call(call).items().iter().map(|v| v.text()).collect();
            assert_eq!(texts, [expected; 3], "{args:?}: {}", call[0]);
        }
        let refused = client.call(&["CONFIG", "SET", "lua-enable-deprecated-api", "yes"]).text();
        assert!(refused.contains("can't set immutable config"), "{refused}");
    }
}

/// The scripts that exhaust something, with what their error says.
fn exhausting() -> impl Iterator<Item = (&'static str, &'static str)> {
    let corpus = include_str!("../../src/script/corpus/exhaustion.txt");
    let blocks = corpus.split("\n> ").skip(1);
    blocks
        .filter_map(|block| block.split_once("\n= %"))
        .map(|(source, text)| (source, text.trim_end()))
}

#[test]
fn whatever_a_script_exhausts_the_server_goes_on() {
    let server = Server::start(&["--io-threads", "2"]);
    let (mut client, mut other) = (server.tcp(), server.tcp());
    for (source, text) in exhausting() {
        for name in ["EVAL", "EVAL_RO"] {
            let reply = client.call(&[name, source, "0"]);
            assert!(reply.is_error(), "{name} {source}: {reply:?}");
            assert!(reply.text().contains(text), "{name} {source}: {}", reply.text());
        }
        assert_eq!(other.call(&["PING"]).text(), "PONG", "{source}");
        assert_eq!(client.call(&["EVAL", "return ARGV[1]", "0", "own"]).text(), "own", "{source}");
    }
    let text = "#!lua name=lib\nredis.register_function('f', function(keys, args) return loadstring(args[1])() end)";
    assert_eq!(client.call(&["FUNCTION", "LOAD", text]).text(), "lib");
    for (source, _) in exhausting() {
        assert!(client.call(&["FCALL", "f", "0", source]).is_error(), "{source}");
        assert_eq!(other.call(&["PING"]).text(), "PONG", "{source}");
    }
    let held: usize =
        server.info("used_memory_vm_total").expect("INFO has it").parse().expect("a number");
    assert!(held < 64 << 20, "{held} bytes are kept");
}

/// What kept the machine's stack from being counted rightly: see `escape_tests.rs`.
#[test]
fn no_nesting_overflows_the_stack_of_a_worker() {
    let server = Server::start(&["--io-threads", "2"]);
    let mut client = server.tcp();
    for source in [
        "local m, n = {}, 0
         local function go() n = n + 1 return pcall(error, setmetatable({}, m)) end
         m.__index = function() if n % 1500 == 1499 then n = n + 1 return coroutine.wrap(go)() end return go() end
         pcall(go) return 'ended'",
        "local function nest() local i = 0 return load(function() i = i + 1 if i == 1 then return 'return ' .. ('{'):rep(190) end nest() end) end
         nest() return 'ended'",
    ] {
        assert_eq!(client.call(&["EVAL", source, "0"]).text(), "ended");
        assert_eq!(client.call(&["EVAL_RO", source, "0"]).text(), "ended");
    }
}
