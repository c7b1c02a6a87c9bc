//! One statement or piece of background work: [`Step`], and what it does to the model and to a database.
//!
//! Owns the translation of a step into calls of `storage::Database`; never decides which step comes (`generate` does)
//! nor what may be lost (`crash` does).

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use storage::{Database, NewColumn, NewTable, TableView, Terms};
use types::{ColumnData, ColumnId, ColumnType, PartitionKey, RowBatch, StrColumn, TableId, TableName, TimeRange, Ttl};

use crate::machine::Machine;
use crate::model::{Model, ModelColumn, ModelTable};
use crate::value::{self, Row, Value};

/// A thing to do.
#[derive(Debug, Clone)]
pub enum Step {
    /// Rows of the table are stored by the same commit.
    Create(ModelTable),
    Drop(String),
    /// The latest dropped table of that name comes back.
    Undrop {
        table: String,
        to: String,
    },
    /// The table that was dropped first is gone.
    Purge,
    Rename {
        table: String,
        to: String,
    },
    Truncate(String),
    AddColumn {
        table: String,
        column: ModelColumn,
    },
    DropColumn {
        table: String,
        column: String,
    },
    RenameColumn {
        table: String,
        column: String,
        to: String,
    },
    /// Rows of several tables in one commit.
    Append(Vec<(String, Vec<Row>)>),
    /// Sets a column in every n-th row of a partition.
    Update {
        table: String,
        partition: PartitionKey,
        column: String,
        value: Value,
        every: usize,
    },
    /// An update during which, between its reading and its commit, another step of the same table is done.
    UpdateAfter {
        update: Box<Step>,
        meanwhile: Box<Step>,
    },
    DropPartitions {
        table: String,
        keys: Vec<PartitionKey>,
    },
    /// Rows replace each other by these columns and the time from now on; None: they do not.
    SetDedup {
        table: String,
        keys: Option<Vec<String>>,
    },
    SetTtl {
        table: String,
        hours: Option<u32>,
    },
    /// A column of numbers becomes text.
    Convert {
        table: String,
        column: String,
    },
    Prepare(String),
    /// A snapshot that is kept from the start.
    PrepareKept(String),
    /// A snapshot whose lease has run out when leases are looked at.
    PrepareLeased(String),
    /// A lease without end.
    Renew(String),
    /// What time does to leases.
    Leases,
    /// What the guard does once on a disk that is nearly full; a snapshot is open.
    FullDisk,
    Keep(String),
    Complete(String),
    /// The background's settling of a kept snapshot.
    Settle,
    /// A table as it was at a snapshot comes back under another name.
    RestoreTable {
        snapshot: String,
        table: String,
        to: String,
    },
    /// All tables become what they were at a snapshot.
    RestoreDatabase(String),
    /// The background flush.
    Flush,
    /// The flush of one table, however little it holds.
    FlushTable(String),
    /// The background base.
    Base,
    /// A base, whether it is due or not.
    WriteBase,
    Gc,
    /// One merge of segments, if there is one to do.
    Compact,
    /// What a quiet second does.
    Idle,
    /// A statement that must be refused and change nothing.
    Refused(Refused),
}

/// A statement that must be refused.
#[derive(Debug, Clone)]
pub enum Refused {
    NullTime(String),
    NegativeTime(String),
    TableTwice(String),
    ColumnTwice(String),
    NoSuchTable,
    PrepareTwice,
}

