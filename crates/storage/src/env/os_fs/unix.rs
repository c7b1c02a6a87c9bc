//! What POSIX systems share, and where Linux has its own call beside the twin of the others.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::{Access, Metadata, Space};
use crate::env::fs::FileKind;

/// Opens a file or directory. Anything else is refused, and not waited for: a fifo in the place of a file would hold a start for
/// ever.
pub fn open_for_reading(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match kind_of(file.metadata()?.file_type()) {
        FileKind::File | FileKind::Dir => Ok(file),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a plain file")),
    }
}

pub fn metadata(path: &Path) -> io::Result<Metadata> {
    let found = std::fs::symlink_metadata(path)?;
    Ok(Metadata {
        kind: kind_of(found.file_type()),
        len_bytes: found.len(),
        inode: found.ino(),
        access: Access { mode: found.mode() & 0o7777, user: found.uid(), group: found.gid() },
        device: found.dev(),
    })
}

#[expect(clippy::useless_conversion, reason = "these fields have fewer bits on other systems than Linux")]
pub fn space(dir: &Path) -> io::Result<Space> {
    let found = rustix::fs::statvfs(dir)?;
    let block_bytes = u64::from(found.f_frsize);
    Ok(Space {
        free_bytes: u64::from(found.f_bavail) * block_bytes,
        total_bytes: u64::from(found.f_blocks) * block_bytes,
    })
}

pub fn set_access(path: &Path, access: Access) -> io::Result<()> {
    match std::os::unix::fs::chown(path, Some(access.user), Some(access.group)) {
        // Only the machine's administrator gives files away; theirs is the mode all the same.
        Err(e) if e.kind() != io::ErrorKind::PermissionDenied && e.kind() != io::ErrorKind::Unsupported => {
            return Err(e);
        }
        _ => {}
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(access.mode))
}

pub fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    file.write_at(bytes, offset)
}

pub fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    file.read_at(bytes, offset)
}

/// On macOS the standard library asks for `F_FULLFSYNC`, without which a drive may keep what it was sent in its cache.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    open_for_reading(dir)?.sync_all()
}

#[cfg(target_os = "linux")]
pub fn sync_file_system(dir: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(open_for_reading(dir)?)?)
}

/// No other system syncs one file system, and `sync(2)` waits for nothing there: what lies below the directory is synced
/// file by file.
#[cfg(not(target_os = "linux"))]
pub fn sync_file_system(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        match kind_of(entry.file_type()?) {
            FileKind::Dir => sync_file_system(&entry.path())?,
            FileKind::File => open_for_reading(&entry.path())?.sync_all()?,
            FileKind::Symlink | FileKind::Other => {}
        }
    }
    sync_dir(dir)
}

/// `flock` on the directory itself: a lock file would be shared by a copy made of hard links.
pub fn lock_dir(dir: &Path) -> io::Result<File> {
    let opened = open_for_reading(dir)?;
    if !opened.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    opened.try_lock().map_err(io::Error::from)?;
    Ok(opened)
}

/// Shares blocks by `FICLONE` (btrfs, xfs with reflinks, bcachefs, ocfs2, overlayfs above them).
#[cfg(target_os = "linux")]
pub fn clone_file(existing: &Path, new: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    let source = open_for_reading(existing)?;
    let target = OpenOptions::new().write(true).create_new(true).open(new)?;
    rustix::fs::ioctl_ficlone(&target, &source).map_err(|errno| {
        drop(target);
        // Nothing is left of a clone that was not made, so that the caller can copy in its place.
        let removed = remove_file(new);
        match (removed, errno) {
            (Err(e), _) => e,
            (Ok(()), Errno::NOTTY | Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
                io::ErrorKind::Unsupported.into()
            }
            (Ok(()), errno) => errno.into(),
        }
    })
}

/// Shares blocks by `fclonefileat` (APFS).
#[cfg(target_vendor = "apple")]
pub fn clone_file(existing: &Path, new: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, CloneFlags};
    use rustix::io::Errno;
    let source = open_for_reading(existing)?;
    rustix::fs::fclonefileat(source, CWD, new, CloneFlags::empty()).map_err(|errno| match errno {
        Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOSYS => io::ErrorKind::Unsupported.into(),
        errno => errno.into(),
    })
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub fn clone_file(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "this is the file system of Env")]
fn remove_file(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

pub fn kind_of(found: std::fs::FileType) -> FileKind {
    if found.is_file() {
        FileKind::File
    } else if found.is_dir() {
        FileKind::Dir
    } else if found.is_symlink() {
        FileKind::Symlink
    } else {
        debug_assert!(found.is_fifo() || found.is_socket() || found.is_block_device() || found.is_char_device());
        FileKind::Other
    }
}
