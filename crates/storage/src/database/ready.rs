//! Rows made ready before the head lock is taken: symbols resolved, the record's bytes and the memtable's chunk made, so
//! that a commit under the lock only checks, numbers and links them ([`Waiting`]).
//!
//! That works for rows of a table that is there, whose symbols all have their codes; others are resolved under the lock by
//! [`Resolver`]. Codes never change, but one that a commit in between gave out and did not list is listed by this one.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{ColumnData, ColumnId, RowBatch, Seq};

use super::append::{Resolver, check, times_of, unlisted};
use crate::chunk::{Chunk, ResolvedBatch, ResolvedColumn};
use crate::record::{self, ReadyRows, Record, Rows};
use crate::symbols::Dictionary;
use crate::table::TableState;
use crate::{Error, Result};

/// Rows that wait for their commit.
pub(super) enum Waiting {
    /// As they came.
    Batch(RowBatch),
    Ready(Ready),
}

/// Rows with their bytes and their chunk.
pub(super) struct Ready {
    rows: Box<ReadyRows>,
    /// Of each symbol column: where its codes are from, and one more than the greatest.
    symbols: Vec<(ColumnId, Arc<Dictionary>, u32)>,
}

/// What the codes of a batch's own dictionary are in that of the column.
type Codes = BTreeMap<ColumnId, (Vec<i32>, Arc<Dictionary>)>;

impl Waiting {
    /// Makes rows ready as far as it can be done for a table as it was a moment ago.
    ///
    /// # Errors
    /// `Invalid` for rows that no table takes.
    pub fn of(table: Option<&Arc<TableState>>, batch: RowBatch) -> Result<Waiting> {
        let Some(table) = table.filter(|_| batch.rows() > 0) else { return Ok(Waiting::Batch(batch)) };
        match check(table, &batch) {
            Ok(()) => {}
            // the newest state decides
            Err(Error::Conflict(_)) => return Ok(Waiting::Batch(batch)),
            Err(e) => return Err(e),
        }
        match codes_of(table, &batch) {
            Some(codes) => ready(table, batch, codes).map(Waiting::Ready),
            None => Ok(Waiting::Batch(batch)),
        }
    }

    /// Checks that the rows fit the table as it is now.
    pub fn check(&self, table: &TableState) -> Result<()> {
        match self {
            Waiting::Batch(batch) => check(table, batch),
            Waiting::Ready(ready) => ready.check(table),
        }
    }

    /// Returns the least and greatest designated timestamp in microseconds, where there is one.
    pub fn times(&self, table: &TableState) -> Option<(i64, i64)> {
        table.schema.designated?;
        match self {
            Waiting::Batch(batch) => times_of(table, batch),
            Waiting::Ready(ready) => Some((ready.rows.chunk.ts_min, ready.rows.chunk.ts_max)),
        }
    }

    /// Returns the record of rows that were checked.
    pub fn record(self, table: &TableState, resolver: &mut Resolver) -> Result<Record> {
        match self {
            Waiting::Batch(batch) => resolver.resolve(table, batch).map(Record::Rows),
            Waiting::Ready(ready) if ready.is_listed(table) => Ok(Record::Ready(ready.rows)),
            Waiting::Ready(ready) => ready.with_unlisted(table),
        }
    }
}

/// Returns the codes of all symbols, if all have one.
fn codes_of(table: &TableState, batch: &RowBatch) -> Option<Codes> {
    let mut codes = Codes::new();
    for column in batch.columns() {
        if let ColumnData::Symbol(symbols) = &column.data {
            let dictionary = &table.symbols.get(&column.id)?.dictionary;
            codes.insert(column.id, (dictionary.codes_of(symbols.values())?, dictionary.clone()));
        }
    }
    Some(codes)
}

fn ready(table: &TableState, batch: RowBatch, mut codes: Codes) -> Result<Ready> {
    let (rows, mut symbols) = (batch.rows(), Vec::with_capacity(codes.len()));
    let mut columns = Vec::with_capacity(batch.columns().len());
    for column in batch.into_columns() {
        let known = table.schema.column_by_id(column.id);
        let column_type = known.expect("check() has found the column").column_type;
        let data = match (column.data, codes.remove(&column.id)) {
            (ColumnData::Symbol(local), Some((of_local, dictionary))) => {
                let end = of_local.iter().max().map_or(0, |code| *code as u32 + 1);
                symbols.push((column.id, dictionary, end));
                ColumnData::Symbol(local.with_codes(&of_local))
            }
            (other, _) => other,
        };
        columns.push(ResolvedColumn { id: column.id, column_type, data });
    }
    let rows = Rows { table: table.id, new_symbols: Vec::new(), batch: ResolvedBatch { rows, columns } };
    let payload = record::encode_one(&rows);
    let chunk = Chunk::from_batch(&table.schema, rows.batch, Seq::ZERO, 0)?;
    Ok(Ready { rows: Box::new(ReadyRows { table: table.id, payload, chunk }), symbols })
}

impl Ready {
    fn check(&self, table: &TableState) -> Result<()> {
        let has_column = |(id, column_type, _): &(ColumnId, _, _)| {
            table.schema.column_by_id(*id).is_some_and(|column| column.column_type == *column_type)
        };
        let has_dictionary = |(id, dictionary, _): &(ColumnId, _, _)| {
            table.symbols.get(id).is_some_and(|state| Arc::ptr_eq(&state.dictionary, dictionary))
        };
        if self.rows.chunk.columns.iter().all(has_column) && self.symbols.iter().all(has_dictionary) {
            return Ok(());
        }
        Err(Error::Conflict(format!("columns of table {} have changed", table.name)))
    }

