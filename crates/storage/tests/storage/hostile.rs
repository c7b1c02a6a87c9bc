//! Copies made to do harm: names that lead out, links, fifos, sparse files, lists that contradict themselves. Each is refused by
//! a start with `_restore`, by `verify` and by `snapshot copy`, and nothing is changed: not the copy, not what lies beside it.
//!
//! Checksums are right everywhere, and what a name leads to is what it should be: only the name, or what it stands for, is
//! hostile. On the machine's own file system, because the simulated one has no fifos.
#![expect(clippy::disallowed_methods, reason = "the tests lay out copies as an attacker does")]

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::{Value, json};
use storage::copy::{self, How, IntoRoot, Plan, Watch, Wish};
use storage::log::{Frame, frame, header};
use storage::restore::Depth;
use storage::{Database, Env, Error, Options, document};

use crate::support::*;

/// Longer than a refusal may take on a loaded machine: what waits for a fifo, or reads 2^40 zeros, takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
const BOMB_BYTES: u64 = 1 << 40;

/// Where what lists say of a segment stands in its array.
mod of_segment {
    pub const FILE: usize = 0;
    pub const ROWS: usize = 2;
    pub const LEN_BYTES: usize = 8;
    pub const COLUMNS: usize = 11;
    pub const COLUMN_END: usize = 3;
    pub const DEAD: usize = 12;
}

/// A copy in a directory of its own; beside it `outside`, another whole one.
struct Copy {
    dir: PathBuf,
}

impl Copy {
    fn root(&self) -> PathBuf {
        self.dir.join("copy")
    }

    fn db(&self, path: &str) -> PathBuf {
        self.root().join("db").join(path)
    }

    fn outside(&self) -> PathBuf {
        self.dir.join("outside")
    }

    fn pin_path(&self) -> PathBuf {
        std::fs::read_dir(self.root().join("snapshot")).unwrap().next().unwrap().unwrap().path()
    }

    /// Changes the pin.
    fn pin(&self, change: impl FnOnce(&mut Value)) {
        edit(&self.pin_path(), change);
    }

    /// Changes the base, and the pin so that it names the changed one.
    fn base(&self, change: impl FnOnce(&mut Value)) {
        self.pin(|pin| {
            let bytes = edit(&self.db(text(&pin["base"]["file"])), change);
            rename_in(&mut pin["base"], bytes);
        });
    }

    /// Changes the list of the table's segments, and what names it.
    fn segments(&self, change: impl FnOnce(&mut Value)) {
        self.base(|base| {
            let list = &mut base["tables"][0]["segments"];
            let bytes = edit(&self.db(text(&list["file"])), change);
            rename_in(list, bytes);
        });
    }

    /// Changes the timeline, and the pin.
    fn timeline(&self, change: impl FnOnce(&mut Value)) {
        self.pin(|pin| {
            let bytes = edit(&self.db(text(&pin["timelines"][0]["file"])), change);
            rename_in(&mut pin["timelines"][0], bytes);
        });
    }

