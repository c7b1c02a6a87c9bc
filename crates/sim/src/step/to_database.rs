//! What a [`Step`] does to a database: the calls of `storage::Database` that stand for it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use storage::{Database, NewColumn, NewTable, Replace, TableView, Terms};
use types::{ColumnData, ColumnId, ColumnType, RowBatch, StrColumn, TableId, TableName, TimeRange, Ttl};

use super::{Refused, Step};
use crate::machine::Machine;
use crate::model::{Model, ModelColumn, ModelTable};
use crate::value::{self, Row, Value};

impl Step {
    /// Does the step to a database that equals the model and runs on that machine.
    ///
    /// # Errors
    /// What storage answers; for [`Step::Refused`] a sentence when it was *not* refused.
    pub fn run(&self, db: &Database, model: &Model, machine: &Machine) -> Result<(), StepError> {
        let done = match self {
            Step::Create(table) => create(db, table),
            Step::Drop(table) => db.drop_table(id(db, table)),
            Step::Undrop { table, to } => {
                let other = (table != to).then(|| table_name(to));
                db.undrop_table(table, None, other.as_ref()).map(drop)
            }
            Step::Purge => purge_oldest(db),
            Step::Rename { table, to } => db.rename_table(id(db, table), &table_name(to)),
            Step::SetView { view, text } => db.set_view(&table_name(view), text, Replace::Always).map(drop),
            Step::DropView(view) => db.drop_view(&table_name(view)),
            Step::Truncate(table) => db.truncate(id(db, table)),
            Step::AddColumn { table, column } => db.add_column(id(db, table), new_column(column)).map(drop),
            Step::DropColumn { table, column } => db.drop_column(id(db, table), column),
            Step::RenameColumn { table, column, to } => db.rename_column(id(db, table), column, to),
            Step::Append(batches) => append(db, model, batches),
            Step::Update { table, .. } => update(db, model.table(table), self, || Ok(())),
            Step::UpdateAfter { update: step, meanwhile } => update_after(db, model, machine, (step, meanwhile)),
            Step::DropPartitions { table, keys } => db.drop_partitions(id(db, table), keys),
            Step::SetDedup { table, keys } => set_dedup(db, table, keys.as_deref()),
            Step::SetTtl { table, hours } => db.set_ttl(id(db, table), hours.map(Ttl::Hours)),
            Step::Convert { table, column } => {
                db.convert_column(id(db, table), column, ColumnType::Varchar, |_, values| Ok(numbers_as_text(values)))
            }
            Step::Prepare(name) => db.prepare_snapshot(name),
            Step::PrepareKept(name) => {
                db.prepare_snapshot_with(name, Terms { keep: true, owner: "admin".to_owned(), ..Terms::default() })
            }
            Step::PrepareLeased(name) => {
                db.prepare_snapshot_with(name, Terms { lease_us: Some(1), ..Terms::default() })
            }
            Step::Renew(name) => db.renew_snapshot(name, None),
            Step::Leases => db.step_leases(),
            Step::FullDisk => machine.with_full_disk(|| db.step_guard()).and_then(|()| db.step_guard()),
            Step::Keep(name) => db.keep_snapshot(name, None),
            Step::Complete(name) => db.complete_snapshot(name).map(drop),
            Step::Settle => db.step_settle().map(drop),
            Step::RestoreTable { snapshot, table, to } => {
                db.view_at(snapshot).and_then(|then| db.restore_table(&then, table, &table_name(to)).map(drop))
            }
            Step::RestoreDatabase(snapshot) => db.restore_database(snapshot, "admin").map(drop),
            Step::Flush => db.step_flush().map(drop),
            Step::FlushTable(table) => db.flush_table(id(db, table)),
            Step::Base => db.step_base().map(drop),
            Step::WriteBase => db.write_base(),
            Step::Gc => db.step_gc().map(drop),
            Step::Compact => db.step_compact().map(drop),
            Step::Idle => db.step_mark().and_then(|()| db.step_spare()),
            Step::Refused(refused) => {
                return match refused.run(db, model) {
                    Ok(()) => Err(StepError::Accepted),
                    Err(_) => Ok(()),
                };
            }
        };
        done.map_err(StepError::Storage)
    }
}