impl Step {
    /// Returns what the step is called in call sites.
    pub fn label(&self) -> &'static str {
        match self {
            Step::Create(_) => "create",
            Step::Drop(_) => "drop",
            Step::Undrop { .. } => "undrop",
            Step::Purge => "purge",
            Step::Rename { .. } => "rename",
            Step::Truncate(_) => "truncate",
            Step::AddColumn { .. } => "add column",
            Step::DropColumn { .. } => "drop column",
            Step::RenameColumn { .. } => "rename column",
            Step::Append(_) => "append",
            Step::Update { .. } | Step::UpdateAfter { .. } => "update",
            Step::DropPartitions { .. } => "drop partition",
            Step::SetDedup { .. } => "set dedup",
            Step::SetTtl { .. } => "set ttl",
            Step::Convert { .. } => "convert",
            Step::Prepare(_) | Step::PrepareKept(_) | Step::PrepareLeased(_) => "prepare",
            Step::Renew(_) => "renew",
            Step::Leases => "leases",
            Step::FullDisk => "full disk",
            Step::Keep(_) => "keep",
            Step::Complete(_) => "complete",
            Step::Settle => "settle",
            Step::RestoreTable { .. } => "restore table",
            Step::RestoreDatabase(_) => "restore database",
            Step::Flush | Step::FlushTable(_) => "flush",
            Step::Base | Step::WriteBase => "base",
            Step::Gc => "gc",
            Step::Compact => "compact",
            Step::Idle => "idle",
            Step::Refused(_) => "refused",
        }
    }

    /// Returns whether the step is durable when it is done, in every commit mode; all before it is, then.
    pub fn is_durable(&self) -> bool {
        use Step::*;
        matches!(
            self,
            Prepare(_)
                | PrepareKept(_)
                | PrepareLeased(_)
                | Keep(_)
                | Renew(_)
                | Complete(_)
                | FullDisk
                | RestoreTable { .. }
                | RestoreDatabase(_)
        )
    }

    /// Does the step to the model.
    pub fn apply_to(&self, model: &mut Model) {
        match self {
            Step::Create(table) => {
                model.tables.insert(table.name.clone(), Arc::new(table.clone()));
            }
            Step::Drop(name) => {
                model.dropped.push(model.tables.remove(name).expect("the step was made for this model"));
            }
            Step::Undrop { table, to } => {
                let mut back = model.take_dropped(table);
                Arc::make_mut(&mut back).name = to.clone();
                model.tables.insert(to.clone(), back);
            }
            Step::Purge => {
                model.dropped.remove(0);
            }
            Step::Rename { table, to } => {
                let mut moved = model.tables.remove(table).expect("the step was made for this model");
                Arc::make_mut(&mut moved).name = to.clone();
                model.tables.insert(to.clone(), moved);
            }
            Step::Truncate(table) => model.table_mut(table).rows.clear(),
            Step::AddColumn { table, column } => model.table_mut(table).add_column(column.clone()),
            Step::DropColumn { table, column } => {
                let table = model.table_mut(table);
                let at = table.column(column).expect("the step was made for this model");
                table.drop_column(at);
            }
            Step::RenameColumn { table, column, to } => {
                let table = model.table_mut(table);
                let at = table.column(column).expect("the step was made for this model");
                table.rename_column(at, to);
            }
            Step::Append(batches) => batches.iter().for_each(|(table, rows)| model.table_mut(table).append(rows)),
            Step::Update { table, partition, column, value, every } => {
                let table = model.table_mut(table);
                let at = table.column(column).expect("the step was made for this model");
                table.update(*partition, at, value, *every);
            }
            // A truncate makes the update begin again; appended rows are later than the update and stay as they are.
            Step::UpdateAfter { update, meanwhile } => match **meanwhile {
                Step::Append(_) => {
                    update.apply_to(model);
                    meanwhile.apply_to(model);
                }
                _ => {
                    meanwhile.apply_to(model);
                    update.apply_to(model);
                }
            },
            Step::DropPartitions { table, keys } => model.table_mut(table).drop_partitions(keys),
            Step::SetDedup { table, keys } => model.table_mut(table).dedup = keys.clone(),
            Step::SetTtl { table, hours } => {
                let table = model.table_mut(table);
                table.ttl_hours = *hours;
                table.expire();
            }
            Step::Convert { table, column } => {
                let table = model.table_mut(table);
                let at = table.column(column).expect("the step was made for this model");
                table.convert_to_text(at);
            }
            Step::Prepare(name) => model.prepare(name, false),
            Step::PrepareKept(name) => model.prepare(name, true),
            Step::PrepareLeased(name) => {
                model.prepare(name, false);
                model.snapshot_mut(name).short = true;
            }
            Step::Renew(name) => {
                let snapshot = model.snapshot_mut(name);
                (snapshot.short, snapshot.expired, snapshot.ended) = (false, false, false);
            }
            Step::Leases => {
                for snapshot in model.snapshots.values_mut().filter(|snapshot| snapshot.short) {
                    (snapshot.short, snapshot.expired) = (false, true);
                }
            }
            Step::FullDisk => model.full_disk(),
            Step::Keep(name) => {
                let snapshot = model.snapshot_mut(name);
                (snapshot.kept, snapshot.short, snapshot.expired, snapshot.ended) = (true, false, false, false);
            }
            Step::Complete(name) => {
                model.snapshots.remove(name);
            }
            Step::RestoreTable { snapshot, table, to } => {
                let mut back = model.snapshots[snapshot].cut.table(table).clone();
                Arc::make_mut(&mut back).name = to.clone();
                model.tables.insert(to.clone(), back);
            }
            Step::RestoreDatabase(snapshot) => {
                let tables = model.snapshots[snapshot].cut.tables.clone();
                model.keep_way_back();
                model.tables = tables;
            }
            Step::Flush | Step::FlushTable(_) | Step::Base | Step::WriteBase => {}
            Step::Gc | Step::Settle | Step::Compact | Step::Idle | Step::Refused(_) => {}
        }
    }

    /// Returns what the model is between the two commits of a step that makes two.
    pub fn halfway(&self, model: &Model) -> Option<Model> {
        let mut halfway = model.clone();
        match self {
            Step::UpdateAfter { meanwhile, .. } => meanwhile.apply_to(&mut halfway),
            // One of the name whose lease has run out is completed first.
            Step::Prepare(name) | Step::PrepareKept(name) | Step::PrepareLeased(name) => {
                halfway.snapshots.remove(name)?;
            }
            // The snapshot that holds what was before is taken first.
            Step::RestoreDatabase(_) => halfway.keep_way_back(),
            _ => return None,
        }
        Some(halfway)
    }

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
            Refused::ColumnTwice(table) => {
                db.add_column(id(db, table), new_column(&model.table(table).columns[0])).map(drop)
            }
            Refused::NoSuchTable => db.drop_table(TableId(u64::MAX)),
            Refused::PrepareTwice => db.prepare_snapshot("default"),
        }
    }
}

/// Returns a step in one line.
pub fn describe(step: &Step) -> String {
    let mut text = format!("{step:?}");
    if text.len() > 160 {
        let end = (0..=160).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
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