    /// Puts a record in front of the cut's, in its frame.
    fn record(&self, kind: u8, body: &Value) {
        let pin: Value = document::decode(&std::fs::read(self.pin_path()).unwrap()).unwrap();
        let path = self.db(&format!("_log/{}", text(&pin["last_log"])));
        let mut bytes = std::fs::read(&path).unwrap();
        let header::HeaderRead::Good(head) = header::decode(&bytes) else { panic!("the log has a header") };
        let mut at = header::FIRST_FRAME_OFFSET as usize;
        let mut last = None;
        while let Some((found, taken)) = frame::decode(&bytes, at, head.salt) {
            last = Some((at, found.to_owned()));
            at += taken;
        }
        let (at, cut) = last.expect("the log ends with the cut");
        let body = serde_json::to_vec(body).unwrap();
        let mut payload = vec![kind, 0, 0, 0];
        payload.extend_from_slice(&(body.len() as u32).to_le_bytes());
        payload.extend_from_slice(&body);
        payload.extend_from_slice(&cut.payload);
        bytes.truncate(at);
        frame::encode(&Frame { payload, ..cut }, head.salt, &mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        self.pin(|pin| pin["last_log_bytes"] = json!(bytes.len()));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Changes a document and gives it a right checksum; returns its bytes.
fn edit(path: &Path, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut body: Value = document::decode(&std::fs::read(path).unwrap()).unwrap();
    body.as_object_mut().unwrap().remove("crc32c");
    change(&mut body);
    let bytes = document::encode(&body);
    std::fs::write(path, &bytes).unwrap();
    bytes
}

/// Names other bytes.
fn rename_in(named: &mut Value, bytes: Vec<u8>) {
    let now = document::reference(text(&named["file"]).to_owned(), &bytes);
    (named["len_bytes"], named["crc32c"]) = (json!(now.len_bytes), json!(now.crc32c));
}

fn copy_to(from: &Path, to: &Path) -> storage::Result<()> {
    let plan = Plan::new(&Env::os(), from, "night")?;
    let stop = AtomicBool::new(false);
    let how = How { link: false, verify: false, prune: false };
    copy::to_directory(&plan, to, &how, &Watch { progress: &|_| {}, stop: &stop }).map(drop)
}

/// Puts the copy back into a root, as `stillpoint restore`.
fn restore_to(from: &Path, to: &Path) -> storage::Result<()> {
    let stop = AtomicBool::new(false);
    let wish = Wish { from, to, snapshot: Some("night"), depth: Depth::Full, dry_run: true, grace_us: 0 };
    let planned = IntoRoot::plan(&Env::os(), wish, &|_| {})?;
    planned.run(&Watch { progress: &|_| {}, stop: &stop }, &|_| {}).map(drop)
}

fn scratch() -> PathBuf {
    let dir =
        std::env::temp_dir().join(format!("stillpoint-hostile-{}-{:x}", std::process::id(), Env::os().rng.next_u64()));
    std::fs::create_dir(&dir).unwrap();
    dir
}

/// A copy with a base, segments, symbols, a sealed log that goes beyond the base, and a pin.
fn template(dir: &Path) -> PathBuf {
    let env = Env::os();
    let db = Database::open(env.clone(), Options::new(dir.join("root"))).unwrap();
    let id = create(&db, "t");
    for day in 1..3 {
        insert(&db, "t", &[(day * DAY_US, Some("a"), day, Some("x")), (day * DAY_US, Some("b"), -day, None)]);
        db.flush_table(id).unwrap();
    }
    create(&db, "u");
    db.write_base().unwrap();
    insert(&db, "t", &[(9 * DAY_US, Some("c"), 9, None)]);
    db.prepare_snapshot("night").unwrap();
    let to = dir.join("template");
    copy_to(&dir.join("root"), &to).unwrap();
    to
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy_tree(&path, &target) } else { assert!(std::fs::copy(&path, &target).is_ok()) }
    }
}

/// What lies below a directory: kinds, lengths, what links point to, bytes of small files.
fn digest(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let bytes = match meta.is_file() && meta.len() < 1 << 20 {
            true => storage::document::reference(String::new(), &std::fs::read(&path).unwrap()).crc32c,
            false => 0,
        };
        let len = if meta.is_dir() { 0 } else { meta.len() };
        let to = std::fs::read_link(&path).ok();
        if meta.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(path, format!("{:?} {len} {bytes:08x} {to:?}", meta.file_type()));
    }
    found
}

/// What one door says; a door that hangs fails the test.
fn ask(what: &str, door: impl FnOnce() -> storage::Result<()> + Send + 'static) -> storage::Result<()> {
    let (tell, told) = channel();
    std::thread::spawn(move || tell.send(door()));
    told.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{what}: no answer: {e}"))
}

type Make = Box<dyn Fn(&Copy)>;
/// Gives a hostile name for a name and the directory that it stands below.
type Renamed = fn(&str, &Path) -> String;

