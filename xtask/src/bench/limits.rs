//! What the machine can do, measured in the run whose figures stand beside it: memory, disk, sync, loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Instant;

use super::statistics::Series;
use crate::Result;

const MEMORY_BYTES: usize = 256 << 20;
const DISK_BYTES: usize = 256 << 20;
const SOCKET_BYTES: usize = 256 << 20;

/// The limits of a machine at a moment.
pub struct Limits {
    pub memory_read_gb_s: f64,
    pub disk_write_mb_s: f64,
    pub sync_ms: Series,
    pub loopback_mb_s: f64,
    pub round_trip_us: Series,
}

impl Limits {
    /// Measures them with so many threads, on the disk of a folder; takes some seconds.
    pub fn measure(folder: &Path, threads: usize) -> Result<Limits> {
        let (disk_write_mb_s, sync_ms) = disk(folder)?;
        let (loopback_mb_s, round_trip_us) = loopback()?;
        Ok(Limits { memory_read_gb_s: memory(threads), disk_write_mb_s, sync_ms, loopback_mb_s, round_trip_us })
    }

    /// Returns them as a sentence.
    pub fn text(&self) -> String {
        format!(
            "memory read {:.1} GB/s, disk write {:.0} MB/s (256 MB with its sync), sync of 4 KB {}, loopback {:.0} MB/s, \
             round trip of one byte {}",
            self.memory_read_gb_s,
            self.disk_write_mb_s,
            ranged(&self.sync_ms, "ms"),
            self.loopback_mb_s,
            ranged(&self.round_trip_us, "µs"),
        )
    }
}

fn ranged(series: &Series, unit: &str) -> String {
    format!("{:.2} {unit} ({:.2}–{:.2})", series.median(), series.least(), series.greatest())
}

/// The best of three sums over memory that no cache holds.
fn memory(threads: usize) -> f64 {
    let words = vec![1u64; MEMORY_BYTES / 8];
    let read = || {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for part in words.chunks(words.len().div_ceil(threads)) {
                scope.spawn(move || std::hint::black_box(part.iter().fold(0u64, |sum, word| sum.wrapping_add(*word))));
            }
        });
        MEMORY_BYTES as f64 / started.elapsed().as_secs_f64() / 1e9
    };
    (0..3).map(|_| read()).fold(0.0, f64::max)
}

fn disk(folder: &Path) -> Result<(f64, Series)> {
    let path = folder.join("limits.bin");
    let mut file = std::fs::File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let block = vec![7u8; 1 << 20];
    let started = Instant::now();
    for _ in 0..DISK_BYTES >> 20 {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let write = DISK_BYTES as f64 / started.elapsed().as_secs_f64() / 1e6;
    let mut syncs = Vec::new();
    for _ in 0..25 {
        file.write_all(&block[..4096])?;
        let started = Instant::now();
        file.sync_data()?;
        syncs.push(started.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(&path)?;
    Ok((write, Series::new(syncs).ok_or("no sync was measured")?))
}

fn loopback() -> Result<(f64, Series)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        let mut byte = [0];
        for _ in 0..1_000 {
            far.read_exact(&mut byte)?;
            far.write_all(&byte)?;
        }
        let mut left = SOCKET_BYTES;
        let mut buffer = vec![0; 1 << 18];
        while left > 0 {
            left = left.saturating_sub(far.read(&mut buffer)?.max(1));
        }
        far.write_all(&byte)
    });
    let mut trips = Vec::new();
    let mut byte = [0];
    for _ in 0..1_000 {
        let started = Instant::now();
        near.write_all(&byte)?;
        near.read_exact(&mut byte)?;
        trips.push(started.elapsed().as_secs_f64() * 1e6);
    }
    let block = vec![7u8; 1 << 18];
    let started = Instant::now();
    for _ in 0..SOCKET_BYTES >> 18 {
        near.write_all(&block)?;
    }
    near.read_exact(&mut byte)?;
    let speed = SOCKET_BYTES as f64 / started.elapsed().as_secs_f64() / 1e6;
    echo.join().map_err(|_| "the echo panicked")??;
    Ok((speed, Series::new(trips).ok_or("no round trip was measured")?))
}
