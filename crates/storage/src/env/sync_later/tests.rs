//! What waits is durable after the one sync, and not before.

use super::*;
use crate::env::sim_fs::{SimFs, Survive};

/// Writes so many files, each synced and with its directory, and returns what survives a cut after `sync`, and its calls.
fn surviving(files: usize, synced: bool) -> (usize, u64) {
    let fs = Arc::new(SimFs::new(1));
    let dir = Path::new("/root");
    fs.create_dir(dir).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    let later = SyncLater::new(fs.clone(), dir).unwrap();
    for n in 0..files {
        let file = later.create_new(&dir.join(n.to_string())).unwrap();
        file.write_at(0, b"x").unwrap();
        file.sync().unwrap();
        later.sync_dir(dir).unwrap();
    }
    let before = fs.counts().syncs;
    if synced {
        later.sync().unwrap();
    }
    let syncs = fs.counts().syncs - before;
    fs.power_cut(Survive::Nothing);
    let fs = fs.power_up();
    let whole = |name: &usize| fs.read(&dir.join(name.to_string())).is_ok_and(|bytes| bytes == b"x");
    ((0..files).filter(whole).count(), syncs)
}

/// Else it would not be told of what failed to be written back in between.
#[test]
fn the_file_system_is_opened_before_the_first_write() {
    let fs = Arc::new(SimFs::new(1));
    fs.create_dir(Path::new("/root")).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    let later = SyncLater::new(fs.clone(), Path::new("/root")).unwrap();
    for n in 0..100 {
        later.create_new(Path::new(&format!("/root/{n}"))).unwrap().sync().unwrap();
    }
    // Nothing has the path any more by which it was opened.
    fs.rename(Path::new("/root"), Path::new("/moved")).unwrap();
    later.sync().unwrap();
    fs.power_cut(Survive::Nothing);
    assert_eq!(fs.power_up().list(Path::new("/moved")).unwrap().len(), 100);
    assert!(SyncLater::new(Arc::new(fs.power_up()), Path::new("/root")).is_err());
}

#[test]
fn what_waits_is_durable_after_the_one_sync_and_not_before() {
    assert_eq!(surviving(3, false), (0, 0));
    assert_eq!(surviving(3, true), (3, 4));
    assert_eq!(surviving(100, true), (100, 1));
}

/// A failure of the kernel's own write-back is told once to each who had the file system open: not to who asks first alone,
/// and not to who comes later.
#[test]
fn a_write_back_that_failed_is_told_although_another_sync_was_told_before() {
    let fs = Arc::new(SimFs::new(1));
    let dir = Path::new("/root");
    fs.create_dir(dir).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    for files in [3, 100] {
        let [another, later] = [(); 2].map(|()| SyncLater::new(fs.clone(), dir).unwrap());
        let write = |through: &SyncLater, n: usize| {
            let path = dir.join(format!("{n} of {files}"));
            let file = through.create_new(&path).unwrap();
            file.write_at(0, b"x").unwrap();
            file.sync().unwrap();
            path
        };
        let lost = write(&later, 0);
        (1..files).for_each(|n| drop(write(&later, n)));
        fs.fail_write_back(&lost);
        let whole = fs.file_system_of(dir).unwrap();
        (0..50).for_each(|n| drop(write(&another, files + n)));
        assert!(another.sync().is_err(), "it was open when the write-back failed");
        whole.sync().expect("it was not");
        assert!(later.sync().is_err(), "{files} files: one of them is lost");
        later.sync().expect("nothing waits any more");
        let after = fs.fork();
        after.power_cut(Survive::Nothing);
        assert_ne!(after.power_up().read(&lost).ok().as_deref(), Some(&b"x"[..]), "it is not there afterwards");
    }
}
