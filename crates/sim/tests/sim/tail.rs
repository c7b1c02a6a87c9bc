//! Tail or corruption: a damaged frame that was durable is never taken for the unsynced tail.

use std::path::{Path, PathBuf};

use sim::machine::{Machine, options};
use sim::stale_log::{ALIGN, frames, run};
use sim::step::Step;
use storage::env::sim_fs::Survive;
use types::{ColumnType, PartitionBy};

use crate::seeds::{history, ok};

#[test]
fn every_flipped_bit_of_a_durable_frame_is_an_error_that_names_the_file() {
    let mut history = history(1);
    ok(history.append_rows(100));
    ok(history.stop());
    let live = Path::new("/a/db/_live");
    let files: Vec<PathBuf> = history.machine.fs.files_below(live).into_iter().map(|f| live.join(f)).collect();
    let mut checked = 0;
    for file in files {
        let bytes = history.machine.fs.peek(&file).expect("listed");
        let found = frames(&bytes);
        let durable = found.iter().map(|frame| frame.durable_seq).max().unwrap_or(0);
        for frame in found.iter().filter(|frame| frame.seq <= durable) {
            let end = frame.at + frame.length;
            let padding = end..end.next_multiple_of(ALIGN);
            // All of the frame's head, every byte of padding, and a bit of each eighth byte of the payload.
            let payload = (frame.at + 48..end).step_by(8);
            for byte in (frame.at..frame.at + 48).chain(padding).chain(payload) {
                let is_length = (frame.at + 8..frame.at + 12).contains(&byte);
                let bits = if is_length { 0..8 } else { (byte % 8) as u8..(byte % 8) as u8 + 1 };
                for bit in bits {
                    let fs = history.machine.fs.fork();
                    fs.flip_bit(&file, byte as u64, bit);
                    let mut machine = Machine::on(fs, 1);
                    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
                    match machine.open(&history.options) {
                        Ok(_) => {
                            panic!("frame {}, byte {} of {name}: the flip was not noticed", frame.seq, byte - frame.at)
                        }
                        Err(e) => assert!(e.to_string().contains(&name), "{e} does not name {name}"),
                    }
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 400, "{checked} flips");
}

#[test]
fn a_cut_in_a_rotation_is_recovered_written_on_and_cut_again() {
    let column = |name: &str, column_type| sim::model::ModelColumn { name: name.to_owned(), column_type };
    let table = sim::model::ModelTable {
        name: "wide".to_owned(),
        columns: vec![column("ts", ColumnType::Timestamp), column("text", ColumnType::Varchar)],
        designated: Some(0),
        partition_by: PartitionBy::Day,
        rows: Vec::new(),
        dedup: None,
        ttl_hours: None,
    };
    let row = |n: i64| -> sim::value::Row {
        [sim::value::Value::Long(n * 1_000_000), sim::value::Value::text(&"w".repeat(100_000))].into()
    };
    let mut cuts = 0;
    let mut history = history(2);
    ok(history.step(Step::Create(table)));
    history.machine.fs.capture_crash_points(true);
    for n in 0..25 {
        let before = history.model.clone();
        ok(history.step(Step::Append(vec![("wide".to_owned(), vec![row(n)])])));
        let points = history.machine.fs.take_crash_points();
        // A commit that rotates syncs more than once.
        let rotates = points.iter().filter(|point| point.op.site.kind.is_sync()).count() > 1;
        for point in points.iter().filter(|_| rotates) {
            for seed in 0..3 {
                let mut cut = sim::history::History::new(
                    seed,
                    history.options.clone(),
                    sim::generate::Generator::new(seed, false),
                );
                cut.machine = Machine::on(point.power_cut(Survive::Subset(seed)), seed);
                cut.model = history.model.clone();
                let place = format!("{} {:?}", point.op.site, point.op.path);
                if let Err(new) = cut.start() {
                    cut.kill();
                    cut.model = before.clone();
                    ok(cut
                        .start()
                        .map_err(|old| format!("{place}: neither the new state ({new}) nor the old ({old})")));
                }
                let more = Step::Append(vec![("wide".to_owned(), vec![row(n), row(n + 1)])]);
                ok(cut.step(more).map_err(|e| format!("{place}: {e}")));
                cut.power_cut(Survive::Subset(seed + 10));
                ok(cut.start().map_err(|e| format!("{place}, cut again: {e}")));
                cuts += 1;
            }
        }
    }
    assert!(cuts > 20, "{cuts} cuts in rotations");
}

#[test]
fn a_frame_of_a_lost_run_behind_the_end_of_the_log_is_not_read() {
    for seed in 0..20 {
        ok(run(seed, &options("/a")));
    }
}
