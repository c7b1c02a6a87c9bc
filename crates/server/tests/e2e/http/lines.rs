//! `/write`: what is stored, what is refused, and what a refused or broken request leaves behind (nothing).

use std::io::{Read, Write};

use super::client::{Running, connect, read_answer};

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn rows_of_a_request_come_back_in_time_order() {
    let server = Running::start();
    let written = server
        .write("t,s=x\\ y a=1.5,b=2i,c=\"q\",d=t,e=5t 1704067200000000000\nt,s=z a=2 1704067100000000000\nu v=1i 0\n");
    assert_eq!((written.status, written.body.as_str()), (204, ""));
    assert_eq!(
        server.rows("select * from t"),
        "[[\"z\",2.0,null,null,false,null,\"2023-12-31T23:58:20.000000Z\"],\
         [\"x y\",1.5,2,\"q\",true,\"1970-01-01T00:00:00.000005Z\",\"2024-01-01T00:00:00.000000Z\"]]"
    );
    assert_eq!(server.rows("select v from u"), "[[1]]");
    assert_eq!(server.post("/api/v2/write?precision=s&org=o&bucket=b", "", b"t a=3 1704067300").status, 204);
    assert_eq!(server.rows("select timestamp from t where a = 3"), "[[\"2024-01-01T00:01:40.000000Z\"]]");
}

#[test]
fn a_bad_line_leaves_no_row_table_or_column_behind() {
    let server = Running::start();
    assert_eq!(server.write("t a=1 0\n").status, 204);
    let refused = server.write("t a=2,n=1 1\nnew x=1 1\nt a=\"text\" 2\n");
    assert_eq!(refused.status, 400);
    // clients compare the whole header
    assert!(refused.head.contains("content-type: application/json\r\n"), "{}", refused.head);
    let why = "{\"code\":\"invalid\",\"message\":\"failed to parse line protocol:errors encountered on line(s):\\n\
               error in line 3: table: t, column: a; cast error from protocol type: STRING to column type: DOUBLE\",\
               \"line\":3,\"errorId\":\"";
    assert!(refused.body.starts_with(why), "{}", refused.body);
    assert_eq!(server.rows("select * from t"), "[[1.0,\"1970-01-01T00:00:00.000000Z\"]]");
    assert_eq!(server.exec("select * from new").status, 400);
    assert_eq!(server.write("t a=1 -5\n").status, 400);
    assert_eq!(server.rows("select count() from t"), "[[1]]");
}

#[test]
fn every_gzip_member_counts_and_other_encodings_are_refused() {
    let server = Running::start();
    let two = [gzip("t a=1 0\n"), gzip("t a=2 1000\n")].concat();
    assert_eq!(server.post("/write", "Content-Encoding: GZIP\r\n", &two).status, 204);
    assert_eq!(server.rows("select a from t"), "[[1.0],[2.0]]");
    assert_eq!(server.post("/write", "Content-Encoding: gzip\r\n", &two[..two.len() - 4]).status, 415);
    assert_eq!(server.post("/write", "Content-Encoding: zstd\r\n", b"t a=3 0\n").status, 415);
    assert_eq!(server.post("/write?precision=x", "", b"t a=3 0\n").status, 400);
    assert_eq!(server.rows("select count() from t"), "[[2]]");
}

#[test]
fn a_request_may_come_one_byte_at_a_time() {
    let server = Running::start();
    let body = "t a=1,b=\"x y\" 0\n";
    let mut socket = connect(server.http);
    socket.set_nodelay(true).unwrap();
    socket
        .write_all(b"POST /write HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    for byte in body.bytes() {
        socket.write_all(&[b'1', b'\r', b'\n', byte, b'\r', b'\n']).unwrap();
    }
    socket.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut socket).status, 204);
    assert_eq!(server.rows("select a, b from t"), "[[1.0,\"x y\"]]");
}

#[test]
fn half_requests_store_nothing_and_disturb_nobody() {
    let server = Running::start();
    let halves: Vec<_> = (0..20)
        .map(|_| {
            let mut socket = connect(server.http);
            socket.write_all(b"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf a=1 0\n").unwrap();
            socket
        })
        .collect();
    assert_eq!(server.write("t a=1 0\n").status, 204);
    drop(halves);
    assert_eq!(server.rows("select count() from t"), "[[1]]");
    assert_eq!(server.exec("select * from half").status, 400);
}

#[test]
fn too_large_a_body_is_refused_and_the_connection_lives_on() {
    let root = super::client::new_root();
    let server = Running::with(&root, &[("line.http.max.recv.buffer.size", "64k")]);
    let body = "big a=1 0\n".repeat(20_000);
    let mut socket = connect(server.http);
    write!(socket, "POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    write!(socket, "GET /ping HTTP/1.0\r\n\r\n").unwrap();
    let both = read_answer(&mut socket);
    assert_eq!(both.status, 413);
    assert!(
        both.body.contains("line.http.max.recv.buffer.size") && both.body.contains("HTTP/1.0 204"),
        "{}",
        both.body
    );
    let inflates = gzip(&body);
    assert!(inflates.len() < 65_536);
    assert_eq!(server.post("/write", "Content-Encoding: gzip\r\n", &inflates).status, 413);
    assert_eq!(server.exec("select * from big").status, 400);
}

#[test]
fn a_client_that_waits_for_100_is_asked_for_its_body() {
    let server = Running::start();
    let mut socket = connect(server.http);
    socket
        .write_all(b"POST /write HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n")
        .unwrap();
    let mut asked = [0; 25];
    socket.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"t a=1 0\n").unwrap();
    assert_eq!(read_answer(&mut socket).status, 204);
}

#[test]
fn many_clients_may_bring_the_same_new_table_and_columns() {
    let server = Running::start();
    std::thread::scope(|scope| {
        for i in 0..32 {
            let server = &server;
            scope.spawn(move || {
                let lines = format!("race,w=w{i} v={i}i,c{}=1 {}\n", i % 5, i * 1_000);
                assert_eq!(server.write(&lines).status, 204);
            });
        }
    });
    assert_eq!(server.rows("select count(), sum(v) from race"), "[[32,496]]");
}
