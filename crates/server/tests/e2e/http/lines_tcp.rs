//! Line protocol over TCP: what is stored, when, and what bad, slow and hostile clients can do (little).
#![expect(clippy::disallowed_methods, reason = "a client's side of a socket, and a file that the operator writes")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::client::{Running, connect, new_root};

/// Rows are to be seen a moment after they were sent.
const SOON: &[(&str, &str)] = &[("line.tcp.commit.interval.default", "20")];

fn start(settings: &[(&str, &str)]) -> (Running, TcpStream) {
    let server = Running::with(&new_root(), &[SOON, settings].concat());
    let socket = connect(server.ilp_tcp());
    (server, socket)
}

/// Waits until a query answers the rows.
fn wait_for(server: &Running, sql: &str, expected: &str) {
    let started = Instant::now();
    loop {
        let answer = server.exec(sql);
        let rows = if answer.status == 200 { server.rows(sql) } else { answer.body };
        if rows == expected {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{sql}: {rows}, expected {expected}");
        std::thread::yield_now();
    }
}

/// Waits until the server has closed the connection.
fn wait_for_end(socket: &mut TcpStream) {
    let mut byte = [0];
    // a reset is an end too
    assert!(matches!(socket.read(&mut byte), Ok(0) | Err(_)));
}

#[test]
fn rows_are_stored_while_the_client_stays_and_when_it_leaves() {
    let (server, mut socket) = start(&[]);
    socket.write_all(b"\n\r\nt,s=x a=1i 1000\r\nt a=2i 2000t\nu b==\x10\0\0\0\0\0\0\xf8\x3f 7").unwrap();
    wait_for(
        &server,
        "select a, s, timestamp from t",
        "[[1,\"x\",\"1970-01-01T00:00:00.000001Z\"],[2,null,\"1970-01-01T00:00:00.002000Z\"]]",
    );
    // the second half of a line
    socket.write_all(b"000\nt a=3i 3000000\nt a=4i 90").unwrap();
    drop(socket);
    wait_for(&server, "select a from t", "[[1],[2],[3]]");
    assert_eq!(server.rows("select b, timestamp from u"), "[[1.5,\"1970-01-01T00:00:00.000007Z\"]]");
}

#[test]
fn a_table_that_is_dropped_or_renamed_beside_the_writer_comes_anew() {
    let (server, mut socket) = start(&[]);
    for (round, change) in ["drop table t", "rename table t to t_2023", "drop table t"].iter().enumerate() {
        writeln!(socket, "t v={round}i 0").unwrap();
        wait_for(&server, "select v from t", &format!("[[{round}]]"));
        assert_eq!(server.exec(change).status, 200);
    }
    assert_eq!(server.rows("select v from t_2023"), "[[1]]");
}

#[test]
fn a_bad_line_ends_the_connection_behind_the_rows_before_it() {
    let (server, mut socket) = start(&[]);
    socket.write_all(b"t a=1i 1000\nt a=bad,new=1 2000\nt a=3i 3000\n").unwrap();
    wait_for_end(&mut socket);
    assert_eq!(server.rows("select * from t"), "[[1,\"1970-01-01T00:00:00.000001Z\"]]");
    let (server, mut socket) = start(&[("line.tcp.disconnect.on.error", "false")]);
    socket.write_all(b"t a=1i 1000\nt a=bad,new=1 2000\nt a=\"x\" 1\nt a=3i 3000\nt a=half").unwrap();
    wait_for(&server, "select a from t", "[[1],[3]]");
    socket.write_all(b",way=through 1\nt a=5i 5000\n").unwrap();
    wait_for(&server, "select * from t limit -1", "[[5,\"1970-01-01T00:00:00.000005Z\"]]");
}

#[test]
fn tables_without_wal_and_without_time_are_written_too() {
    let (server, mut socket) = start(&[("line.tcp.timestamp", "s")]);
    server.exec("create table n (x long, ts timestamp) timestamp(ts) partition by day bypass wal");
    server.exec("create table p (x long)");
    socket.write_all(b"n x=1i 5\np x=2i\np x=3i 77\n").unwrap();
    wait_for(&server, "select x from p", "[[2],[3]]");
    assert_eq!(server.rows("select * from n"), "[[1,\"1970-01-01T00:00:05.000000Z\"]]");
}

#[test]
fn long_lines_silence_and_crowds_are_bounded() {
    let settings = [
        ("line.tcp.max.recv.buffer.size", "64k"),
        ("line.tcp.net.connection.timeout", "300"),
        ("line.tcp.net.connection.limit", "2"),
    ];
    let (server, mut endless) = start(&settings);
    let mut silent = connect(server.ilp_tcp());
    silent.write_all(b"t a=1i 1000\nt a=2").unwrap();
    let mut third = connect(server.ilp_tcp());
    wait_for_end(&mut third);
    // it is cut off after some more than 64 kB, not after gigabytes
    let sent = (0..100_000).take_while(|_| endless.write_all(&[b'x'; 4096]).is_ok()).count();
    assert!(sent < 50_000, "{sent}");
    wait_for_end(&mut silent);
    assert_eq!(server.rows("select a from t"), "[[1]]");
    connect(server.ilp_tcp()).write_all(b"t a=3i 3000\n").unwrap();
    wait_for(&server, "select a from t", "[[1],[3]]");
}

#[test]
fn a_stop_stores_what_has_come() {
    let root = new_root();
    let mut server = Running::with(&root, &[("line.tcp.commit.interval.default", "1h")]);
    let mut socket = connect(server.ilp_tcp());
    // more than the system's buffers hold: when all is sent, most of it was read
    let lines: String = (0..400_000).map(|i| format!("t a={i}i {}\n", i * 1000)).collect();
    socket.write_all(lines.as_bytes()).unwrap();
    // the last byte may be on its way still: what counts is that no row before a stored one is missing
    server.stop();
    let server = Running::with(&root, &[]);
    let rows = server.rows("select count(), max(a) from t");
    let (count, last) = rows.trim_matches(['[', ']']).split_once(',').unwrap();
    assert_eq!(count.parse::<u64>().unwrap(), last.parse::<u64>().unwrap() + 1);
}

#[test]
fn settings_say_what_is_listened_on() {
    let (server, _) = start(&[]);
    assert!(server.get("/settings").body.contains("\"accepting.writes\":[\"http\",\"tcp\",\"pgwire\"]"));
    let server = Running::with(&new_root(), &[("line.tcp.enabled", "false")]);
    assert!(server.get("/settings").body.contains("\"ilp.proto.transports\":[\"http\"]"));
}

#[test]
fn without_a_key_nobody_writes() {
    let root = new_root();
    std::fs::create_dir_all(root.join("conf")).unwrap();
    let keys =
        "me ec-p-256-sha256 fLKYEaoEb9lrn3nkwLDA-M_xnuFOdSt9y0Z7_vWSHLU Dt5tbS1dEDMSYfym3fgMv0B99szno-dFc1rYF9t0aac\n";
    std::fs::write(root.join("conf/auth.txt"), keys).unwrap();
    let server = Running::with(&root, &[("line.tcp.auth.db.path", "conf/auth.txt")]);
    for name in ["me", "nobody"] {
        let mut socket = connect(server.ilp_tcp());
        writeln!(socket, "{name}").unwrap();
        let mut challenge = [0; 513];
        socket.read_exact(&mut challenge).unwrap();
        assert_eq!(challenge[512], b'\n');
        socket.write_all(b"c2lnbmF0dXJl\nt a=1i 1000\n").unwrap();
        wait_for_end(&mut socket);
    }
    assert_eq!(server.exec("select * from t").status, 400);
}
