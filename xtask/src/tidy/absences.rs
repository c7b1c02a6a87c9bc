//! What must not occur in our code, and the few named places where it may.
//!
//! Files, clocks, random bits and waiting come from `storage::env`, so that the simulator stands in for the machine;
//! sockets live in the server; `unsafe` only where a note says why it is sound. Tests may use what they need.

use super::Tree;
use super::source::{code, lines_with, without_tests};

struct Absence {
    words: &'static [&'static str],
    /// Paths (or beginnings of them) that the rule looks at.
    within: &'static [&'static str],
    /// Paths (or beginnings of them) that may do it.
    except: &'static [&'static str],
    remedy: &'static str,
}

const ABSENCES: [Absence; 5] = [
    Absence {
        words: &["std::fs", "tokio::fs", "File::open", "File::create", "OpenOptions"],
        within: &["crates/"],
        // The start of the binary makes the root's folders and its configuration before an Env exists.
        except: &[
            "crates/storage/src/env.rs",
            "crates/storage/src/env/",
            "crates/storage/examples/",
            "crates/server/src/start.rs",
            "crates/server/src/start/",
        ],
        remedy: "use Env::fs",
    },
    Absence {
        words: &[
            "SystemTime",
            "Instant::now",
            "thread::sleep",
            "Utc::now",
            "Local::now",
            "getrandom",
            "rand::",
            "Ulid::new",
        ],
        within: &["crates/"],
        // How long a connection waited is measured by the clock of its timers, which never steps.
        except: &[
            "crates/storage/src/env.rs",
            "crates/storage/src/env/",
            "crates/server/src/pg/",
            "crates/wire/examples/",
        ],
        remedy: "use Env::clock or Env::rng",
    },
    Absence {
        words: &["std::net", "tokio::net", "TcpListener", "TcpStream", "UdpSocket"],
        within: &["crates/"],
        except: &["crates/server/"],
        remedy: "sockets live in the server",
    },
    Absence {
        words: &["thread::spawn", "thread::Builder"],
        within: &["crates/storage/"],
        // the simulator runs what join.rs joins in turn
        except: &["crates/storage/src/engine.rs", "crates/storage/src/env/join.rs"],
        remedy: "threads start in engine.rs; give the work a step() that the simulator can call",
    },
    Absence {
        words: &[".unwrap()", "todo!", "unimplemented!", "dbg!"],
        within: &["crates/", "xtask/"],
        except: &[],
        remedy: "return the error, or expect(\"why it cannot fail\")",
    },
];

/// Modules that may hold `unsafe`, each block with a `SAFETY:` note.
const UNSAFE: [&str; 6] = [
    "crates/storage/src/env/allocator.rs",
    "crates/storage/src/env/os_fs.rs",
    "crates/storage/src/env/processor.rs",
    "crates/storage/src/symbols/growing_buffer.rs",
    "crates/storage/src/symbols/texts.rs",
    "crates/storage/src/window.rs",
];

/// Returns every occurrence where it must not be.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| !path.contains("/tests/") && !path.ends_with("tests.rs")) {
        let code = without_tests(&code(text));
        for rule in &ABSENCES {
            let covers = |list: &[&str]| list.iter().any(|start| path.starts_with(start));
            if !covers(rule.within) || covers(rule.except) {
                continue;
            }
            for word in rule.words {
                let found = lines_with(&code, word);
                problems.extend(found.iter().map(|line| format!("{path}:{line}: {word}; {}", rule.remedy)));
            }
        }
        problems.extend(unsound(path, text, &code));
    }
    problems
}

fn unsound(path: &str, text: &str, code: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut problems = Vec::new();
    for line in lines_with(code, "unsafe") {
        if !UNSAFE.contains(&path) {
            problems.push(format!("{path}:{line}: unsafe outside the named modules (xtask/src/tidy/absences.rs)"));
        } else if !lines[line.saturating_sub(6)..line].iter().any(|near| near.contains("SAFETY:")) {
            problems.push(format!("{path}:{line}: unsafe without a SAFETY: note just above it"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, text: &str, want: &[&str]) {
        let problems = check(&Tree::of(&[(path, text)]));
        assert_eq!(problems.len(), want.len(), "{problems:?}");
        for (problem, want) in problems.iter().zip(want) {
            assert!(problem.starts_with(want), "{problem} does not start with {want}");
        }
    }

    #[test]
    fn a_file_is_opened_in_env_only() {
        check_one(
            "crates/query/src/spill.rs",
            "\nuse std::fs;",
            &["crates/query/src/spill.rs:2: std::fs; use Env::fs"],
        );
        check_one("crates/storage/src/env/os_fs.rs", "use std::fs;", &[]);
        check_one("crates/storage/src/log.rs", "// std::fs\n#[cfg(test)]\nmod tests { use std::fs; }", &[]);
    }

    #[test]
    fn a_clock_is_read_in_env_only() {
        check_one(
            "crates/server/src/http.rs",
            "let t = Instant::now();",
            &["crates/server/src/http.rs:1: Instant::now"],
        );
    }

    #[test]
    fn a_socket_is_opened_in_the_server_only() {
        check_one(
            "crates/wire/src/ilp.rs",
            "use std::net::TcpStream;",
            &["crates/wire/src/ilp.rs:1: std::net", "crates/wire/src/ilp.rs:1: TcpStream"],
        );
        check_one("crates/server/src/pg.rs", "use tokio::net::TcpListener;", &[]);
    }

    #[test]
    fn a_thread_of_storage_starts_in_engine_only() {
        check_one("crates/storage/src/gc.rs", "std::thread::spawn(f)", &["crates/storage/src/gc.rs:1: thread::spawn"]);
        check_one("crates/storage/src/engine.rs", "std::thread::spawn(f)", &[]);
    }

    #[test]
    fn an_unwrap_in_product_code_is_found() {
        check_one("crates/types/src/ids.rs", "x.unwrap();", &["crates/types/src/ids.rs:1: .unwrap()"]);
        check_one("crates/types/src/ids.rs", "x.unwrap_or(1);", &[]);
    }

    #[test]
    fn unsafe_needs_a_named_module_and_a_note() {
        check_one("crates/query/src/exec.rs", "unsafe { x }", &["crates/query/src/exec.rs:1: unsafe outside"]);
        check_one(
            "crates/storage/src/env/os_fs.rs",
            "unsafe { x }",
            &["crates/storage/src/env/os_fs.rs:1: unsafe without"],
        );
        check_one("crates/storage/src/env/os_fs.rs", "// SAFETY: the file never changes\nunsafe { x }", &[]);
    }
}