/// Why a step did not go as the model expects.
#[derive(Debug)]
pub enum StepError {
    Storage(storage::Error),
    /// What had to be refused was done.
    Accepted,
}

impl std::fmt::Display for StepError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StepError::Storage(error) => error.fmt(f),
            StepError::Accepted => f.write_str("was done although it had to be refused"),
        }
    }
}

impl Refused {
    fn run(&self, db: &Database, model: &Model) -> storage::Result<()> {
        let row_at = |table: &str, ts: Value| {
            let table = model.table(table);
            let value = |(i, c): (usize, &ModelColumn)| {
                if table.designated == Some(i) { ts.clone() } else { Value::missing(c.column_type) }
            };
            vec![(table.name.clone(), vec![table.columns.iter().enumerate().map(value).collect::<Row>()])]
        };
        match self {
            Refused::NullTime(table) => append(db, model, &row_at(table, Value::Null)),
            Refused::NegativeTime(table) => append(db, model, &row_at(table, Value::Long(-1))),
            Refused::TableTwice(table) => create(db, model.table(table)),
            Refused::TableAsView(view) => db.rename_table(id(db, first_table(model)), &table_name(view)),
            Refused::ViewAsTable(table) => db.set_view(&table_name(table), "select 1", Replace::Always).map(drop),
            Refused::ColumnTwice(table) => {
                db.add_column(id(db, table), new_column(&model.table(table).columns[0])).map(drop)
            }
            Refused::NoSuchTable => db.drop_table(TableId(u64::MAX)),
            Refused::PrepareTwice => db.prepare_snapshot("default"),
        }
    }
}

fn first_table(model: &Model) -> &str {
    model.tables.keys().next().expect("the step was made for this model")
}

/// Returns the storage id of a table that must exist.
pub fn id(db: &Database, table: &str) -> TableId {
    view(db, table).id()
}

fn view(db: &Database, table: &str) -> TableView {
    db.view().table(table).unwrap_or_else(|| panic!("the database has no table {table}"))
}

fn table_name(name: &str) -> TableName {
    TableName::new(name).expect("the generator makes good names")
}

fn new_column(column: &ModelColumn) -> NewColumn {
    NewColumn::new(&column.name, column.column_type)
}

fn purge_oldest(db: &Database) -> storage::Result<()> {
    let dropped = db.dropped_tables()?;
    let oldest = dropped.last().unwrap_or_else(|| panic!("the database has no dropped table"));
    db.purge_table(oldest.name.as_str(), Some(oldest.id)).map(drop)
}

fn create(db: &Database, table: &ModelTable) -> storage::Result<()> {
    let columns = table.columns.iter().map(new_column).collect();
    let new = NewTable::new(table_name(&table.name), columns, table.designated, table.partition_by);
    if table.rows.is_empty() {
        return db.create_table(new).map(drop);
    }
    let batches = |schema: &types::Schema| -> Vec<RowBatch> {
        let ids: Vec<ColumnId> = schema.columns.iter().map(|column| column.id).collect();
        table.rows.chunks(3).map(|rows| batch(table, &ids, rows)).collect()
    };
    // Either way to begin a table with rows, by what the model decides alone: histories stay those of their seeds.
    if table.rows.len().is_multiple_of(2) {
        let mut load = db.begin_load(&new)?;
        batches(&new.schema()?).into_iter().try_for_each(|rows| load.append(rows))?;
        return load.finish(&new).map(drop);
    }
    db.create_table_with_rows(new, |schema| Ok(batches(schema))).map(drop)
}

fn set_dedup(db: &Database, table: &str, keys: Option<&[String]>) -> storage::Result<()> {
    let view = view(db, table);
    let schema = view.schema();
    let time = &schema.columns[schema.designated_index().expect("the step was made for such a table")].name;
    let keys = keys.map(|keys| std::iter::once(time).chain(keys).map(String::as_str).collect::<Vec<_>>());
    db.set_dedup(view.id(), keys.as_deref())
}

