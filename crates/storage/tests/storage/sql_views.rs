//! Views of SQL: made, replaced and dropped, over starts, in snapshots, and back.

use std::path::Path;

use storage::env::sim_fs::{CopyMode, Survive};
use storage::{Database, Error, ReadView, Replace};
use types::TableName;

use crate::support::*;

fn name(name: &str) -> TableName {
    TableName::new(name).unwrap()
}

fn set(db: &Database, view: &str, text: &str) {
    db.set_view(&name(view), text, Replace::Always).unwrap();
}

/// All views, as `name: text`.
fn views(view: &ReadView) -> Vec<String> {
    view.sql_views().map(|view| format!("{}: {}", view.name, view.text)).collect()
}

#[test]
fn views_outlive_a_power_cut_from_the_log_and_from_a_base() {
    for with_base in [false, true] {
        let (fs, env) = machine();
        let db = open(&env).unwrap();
        create(&db, "t");
        set(&db, "one", "select 1");
        set(&db, "Two", "select 'ä\n\"'");
        set(&db, "gone", "select 3");
        let id = db.view().sql_view("one").unwrap().id;
        if with_base {
            db.write_base().unwrap();
        }
        set(&db, "ONE", "select 4");
        db.drop_view(&name("gone")).unwrap();
        if with_base {
            clean_up(&db);
        }
        drop(db);
        fs.power_cut(Survive::Nothing);
        let env = on(&env, fs.power_up());
        let db = open(&env).unwrap();
        assert_eq!(views(&db.view()), ["one: select 4", "Two: select 'ä\n\"'"], "base: {with_base}");
        assert_eq!(db.view().sql_view("oNe").unwrap().id, id, "it is still the same view");
        assert!(db.view().table("one").is_none() && db.view().tables().len() == 1);
        // No number is given out twice.
        let table = create(&db, "later");
        assert!(db.view().sql_views().all(|view| view.id < table));
    }
}

#[test]
fn tables_and_views_share_their_names() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    let t = create(&db, "t");
    create(&db, "dropped");
    set(&db, "v", "select 1");
    let taken = |result: storage::Result<()>, what: &str| match result {
        Err(Error::Exists(why)) => assert!(why.starts_with(&format!("{what} already exists: ")), "{why}"),
        other => panic!("{other:?}"),
    };
    taken(db.set_view(&name("T"), "select 2", Replace::Always).map(drop), "table");
    taken(db.set_view(&name("V"), "select 2", Replace::Never).map(drop), "view");
    taken(db.rename_table(t, &name("V")), "view");
    db.prepare_snapshot("then").unwrap();
    taken(db.restore_table(&db.view_at("then").unwrap(), "t", &name("v")).map(drop), "view");
    assert!(matches!(db.set_view(&name("none"), "select 2", Replace::Only), Err(Error::NotFound(_))));
    assert!(matches!(db.drop_view(&name("t")), Err(Error::NotFound(_))));
    db.drop_view(&name("v")).unwrap();
    db.rename_table(t, &name("v")).unwrap();
    taken(db.set_view(&name("v"), "select 2", Replace::Always).map(drop), "table");
    assert!(views(&db.view()).is_empty());
}

#[test]
fn each_snapshot_has_the_views_of_its_moment_and_a_restored_copy_too() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    set(&db, "v", "select 1");
    db.prepare_snapshot_with("settled", kept()).unwrap();
    set(&db, "v", "select 2");
    set(&db, "w", "select 3");
    while db.step_settle().unwrap() {}
    clean_up(&db);
    db.prepare_snapshot("open").unwrap();
    db.drop_view(&name("v")).unwrap();
    set(&db, "w", "select 4");
    let cuts = [("settled", vec!["v: select 1"]), ("open", vec!["v: select 2", "w: select 3"])];
    fs.copy_tree(Path::new(ROOT), Path::new("/copy"), CopyMode::Copy, &["db/_live"], 1).finish();
    for (snapshot, expected) in &cuts {
        assert_eq!(views(&db.view_at(snapshot).unwrap()), *expected, "{snapshot}");
    }
    assert_eq!(views(&db.view()), ["w: select 4"]);
    drop(db);
    for (n, (snapshot, expected)) in cuts.iter().enumerate() {
        let root = format!("/restored{n}");
        fs.copy_tree(Path::new("/copy"), Path::new(&root), CopyMode::Copy, &[], 1).finish();
        fs.write_file(&Path::new(&root).join("_restore"), format!("snapshot={snapshot}").as_bytes());
        let restored = open_at(&env, &root).unwrap();
        assert_eq!(views(&restored.view()), *expected, "{snapshot}");
        drop(restored);
        assert_eq!(views(&open_at(&env, &root).unwrap().view()), *expected, "{snapshot}, started again");
    }
}

#[test]
fn the_database_goes_back_with_its_views_and_forward_again() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "was");
    for (view, text) in [("stays", "select 1"), ("changes", "select 2"), ("goes", "select 3"), ("named", "select 4")] {
        set(&db, view, text);
    }
    db.prepare_snapshot_with("good", kept()).unwrap();
    let then = views(&db.view());
    set(&db, "changes", "select 5");
    db.drop_view(&name("goes")).unwrap();
    set(&db, "made", "select 6");
    // A table gets the name of a view, and a view that of a table.
    db.drop_view(&name("named")).unwrap();
    create(&db, "named");
    db.drop_table(db.view().table("was").unwrap().id()).unwrap();
    set(&db, "was", "select 7");
    let now = views(&db.view());
    let told = db.difference_to("good").unwrap().to_string();
    assert!(told.contains("; 5 views change (changes, goes, made, named, was); what"), "{told}");
    let undo = db.restore_database("good", "admin").unwrap().unwrap();
    let sorted = |mut views: Vec<String>| {
        views.sort();
        views
    };
    assert_eq!(sorted(views(&db.view())), sorted(then));
    assert!(db.view().table("was").is_some() && db.view().table("named").is_none());
    assert!(db.difference_to("good").unwrap().views.is_empty());
    db.restore_database(&undo, "admin").unwrap();
    assert_eq!(sorted(views(&db.view())), sorted(now));
    assert!(db.view().table("was").is_none() && db.view().table("named").is_some());
}

#[test]
fn a_view_of_a_snapshot_comes_back_alone() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    set(&db, "v", "select 1");
    db.prepare_snapshot("then").unwrap();
    set(&db, "v", "select 2");
    let then = db.view_at("then").unwrap();
    assert!(matches!(db.restore_table(&then, "V", &name("v")), Err(Error::Exists(_))));
    db.restore_table(&then, "V", &name("was")).unwrap();
    assert_eq!(views(&db.view()), ["v: select 2", "was: select 1"]);
    drop(db);
    assert_eq!(views(&open(&env).unwrap().view()), ["v: select 2", "was: select 1"]);
}
