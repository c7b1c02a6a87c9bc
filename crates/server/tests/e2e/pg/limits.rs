//! What ends a connection or its statement: time, size, number, cancel, the server's stop.

use std::time::Duration;

use server::pg::Limits;

use super::raw::{Client, bind, execute, message, parse, sync, untyped};
use super::server::Server;

/// Runs until it is stopped.
const ENDLESS: &str = "select count() from long_sequence(1000000000000000) where x < 0";

#[test]
fn a_client_that_does_not_say_who_it_is_is_hung_up_on() {
    let server = Server::with_limits(Limits { startup: Duration::from_millis(50), ..Limits::default() });
    assert_eq!(Client::open(server.address).byte(), None);
    let mut half = Client::open(server.address);
    half.send_bytes(&[0, 0, 1, 0, 0, 3]);
    assert_eq!(half.byte(), None);
}

#[test]
fn an_idle_client_is_told_and_closed() {
    let server = Server::with_limits(Limits { idle: Duration::from_millis(50), ..Limits::default() });
    let mut client = Client::connect(server.address);
    assert_eq!(client.until_ready(), ["E FATAL 57P05 terminating connection due to idle-session timeout", "closed"]);
}

#[test]
fn the_servers_stop_is_told_to_idle_and_to_busy_clients() {
    let mut server = Server::with_limits(Limits { shutdown_grace: Duration::from_millis(50), ..Limits::default() });
    let (mut idle, mut busy) = (Client::connect(server.address), Client::connect(server.address));
    busy.send('Q', format!("{ENDLESS}\0").as_bytes());
    server.stop();
    let told = ["E FATAL 57P01 terminating connection due to administrator command", "closed"];
    assert_eq!(idle.until_ready(), told);
    let answer = busy.until_ready();
    assert!(answer.ends_with(&told.map(String::from)), "{answer:?}"); // behind the columns, if it ran already
}

#[test]
fn one_client_too_many_is_told_so() {
    let server = Server::with_connections(1);
    let mut first = Client::connect(server.address);
    let second = Client::connect(server.address);
    assert_eq!(second.greeting, ["E FATAL 53300 sorry, too many clients already", "closed"]);
    assert_eq!(first.query("select 1")[1], "D 1");
}

#[test]
fn frames_that_cannot_be_read_end_the_connection() {
    let server = Server::with_limits(Limits { message_bytes: 1 << 16, ..Limits::default() });
    let check = |bytes: &[u8], expected: &str| {
        let mut client = Client::connect(server.address);
        client.send_bytes(bytes);
        assert_eq!(client.until_ready(), [expected, "closed"]);
    };
    check(b"Q\0\x01\0\x01", "E FATAL 54000 message of 65537 bytes is over the limit of 65536 bytes");
    check(b"Q\xff\xff\xff\xff", "E FATAL 08P01 invalid message length -1");
    check(&message('?', b""), "E FATAL 08P01 invalid frontend message type 63");
    check(&message('B', b"\0\0\0\0\xff\xff"), "E FATAL 08P01 invalid message format: bind");
}

#[test]
fn a_cancel_request_stops_the_statement_and_leaves_the_connection() {
    let server = Server::start();
    let mut client = Client::connect(server.address);
    client.send('Q', format!("{ENDLESS}\0").as_bytes());
    let cancel = [&((1234u32 << 16) | 5678).to_be_bytes()[..], &client.key].concat();
    // The request counts only once the statement runs, so it is sent until it is served.
    let stopped = std::thread::spawn(move || (client.until_ready(), client));
    while !stopped.is_finished() {
        Client::open(server.address).send_bytes(&untyped(&cancel));
        std::thread::yield_now();
    }
    let (answer, mut client) = stopped.join().unwrap();
    assert_eq!(answer[1..], ["E ERROR 57014 cancelled by user", "Z I"]); // behind the columns
    assert_eq!(client.query("select 1")[1], "D 1");
}

#[test]
fn a_statement_has_the_time_that_its_client_asks_for() {
    let server = Server::start();
    let mut client = Client::connect_as(server.address, "quest", 0, &[("options", "-c statement_timeout=50")]);
    let answer = client.query(ENDLESS);
    // behind the columns
    assert!(answer[1].starts_with("E ERROR 57014 timeout, query aborted [fd="), "{answer:?}");
    assert!(answer[1].ends_with("ms, timeout=50ms]") && answer[2..] == ["Z I"], "{answer:?}");
    assert_eq!(client.query("select 1")[1], "D 1");
}

#[test]
fn a_client_that_leaves_gives_its_place_back_while_its_statement_runs() {
    let server = Server::with_connections(1);
    let mut client = Client::connect(server.address);
    client.send('Q', format!("{ENDLESS}\0").as_bytes());
    drop(client);
    // Without notice of the close the place would stay taken for the statement's 60 seconds.
    let mut tries = 0;
    while Client::connect(server.address).greeting.last().is_some_and(|last| last == "closed") {
        tries += 1;
        assert!(tries < 10_000, "the place is still taken");
        std::thread::yield_now();
    }
}

#[test]
fn a_portal_that_nobody_fetches_gives_up_its_rows() {
    let server = Server::with_limits(Limits { view_age: Duration::from_millis(50), ..Limits::default() });
    let mut client = Client::connect(server.address);
    client.query("begin");
    let sql = "select x from long_sequence(100000000000)";
    client.extended(&[parse("", sql, &[]), bind("p", "", &[]), execute("p", 1), sync()]);
    let mut other = Client::connect(server.address);
    let listed = "select count() from query_activity() where query like '%100000000000)'";
    let mut tries = 0;
    while other.query(listed)[1] != "D 0" {
        tries += 1;
        assert!(tries < 10_000, "the portal still holds its statement");
    }
    let answer = client.extended(&[execute("p", 1), sync()]);
    assert!(answer[0].starts_with("E ERROR 55000 portal \"p\" was not fetched for view.age.max=0s"), "{answer:?}");
    assert_eq!(other.query("select 1")[1], "D 1");
}

#[test]
fn a_statement_can_be_cancelled_by_another_connection() {
    let server = Server::start();
    let (mut victim, mut other) = (Client::connect(server.address), Client::connect(server.address));
    victim.send('Q', format!("{ENDLESS}\0").as_bytes());
    let listed = "select query_id from query_activity() where query like '%1000000000000000) where x < 0'";
    let id = loop {
        if let Some(id) = other.query(listed).iter().find_map(|line| line.strip_prefix("D ").map(str::to_owned)) {
            break id;
        }
    };
    assert_eq!(other.query(&format!("cancel query {id}"))[0], "C OK");
    let answer = victim.until_ready();
    assert_eq!(answer[1..], ["E ERROR 57014 cancelled by user", "Z I"]);
    let unknown = "E ERROR 42601 query to cancel not found in registry [id=1000000]";
    assert!(other.query("cancel query 1000000")[0].starts_with(unknown));
}
