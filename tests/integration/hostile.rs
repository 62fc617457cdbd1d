//! What do clients cost who promise much, send little, stop in the middle or never read? Bounded memory each, and nothing
//! to the others.
//!
//! Memory is that of the process, in whole pages: limits here are far above what a healthy server takes and far below what
//! one client could make it take.

use crate::harness::client::{Client, encode};
use crate::harness::server::Server;
use crate::harness::wait_until;

fn connected(server: &Server) -> usize {
    let count = server.info("connected_clients").expect("INFO has it");
    count.parse().expect("it is a number")
}

#[test]
fn what_an_ended_client_had_coming_goes_to_nobody_else() {
    let server = Server::start(&["--client-query-buffer-limit", "1mb"]);
    let mut client = server.tcp();
    assert_eq!(client.call(&["MULTI"]).text(), "OK");
    // The queue grows past the limit in the middle of a pipeline whose answers are not sent yet.
    let bytes = encode(&["PING"]).repeat(1000);
    while client.send_raw(&bytes).is_ok() {
        if (0..1000).any(|_| client.read().is_err()) {
            break;
        }
    }
    // Whichever worker they are on.
    let mut others: Vec<Client> = (0..8).map(|_| server.tcp()).collect();
    for other in &mut others {
        assert_eq!(other.call(&["PING"]).text(), "PONG");
    }
    drop(others);
    wait_until("the client is let go", || connected(&server) == 1);
}