/// Every name that a document holds, with how it is changed: from the name as it is and the way out of its directory.
fn hostile_names() -> Vec<(String, Make)> {
    type Set = fn(&Copy, &dyn Fn(&str, &Path) -> String);
    fn put(value: &mut Value, dir: &Path, to: &dyn Fn(&str, &Path) -> String) {
        *value = json!(to(text(value), dir));
    }
    let members: [(&str, Set); 7] = [
        ("pin's base", |c, to| c.pin(|pin| put(&mut pin["base"]["file"], &c.db(""), to))),
        ("pin's timeline", |c, to| c.pin(|pin| put(&mut pin["timelines"][0]["file"], &c.db(""), to))),
        ("pin's last log", |c, to| c.pin(|pin| put(&mut pin["last_log"], &c.db("_log"), to))),
        ("table's directory", |c, to| c.base(|base| put(&mut base["tables"][0]["dir"], &c.db(""), to))),
        ("table's list", |c, to| c.base(|base| put(&mut base["tables"][0]["segments"]["file"], &c.db(""), to))),
        ("symbol file", |c, to| {
            c.base(|base| put(&mut base["tables"][0]["symbol_files"][0]["file"], &c.db("t~1"), to));
        }),
        ("segment", |c, to| {
            c.segments(|list| put(&mut list["segments"][0]["segment"][of_segment::FILE], &c.db("t~1"), to))
        }),
    ];
    let names: [(&str, Renamed); 18] = [
        ("leads out by ..", |name, dir| {
            let up =
                dir.components().count() - dir.ancestors().find(|a| a.ends_with("copy")).unwrap().components().count();
            let within = dir.strip_prefix(dir.ancestors().find(|a| a.ends_with("copy")).unwrap()).unwrap();
            format!("{}outside/{}/{name}", "../".repeat(up + 1), within.display())
        }),
        ("is absolute", |name, dir| dir.join(name).display().to_string()),
        ("turns round", |name, _| format!("_log/../{name}")),
        ("has a dot", |name, _| format!("./{name}")),
        ("is empty", |_, _| String::new()),
        ("is a dot", |_, _| ".".to_owned()),
        ("is two dots", |_, _| "..".to_owned()),
        ("has a NUL", |name, _| format!("{name}\0")),
        ("has a new line", |name, _| format!("{name}\n")),
        ("ends with a slash", |name, _| format!("{name}/")),
        ("has two slashes", |name, _| name.replacen('/', "//", 1) + "//"),
        ("has backslashes", |name, _| format!("..\\..\\{name}")),
        ("is deep", |name, _| format!("{}{name}", "t~1/".repeat(2_000))),
        ("is long", |name, _| format!("{name}{}", "x".repeat(5_000))),
        ("is 255 bytes long", |name, _| format!("{name}{}", "x".repeat(255_usize.saturating_sub(name.len())))),
        ("looks as if it led out", |name, _| format!("\u{2025}/\u{ff0e}\u{ff0e}/{name}")),
        ("has dots of another script", |name, _| format!("\u{2024}\u{2024}/{name}")),
        ("is of another case", |name, _| name.to_uppercase() + "X"),
    ];
    let mut cases: Vec<(String, Make)> = Vec::new();
    for (member, set) in members {
        for (what, name) in names {
            cases.push((format!("{member} {what}"), Box::new(move |copy| set(copy, &name))));
        }
    }
    cases
}

/// One file of each kind, and each directory.
fn places(copy: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let all: Vec<PathBuf> = digest(copy).into_keys().map(|path| path.strip_prefix(copy).unwrap().to_owned()).collect();
    let (mut files, mut dirs) = (BTreeMap::new(), Vec::new());
    for path in all.into_iter().filter(|path| path != Path::new("") && !path.starts_with("conf")) {
        if copy.join(&path).is_dir() {
            dirs.push(path);
        } else {
            files.insert(path.parent().unwrap().to_owned(), path);
        }
    }
    // Table u is empty.
    dirs.retain(|dir| !dir.ends_with("u~2"));
    (files.into_values().collect(), dirs)
}

