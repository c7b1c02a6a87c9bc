//! The folders and files beside the database: conf, log, public, import. Nothing that is there is ever changed.

use std::io;
use std::path::Path;

use storage::env::fs::write_all_at;
use storage::env::{Clock, Fs};
use types::TimestampUs;

use super::text_log::LogFile;
use crate::config::template;

/// Every folder of a root.
const FOLDERS: [&str; 6] = ["conf", "db", "log", "public", "snapshot", "import"];

/// The plain page, for roots in which no console lies.
const PAGE: &str = include_str!("../public/index.html");

/// Makes what a root lacks and returns the text log of this run. Call it when storage has found the root good.
pub fn furnish(root: &Path, fs: &dyn Fs, clock: &dyn Clock) -> io::Result<LogFile> {
    for folder in FOLDERS {
        make_folder(fs, &root.join(folder))?;
    }
    let conf = root.join("conf").join("server.conf");
    if !fs.exists(&conf)? {
        write_new(fs, &conf, &template::server_conf())?;
    }
    let page = root.join("public").join("index.html");
    if !fs.exists(&page)? {
        write_new(fs, &page, PAGE)?;
    }
    new_log(&root.join("log"), fs, clock.now_us())
}

/// Makes a folder and those above it.
pub fn make_folder(fs: &dyn Fs, folder: &Path) -> io::Result<()> {
    match fs.create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match folder.parent() {
            Some(parent) => {
                make_folder(fs, parent)?;
                fs.create_dir(folder)
            }
            None => Err(error),
        },
        made => made,
    }
}

fn write_new(fs: &dyn Fs, path: &Path, text: &str) -> io::Result<()> {
    let file = fs.create_new(path)?;
    write_all_at(file.as_ref(), 0, text.as_bytes())
}

/// Opens `stdout-2024-01-31T09-05-00.txt`, with a number behind it when two starts fall into one second.
fn new_log(folder: &Path, fs: &dyn Fs, now_us: i64) -> io::Result<LogFile> {
    let moment = TimestampUs(now_us).to_string();
    let second = moment.split('.').next().unwrap_or(&moment).replace(':', "-");
    for number in 1..1_000 {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        match fs.create_new(&folder.join(format!("stdout-{second}{suffix}.txt"))) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(LogFile::new),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use storage::env::OsFs;
    use storage::env::clock::ManualClock;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test changes files as an operator does")]
    fn a_first_start_furnishes_and_later_ones_change_nothing() {
        let root = std::env::temp_dir().join(format!("stillpoint-furnish-{}", std::process::id()));
        let fs = OsFs::new();
        let clock = ManualClock::new(1_706_691_900_000_000);
        make_folder(&fs, &root.join("deep/er")).unwrap();
        furnish(&root.join("deep/er"), &fs, &clock).unwrap();
        let root_er = root.join("deep/er");
        for folder in FOLDERS {
            assert!(root_er.join(folder).is_dir(), "{folder}");
        }
        std::fs::write(root_er.join("conf/server.conf"), "mine").unwrap();
        std::fs::write(root_er.join("public/index.html"), "mine").unwrap();
        furnish(&root_er, &fs, &clock).unwrap();
        assert_eq!(std::fs::read(root_er.join("conf/server.conf")).unwrap(), b"mine");
        assert_eq!(std::fs::read(root_er.join("public/index.html")).unwrap(), b"mine");
        assert!(root_er.join("log/stdout-2024-01-31T09-05-00.txt").is_file());
        assert!(root_er.join("log/stdout-2024-01-31T09-05-00-2.txt").is_file());
        std::fs::remove_dir_all(root).unwrap();
    }
}
