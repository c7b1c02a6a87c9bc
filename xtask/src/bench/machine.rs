//! The machine of a run: what it is, what it can do, and what else it was doing.

use std::path::Path;
use std::process::Command;

use super::limits::Limits;
use crate::Result;
use crate::cargo::{output, root};

/// Data, three roots and what is copied within them.
const INGESTED_BYTES_A_ROW: u64 = 400;
/// Three roots, and a piece of the data.
const LOADED_BYTES_A_ROW: u64 = 250;

/// A machine at the start of a run.
pub struct Machine {
    pub cores: usize,
    pub date: String,
    /// Of the repository: its version and commit.
    revision: String,
    processor: String,
    memory_gb: u64,
    kernel: String,
    file_system: String,
    load: String,
    pub limits: Limits,
}

impl Machine {
    /// Looks at the machine and measures its limits on the disk of a folder.
    pub fn look(folder: &Path) -> Result<Machine> {
        let said = |program: &str, args: &[&str]| -> Result<String> {
            Ok(output(Command::new(program).args(args).current_dir(root()))?.trim().to_owned())
        };
        let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let field = |text: &str, key: &str| -> Option<String> {
            let line = text.lines().find(|line| line.starts_with(key))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo")?, "MemTotal").unwrap_or_default();
        let memory: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        let load = load_average()?.to_string();
        let cores = std::thread::available_parallelism()?.get();
        let changed = if said("git", &["status", "--porcelain"])?.is_empty() { "" } else { " with changes" };
        Ok(Machine {
            cores,
            date: said("date", &["-u", "+%Y-%m-%d"])?,
            revision: format!(
                "{} ({}{changed})",
                env!("CARGO_PKG_VERSION"),
                said("git", &["rev-parse", "--short", "HEAD"])?
            ),
            processor: field(&read("/proc/cpuinfo")?, "model name").unwrap_or_else(|| "unknown processor".to_owned()),
            memory_gb: memory >> 20,
            kernel: said("uname", &["-sr"])?,
            file_system: said("df", &["--output=fstype", &folder.display().to_string()])?.replace("Type\n", ""),
            load,
            limits: Limits::measure(folder, cores)?,
        })
    }

    /// Returns what Stillpoint was measured.
    pub fn stillpoint(&self) -> String {
        let named = std::env::var_os("STILLPOINT").map_or("", |_| ", a binary that STILLPOINT named");
        format!("Stillpoint {}{named}", self.revision)
    }

    /// Returns it as a sentence.
    pub fn text(&self) -> String {
        format!(
            "{} cores of {}, {} GB of memory, {}, {}; load {} at the start",
            self.cores, self.processor, self.memory_gb, self.kernel, self.file_system, self.load
        )
    }
}

/// Returns how many threads have had something to do in the last minute.
pub fn load_average() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").map_err(|error| format!("/proc/loadavg: {error}"))?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// Refuses a run for which the disk is too small, before it fills it; more is needed where loads are measured.
pub fn refuse_small_disk(folder: &Path, rows: u64, ingested: bool) -> Result<()> {
    let said = output(Command::new("df").args(["-Pk"]).arg(folder))?;
    let free = said.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)).and_then(|free| free.parse().ok());
    let free_gb = free.ok_or_else(|| format!("df says {said:?}")).map(|free: u64| free >> 20)?;
    let of_row = if ingested { INGESTED_BYTES_A_ROW } else { LOADED_BYTES_A_ROW };
    let needed_gb = ((rows * of_row) >> 30) + 2;
    if free_gb < needed_gb {
        return Err(format!(
            "{}: {free_gb} GB are free, {needed_gb} are needed; set TMPDIR or ask for fewer --rows",
            folder.display()
        )
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_the_disk_cannot_hold_is_refused() {
        let folder = std::env::temp_dir();
        assert!(refuse_small_disk(&folder, 1 << 50, true).expect_err("no such disk").to_string().contains("TMPDIR"));
    }
}
