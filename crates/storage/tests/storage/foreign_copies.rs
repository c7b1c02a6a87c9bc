//! Copies that copy tools made otherwise than one thinks: links in place of directories, strange names, no live log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::env::sim_fs::{CopyMode, SimFs};
use storage::{Env, Error, Terms, restore};

use crate::support::*;

const COPY: &str = "/copy";

/// Makes a copy of a database with a base, a table base, symbols, a segment and a log; returns its rows.
fn make_copy() -> (Arc<SimFs>, Env, Vec<String>) {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &[(0, Some("a"), 1, Some("x"))]);
    db.flush_table(id).unwrap();
    db.write_base().unwrap();
    insert(&db, "t", &[(1, Some("b"), 2, None)]);
    db.prepare_snapshot("default").unwrap();
    fs.copy_tree(Path::new(ROOT), Path::new(COPY), CopyMode::Copy, &["db/_live", "log"], 1).finish();
    fs.write_file(&Path::new(COPY).join("_restore"), b"");
    let rows = rows(&db, "t");
    (fs, env, rows)
}

/// Moves what lies at a path of the copy away and puts a link in its place.
fn link(fs: &SimFs, path: &Path) {
    let from = Path::new(COPY).join(path);
    fs.copy_tree(&from, Path::new("/elsewhere"), CopyMode::Copy, &[], 1).finish();
    fs.remove(&from);
    fs.symlink(Path::new("/elsewhere"), &from);
}

/// Returns every directory of the copy that a restore goes through, relative to it.
fn directories(fs: &SimFs) -> Vec<PathBuf> {
    let files = fs.files_below(Path::new(COPY));
    let read = files.iter().filter(|file| file.parent() != Some(Path::new("")));
    let mut dirs: Vec<PathBuf> = read.flat_map(|file| file.ancestors().skip(1)).map(Path::to_owned).collect();
    dirs.sort();
    dirs.dedup();
    dirs.retain(|dir| dir.as_os_str() != "");
    dirs
}

#[test]
fn a_link_in_place_of_a_directory_is_refused_by_name_and_nothing_changes() {
    let (fs, env, _) = make_copy();
    let dirs = directories(&fs);
    assert!(dirs.len() >= 8, "{dirs:?}");
    for dir in dirs {
        let fs = Arc::new(fs.fork());
        link(&fs, &dir);
        let before = fs.tree_digest(Path::new(COPY));
        match open_at(&on_arc(&env, fs.clone()), COPY) {
            Err(Error::Refused(text)) => {
                let path = Path::new(COPY).join(&dir);
                let expected = format!("{} is a symbolic link", path.display());
                assert!(text.contains(&expected) && text.contains("copy what it points to"), "{text}");
            }
            other => panic!("{}: {:?}", dir.display(), other.err()),
        }
        assert_eq!(fs.tree_digest(Path::new(COPY)), before, "{}", dir.display());
    }
}

#[test]
fn a_link_in_place_of_a_file_is_refused_by_name() {
    let (fs, env, _) = make_copy();
    for file in fs.files_below(Path::new(COPY)) {
        let name = file.to_string_lossy().into_owned();
        if name == "_restore" {
            continue;
        }
        let fs = Arc::new(fs.fork());
        let path = Path::new(COPY).join(&file);
        fs.write_file(Path::new("/elsewhere"), &fs.peek(&path).unwrap());
        fs.remove(&path);
        fs.symlink(Path::new("/elsewhere"), &path);
        let why = open_at(&on_arc(&env, fs.clone()), COPY).map(drop).unwrap_err().to_string();
        assert!(why.contains(&name) && (why.contains("symbolic link") || why.contains("not a plain file")), "{why}");
    }
}

#[test]
fn a_directory_in_place_of_a_file_is_refused_by_name() {
    let (fs, env, _) = make_copy();
    for file in fs.files_below(Path::new(COPY)) {
        if file == Path::new("_restore") {
            continue;
        }
        let fs = Arc::new(fs.fork());
        let path = Path::new(COPY).join(&file);
        fs.remove(&path);
        fs.make_dirs(&path);
        let why = open_at(&on_arc(&env, fs.clone()), COPY).map(drop).unwrap_err().to_string();
        assert!(why.contains(&*file.to_string_lossy()), "{}: {why}", file.display());
    }
}

#[test]
fn names_that_copy_tools_leave_are_neither_read_nor_removed() {
    let (fs, env, expected) = make_copy();
    let segment = fs.files_below(Path::new(COPY)).into_iter().find(|p| p.to_string_lossy().contains("1970-")).unwrap();
    let dir = segment.parent().unwrap().to_string_lossy().into_owned();
    let name = segment.file_name().unwrap().to_string_lossy().into_owned();
    let strange: Vec<String> = vec![
        format!("{dir}/.{name}.Xa81bZ"),
        format!("{dir}/{name}.partial"),
        format!("{dir}/.fuse_hidden0000000100000002"),
        "db/_log/.1-00000001-000001.wal.k3Bv9q".to_owned(),
        "db/_timeline/.fuse_hidden0000000100000001".to_owned(),
        "db/_base/1-00000001-000000000003.json.partial".to_owned(),
        "snapshot/.default.01ARZ3NDEKTSV4RRFFQ69G5FAV.json.Qw8d".to_owned(),
        "snapshot/default.01ARZ3NDEKTSV4RRFFQ69G5FAV.json~".to_owned(),
        ".nfs000000000001".to_owned(),
        "db/lost+found".to_owned(),
    ];
    for path in &strange {
        fs.write_file(&Path::new(COPY).join(path), b"half a file");
    }
    let env = on(&env, fs.another_process());
    let db = open_at(&env, COPY).unwrap();
    assert_eq!(rows(&db, "t"), expected);
    clean_up(&db);
    drop(db);
    let db = open_at(&on(&env, fs.another_process()), COPY).unwrap();
    clean_up(&db);
    assert_eq!(rows(&db, "t"), expected);
    for path in &strange {
        assert!(fs.peek(&Path::new(COPY).join(path)).is_some(), "{path} is gone");
    }
}

