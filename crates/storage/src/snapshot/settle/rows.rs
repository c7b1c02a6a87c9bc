//! The rows that a table holds in memory at cuts one after another, in files: [`RowsInFiles`].
//!
//! Each cut has the rows of the one before, and some more. These are written as a piece of their own, together with the pieces
//! before that are not much larger: so a cut names few segments, and each row is written a logarithmic number of times.

use std::path::PathBuf;
use std::sync::Arc;

use types::Seq;

use crate::Result;
use crate::changes::Outputs;
use crate::database::Database;
use crate::record::{AddedSegment, Edit};
use crate::table::{TableState, files_named_by};

/// A piece of so many times the rows that come with a cut is written again with them. The next one is named by the lists of all
/// later cuts, where a segment takes some hundred bytes.
const WRITTEN_AGAIN: u64 = 5;

/// What was written of the rows and symbols that a table holds in memory alone at a cut.
pub(super) struct RowsInFiles {
    of: Arc<TableState>,
    /// All of its rows, oldest first; none of a table with DEDUP keys, whose rows may replace others.
    pieces: Vec<Piece>,
    edit: Edit,
}

/// Rows of commits one after another.
struct Piece {
    through: Seq,
    rows: u64,
    segments: Vec<AddedSegment>,
}

impl RowsInFiles {
    /// Writes what a table holds in memory alone; `former` is what was written of an older state. Durable as `outputs` say.
    pub fn write(
        db: &Database,
        table: &Arc<TableState>,
        former: Option<RowsInFiles>,
        outputs: &Outputs,
    ) -> Result<RowsInFiles> {
        let former = former.filter(|former| table.begins_with_rows_of(&former.of));
        if table.has_dedup() {
            let edit = db.write_older(table, outputs)?;
            return Ok(RowsInFiles { of: table.clone(), pieces: Vec::new(), edit });
        }
        let (mut pieces, symbol_files) = former
            .map(|former| (former.pieces, same_symbols(table, &former.of).then_some(former.edit.symbol_files)))
            .unwrap_or_default();
        let mut rest = TableState::clone(table);
        let behind = |pieces: &[Piece]| match pieces.last() {
            Some(piece) => table.memtable.after(piece.through),
            None => Ok(table.memtable.clone()),
        };
        rest.memtable = behind(&pieces)?;
        if rest.memtable.rows() > 0 {
            let mut rows = rest.memtable.rows();
            while let Some(piece) = pieces.pop_if(|piece| piece.rows <= WRITTEN_AGAIN * rows) {
                rows += piece.rows;
            }
            rest.memtable = behind(&pieces)?;
        }
        if symbol_files.is_some() {
            rest.symbols = Arc::default();
        }
        let mut edit = db.write_older(&rest, outputs)?;
        if let Some(through) = rest.memtable.last_seq() {
            pieces.push(Piece { through, rows: rest.memtable.rows(), segments: edit.added });
        }
        edit.added = pieces.iter().flat_map(|piece| piece.segments.iter().cloned()).collect();
        edit.symbol_files = symbol_files.unwrap_or(edit.symbol_files);
        edit.flushed_through = pieces.last().map(|piece| piece.through).or(edit.flushed_through);
        Ok(RowsInFiles { of: table.clone(), pieces, edit })
    }

    /// Returns the table at the newest of the cuts.
    pub fn of(&self) -> &TableState {
        &self.of
    }

    /// Returns the edit that would name the files.
    pub fn edit(&self) -> &Edit {
        &self.edit
    }

    /// Returns the files.
    pub fn paths(&self, db: &Database) -> Vec<PathBuf> {
        let dir = self.of.path(&db.disk.layout);
        let segments = self.edit.added.iter().map(|added| &added.segment);
        let files = files_named_by(segments, self.edit.symbol_files.iter()).map(|named| named.file);
        files.chain(self.edit.dead.iter().map(|dead| &*dead.dead.file)).map(|file| dir.join(file)).collect()
    }

    /// Returns the table as it is when the edit has named all that it held in memory. The dictionaries are those of the newest
    /// state: they are not told.
    pub fn table(&self, db: &Database) -> TableState {
        let mut table = TableState::clone(&self.of);
        table.edit_segments(&db.disk, &self.edit);
        for file in &self.edit.symbol_files {
            if let Some(symbols) = Arc::make_mut(&mut table.symbols).get_mut(&file.column) {
                Arc::make_mut(&mut symbols.files).push(file.clone());
            }
        }
        table.flushed_through = self.edit.flushed_through.unwrap_or(table.flushed_through);
        table
    }
}

/// Returns whether two states of a table know the same symbols.
fn same_symbols(one: &TableState, other: &TableState) -> bool {
    let known = |table: &TableState| -> Vec<u32> { table.symbols.values().map(|symbols| symbols.len).collect() };
    known(one) == known(other)
}
