//! What kept and settled snapshots cost the background, whose steps come ten times a second.

use storage::{Database, Env, Options, Terms};

use crate::recovery::{batch, cpu_ms, create};

const TABLES: usize = 5;
const TICKS: u32 = 2_000;

pub fn run() {
    for snapshots in [0, 20, 200, 1_000] {
        measure(snapshots);
    }
}

fn measure(snapshots: usize) {
    let root = std::env::temp_dir().join(format!("stillpoint-measure-{}", std::process::id()));
    let env = Env::os();
    env.fs.create_dir(&root).expect("the folder is new");
    let db = Database::open(env.clone(), Options::new(&root)).expect("an empty root opens");
    let tables: Vec<_> = (0..TABLES).map(|n| create(&db, &format!("t{n}"))).collect();
    for number in 0..snapshots {
        let rows = batch(&db, tables[0], number as i64, 1);
        db.append(vec![(tables[0], rows)]).expect("the commit goes well");
        let terms = Terms { keep: true, ..Terms::default() };
        db.prepare_snapshot_with(&format!("k{number}"), terms).expect("the snapshot is taken");
    }
    while db.step_settle().expect("the disk is well") {}
    // What there is to do at first is done.
    (0..100).for_each(|_| tick(&db));
    let before = cpu_ms();
    (0..TICKS).for_each(|_| tick(&db));
    let us = (cpu_ms() - before) * 1e3 / f64::from(TICKS);
    println!("{snapshots} kept and settled snapshots of {TABLES} tables: {us:.1} us of CPU a tick");
    drop(db);
    std::fs::remove_dir_all(&root).expect("the folder is ours");
}

/// What the engine does ten times a second, in its order.
fn tick(db: &Database) {
    let done = db
        .step_memory()
        .and_then(|()| db.step_flush().map(drop))
        .and_then(|()| db.step_base().map(drop))
        .and_then(|()| db.step_leases())
        .and_then(|()| db.step_guard())
        .and_then(|()| db.step_dropped())
        .and_then(|()| db.step_settle().map(drop))
        .and_then(|()| db.step_gc().map(drop));
    done.expect("the disk is well");
}