    /// Returns whether frames have all codes of the rows.
    fn is_listed(&self, table: &TableState) -> bool {
        self.symbols.iter().all(|(id, _, end)| table.symbols.get(id).is_some_and(|state| *end <= state.len))
    }

    fn with_unlisted(self, table: &TableState) -> Result<Record> {
        let wrong = |why: String| Error::Conflict(format!("rows of table {} cannot be read back: {why}", table.name));
        let mut records = record::decode(&self.rows.payload).map_err(wrong)?;
        let Some(Record::Rows(mut rows)) = records.pop() else { return Err(wrong("they are no rows".to_owned())) };
        for (id, ..) in &self.symbols {
            let state = table.symbols.get(id).ok_or_else(|| wrong("a column has changed".to_owned()))?;
            rows.new_symbols.extend(unlisted(state, *id, state.len));
        }
        Ok(Record::Rows(rows))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use types::{Column, ColumnType, PartitionBy, SymbolColumn, TableId, TableName};

    use super::*;
    use crate::env::clock::ManualClock;
    use crate::env::rng::SeededRng;
    use crate::env::sim_fs::SimFs;
    use crate::{Database, Env, NewColumn, NewTable, Options};

    fn machine(fs: Arc<SimFs>) -> Env {
        Env::in_turn(fs, Arc::new(ManualClock::new(1)), Arc::new(SeededRng::new(1)))
    }

    fn table(db: &Database) -> Arc<TableState> {
        db.view().state().table_named("t").unwrap().clone()
    }

    fn create(db: &Database) -> TableId {
        let columns = vec![NewColumn::new("ts", ColumnType::Timestamp), NewColumn::new("s", ColumnType::Symbol)];
        db.create_table(NewTable::new(TableName::new("t").unwrap(), columns, Some(0), PartitionBy::Day)).unwrap()
    }

    fn batch(texts: &[&str]) -> RowBatch {
        let mut symbols = SymbolColumn::default();
        texts.iter().for_each(|text| symbols.push(Some(text)));
        symbols.push(None);
        let times = (0..=texts.len() as i64).collect();
        let columns = [ColumnData::I64(times), ColumnData::Symbol(symbols)];
        let columns = (0..).map(ColumnId).zip(columns).map(|(id, data)| Column { id, data });
        RowBatch::new(texts.len() + 1, columns.collect()).unwrap()
    }

    fn is_ready(db: &Database, texts: &[&str]) -> bool {
        matches!(Waiting::of(Some(&table(db)), batch(texts)).unwrap(), Waiting::Ready(_))
    }

    #[test]
    fn rows_are_ready_once_their_symbols_are_known() {
        let db = Database::open(machine(Arc::new(SimFs::new(1))), Options::new("/root")).unwrap();
        let id = create(&db);
        assert!(is_ready(&db, &[]) && !is_ready(&db, &["a"]));
        db.append(vec![(id, batch(&["a", "b"]))]).unwrap();
        assert!(is_ready(&db, &["b", "a", "b"]) && !is_ready(&db, &["a", "c"]));
        let (Waiting::Ready(ready), Waiting::Batch(plain)) =
            (Waiting::of(Some(&table(&db)), batch(&["b"])).unwrap(), Waiting::of(None, batch(&["b"])).unwrap())
        else {
            panic!("rows of no table are never ready")
        };
        let resolved = Resolver::default().resolve(&table(&db), plain).unwrap();
        assert_eq!(ready.rows.payload, record::encode(&[Record::Rows(resolved)]), "the frame is the same either way");
    }

    #[test]
    fn codes_that_no_frame_has_are_listed_by_the_next() {
        let fs = Arc::new(SimFs::new(1));
        let db = Database::open(machine(fs.clone()), Options::new("/root")).unwrap();
        let id = create(&db);
        // as a commit does that fails behind it
        table(&db).symbols[&ColumnId(1)].dictionary.intern("x").unwrap();
        assert!(is_ready(&db, &["x"]));
        db.append(vec![(id, batch(&["x", "x"]))]).unwrap();
        db.append(vec![(id, batch(&["x"]))]).unwrap();
        drop(db);
        let db = Database::open(machine(Arc::new(fs.kill())), Options::new("/root")).unwrap();
        let table = table(&db);
        assert_eq!((table.memtable.rows(), table.symbols[&ColumnId(1)].len), (5, 1));
        assert_eq!(table.symbols[&ColumnId(1)].dictionary.text(0), Some("x".to_owned()));
    }

    #[test]
    fn rows_of_a_column_that_is_gone_are_refused() {
        let db = Database::open(machine(Arc::new(SimFs::new(1))), Options::new("/root")).unwrap();
        create(&db);
        let ready = Waiting::of(Some(&table(&db)), batch(&[])).unwrap();
        let mut without = TableState::clone(&table(&db));
        let mut schema = types::Schema::clone(&without.schema);
        schema.columns.truncate(1);
        without.alter(schema, Seq(9));
        assert!(ready.check(&table(&db)).is_ok());
        assert!(matches!(ready.check(&without), Err(Error::Conflict(_))));
    }
}