#[test]
fn a_copy_without_its_live_log_is_not_started_plainly() {
    let (fs, env, expected) = make_copy();
    fs.remove(&Path::new(COPY).join("_restore"));
    for live in [false, true] {
        if live {
            fs.make_dirs(&Path::new(COPY).join("db/_live"));
        }
        let before = fs.tree_digest(Path::new(COPY));
        let why = open_at(&on(&env, fs.another_process()), COPY).map(drop).unwrap_err().to_string();
        assert!(why.contains("is a copy of a running database: touch /copy/_restore and start again"), "{why}");
        assert_eq!(fs.tree_digest(Path::new(COPY)), before);
    }
    fs.write_file(&Path::new(COPY).join("_restore"), b"");
    assert_eq!(rows(&open_at(&on(&env, fs.another_process()), COPY).unwrap(), "t"), expected);
}

#[test]
fn a_root_in_another_place_begins_a_timeline_and_never_gives_out_the_same_names() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    insert(&db, "t", &[(0, Some("a"), 1, None)]);
    let first = db.timeline();
    db.close().unwrap();
    drop(db);
    fs.copy_tree(Path::new(ROOT), Path::new(COPY), CopyMode::Copy, &[], 1).finish();
    let (here, there) = (open(&env).unwrap(), open_at(&env, COPY).unwrap());
    assert_eq!(here.timeline(), first);
    assert_eq!(there.timeline().number, first.number + 1);
    assert!(there.start_report().notices[0].contains("started in another place than before"));
    for db in [&here, &there] {
        insert(db, "t", &[(1, Some("b"), 2, None)]);
        let id = db.view().table("t").unwrap().id();
        db.flush_table(id).unwrap();
        db.write_base().unwrap();
    }
    let names =
        |root: &str| fs.files_below(Path::new(root)).into_iter().filter(|p| p.starts_with("db")).collect::<Vec<_>>();
    let both: Vec<_> = names(ROOT).into_iter().filter(|path| names(COPY).contains(path)).collect();
    for path in &both {
        let bytes = |root: &str| fs.peek(&Path::new(root).join(path));
        assert!(bytes(ROOT) == bytes(COPY), "{}", path.display());
    }
    assert_eq!(rows(&here, "t"), rows(&there, "t"));
}

/// A copy of `db/`, then a snapshot that somebody else takes, then the copy of `snapshot/`.
#[test]
fn a_snapshot_that_was_taken_during_the_copy_does_not_hide_the_copied_one() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &[(0, Some("a"), 1, Some("x"))]);
    db.prepare_snapshot("default").unwrap();
    let copied = rows(&db, "t");
    fs.copy_tree(Path::new(ROOT), Path::new(COPY), CopyMode::Copy, &["db/_live", "log", "snapshot"], 1).finish();
    insert(&db, "t", &[(1, Some("b"), 2, None)]);
    db.flush_table(id).unwrap();
    db.prepare_snapshot_with("hourly", Terms { keep: true, ..Terms::default() }).unwrap();
    fs.copy_tree(&Path::new(ROOT).join("snapshot"), &Path::new(COPY).join("snapshot"), CopyMode::Copy, &[], 1).finish();
    db.complete_snapshot("default").unwrap();

    let env = on_arc(&env, fs.clone());
    let verify = |name| restore::verify(&env, Path::new(COPY), name, &|_| {});
    match verify(None) {
        Err(Error::Corrupt { detail, .. }) => {
            assert!(detail.contains("snapshot default is whole, and what was taken later (hourly)"), "{detail}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(verify(Some("default")).unwrap().len(), 1);
    fs.write_file(&Path::new(COPY).join("_restore"), b"");
    let copy = open_at(&env, COPY).unwrap();
    assert_eq!(rows(&copy, "t"), copied);
    let told = copy.start_report().restore.as_ref().unwrap().lines.join("\n");
    assert!(told.contains("snapshot hourly was taken while this copy was being made and is not in it"), "{told}");
}

/// Its files are there: it may be the one that is meant.
#[test]
fn a_later_snapshot_that_is_damaged_is_not_passed_over() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    db.prepare_snapshot("default").unwrap();
    insert(&db, "t", &[(1, Some("b"), 2, None)]);
    db.flush_table(id).unwrap();
    db.prepare_snapshot_with("nightly", Terms { keep: true, ..Terms::default() }).unwrap();
    fs.copy_tree(Path::new(ROOT), Path::new(COPY), CopyMode::Copy, &["db/_live", "log"], 1).finish();
    let segment =
        fs.files_below(Path::new(COPY)).into_iter().find(|path| path.extension().is_some_and(|e| e == "arrow"));
    fs.truncate_file(&Path::new(COPY).join(segment.expect("it was flushed")), 100);
    fs.write_file(&Path::new(COPY).join("_restore"), b"");
    match open_at(&on_arc(&env, fs.clone()), COPY).map(drop) {
        Err(Error::Refused(text)) => assert!(text.contains("several snapshots (default, nightly)"), "{text}"),
        other => panic!("{other:?}"),
    }
}