/// Something else in the place of a file or directory.
fn hostile_kinds(template: &Path) -> Vec<(String, Make)> {
    let (files, dirs) = places(template);
    assert!(files.len() >= 7 && dirs.len() >= 9, "{files:?} {dirs:?}");
    let mut cases: Vec<(String, Make)> = Vec::new();
    for path in files.iter().chain(&dirs) {
        let out = path.clone();
        cases.push((
            format!("{} is a link out", path.display()),
            Box::new(move |copy| {
                remove(&copy.root().join(&out));
                symlink(copy.outside().join(&out), copy.root().join(&out)).unwrap();
            }),
        ));
    }
    for path in files {
        let case = |what: &str, make: fn(&Path)| -> (String, Make) {
            let path = path.clone();
            let place = move |copy: &Copy| copy.root().join(&path);
            (what.to_owned(), Box::new(move |copy| make(&place(copy))))
        };
        let shown = path.display();
        cases.push(case(&format!("{shown} is a fifo"), |path| {
            remove(path);
            rustix::fs::mknodat(
                rustix::fs::CWD,
                path,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::from_raw_mode(0o600),
                0,
            )
            .unwrap();
        }));
        cases.push(case(&format!("{shown} is a directory"), |path| {
            remove(path);
            std::fs::create_dir(path).unwrap();
        }));
        cases.push(case(&format!("{shown} is a device"), |path| {
            remove(path);
            symlink("/dev/zero", path).unwrap();
        }));
        cases.push(case(&format!("{shown} is a sparse bomb"), |path| {
            std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(BOMB_BYTES).unwrap();
        }));
    }
    cases
}

fn remove(path: &Path) {
    if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
}

