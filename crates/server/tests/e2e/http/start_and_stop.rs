//! What a start touches, what a stop leaves, and files under `public/`.
#![expect(clippy::disallowed_methods, reason = "the tests lay out and list roots as an operator does")]

use std::io::Write;
use std::time::Duration;

use server::Server;
use server::server::StartError;
use storage::Env;
use tokio::runtime::Runtime;

use super::client::{Running, config, connect, new_root};

#[test]
fn rows_outlive_a_stop() {
    let root = new_root();
    let mut first = Running::with(&root, &[]);
    assert_eq!(first.write("t a=1 0\n").status, 204);
    first.stop();
    let second = Running::with(&root, &[]);
    assert_eq!(second.rows("select a from t"), "[[1.0]]");
    drop(second);
}

#[test]
fn a_stop_does_not_wait_for_clients_that_are_silent() {
    let mut server = Running::start();
    let mut half_a_head = connect(server.http);
    half_a_head.write_all(b"GET /pi").unwrap();
    let idle = connect(server.http);
    let mut reads_nothing = connect(server.http);
    reads_nothing
        .write_all(b"GET /exec?query=select+x+from+long_sequence(100000000) HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let (done, waits) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            server.stop();
            done.send(()).unwrap();
        });
        waits.recv_timeout(Duration::from_secs(4)).expect("the server stops");
    });
    drop((half_a_head, idle, reads_nothing));
}

#[test]
fn a_refused_root_is_not_touched() {
    let check = |name: &str, expected: &str| {
        let root = new_root();
        let file = root.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "").unwrap();
        let before = listing(&root);
        let runtime = Runtime::new().unwrap();
        match runtime.block_on(Server::start(config(&root, &[]), Env::os(), Vec::new(), Box::new(|_| {}))) {
            Err(StartError::Storage(error)) => {
                let text = error.to_string();
                assert!(text.contains(expected) && text.lines().count() <= 6, "{text}");
            }
            other => panic!("{name}: {:?}", other.map(|_| "started")),
        }
        assert_eq!(listing(&root), before, "{name}");
        std::fs::remove_dir_all(root).unwrap();
    };
    check("db/tables.d.0", "written by QuestDB");
    check("db/something/else", "not of this database");
    check("_restore", "snapshot/default");
}

fn listing(folder: &std::path::Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        names.push(path.display().to_string());
        if path.is_dir() {
            names.extend(listing(&path));
        }
    }
    names.sort();
    names
}

#[test]
fn a_second_server_on_a_root_is_refused() {
    let server = Running::start();
    let runtime = Runtime::new().unwrap();
    let second = runtime.block_on(Server::start(config(&server.root, &[]), Env::os(), Vec::new(), Box::new(|_| {})));
    assert!(matches!(second, Err(StartError::Storage(error)) if error.to_string().contains("in use")));
}

#[test]
fn a_console_that_lies_in_public_is_served_and_nothing_else() {
    let root = new_root();
    let server = Running::with(&root, &[]);
    std::fs::create_dir_all(root.join("public/assets")).unwrap();
    std::fs::create_dir_all(root.join("conf")).unwrap();
    std::fs::write(root.join("public/index.html"), "<p>mine").unwrap();
    std::fs::write(root.join("public/assets/a.js"), "1").unwrap();
    std::fs::write(root.join("conf/server.conf"), "secret").unwrap();
    let page = server.get("/");
    assert_eq!((page.status, page.body.as_str()), (200, "<p>mine"));
    assert!(page.head.contains("content-type: text/html"), "{}", page.head);
    assert!(server.get("/assets/a.js").head.contains("content-type: text/javascript"));
    for path in
        ["/../conf/server.conf", "/assets/../../conf/server.conf", "/%2e%2e/conf/server.conf", "/..%2fconf/server.conf"]
    {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}
