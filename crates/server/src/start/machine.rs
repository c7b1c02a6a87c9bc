//! What the machine allows: open files, memory maps, the file system below the root.

use std::path::Path;

use storage::env::Fs;

/// Fewer open files, or maps, than a large database needs.
const WANTED_FILES: u64 = 1_048_576;
const WANTED_MAPS: u64 = 1_048_576;
/// What Linux grants when nobody asked for more: enough, since maps are capped at half of it.
const LEAST_MAPS: u64 = 65_530;
/// Below this even a small database may meet the limit.
const LEAST_FILES: u64 = 4_096;

/// Something about the machine that the operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Short name, in capitals, that consoles show.
    pub tag: &'static str,
    pub text: String,
}

/// Limits of this process and of the kernel.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `None`: no limit.
    open_files: Option<u64>,
}

/// Raises the number of files that may be open to the most that the system grants, and returns what holds now.
#[cfg(unix)]
pub fn raise_open_files() -> Limits {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // refused on some systems; then the old limit stays, and is shown
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    Limits { open_files: getrlimit(Resource::Nofile).current }
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub fn raise_open_files() -> Limits {
    Limits { open_files: None }
}

/// Returns lines that describe the machine.
pub fn describe(root: &Path, fs: &dyn Fs, limits: &Limits) -> Vec<String> {
    let shown = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |n| n.to_string());
    vec![
        format!("open files: {}, memory maps: {}", shown(limits.open_files), shown(memory_maps(fs))),
        format!(
            "root: {} on {}",
            root.display(),
            file_system(root).map_or("an unknown file system".to_owned(), |f| f.name)
        ),
    ]
}

/// Returns what is unfit.
pub fn warnings(root: &Path, fs: &dyn Fs, limits: &Limits) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let Some(files) = limits.open_files.filter(|files| *files < LEAST_FILES) {
        let text = format!("open file limit is too low [current={files}, recommended={WANTED_FILES}]");
        warnings.push(Warning { tag: "TOO MANY OPEN FILES", text });
    }
    if let Some(maps) = memory_maps(fs).filter(|maps| *maps < LEAST_MAPS) {
        let text = format!("vm.max_map_count limit is too low [current={maps}, recommended={WANTED_MAPS}]");
        warnings.push(Warning { tag: "OUT OF MMAP AREAS", text });
    }
    let existing = root.ancestors().find(|path| path.exists());
    if let Some(found) = existing.and_then(file_system)
        && let Some(why) = found.unfit
    {
        let text = format!("unsupported file system [dir={}, type={}]: {why}", root.display(), found.name);
        warnings.push(Warning { tag: "UNSUPPORTED FILE SYSTEM", text });
    }
    warnings
}

/// Returns why no server may use a root, if its file system is one that loses writes by design. QuestDB refuses NFS too.
pub fn refusal(root: &Path) -> Option<String> {
    let existing = root.ancestors().find(|path| path.exists())?;
    let found = file_system(existing).filter(|found| found.name == "nfs")?;
    Some(format!(
        "{} lies on a network file system ({}), whose locks and syncs a database cannot build on: choose a root on a local disk \
         with -d, and copy snapshots there",
        root.display(),
        found.name
    ))
}

/// Returns the kernel's limit of maps per process, where there is one.
fn memory_maps(fs: &dyn Fs) -> Option<u64> {
    let bytes = fs.read(Path::new("/proc/sys/vm/max_map_count")).ok()?;
    String::from_utf8(bytes).ok()?.trim().parse().ok()
}

const NETWORK: &str = "a network file system may lose or reorder writes; use a local disk";

struct FileSystem {
    name: String,
    unfit: Option<&'static str>,
}

#[cfg(target_os = "linux")]
fn file_system(path: &Path) -> Option<FileSystem> {
    Some(of_magic(rustix::fs::statfs(path).ok()?.f_type as u64 & 0xffff_ffff))
}

/// What `statfs` tells of a file system, by the numbers of Linux's `magic.h`.
#[cfg(target_os = "linux")]
fn of_magic(magic: u64) -> FileSystem {
    let network = Some(NETWORK);
    let layered = Some("an overlay is slow and copies whole files; use a volume");
    let user = Some("what a user-space file system keeps after a power cut is unknown; use a local disk");
    let (name, unfit) = match magic {
        0xef53 => ("ext4", None),
        0x5846_5342 => ("xfs", None),
        0x9123_683e => ("btrfs", None),
        0x2fc1_2fc1 => ("zfs", None),
        0xf2f5_2010 => ("f2fs", None),
        0x0102_1994 => ("tmpfs", Some("everything in it is gone after a restart of the machine")),
        0x794c_7630 => ("overlayfs", layered),
        0x6969 => ("nfs", network),
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => ("smb", network),
        0x00c3_6400 => ("ceph", network),
        0x0102_1997 => ("9p", network),
        0x6573_5546 => ("fuse", user),
        0x5346_414f | 0x6b41_4653 => ("afs", network),
        0x0bd0_0bd0 => ("lustre", network),
        0x4750_4653 => ("gpfs", network),
        _ => return FileSystem { name: format!("file system 0x{magic:x}"), unfit: None },
    };
    FileSystem { name: name.to_owned(), unfit }
}

/// The name stands in the answer itself.
#[cfg(target_vendor = "apple")]
fn file_system(path: &Path) -> Option<FileSystem> {
    let found = rustix::fs::statfs(path).ok()?;
    let letters = found.f_fstypename.iter().map(|letter| *letter as u8).take_while(|letter| *letter != 0);
    let name = String::from_utf8_lossy(&letters.collect::<Vec<u8>>()).into_owned();
    let is_network = matches!(name.as_str(), "nfs" | "smbfs" | "afpfs" | "webdav");
    Some(FileSystem { name, unfit: is_network.then_some(NETWORK) })
}

/// A share is known by its path; what lies on a local volume is not asked further.
#[cfg(windows)]
fn file_system(path: &Path) -> Option<FileSystem> {
    use std::path::{Component, Prefix};
    let full = path.canonicalize().ok()?;
    let Some(Component::Prefix(prefix)) = full.components().next() else { return None };
    match prefix.kind() {
        Prefix::UNC(..) | Prefix::VerbatimUNC(..) => Some(FileSystem { name: "smb".to_owned(), unfit: Some(NETWORK) }),
        _ => None,
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple", windows)))]
fn file_system(_: &Path) -> Option<FileSystem> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_told_from_disks() {
        for (magic, name, fit) in [
            (0xef53, "ext4", true),
            (0x9123_683e, "btrfs", true),
            (0x6969, "nfs", false),
            (0xff53_4d42, "smb", false),
            (0x6573_5546, "fuse", false),
            (0x1234_5678, "file system 0x12345678", true),
        ] {
            let found = of_magic(magic);
            assert_eq!((found.name.as_str(), found.unfit.is_none()), (name, fit));
        }
        assert_eq!(refusal(&std::env::temp_dir()), None);
    }
}
