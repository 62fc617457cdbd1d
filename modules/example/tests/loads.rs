//! Does the example do in a server what its first lines say?

#[path = "../../sdk/tests/client/mod.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod client;

use client::{Server, library, servers};

#[test]
fn the_last_values_are_kept_and_survive_a_reload() {
    let module = library("mortise_example");
    let module = module.to_str().expect("the target directory is text");
    for program in servers() {
        let server = Server::start(&program, &["--loadmodule", module]);
        let mut client = server.client();
        for (command, answer) in [
            ("RECENT.LIST k", "*[]"),
            ("RECENT.PUSH k 2 a", ":1"),
            ("RECENT.PUSH k 2 b", ":2"),
            ("RECENT.PUSH k 2 c", ":2"),
            ("RECENT.LIST k", "*[\"b\" \"c\"]"),
            ("DEBUG RELOAD", "+OK"),
            ("RECENT.LIST k", "*[\"b\" \"c\"]"),
            ("TYPE k", "+mt-recent"),
            ("RECENT.PUSH k x d", "-ERR value is not an integer or out of range"),
            ("RECENT.LIST k", "*[\"b\" \"c\"]"),
        ] {
            assert_eq!(client.run(command), answer, "{command}");
        }
    }
}
