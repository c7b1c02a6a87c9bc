//! How much memory the server may fill, and where statements spill what does not fit: [`limit_bytes`], [`spill`]; the
//! part of it that the bytes of many clients share: [`Budget`]; and when what large statements left goes back: [`give_back`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use query::memory::Spill;
use storage::env::{Fs, allocator};
use tokio::sync::watch;
use types::memory::{self, Purpose};

use crate::config::{Config, MemoryLimit};

/// Returns the limit in bytes: as configured, or a part of what the machine or the cgroup has.
pub fn limit_bytes(config: &MemoryLimit, fs: &dyn Fs) -> usize {
    match *config {
        MemoryLimit::Bytes(bytes) => bytes,
        MemoryLimit::Percent(percent) => {
            let machine_bytes = machine_bytes();
            let all = cgroup_bytes(fs).map_or(machine_bytes, |limit| limit.min(machine_bytes));
            usize::try_from(all / 100 * percent as u64).unwrap_or(usize::MAX)
        }
    }
}

#[cfg(target_os = "linux")]
fn machine_bytes() -> u64 {
    let machine = rustix::system::sysinfo();
    machine.totalram * u64::from(machine.mem_unit)
}

#[cfg(not(target_os = "linux"))]
fn machine_bytes() -> u64 {
    let mut machine = sysinfo::System::new();
    machine.refresh_memory();
    machine.total_memory()
}

/// Returns what the cgroup of this process allows, of version 2 or 1; none where there is no limit.
fn cgroup_bytes(fs: &dyn Fs) -> Option<u64> {
    let text = |path: &Path| fs.read(path).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let groups = text(Path::new("/proc/self/cgroup"))?;
    let limits = candidates(&groups).into_iter().filter_map(|path| text(&path)?.trim().parse::<u64>().ok());
    // version 1 says "no limit" with a number near 2^63
    limits.filter(|limit| *limit < 1 << 60).min()
}