fn numbers_as_text(values: &ArrayRef) -> ColumnData {
    let mut text = StrColumn::default();
    for row in 0..values.len() {
        let number = match values.as_primitive_opt::<Int64Type>() {
            Some(longs) => longs.value(row),
            None => i64::from(values.as_primitive::<Int32Type>().value(row)),
        };
        text.push(values.is_valid(row).then(|| number.to_string()).as_deref());
    }
    ColumnData::Str(text)
}

fn append(db: &Database, model: &Model, batches: &[(String, Vec<Row>)]) -> storage::Result<()> {
    let make = |(name, rows): &(String, Vec<Row>)| {
        let view = view(db, name);
        let ids: Vec<ColumnId> = view.schema().columns.iter().map(|column| column.id).collect();
        (view.id(), batch(model.table(name), &ids, rows))
    };
    db.append(batches.iter().map(make).collect()).map(drop)
}

/// Returns the rows as a batch; columns that hold nothing in any row are left out, as clients do.
fn batch(table: &ModelTable, ids: &[ColumnId], rows: &[Row]) -> RowBatch {
    let columns = table.columns.iter().enumerate().filter(|(i, column)| {
        let missing = Value::missing(column.column_type);
        table.designated == Some(*i) || rows.iter().any(|row| row[*i] != missing)
    });
    let columns = columns
        .map(|(i, column)| value::column(ids[i], column.column_type, rows.iter().map(|row| row[i].clone())))
        .collect();
    RowBatch::new(rows.len(), columns).expect("columns of one length and different ids")
}

fn update_after(
    db: &Database,
    model: &Model,
    machine: &Machine,
    (step, meanwhile): (&Step, &Step),
) -> storage::Result<()> {
    let Step::Update { table, .. } = step else { unreachable!("called for updates only") };
    let mut first = true;
    update(db, model.table(table), step, || {
        if !std::mem::take(&mut first) {
            return Ok(());
        }
        match meanwhile.run(db, model, machine) {
            Ok(()) => Ok(()),
            Err(StepError::Storage(error)) => Err(error),
            Err(StepError::Accepted) => unreachable!("the step in between is not one to be refused"),
        }
    })
}

/// Updates a partition; `meanwhile` is called when its rows have been read.
fn update(
    db: &Database,
    model: &ModelTable,
    step: &Step,
    mut meanwhile: impl FnMut() -> storage::Result<()>,
) -> storage::Result<()> {
    let Step::Update { partition, column, value, every, .. } = step else { unreachable!("called for updates only") };
    let at = model.column(column).expect("the step was made for this model");
    db.rewrite(id(db, &model.name), |table| {
        let ids: Vec<ColumnId> = table.schema().columns.iter().map(|c| c.id).collect();
        let mut rows = read_rows(table, model, &ids, model.partition_by.range(*partition))?;
        for row in rows.iter_mut().step_by(*every) {
            Arc::make_mut(row)[at] = value.clone();
        }
        meanwhile()?;
        Ok(Some(vec![(*partition, rows.chunks(7).map(|rows| batch(model, &ids, rows)).collect())]))
    })
}

fn read_rows(table: &TableView, model: &ModelTable, ids: &[ColumnId], range: TimeRange) -> storage::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for chunk in table.scan(ids, &[range], 100)? {
        let chunk = chunk?;
        let is_symbol = |column: &ModelColumn| column.column_type == types::ColumnType::Symbol;
        let dictionaries = model.columns.iter().zip(ids);
        let dictionaries = dictionaries.map(|(c, id)| is_symbol(c).then(|| table.dictionary(*id)).transpose());
        let dictionaries: Vec<Option<Arc<_>>> = dictionaries.collect::<storage::Result<_>>()?;
        for row in 0..chunk[0].len() {
            let read = |(i, column): (usize, &ModelColumn)| {
                Value::read(&*chunk[i], row, column.column_type, dictionaries[i].as_deref())
            };
            rows.push(model.columns.iter().enumerate().map(read).collect());
        }
    }
    Ok(rows)
}
