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
