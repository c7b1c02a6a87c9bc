//! What POSIX systems share, and where Linux has its own call beside the twin of the others.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
#[cfg(target_os = "linux")]
use std::path::PathBuf;

use super::{Access, Metadata, Space, kind_of, open_for_reading};

/// Opens whatever it is without waiting: a fifo in the place of a file would hold a start for ever.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Opens what is to be made durable. On macOS the standard library asks for `F_FULLFSYNC` then, without which a drive may
/// keep what it was sent in its cache.
pub fn open_to_sync(path: &Path) -> io::Result<File> {
    open_for_reading(path)
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

/// Linux begins to write what is not to be kept in memory, and keeps it until it is written.
#[cfg(target_os = "linux")]
pub fn begin_write_back(file: &File, offset: u64, len_bytes: u64) {
    let _is_a_hint =
        rustix::fs::fadvise(file, offset, std::num::NonZeroU64::new(len_bytes), rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
pub fn begin_write_back(_: &File, _: u64, _: u64) {}

/// `flock` on the directory itself: a lock file would be shared by a copy made of hard links.
pub fn lock_dir(dir: &Path) -> io::Result<File> {
    let opened = open_for_reading(dir)?;
    if !opened.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    opened.try_lock().map_err(io::Error::from)?;
    Ok(opened)
}

/// Fetches by `posix_fadvise`, which begins to read and does not wait but for room among the disk's requests. One call begins with no
/// more than the device reads ahead at once and leaves the rest, so there is one for each piece.
#[cfg(target_os = "linux")]
pub fn will_read(path: &Path, ranges: &[Range<u64>]) -> io::Result<()> {
    let file = open_for_reading(path)?;
    for piece in ranges.iter().flat_map(|range| pieces(range.clone(), READ_AHEAD_BYTES)) {
        let len = std::num::NonZeroU64::new(piece.end - piece.start);
        rustix::fs::fadvise(&file, piece.start, len, rustix::fs::Advice::WillNeed)?;
    }
    Ok(())
}

/// No device reads less ahead at once than it takes in one request, which is rarely less than this.
#[cfg(target_os = "linux")]
const READ_AHEAD_BYTES: u64 = 512 << 10;

/// Returns the pieces of a range, none of them empty or longer than `most`.
#[cfg(target_os = "linux")]
fn pieces(range: Range<u64>, most: u64) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range.step_by(most as usize).map(move |start| start..end.min(start + most))
}

#[cfg(not(target_os = "linux"))]
pub fn will_read(_: &Path, _: &[Range<u64>]) -> io::Result<()> {
    Ok(())
}

/// Looks both directories up once: of each name the kernel then goes its own part of the way.
#[cfg(target_os = "linux")]
pub fn hard_links(
    from: &Path,
    to: &Path,
    names: &[(String, String)],
    count: impl Fn(),
) -> Result<(), (PathBuf, io::Error)> {
    use rustix::fs::{AtFlags, Mode, OFlags};
    let open = |dir: &Path| {
        let opened = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        opened.map_err(|errno| (dir.to_owned(), errno.into()))
    };
    let (source, target) = (open(from)?, open(to)?);
    for (existing, new) in names {
        count();
        rustix::fs::linkat(&source, existing.as_str(), &target, new.as_str(), AtFlags::empty())
            .map_err(|errno| (to.join(new), errno.into()))?;
    }
    Ok(())
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_range_once_and_none_is_too_long() {
        let pieces_of = |range| pieces(range, 10).map(|piece| (piece.start, piece.end)).collect::<Vec<_>>();
        assert_eq!(pieces_of(3..3), []);
        assert_eq!(pieces_of(3..8), [(3, 8)]);
        assert_eq!(pieces_of(3..13), [(3, 13)]);
        assert_eq!(pieces_of(3..24), [(3, 13), (13, 23), (23, 24)]);
    }
}
