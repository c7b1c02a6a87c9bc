//! A new table with more rows than one commit should hold: [`Database::begin_load`].
//!
//! The rows are written once, as segments of a table that nobody sees yet, about as many at a time as a flush takes. All of it
//! is synced at once when the last ones are there; one frame names the table and what it holds. Until then the files are garbage
//! that a sweep removes.

use types::{RowBatch, TableId};

use crate::base::{new_table_base, write_table_base_as};
use crate::changes::Outputs;
use crate::database::append::{Resolver, check};
use crate::database::{Database, NewTable};
use crate::layout::{TABLE_BASE_DIR, table_dir};
use crate::record::{Adopted, AdoptedTable, EditCause};
use crate::snapshot::FileRef;
use crate::table::TableState;
use crate::{Error, Result};

/// A table in the making. Dropped before [`Load::finish`], nothing is left of it.
pub struct Load<'a> {
    database: &'a Database,
    outputs: Outputs<'a>,
    /// As it will be: rows in memory that were not written yet, and the segments of those that were.
    table: TableState,
    rows: usize,
}

impl Database {
    /// Begins a table that will be there with all its rows at once.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken; [`Error::Invalid`] as [`NewTable::schema`], and for a table with DEDUP keys.
    pub fn begin_load(&self, new: &NewTable) -> Result<Load<'_>> {
        if !new.dedup_keys.is_empty() {
            return Err(Error::Invalid(format!("table {} has DEDUP keys: its rows come by commits", new.name)));
        }
        let schema = new.schema()?;
        let view = self.view();
        view.state().check_free(&new.name)?;
        let outputs = Outputs::synced_at_the_end(self)?;
        let id = self.reserve_table_id();
        // No commit that is there has its rows, and the one that will is this or a later one.
        let seq = view.seq().next();
        let table = TableState::new(id, new.name.clone(), &table_dir(&new.name, id), schema, seq);
        outputs.will_make(&table.path(&self.disk.layout));
        Ok(Load { database: self, outputs, table, rows: 0 })
    }
}

impl Load<'_> {
    /// Takes rows, and writes those that have gathered when they are many. They are not durable, and nobody sees them.
    ///
    /// # Errors
    /// As [`Database::append`], and when a segment cannot be written.
    pub fn append(&mut self, batch: RowBatch) -> Result<()> {
        check(&self.table, &batch)?;
        self.rows += batch.rows();
        let rows = Resolver::default().resolve(&self.table, batch)?;
        self.table.append(&self.database.disk, rows, self.table.last_seq, 0)?;
        if self.table.memtable.bytes() < self.database.options.flush_bytes {
            return Ok(());
        }
        self.write()
    }

    /// Makes the table of these columns, keys and rows. Durable on return, in every commit mode.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name was taken meanwhile; nothing is left of the table then, or after any other error.
    pub fn finish(mut self, new: &NewTable) -> Result<TableId> {
        let finished = self.write_rest().and_then(|list| {
            self.outputs.sync()?;
            let says = AdoptedTable::of(&self.table, list);
            let adopted = Adopted { says, ready: Some(self.table.clone()) };
            self.database.commit_adopted(vec![adopted], |state| state.check_free(&new.name))
        });
        self.outputs.settle(finished)?;
        self.database.count_rows(self.rows);
        Ok(self.table.id)
    }

    /// Writes the rows that are in memory as segments.
    fn write(&mut self) -> Result<()> {
        let Some(last) = self.table.memtable.last_seq() else { return Ok(()) };
        let edit = self.database.write_plain(&self.table, last, &self.outputs)?;
        self.table.edit(&self.database.disk, &edit, last).map(drop)
    }

    /// Writes what is not in files yet, and the list of the segments.
    fn write_rest(&mut self) -> Result<Option<FileRef>> {
        self.write()?;
        let mut symbols = self.table.new_edit(EditCause::Flush);
        symbols.symbol_files = self.database.write_symbol_files(&self.table, &self.outputs)?;
        self.table.edit(&self.database.disk, &symbols, self.table.last_seq)?;
        if self.table.segments.is_empty() {
            return Ok(None);
        }
        let (env, dir) = (self.outputs.env(), self.table.path(&self.database.disk.layout));
        let file = new_table_base(env, self.database.timeline);
        self.outputs.make_table_dir(&dir, TABLE_BASE_DIR)?;
        self.outputs.will_write(&dir.join(&file));
        write_table_base_as(env, &dir, &file, &self.table).map(Some)
    }
}
