//! The folders and files beside the database: conf, log, public, import. Nothing that is there is ever changed.

use std::io;
use std::path::Path;

use storage::env::Fs;
use storage::env::fs::write_all_at;

use crate::config::template;

/// Every folder of a root.
const FOLDERS: [&str; 6] = ["conf", "db", "log", "public", "snapshot", "import"];

/// The plain page, for roots in which no console lies.
const PAGE: &str = include_str!("../public/index.html");

/// Says why [`furnish`] and the text log would fail, as far as that can be seen: behind a restore it would be too late.
pub fn refusal(root: &Path) -> Option<String> {
    let unfit = |folder: &&&str| root.join(folder).exists() && !root.join(folder).is_dir();
    if let Some(folder) = ["conf", "log", "public", "import"].iter().find(unfit) {
        let path = root.join(folder);
        return Some(format!("{} is not a directory: move it away and start again", path.display()));
    }
    let log = root.join("log");
    let error = if log.exists() { not_writable(&log) } else { None };
    error.map(|e| format!("{} cannot be written ({e}): let this user write there and start again", log.display()))
}

#[cfg(unix)]
fn not_writable(folder: &Path) -> Option<io::Error> {
    use rustix::fs::{Access, access};
    access(folder, Access::WRITE_OK | Access::EXEC_OK).err().map(io::Error::from)
}

#[cfg(not(unix))]
fn not_writable(_folder: &Path) -> Option<io::Error> {
    None
}

/// Makes what a root lacks. Call it when storage has found the root good.
pub fn furnish(root: &Path, fs: &dyn Fs) -> io::Result<()> {
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
    Ok(())
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

#[cfg(test)]
mod tests {
    use storage::env::OsFs;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test changes files as an operator does")]
    fn a_first_start_furnishes_and_later_ones_change_nothing() {
        let root = std::env::temp_dir().join(format!("stillpoint-furnish-{}", std::process::id()));
        let fs = OsFs::new();
        make_folder(&fs, &root.join("deep/er")).unwrap();
        furnish(&root.join("deep/er"), &fs).unwrap();
        let root_er = root.join("deep/er");
        for folder in FOLDERS {
            assert!(root_er.join(folder).is_dir(), "{folder}");
        }
        std::fs::write(root_er.join("conf/server.conf"), "mine").unwrap();
        std::fs::write(root_er.join("public/index.html"), "mine").unwrap();
        furnish(&root_er, &fs).unwrap();
        assert_eq!(std::fs::read(root_er.join("conf/server.conf")).unwrap(), b"mine");
        assert_eq!(std::fs::read(root_er.join("public/index.html")).unwrap(), b"mine");
        std::fs::remove_dir_all(root).unwrap();
    }
}
