//! Do libraries of functions belong to the data set? They are saved, logged, rewritten, replicated, and read by Redis.

use crate::harness::client::Client;
use crate::harness::server::{Server, reference};
use crate::harness::value::Value;
use crate::harness::wait_until;

const COUNTER: &str = "#!lua name=counter\n\
    local calls = 0\n\
    redis.register_function('count', function(keys, args)\n\
    calls = calls + 1\n\
    return {redis.call('INCRBY', keys[1], args[1]), calls}\n\
    end)\n\
    redis.register_function{function_name='get', flags={'no-writes'}, description='what is counted',\n\
    callback=function(keys) return redis.call('GET', keys[1]) end}";

const GREETER: &str = "#!lua name=greeter\n\
    redis.register_function{function_name='greet', flags={'no-writes'},\n\
    callback=function() return 'hello' end}";

fn load(client: &mut Client) {
    assert_eq!(client.call(&["FUNCTION", "LOAD", COUNTER]).text(), "counter");
    assert_eq!(client.call(&["FUNCTION", "LOAD", GREETER]).text(), "greeter");
}

/// The libraries are there and can be called.
fn check(client: &mut Client, counted: &str) {
    assert_eq!(client.call(&["FCALL", "greet", "0"]).text(), "hello");
    assert_eq!(client.call(&["FCALL_RO", "get", "1", "n"]).text(), counted);
    // In any order: name, engine, functions, text.
    let libraries = client.call(&["FUNCTION", "LIST", "WITHCODE"]).items();
    let mut texts: Vec<_> = libraries.iter().map(|library| library.items()[7].text()).collect();
    texts.sort();
    assert_eq!(texts, [COUNTER, GREETER]);
}

/// Servers are killed, so what counts is what was acknowledged.
#[test]
fn libraries_come_back_with_the_data_set() {
    let logged = |preamble| ["--appendonly", "yes", "--aof-use-rdb-preamble", preamble];
    for (args, rewrites) in
        [(&[][..], false), (&logged("yes"), false), (&logged("yes"), true), (&logged("no"), true)]
    {
        let mut server = Server::start(args);
        load(&mut server.client());
        server.client().call(&["FCALL", "count", "1", "n", "5"]);
        if rewrites {
            server.client().call(&["BGREWRITEAOF"]);
            let progress = || server.info("aof_rewrite_in_progress");
            wait_until("the rewrite ends", || progress().as_deref() == Some("0"));
        }
        server.client().call(&["FUNCTION", "LOAD", "REPLACE", GREETER]);
        let save = |server: &Server| args.is_empty().then(|| server.client().call(&["SAVE"]));
        save(&server);
        for _ in 0..2 {
            server = server.start_again(args);
            check(&mut server.client(), "5");
        }
        server.client().call(&["FUNCTION", "DELETE", "greeter"]);
        save(&server);
        server = server.start_again(args);
        assert_eq!(server.client().call(&["FCALL", "greet", "0"]).text(), "ERR Function not found");
    }
}

#[test]
fn replicas_have_the_libraries_of_their_primary() {
    let at_once = ["--repl-diskless-sync-delay", "0"];
    let mut pairs = vec![(Server::start(&at_once), Server::start(&[]))];
    match reference() {
        Some(redis) => {
            pairs.push((Server::start_binary(&redis, &at_once), Server::start(&[])));
            pairs.push((Server::start(&at_once), Server::start_binary(&redis, &[])));
        }
        None => println!("skipped: there is no redis-server to be the other side"),
    }
    for (primary, replica) in pairs {
        load(&mut primary.client());
        replica.client().call(&[
            "FUNCTION",
            "LOAD",
            "#!lua name=own\nredis.register_function('own', function() end)",
        ]);
        let port = primary.port.to_string();
        replica.client().call(&["REPLICAOF", "127.0.0.1", &port]);
        wait_until("the link is up", || {
            replica.info("master_link_status").as_deref() == Some("up")
        });
        primary.client().call(&["FCALL", "count", "1", "n", "7"]);
        let counted = || replica.client().call(&["FCALL_RO", "get", "1", "n"]);
        wait_until("the replica has caught up", || counted() != Value::Nil);
        check(&mut replica.client(), "7");
        let mut client = replica.client();
        assert_eq!(client.call(&["FCALL", "own", "0"]).text(), "ERR Function not found");
        let refusal = client.call(&["FCALL", "count", "1", "n", "1"]).text();
        assert!(refusal.starts_with("READONLY "), "{refusal}");
        primary.client().call(&["FUNCTION", "FLUSH"]);
        let libraries = || replica.client().call(&["FUNCTION", "LIST"]).items().len();
        wait_until("the libraries are gone", || libraries() == 0);
        assert_eq!(client.call(&["FCALL", "greet", "0"]).text(), "ERR Function not found");
    }
}

#[test]
fn payloads_are_exchanged_with_redis() {
    let Some(redis) = reference() else {
        println!("skipped: there is no redis-server to exchange with");
        return;
    };
    let (ours, theirs) =
        (Server::start(&["--rdb-target-version", "10"]), Server::start_binary(&redis, &[]));
    for (from, to) in [(&ours, &theirs), (&theirs, &ours)] {
        let (mut from, mut to) = (from.client(), to.client());
        from.call(&["FUNCTION", "FLUSH"]);
        load(&mut from);
        let Value::Bulk(payload) = from.call(&["FUNCTION", "DUMP"]) else { panic!("no payload") };
        to.call(&["FUNCTION", "FLUSH"]);
        to.call(&["DEL", "n"]);
        let reply = to.call(&[b"FUNCTION", &b"RESTORE"[..], &payload]);
        assert_eq!(reply.text(), "OK");
        to.call(&["FCALL", "count", "1", "n", "3"]);
        check(&mut to, "3");
    }
}
