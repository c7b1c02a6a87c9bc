//! The right rows that are in force before the first window begins: the newest one of each key that left rows have.

use arrow::array::{RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use types::TimeRange;

use super::super::Join;
use super::{Part, bytes_of};
use crate::exec::direct::fold::Stop;
use crate::exec::direct::keys::Keys;
use crate::exec::direct::{Backward, Block, Morsel, Selection};

/// Returns the newest right row of each key of the left rows before a moment, in microseconds. It is looked for from there back, and no
/// further than until every key has one.
pub fn before(
    join: &Join,
    left: &[Morsel],
    keys: Option<&Keys>,
    (before_us, schema): (i64, &SchemaRef),
    reservation: &MemoryReservation,
    stop: &Stop,
) -> Result<Part> {
    let mut part = Part::default();
    let is_older = |(first, _): (i64, i64)| first < before_us;
    if !join.right.source.view().time_bounds().is_some_and(is_older) {
        return Ok(part);
    }
    let source = join.right.source.within(&[TimeRange { start_us: i64::MIN, end_us: before_us }]);
    let mut wanted = keys.map_or_else(|| Ok(vec![true]), |keys| keys.wanted_by(left))?;
    let mut missing = wanted.iter().filter(|wanted| **wanted).count();
    let mut backward = Backward::new(&source, 0)?;
    while missing > 0
        && let Some(blocks) = backward.next_window()?
    {
        stop.check()?;
        for block in blocks.iter().rev().filter(|block| block.selected_rows() > 0) {
            let times = join.right.times(block, join.in_ns)?;
            let numbers = keys.map(|keys| block.selection().picked(keys.of_right(block.columns())));
            // among the rows that count, the newest first
            let mut found = Vec::new();
            for row in (0..times.len()).rev() {
                let number = numbers.as_ref().map_or(0, |numbers| numbers[row]);
                if std::mem::take(&mut wanted[number as usize]) {
                    found.push((row, number));
                }
            }
            missing -= found.len();
            if !found.is_empty() {
                let batch = picked(join, block, found.iter().map(|(row, _)| *row), schema)?;
                reservation.try_grow(2 * (bytes_of(&batch) + found.len() * size_of::<(i64, u32)>()))?;
                part.times.extend(found.iter().map(|(row, _)| times[*row]));
                part.keys.extend(found.iter().map(|(_, number)| *number as u32));
                part.batches.push(batch);
            }
        }
    }
    Ok(part)
}

/// Returns what arguments read of some of the rows of a block that count.
fn picked(join: &Join, block: &Block, rows: impl Iterator<Item = usize>, schema: &SchemaRef) -> Result<RecordBatch> {
    let place = |row: usize| match block.selection() {
        Selection::All => row as u32,
        Selection::Rows(rows) => rows[row],
    };
    let rows: UInt32Array = rows.map(place).collect::<Vec<_>>().into();
    let columns = join.read.iter().map(|column| block.picked(*column, &rows)).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
