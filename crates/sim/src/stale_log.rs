//! What another run left behind the end of the log, as a disk may show it after a power cut: it is never read.
//!
//! Two runs go on from one state; of the lost one a frame stands behind the end of the other one's newest log file, with
//! just the Seq that would come next. Also the walk over the frames of a log file that tests need: [`frames`].

use std::path::{Path, PathBuf};

use storage::Options;

use crate::generate::Generator;
use crate::history::History;
use crate::machine::Machine;

/// First bytes of a frame.
const MAGIC: &[u8; 4] = b"SPfr";
/// Frames begin at multiples of this.
pub const ALIGN: usize = 64;

/// A frame in a log file: where it begins, its length, and its Seq and `durable_seq`.
#[derive(Debug, Clone, Copy)]
pub struct FoundFrame {
    pub at: usize,
    pub length: usize,
    pub seq: u64,
    pub durable_seq: u64,
}

impl FoundFrame {
    /// Returns where the next frame begins.
    pub fn end(&self) -> usize {
        self.at + self.length.next_multiple_of(ALIGN)
    }
}

/// Returns the frames of a log file.
pub fn frames(bytes: &[u8]) -> Vec<FoundFrame> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 48 <= bytes.len() {
        if &bytes[at..at + 4] == MAGIC {
            let number =
                |offset: usize| u64::from_le_bytes(bytes[at + offset..at + offset + 8].try_into().expect("eight"));
            let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().expect("four")) as usize;
            found.push(FoundFrame { at, length, seq: number(16), durable_seq: number(32) });
            at += length.next_multiple_of(ALIGN);
        } else {
            at += ALIGN;
        }
    }
    found
}

/// Returns the log file that holds the highest Seq, its bytes, and the frame that does.
fn newest(machine: &Machine) -> Result<(PathBuf, Vec<u8>, FoundFrame), String> {
    let live = Path::new("/a/db/_live");
    let files = machine.fs.files_below(live).into_iter().map(|file| live.join(file));
    let last = |file: PathBuf| {
        let bytes = machine.fs.peek(&file)?;
        let frame = *frames(&bytes).last()?;
        Some((file, bytes, frame))
    };
    files.filter_map(last).max_by_key(|(.., frame)| frame.seq).ok_or_else(|| "no log file holds a frame".to_owned())
}

/// Lets a frame of a run that was lost stand behind the end of the log.
///
/// # Errors
/// A sentence with the seed when the database differs from the model.
pub fn run(seed: u64, options: &Options) -> Result<(), String> {
    let mut history = History::new(seed, options.clone(), Generator::new(seed, false));
    behind_the_end(&mut history, seed).map_err(|e| format!("seed {seed}, a frame of a lost run: {e}"))
}

fn behind_the_end(history: &mut History, seed: u64) -> Result<(), String> {
    history.start()?;
    history.append_rows(50)?;
    history.kill();
    let mut lost = Machine::on(history.machine.fs.fork(), seed ^ 0xdead);
    let db = lost.open(&history.options).map_err(|e| format!("the lost run: {e}"))?;
    let mut model = history.model.clone();
    for _ in 0..2 {
        let step = history.generator.append(&model);
        step.run(&db, &model, &lost).map_err(|e| format!("the lost run: {e}"))?;
        step.apply_to(&mut model);
    }
    let (_, bytes, lost) = newest(&lost)?;
    history.start()?;
    let step = history.generator.append(&history.model);
    history.step(step)?;
    history.kill();
    let (file, mut log, last) = newest(&history.machine)?;
    if lost.seq != last.seq + 1 {
        return Err(format!("the lost frame is {}, the log ends with {}", lost.seq, last.seq));
    }
    let stale = &bytes[lost.at..lost.at + lost.length];
    log[last.end()..last.end() + stale.len()].copy_from_slice(stale);
    history.machine.fs.write_file(&file, &log);
    history.machine.fs.sync_all();
    history.start()
}
