//! `cargo xtask filesystems [--seed N]`: a root on each kind of file system that this machine can mount.
//!
//! On an image that is mounted through a loop device: a server starts, rows are written and tables change, PREPARE, `cp -a` and
//! `snapshot copy`, kill -9; the root starts again with every acknowledged row, and both copies, restored, are what the ledger
//! says of the cut. Needs the right to mount; a kind that cannot be made or mounted is named, loudly, and skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::cargo::{build_server, output};
use crate::random::seed;
use crate::scratch::{Scratch, copy};
use crate::server::Server;
use crate::workload::Workload;

const ROWS: u64 = 2_000;

/// A kind of file system: how an image `{i}` becomes one that is mounted at `{m}`; `{o}` is a directory beside them.
struct Kind {
    name: &'static str,
    make: &'static str,
}

const KINDS: [Kind; 6] = [
    Kind { name: "ext4", make: "truncate -s 2G {i} && mkfs.ext4 -q {i} && mount -o loop {i} {m}" },
    Kind {
        name: "xfs with reflinks",
        make: "truncate -s 2G {i} && mkfs.xfs -q -m reflink=1 {i} && mount -o loop {i} {m}",
    },
    Kind { name: "btrfs", make: "truncate -s 2G {i} && mkfs.btrfs -q {i} && mount -o loop {i} {m}" },
    Kind { name: "tmpfs", make: "mount -t tmpfs -o size=2G none {m}" },
    Kind {
        name: "overlayfs on tmpfs",
        make: "mkdir -p {o} && mount -t tmpfs -o size=2G none {o} && mkdir {o}/lower {o}/upper {o}/work && \
               mount -t overlay overlay -o lowerdir={o}/lower,upperdir={o}/upper,workdir={o}/work {m}",
    },
    Kind { name: "ntfs (ntfs-3g)", make: "truncate -s 2G {i} && mkfs.ntfs -q -Q -F {i} && ntfs-3g {i} {m}" },
];

/// Runs the history on each kind.
pub fn run(args: &[String]) -> Result<()> {
    let binary = build_server()?;
    let seed = seed(args)?;
    let (mut proven, mut wrong) = (0, Vec::new());
    for kind in &KINDS {
        let scratch = Scratch::new("filesystems")?;
        let mounted = match Mounted::new(kind, &scratch) {
            Ok(mounted) => mounted,
            Err(why) => {
                println!("filesystems: {} SKIPPED, nothing is known of it here: {why}", kind.name);
                continue;
            }
        };
        match history(&binary, &mounted.place, seed) {
            Ok(rows) => {
                proven += 1;
                println!("filesystems: {}: killed and copied, {rows} rows at the cut restored twice", kind.name);
            }
            Err(error) => {
                println!("filesystems: {}: WRONG: {error}", kind.name);
                wrong.push(format!("{}: {error}", kind.name));
            }
        }
    }
    match wrong.is_empty() {
        true => {
            println!("filesystems: {proven} of {} kinds proven", KINDS.len());
            Ok(())
        }
        false => Err(format!("filesystems (--seed {seed}): {}", wrong.join("; ")).into()),
    }
}

/// A file system that is unmounted when this is dropped.
struct Mounted {
    place: PathBuf,
    beside: PathBuf,
}

impl Mounted {
    fn new(kind: &Kind, scratch: &Scratch) -> Result<Mounted> {
        let (image, place, beside) = (scratch.path("image"), scratch.path("mount"), scratch.path("beside"));
        std::fs::create_dir(&place)?;
        // From here on whatever was mounted goes again.
        let mounted = Mounted { place, beside };
        let parts = [("{i}", &image), ("{m}", &mounted.place), ("{o}", &mounted.beside)];
        let script =
            parts.iter().fold(kind.make.to_owned(), |s, (mark, path)| s.replace(mark, &path.display().to_string()));
        output(Command::new("bash").arg("-c").arg(script))?;
        Ok(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for place in [&self.place, &self.beside] {
            // What was never mounted is no fault.
            let _ = Command::new("umount").arg("-q").arg(place).stderr(Stdio::null()).status();
        }
    }
}

fn history(binary: &Path, place: &Path, seed: u64) -> Result<u64> {
    let (root, copied, own) = (place.join("root"), place.join("copy"), place.join("own"));
    let mut workload = Workload::new(seed);
    let mut server = Server::start(binary, &root)?;
    let running = workload.start(&server);
    while workload.acknowledged().totals().0 < ROWS && !running.has_failed() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let low = workload.acknowledged();
    server.http()?.exec("SNAPSHOT PREPARE 'night'")?;
    let high = workload.sent();
    copy(&root, &copied)?;
    let mut command = Command::new(binary);
    output(command.args(["snapshot", "copy", "--snapshot", "night", "--from"]).arg(&root).arg("--to").arg(&own))?;
    running.expect_the_end();
    let acknowledged = workload.acknowledged();
    server.kill()?;
    running.stop()?;
    let again = Server::start(binary, &root)?;
    let sent = workload.sent();
    workload.check(&mut again.http()?, &acknowledged, &sent).map_err(|error| format!("after kill -9: {error}"))?;
    again.stop()?;
    let mut rows = 0;
    for copied in [&copied, &own] {
        std::fs::write(copied.join("_restore"), "")?;
        let restored = Server::start(binary, copied)?;
        let seen = workload.check(&mut restored.http()?, &low, &high);
        rows = seen.map_err(|error| format!("{}: {error}", copied.display()))?.totals().0;
        restored.stop()?;
    }
    Ok(rows)
}
