//! The folders and files beside the database: conf, log, public, import. Nothing that is there is ever changed.

use std::io;
use std::path::Path;

use storage::env::Fs;
use storage::env::fs::write_all_at;

use crate::config::template;

/// Every folder of a root.
const FOLDERS: [&str; 6] = ["conf", "db", "log", "public", "snapshot", "import"];

type Text = fn() -> String;

/// Files that a root has from its first start on, and what they say.
const FURNISHED: [(&str, Text); 2] =
    [("conf/server.conf", template::server_conf), ("public/index.html", || PAGE.to_owned())];

/// The plain page, for roots in which no console lies.
const PAGE: &str = include_str!("../public/index.html");

/// Says why [`furnish`], the text log and storage would fail to write into a database's root, as far as that can be seen: behind a
/// restore it would be too late. A directory that is no root is storage's to refuse.
pub fn refusal(root: &Path) -> Option<String> {
    let is_database = root.join("db").is_dir();
    if !is_database && !holds_only_ours(root) {
        return None;
    }
    let unfit = |folder: &&&str| root.join(folder).exists() && !root.join(folder).is_dir();
    if let Some(folder) = ["conf", "log", "public", "import"].iter().find(unfit) {
        let path = root.join(folder);
        return Some(format!("{} is not a directory: move it away and start again", path.display()));
    }
    if !is_database {
        return None;
    }
    let mut written = vec![root.join("log"), root.join("snapshot"), root.join("db"), root.join("db/_live")];
    if root.join("_restore").exists() {
        written.push(root.to_owned());
    }
    written.extend(
        FURNISHED
            .iter()
            .filter(|(file, _)| !root.join(file).exists())
            .filter_map(|(file, _)| root.join(file).parent().map(Path::to_owned)),
    );
    let (path, error) = written.into_iter().filter(|path| path.exists()).find_map(|path| {
        let error = not_writable(&path)?;
        Some((path, error))
    })?;
    let remedy = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "mount it for writing",
        _ => "let this user write there",
    };
    Some(format!("{} cannot be written ({error}): {remedy} and start again", path.display()))
}

/// Whether a directory has nothing but what a root has, or nothing at all.
fn holds_only_ours(root: &Path) -> bool {
    let Ok(entries) = root.read_dir() else { return false };
    entries.flatten().all(|entry| FOLDERS.iter().any(|folder| entry.file_name() == *folder))
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
    for (file, text) in FURNISHED {
        let path = root.join(file);
        if !fs.exists(&path)? {
            write_new(fs, &path, &text())?;
        }
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
    #[cfg(target_os = "linux")]
    #[expect(clippy::disallowed_methods, reason = "the test changes files as an operator does")]
    fn what_cannot_be_written_is_seen_where_it_would_be() {
        use std::os::unix::fs::symlink;
        // of a file system that nobody can write, whoever runs this
        let fixed = Path::new("/proc/self");
        let root = std::env::temp_dir().join(format!("stillpoint-unfit-{}", std::process::id()));
        let fs = OsFs::new();
        make_folder(&fs, &root).unwrap();
        std::fs::write(root.join("conf"), "").unwrap();
        assert!(refusal(&root).is_some_and(|said| said.contains("is not a directory")));
        std::fs::write(root.join("mine.txt"), "").unwrap();
        assert_eq!(refusal(&root), None, "no root of ours");
        std::fs::remove_file(root.join("mine.txt")).unwrap();
        std::fs::remove_file(root.join("conf")).unwrap();
        furnish(&root, &fs).unwrap();
        make_folder(&fs, &root.join("db")).unwrap();
        assert_eq!(refusal(&root), None);
        for folder in ["log", "snapshot", "public", "conf"] {
            let place = root.join(folder);
            std::fs::rename(&place, root.join("kept")).unwrap();
            symlink(fixed, &place).unwrap();
            let said = refusal(&root).unwrap_or_default();
            assert!(said.starts_with(&format!("{} cannot be written", place.display())), "{folder}: {said}");
            std::fs::remove_file(&place).unwrap();
            std::fs::rename(root.join("kept"), &place).unwrap();
        }
        std::fs::remove_dir_all(root).unwrap();
    }

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