/// Documents that contradict themselves or claim what cannot be.
fn hostile_claims() -> Vec<(String, Make)> {
    fn case(what: &str, make: fn(&Copy)) -> (String, Make) {
        (what.to_owned(), Box::new(make))
    }
    fn first(list: &mut Value) -> &mut Value {
        &mut list["segments"][0]["segment"]
    }
    fn twice(list: &mut Value, change: impl FnOnce(&mut Value)) {
        let mut again = list[0].clone();
        change(&mut again);
        list.as_array_mut().unwrap().push(again);
    }
    fn bomb(path: &Path) {
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(BOMB_BYTES).unwrap();
    }
    vec![
        case("a table stands there twice", |c| c.base(|b| twice(&mut b["tables"], |_| {}))),
        case("two tables have one directory", |c| {
            c.base(|b| twice(&mut b["tables"], |t| (t["id"], t["name"]) = (json!(77), json!("other"))));
        }),
        case("two tables have names that are alike but for case", |c| {
            c.base(|b| {
                twice(&mut b["tables"], |t| (t["id"], t["name"], t["dir"]) = (json!(77), json!("T"), json!("T~77")))
            });
        }),
        case("two tables have one id", |c| {
            c.base(|b| twice(&mut b["tables"], |t| (t["name"], t["dir"]) = (json!("other"), json!("other~77"))));
        }),
        case("a segment stands there twice", |c| c.segments(|s| twice(&mut s["segments"], |_| {}))),
        case("a segment stands there twice, in two partitions", |c| {
            c.segments(|s| {
                let partition = s["segments"][1]["partition"].clone();
                twice(&mut s["segments"], |again| again["partition"] = partition);
            });
        }),
        case("a symbol file stands there twice", |c| c.base(|b| twice(&mut b["tables"][0]["symbol_files"], |_| {}))),
        case("a segment has more dead rows than rows", |c| {
            c.segments(|s| {
                let file = text(&first(s)[of_segment::FILE]).replace(".arrow", ".dead");
                first(s)[of_segment::DEAD] = json!({"file": file, "rows": u64::MAX, "len_bytes": 8, "crc32c": 0});
            });
        }),
        case("a delete vector leads out", |c| {
            c.segments(|s| {
                first(s)[of_segment::DEAD] =
                    json!({"file": "../../../outside/x.dead", "rows": 1, "len_bytes": 8, "crc32c": 0})
            });
        }),
        case("a segment has 2^64 rows", |c| c.segments(|s| first(s)[of_segment::ROWS] = json!(u64::MAX))),
        case("a segment's columns lie outside of it", |c| {
            c.segments(|s| first(s)[of_segment::COLUMNS][0][of_segment::COLUMN_END] = json!(u64::MAX))
        }),
        case("a segment's columns stand backwards", |c| {
            c.segments(|s| first(s)[of_segment::COLUMNS].as_array_mut().unwrap().reverse());
        }),
        case("a segment is a sparse bomb that its list names", |c| {
            c.segments(|s| {
                bomb(&c.db("t~1").join(text(&first(s)[of_segment::FILE])));
                first(s)[of_segment::LEN_BYTES] = json!(BOMB_BYTES);
            });
        }),
        case("a symbol file is a sparse bomb that the base names", |c| {
            c.base(|b| {
                let file = &mut b["tables"][0]["symbol_files"][0];
                bomb(&c.db("t~1").join(text(&file["file"])));
                file["len_bytes"] = json!(BOMB_BYTES);
            });
        }),
        case("the base is a sparse bomb that the pin names", |c| {
            c.pin(|p| {
                bomb(&c.db(text(&p["base"]["file"])));
                p["base"]["len_bytes"] = json!(BOMB_BYTES);
            });
        }),
        case("the log is a sparse bomb that the pin names", |c| {
            c.pin(|p| {
                bomb(&c.db("_log").join(text(&p["last_log"])));
                p["last_log_bytes"] = json!(BOMB_BYTES);
            });
        }),
        case("a symbol file has 2^64 texts", |c| {
            c.base(|b| b["tables"][0]["symbol_files"][0]["count"] = json!(u64::MAX));
        }),
        case("a symbol file begins at code 2^64", |c| {
            c.base(|b| b["tables"][0]["symbol_files"][0]["first_code"] = json!(u64::MAX));
        }),
        case("the base names another log", |c| c.base(|b| b["first_log"] = json!("../../outside/db/_log/x.wal"))),
        case("the pin names no first log", |c| c.pin(|p| p["first_log"] = json!("9-00000001-000001.wal"))),
        case("the pin's cut is Seq 2^64", |c| c.pin(|p| p["seq"] = json!(u64::MAX))),
        case("the pin is of another timeline", |c| c.pin(|p| p["timelines"] = json!([]))),
        case("the pin names a timeline twice", |c| c.pin(|p| twice(&mut p["timelines"], |t| t["crc32c"] = json!(1)))),
        case("the pin is of another database", |c| c.pin(|p| p["database_id"] = json!("0".repeat(32)))),
        case("the pin's database has no number", |c| c.pin(|p| p["database_id"] = json!("../../etc"))),
        case("the pin has a newer format", |c| c.pin(|p| p["format"] = json!(u32::MAX))),
        case("the base has a newer format", |c| c.base(|b| b["format"] = json!(u32::MAX))),
        case("the pin's members are of other kinds", |c| c.pin(|p| p["timelines"] = json!({"file": 1}))),
        case("a timeline is its own parent", |c| {
            c.timeline(|t| {
                t["parent"] = json!({"timeline": t["timeline"], "seq": 1, "base": null, "last_log": null, "next_table": 1,
                    "served_snapshot": null});
            });
        }),
        case("a timeline's base leads out", |c| {
            c.timeline(|t| {
                t["parent"] = json!({"timeline": t["timeline"], "seq": 1, "last_log": null, "next_table": 1, "served_snapshot": null,
                    "base": {"file": "../../outside/db/_base/x.json", "len_bytes": 1, "crc32c": 1}});
            });
        }),
        case("a document is nested ten thousand deep", |c| {
            let body = format!("{{\"format\":2,\"x\":{}{}", "[".repeat(10_000), "]".repeat(10_000)).into_bytes();
            let mut bytes = body.clone();
            let crc = document::reference(String::new(), &body).crc32c;
            bytes.extend_from_slice(format!(",\"crc32c\":\"{crc:08x}\"}}\n").as_bytes());
            std::fs::write(c.pin_path(), bytes).unwrap();
        }),
        case("a frame makes a table outside", |c| {
            let schema = json!({"columns": [], "version": 0});
            c.record(
                2,
                &json!({"change": "create", "table": 9, "name": "x", "dir": "../../outside/x~9", "schema": schema}),
            );
        }),
        case("a frame adds a segment outside", |c| {
            c.record(3, &json!({"table": 1, "cause": "flush", "truncate_seq": 0, "symbol_files": [{
                "file": "../../../outside/x.arrow", "column": 2, "first_code": 3, "count": 1, "len_bytes": 1, "crc32c": 1}]}));
        }),
        case("a frame drops a table that is not there", |c| c.record(2, &json!({"change": "drop", "table": 99}))),
        case("a frame has a record of no known kind", |c| c.record(99, &json!({}))),
        case("a frame has a record that is longer than the frame", |c| c.record(1, &json!("x".repeat(100)))),
    ]
}

