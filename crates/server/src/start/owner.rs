//! Which process holds a root: found through the lock itself, so that no file can tell of a server that is gone.

use std::io;
use std::path::Path;

use storage::env::Fs;

/// Who holds a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Nobody,
    /// A process of this machine.
    Process(i32),
    /// A process that cannot be seen from here, most often because it runs in another container.
    Unseen,
}

/// Returns who holds the root.
///
/// # Errors
/// What keeps from looking.
pub fn of(root: &Path, fs: &dyn Fs) -> io::Result<Owner> {
    let db = root.join("db");
    let inode = match fs.metadata(&db) {
        Ok(metadata) => metadata.inode,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Owner::Nobody),
        Err(error) => return Err(error),
    };
    match fs.read(Path::new("/proc/locks")) {
        Ok(bytes) => Ok(holder(&String::from_utf8_lossy(&bytes), inode)),
        // no list of locks on this system: only trying tells
        Err(_) => match fs.lock_dir(&db) {
            Ok(_) => Ok(Owner::Nobody),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Owner::Unseen),
            Err(error) => Err(error),
        },
    }
}

/// Finds the lock of that inode in a list such as `1: FLOCK  ADVISORY  WRITE 4711 fd:01:1234 0 EOF`. The device in front
/// of the inode is not compared: some file systems show another one here than `stat` does.
fn holder(locks: &str, inode: u64) -> Owner {
    for line in locks.lines() {
        // a process that waits for a lock stands behind an arrow
        let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "->").collect();
        let &[_, "FLOCK", _, "WRITE", pid, place, ..] = words.as_slice() else { continue };
        if line.contains("->") || place.rsplit(':').next().and_then(|n| n.parse().ok()) != Some(inode) {
            continue;
        }
        return match pid.parse() {
            Ok(pid) if pid > 0 => Owner::Process(pid),
            _ => Owner::Unseen,
        };
    }
    Owner::Nobody
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_tells_its_holder() {
        let locks = "1: POSIX  ADVISORY  WRITE 10 fd:01:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 4711 fd:01:77 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 5 fd:01:77 0 EOF\n3: FLOCK  ADVISORY  WRITE 0 00:2a:78 0 EOF\n\
                     4: FLOCK  ADVISORY  READ  9 00:2a:79 0 EOF\n";
        assert_eq!(holder(locks, 77), Owner::Process(4711));
        assert_eq!(holder(locks, 78), Owner::Unseen);
        assert_eq!(holder(locks, 79), Owner::Nobody);
        assert_eq!(holder("", 77), Owner::Nobody);
    }

    #[test]
    fn a_root_that_is_locked_names_this_process() {
        let root = std::env::temp_dir().join(format!("stillpoint-owner-{}", std::process::id()));
        let fs = storage::env::OsFs::new();
        crate::start::make_root(&fs, &root.join("db")).unwrap();
        assert_eq!(of(&root, &fs).unwrap(), Owner::Nobody);
        let lock = fs.lock_dir(&root.join("db")).unwrap();
        assert_eq!(of(&root, &fs).unwrap(), Owner::Process(std::process::id() as i32));
        drop(lock);
        assert_eq!(of(&root, &fs).unwrap(), Owner::Nobody);
        fs.remove_dir(&root.join("db")).unwrap();
        assert_eq!(of(&root, &fs).unwrap(), Owner::Nobody, "no database, no server");
        fs.remove_dir(&root).unwrap();
    }
}