/// Returns the files that may hold a limit, by the lines of /proc/self/cgroup: a group's own and those of its parents.
fn candidates(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let (base, name) = match controllers {
            "" => (Path::new("/sys/fs/cgroup"), "memory.max"),
            _ if controllers.split(',').any(|c| c == "memory") => {
                (Path::new("/sys/fs/cgroup/memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = base.join(group.trim_start_matches('/'));
        files.extend(group.ancestors().take_while(|dir| dir.starts_with(base)).map(|dir| dir.join(name)));
    }
    files
}

/// Returns where statements spill; the folder is made if only it is missing.
///
/// # Errors
/// A folder inside the root, where every copy of the root would carry it, or one that cannot be made.
pub fn spill(config: &Config, fs: &dyn Fs) -> Result<Spill, String> {
    let dir = config.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = std::path::absolute(&dir).unwrap_or(dir);
    if is_inside(&dir, &config.root) {
        return Err(format!(
            "spill.dir {} lies inside the root {}: set spill.dir to a folder elsewhere",
            dir.display(),
            config.root.display()
        ));
    }
    let is_there = fs.exists(&dir).unwrap_or(false);
    if config.spill_dir.is_some() && !is_there {
        fs.create_dir(&dir)
            .map_err(|e| format!("spill.dir {}: {e}; make the folder, or set another", dir.display()))?;
    }
    Ok(Spill { dir, limit_bytes: config.spill_limit_bytes as u64 })
}

/// Returns whether a folder, or what it links to, lies inside the root; either need not exist yet.
fn is_inside(dir: &Path, root: &Path) -> bool {
    let real = |path: &Path| {
        path.ancestors().find_map(|part| {
            let rest = path.strip_prefix(part).ok()?;
            Some(part.canonicalize().ok()?.join(rest))
        })
    };
    let (dir, root) = (real(dir).unwrap_or(dir.to_owned()), real(root).unwrap_or(root.to_owned()));
    dir.starts_with(root)
}

/// How often it is looked whether large statements have ended.
const LOOK: Duration = Duration::from_secs(5);
/// Statements that held less leave too little for anybody to miss it.
const LARGE_BYTES: usize = 32 << 20;

/// Gives the system back what large statements have freed, soon after they ended, until `shutdown` becomes true. Not at once: the next
/// one like them would have to ask for it again.
pub async fn give_back(memory: memory::Budget, mut shutdown: watch::Receiver<bool>) {
    let mut peak_bytes = 0;
    while tokio::time::timeout(LOOK, crate::signals::stopped(&mut shutdown)).await.is_err() {
        peak_bytes = peak_bytes.max(memory.take_queries_peak());
        if is_left(peak_bytes, memory.used_for(Purpose::Queries)) {
            peak_bytes = 0;
            let looked = tokio::task::spawn_blocking(allocator::give_back).await;
            if let Err(error) = looked {
                tracing::warn!(%error, "memory that statements have freed is not given back");
            }
        }
    }
}

/// Returns whether most of what queries held is free now, and is much.
fn is_left(peak_bytes: usize, used_bytes: usize) -> bool {
    peak_bytes >= LARGE_BYTES && used_bytes < peak_bytes / 2
}

/// The most that the bytes of all clients may take, as one in so many of all memory.
const BUFFERS_PART: usize = 2;

/// What the bytes that clients have sent, and that are not stored yet, may take together.
#[derive(Debug, Clone)]
pub struct Budget {
    memory: memory::Budget,
    limit_bytes: usize,
}

impl Budget {
    /// Returns the part of the server's memory that is for bytes of clients.
    pub fn of(memory: memory::Budget) -> Budget {
        let limit_bytes = memory.limit_bytes() / BUFFERS_PART;
        Budget { memory, limit_bytes }
    }

    /// Returns a share of nothing yet.
    pub fn share(&self) -> Share {
        Share { budget: self.clone(), share: self.memory.share(Purpose::Buffers) }
    }

    /// Returns how many bytes are held.
    pub fn used(&self) -> usize {
        self.memory.used_for(Purpose::Buffers)
    }

    fn is_exceeded(&self) -> bool {
        self.used() > self.limit_bytes || self.memory.used_bytes() > self.memory.limit_bytes()
    }
}

/// What one client holds of a [`Budget`]; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    share: memory::Share,
}

impl Share {
    /// Takes more bytes; returns false when all together hold more than they may.
    pub fn grow(&mut self, bytes: usize) -> bool {
        self.share.grow(bytes);
        !self.budget.is_exceeded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_much_that_is_mostly_free_is_given_back() {
        let mb = |mb: usize| mb << 20;
        assert!(is_left(mb(32), 0) && is_left(mb(100), mb(49)));
        assert!(!is_left(mb(31), 0) && !is_left(mb(100), mb(50)) && !is_left(0, 0));
    }

    #[test]
    fn limits_of_both_versions_are_looked_for_in_the_group_and_above() {
        let shown =
            |groups| candidates(groups).iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(
            shown("0::/system.slice/a.service\n"),
            "/sys/fs/cgroup/system.slice/a.service/memory.max /sys/fs/cgroup/system.slice/memory.max \
             /sys/fs/cgroup/memory.max"
        );
        assert_eq!(
            shown("4:cpu,memory:/docker/x\n1:name=systemd:/x\n"),
            "/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes /sys/fs/cgroup/memory/docker/memory.limit_in_bytes \
             /sys/fs/cgroup/memory/memory.limit_in_bytes"
        );
    }

    #[test]
    fn a_folder_inside_the_root_is_noticed_before_either_exists() {
        let root = Path::new("/nowhere/root");
        assert!(is_inside(Path::new("/nowhere/root"), root) && is_inside(Path::new("/nowhere/root/spill"), root));
        assert!(!is_inside(Path::new("/nowhere/roots"), root) && !is_inside(Path::new("/tmp"), root));
    }
}