#[test]
fn the_copy_that_the_hostile_ones_are_made_of_passes_every_door() {
    let dir = scratch();
    let template = template(&dir);
    storage::restore::verify(&Env::os(), &template, None, &|_| {}).unwrap();
    copy_to(&template, &dir.join("target")).unwrap();
    restore_to(&template, &dir.join("root")).unwrap();
    let db = Database::open(Env::os(), Options::new(dir.join("root"))).unwrap();
    assert_eq!((rows(&db, "t").len(), db.view().tables().len()), (5, 2));
    std::fs::write(template.join("_restore"), "").unwrap();
    let db = Database::open(Env::os(), Options::new(&template)).unwrap();
    assert_eq!((rows(&db, "t").len(), db.view().tables().len()), (5, 2));
    drop(db);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn hostile_copies_are_refused_before_anything_changes() {
    let dir = scratch();
    let template = Arc::new(template(&dir));
    let mut cases = hostile_names();
    cases.extend(hostile_kinds(&template));
    cases.extend(hostile_claims());
    assert!(cases.len() >= 150, "{}", cases.len());
    let mut wrong = Vec::new();
    for (number, (what, make)) in cases.iter().enumerate() {
        let copy = Copy { dir: dir.join(number.to_string()) };
        std::fs::create_dir(&copy.dir).unwrap();
        copy_tree(&template, &copy.root());
        copy_tree(&template, &copy.outside());
        make(&copy);
        std::fs::write(copy.root().join("_restore"), "snapshot=night").unwrap();
        let before = digest(&copy.dir);
        let (root, target) = (copy.root(), copy.dir.join("target"));
        let door = root.clone();
        let verified = ask(what, move || storage::restore::verify(&Env::os(), &door, None, &|_| {}).map(drop));
        let door = root.clone();
        let copied = ask(what, move || copy_to(&door, &target));
        let target = copy.dir.join("target");
        if target.exists() {
            let pins = std::fs::read_dir(target.join("snapshot")).map_or(0, Iterator::count);
            assert_eq!(pins, 0, "{what}: the copy of the copy can be restored");
            std::fs::remove_dir_all(&target).unwrap();
        }
        let (door, new) = (root.clone(), copy.dir.join("new"));
        let put_back = ask(what, move || restore_to(&door, &new));
        let restored = ask(what, move || Database::open(Env::os(), Options::new(&root)).map(drop));
        for (door, answer) in
            [("verify", verified), ("snapshot copy", copied), ("restore", put_back), ("_restore", restored)]
        {
            match answer {
                Err(Error::Corrupt { .. } | Error::Refused(_)) => {}
                other => wrong.push(format!("{what}: {door}: {other:?}")),
            }
        }
        if digest(&copy.dir) != before {
            wrong.push(format!("{what}: something changed"));
        }
        std::fs::remove_dir_all(&copy.dir).unwrap();
    }
    std::fs::remove_dir_all(dir).unwrap();
    assert!(wrong.is_empty(), "{} of {} hostile copies:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
