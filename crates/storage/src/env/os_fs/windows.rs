//! The twins for Windows. They are built by nobody but the compiler: no power cut and no test has proven them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::{Access, Metadata, Space, kind_of};

// winnt.h and winbase.h
const DELETE: u32 = 0x0001_0000;
const FILE_SHARE_READ: u32 = 0x1;
const FILE_SHARE_WRITE: u32 = 0x2;
const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
/// winerror.h
const ERROR_SHARING_VIOLATION: i32 = 32;

/// Opens a file or directory; a directory needs the flag that backup programs set.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path)
}

/// Opens what is to be made durable: `FlushFileBuffers` asks for a handle that may write, of a directory too.
pub fn open_to_sync(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path)
}

/// The index and the volume's number stand for inode and device. Rights are lists here, and stay what a folder gives.
pub fn metadata(path: &Path) -> io::Result<Metadata> {
    let flags = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;
    let file = OpenOptions::new().access_mode(0).custom_flags(flags).open(path)?;
    let found = winapi_util::file::information(&file)?;
    Ok(Metadata {
        kind: kind_of(file.metadata()?.file_type()),
        len_bytes: found.file_size(),
        inode: found.file_index(),
        access: Access { mode: 0, user: 0, group: 0 },
        device: found.volume_serial_number(),
    })
}

pub fn space(dir: &Path) -> io::Result<Space> {
    let dir = std::fs::canonicalize(dir)?;
    let disks = sysinfo::Disks::new_with_refreshed_list();
    // a volume may be mounted below another one: the longest name is the nearest
    let of = |disk: &&sysinfo::Disk| dir.starts_with(std::fs::canonicalize(disk.mount_point()).unwrap_or_default());
    let nearest = disks.iter().filter(of).max_by_key(|disk| disk.mount_point().as_os_str().len());
    let disk = nearest.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(Space { free_bytes: disk.available_space(), total_bytes: disk.total_space() })
}

pub fn set_access(_: &Path, _: Access) -> io::Result<()> {
    Ok(())
}

pub fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    file.seek_write(bytes, offset)
}

/// The end of a file is an error here, and 0 bytes in the contract; the standard library answers so already.
pub fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    file.seek_read(bytes, offset)
}

pub fn begin_write_back(_: &File, _: u64, _: u64) {}

/// A handle that may remove the directory and lets nobody else have one: no byte of it is locked, so that it can be read
/// and copied, and it ends with the process.
pub fn lock_dir(dir: &Path) -> io::Result<File> {
    let opened = OpenOptions::new()
        .access_mode(DELETE)
        .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
        .open(dir);
    let opened = opened.map_err(|e| match e.raw_os_error() {
        Some(ERROR_SHARING_VIOLATION) => io::ErrorKind::WouldBlock.into(),
        _ => e,
    })?;
    if !opened.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(opened)
}

/// The system reads ahead by itself.
pub fn will_read(_: &Path, _: &[std::ops::Range<u64>]) -> io::Result<()> {
    Ok(())
}

/// NTFS shares no blocks; where ReFS does, a copy does so by itself.
pub fn clone_file(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
