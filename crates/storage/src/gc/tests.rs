//! What is said of files that wait.

use std::sync::Arc;

use crate::env::clock::ManualClock;
use crate::env::rng::SeededRng;
use crate::env::sim_fs::SimFs;
use crate::{Database, Env, Options};

#[test]
fn a_log_file_waits_to_go_when_both_of_its_names_do_and_then_counts_once() {
    let clock = Arc::new(ManualClock::new(1));
    let env = Env::in_turn(Arc::new(SimFs::new(1)), clock, Arc::new(SeededRng::new(1)));
    let db = Database::open(env, Options::new("/root")).expect("a new root");
    // The cut ends the log file, which has a second name from then on.
    db.prepare_snapshot("default").expect("a new root takes snapshots");
    let name = db.log.chain()[0].to_string();
    let paths = [db.disk.layout.live().join(&name), db.disk.layout.log().join(&name)];
    let len_bytes = db.disk.env.fs.metadata(&paths[1]).expect("it is sealed").len_bytes;
    db.gc.lock().expect("nobody panics").discard(vec![paths[0].clone()]);
    assert_eq!(db.waiting_bytes(), 0, "the other name stays");
    db.prepare_snapshot("another").expect("its frame begins another log file");
    db.write_base().expect("there is room");
    assert_eq!(db.waiting_bytes(), len_bytes);
}
