//! Seeded histories: [`Generator`] says which step comes next.
//!
//! Owns the choice; every step fits the model that it is made for. The same seed gives the same history.

use std::sync::Arc;

use storage::env::Rng;
use storage::env::rng::SeededRng;
use types::time::{US_PER_DAY, US_PER_HOUR};
use types::{ColumnType, PartitionBy, PartitionKey};

use crate::model::{Model, ModelColumn, ModelSnapshot, ModelTable};
use crate::step::{Refused, Step};
use crate::value::{Row, Value};

/// 2024-01-01T00:00Z.
const START_US: i64 = 1_704_067_200_000_000;
/// Most tables at once.
const TABLES: usize = 4;
/// Names of snapshots.
const SNAPSHOTS: [&str; 3] = ["default", "nightly", "before-7.1"];
/// Most columns of a table.
const COLUMNS: usize = 9;

/// Chooses steps.
pub struct Generator {
    rng: SeededRng,
    names: u64,
    /// Where in-order rows stand.
    now_us: i64,
    /// Whether snapshots are prepared and completed.
    snapshots: bool,
    /// The step before took files out of the state.
    freed: bool,
}

impl Generator {
    /// Returns a chooser of steps.
    pub fn new(seed: u64, snapshots: bool) -> Generator {
        Generator { rng: SeededRng::new(seed), names: 0, now_us: START_US, snapshots, freed: false }
    }

    /// Lets names begin behind those of another chooser for the same database.
    pub fn names_from(mut self, first: u64) -> Generator {
        self.names = first;
        self
    }

    /// Returns a number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    fn chance(&self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.rng.below(from.len() as u64) as usize]
    }

    /// Returns the next step.
    pub fn next(&mut self, model: &Model) -> Step {
        // What was freed just now is what gc may not take too early.
        if std::mem::take(&mut self.freed) && self.chance(50) {
            return Step::Gc;
        }
        let step = self.choose(model);
        use Step::{
            Compact, Convert, Drop, DropPartitions, FullDisk, Purge, RestoreDatabase, SetTtl, Settle, Truncate, Update,
        };
        self.freed = matches!(
            step,
            Drop(_)
                | Purge
                | RestoreDatabase(_)
                | Truncate(_)
                | Update { .. }
                | DropPartitions { .. }
                | SetTtl { .. }
                | Convert { .. }
                | Compact
                | Settle
                | FullDisk
        );
        step
    }

    fn choose(&mut self, model: &Model) -> Step {
        if model.tables.is_empty() {
            return self.create();
        }
        let table = self.pick(&model.tables.values().collect::<Vec<_>>()).to_owned().clone();
        match self.rng.below(100) {
            0..41 => self.append(model),
            41..46 => Step::Compact,
            46..50 => Step::Flush,
            50..57 => Step::FlushTable(table.name.clone()),
            57..58 => Step::Base,
            58..59 => self.view(model),
            59..62 => Step::WriteBase,
            62..66 => Step::Gc,
            66..68 => Step::Idle,
            68..71 if model.tables.len() < TABLES => self.create(),
            71..73 if model.tables.len() > 1 => self.drop_or_undrop(model, &table),
            73..74 => Step::Rename { table: table.name.clone(), to: self.name("t") },
            74..75 => Step::Truncate(table.name.clone()),
            75..78 if table.columns.len() < COLUMNS => {
                Step::AddColumn { table: table.name.clone(), column: self.column() }
            }
            78..80 => self.drop_column(&table),
            80..82 => self.rename_column(&table),
            82..85 => self.update(&table),
            85..86 => self.update_after(&table),
            86..87 => self.drop_partitions(&table),
            87..90 => self.rule(&table),
            90..91 => Step::Refused(self.refused(model, &table)),
            91..100 if self.snapshots => self.snapshot(model),
            _ => self.append(model),
        }
    }

    /// Returns a step of a snapshot; not many are open for long, since nothing is removed meanwhile.
    pub fn snapshot(&mut self, model: &Model) -> Step {
        let absent: Vec<&str> = SNAPSHOTS.into_iter().filter(|name| model.is_free(name)).collect();
        let open: Vec<&String> =
            model.snapshots.iter().filter(|(_, s)| !s.kept && !s.expired).map(|(name, _)| name).collect();
        let all: Vec<&String> = model.snapshots.keys().collect();
        // Of several that run out at one look some may do so before a cut and some not: the model knows one.
        let is_leased = model.snapshots.values().any(|s| s.short);
        let unkept: Vec<&String> = model.snapshots.iter().filter(|(_, s)| !s.kept).map(|(name, _)| name).collect();
        let is_open = model.snapshots.values().any(ModelSnapshot::is_open);
        match self.rng.below(15) {
            13 if !all.is_empty() && all.len() <= SNAPSHOTS.len() && model.is_free("before-restore-2") => {
                Step::RestoreDatabase((*self.pick(&all)).clone())
            }
            10 if !absent.is_empty() && !is_leased => Step::PrepareLeased((*self.pick(&absent)).to_owned()),
            11 if !unkept.is_empty() && !is_leased => Step::Renew((*self.pick(&unkept)).clone()),
            10..14 => Step::Leases,
            14 if is_open => Step::FullDisk,
            0..3 if !open.is_empty() => Step::Keep((*self.pick(&open)).clone()),
            0..3 if all.len() > open.len() => Step::Settle,
            0..6 if !open.is_empty() => Step::Complete((*self.pick(&open)).clone()),
            6 if !all.is_empty() && self.chance(50) => Step::Complete((*self.pick(&all)).clone()),
            6 if !all.is_empty() => self.restore_table(model, &all),
            8 if !all.is_empty() => self.restore_table(model, &all),
            7 if !absent.is_empty() => Step::PrepareKept((*self.pick(&absent)).to_owned()),
            _ if !absent.is_empty() => Step::Prepare((*self.pick(&absent)).to_owned()),
            _ => Step::Complete((*self.pick(&all)).clone()),
        }
    }

    /// Returns a step that stores rows.
    pub fn append(&mut self, model: &Model) -> Step {
        let mut batches = Vec::new();
        for table in model.tables.values() {
            if batches.is_empty() || self.chance(15) {
                let count = match self.rng.below(100) {
                    0..70 => 1 + self.rng.below(6),
                    70..95 => 1 + self.rng.below(40),
                    _ => 1 + self.rng.below(300),
                };
                batches.push((table.name.clone(), self.rows(table, count as usize)));
            }
        }
        // The first table would get most of the rows otherwise.
        if model.tables.len() > 1 && self.chance(60) {
            let table = self.pick(&model.tables.values().collect::<Vec<_>>()).to_owned().clone();
            let count = 1 + self.rng.below(10) as usize;
            batches = vec![(table.name.clone(), self.rows(&table, count))];
        }
        Step::Append(batches)
    }

    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        let odd = ["", "", "", " x", "_Ä", "é日"];
        format!("{prefix}{}{}", self.names, self.pick(&odd))
    }

    fn create(&mut self) -> Step {
        let mut columns: Vec<ModelColumn> = (0..1 + self.rng.below(5)).map(|_| self.column()).collect();
        let partitioned = self.chance(85);
        let designated = partitioned.then(|| self.rng.below(columns.len() as u64 + 1) as usize);
        if let Some(at) = designated {
            columns.insert(at, ModelColumn { name: self.name("ts"), column_type: ColumnType::Timestamp });
        }
        let units = [PartitionBy::Hour, PartitionBy::Day, PartitionBy::Day, PartitionBy::Month, PartitionBy::None];
        let partition_by = if partitioned { *self.pick(&units) } else { PartitionBy::None };
        let mut table = ModelTable {
            name: self.name("t"),
            columns,
            designated,
            partition_by,
            rows: Vec::new(),
            dedup: None,
            ttl_hours: None,
        };
        if self.chance(30) {
            let count = 1 + self.rng.below(30) as usize;
            let rows = self.rows(&table, count);
            table.append(&rows);
        }
        Step::Create(table)
    }

    /// Returns a step that drops a table, or does away with a dropped one, the one way or the other.
    fn drop_or_undrop(&mut self, model: &Model, table: &ModelTable) -> Step {
        match model.dropped.last() {
            Some(dropped) if model.tables.len() <= TABLES && self.chance(40) => {
                let name = dropped.name.clone();
                let to = if model.tables.contains_key(&name) { self.name("t") } else { name.clone() };
                Step::Undrop { table: name, to }
            }
            Some(_) if self.chance(30) => Step::Purge,
            _ => Step::Drop(table.name.clone()),
        }
    }

    /// Returns a step that makes, replaces or drops a view; a few stand at once.
    fn view(&mut self, model: &Model) -> Step {
        let known: Vec<&String> = model.views.keys().collect();
        let text = format!("select {} from t", self.rng.below(1_000));
        match self.rng.below(4) {
            0 if !known.is_empty() => Step::DropView((*self.pick(&known)).clone()),
            1 if !known.is_empty() => Step::SetView { view: (*self.pick(&known)).clone(), text },
            _ if known.len() < TABLES => Step::SetView { view: self.name("v"), text },
            _ => Step::DropView((*self.pick(&known)).clone()),
        }
    }

    /// Returns a step that brings a table of a snapshot back, under its own name where that is free.
    fn restore_table(&mut self, model: &Model, snapshots: &[&String]) -> Step {
        let snapshot = (*self.pick(snapshots)).clone();
        let names: Vec<String> = model.snapshots[&snapshot].cut.tables.keys().cloned().collect();
        if names.is_empty() || model.tables.len() > TABLES {
            return Step::Gc;
        }
        let table = self.pick(&names).clone();
        let to = if model.tables.contains_key(&table) { self.name("t") } else { table.clone() };
        Step::RestoreTable { snapshot, table, to }
    }

    fn column(&mut self) -> ModelColumn {
        let column_type = if self.chance(30) { ColumnType::Symbol } else { *self.pick(&ColumnType::ALL) };
        ModelColumn { name: self.name("c"), column_type }
    }

    /// Returns a column that is not the designated timestamp.
    fn other_column(&self, table: &ModelTable) -> Option<ModelColumn> {
        let others = table.columns.iter().enumerate().filter(|(i, _)| table.designated != Some(*i));
        let others: Vec<_> = others.map(|(_, column)| column).collect();
        (!others.is_empty()).then(|| (*self.pick(&others)).clone())
    }

    fn drop_column(&mut self, table: &ModelTable) -> Step {
        match self.other_column(table) {
            Some(column) if table.columns.len() > 2 => {
                Step::DropColumn { table: table.name.clone(), column: column.name }
            }
            _ => Step::Flush,
        }
    }

    fn rename_column(&mut self, table: &ModelTable) -> Step {
        let column = self.pick(&table.columns).name.clone();
        Step::RenameColumn { table: table.name.clone(), column, to: self.name("r") }
    }

    fn update(&mut self, table: &ModelTable) -> Step {
        let partitions: Vec<PartitionKey> = table.partitions().into_keys().collect();
        match (partitions.is_empty(), self.other_column(table)) {
            (false, Some(column)) => Step::Update {
                table: table.name.clone(),
                partition: *self.pick(&partitions),
                value: self.value(column.column_type),
                column: column.name,
                every: 1 + self.rng.below(3) as usize,
            },
            _ => Step::Idle,
        }
    }

    /// Returns an update in whose middle the table is truncated.
    fn update_after(&mut self, table: &ModelTable) -> Step {
        let update = self.update(table);
        if !matches!(update, Step::Update { .. }) {
            return update;
        }
        // Not rows: an append may have to flush, which waits for the update.
        let meanwhile = Step::Truncate(table.name.clone());
        Step::UpdateAfter { update: Box::new(update), meanwhile: Box::new(meanwhile) }
    }

    fn drop_partitions(&mut self, table: &ModelTable) -> Step {
        let partitions: Vec<PartitionKey> = table.partitions().into_keys().collect();
        if partitions.len() < 2 || table.designated.is_none() || table.partition_by == PartitionBy::None {
            return Step::Gc;
        }
        let count = 1 + self.rng.below(partitions.len() as u64 / 2) as usize;
        let first = self.rng.below((partitions.len() - count) as u64 + 1) as usize;
        Step::DropPartitions { table: table.name.clone(), keys: partitions[first..first + count].to_vec() }
    }

    /// Returns a change of the table's keys or TTL, or of a column's type.
    fn rule(&self, table: &ModelTable) -> Step {
        let of_type = |types: &[ColumnType]| -> Vec<String> {
            let others = table.columns.iter().enumerate().filter(|(at, _)| table.designated != Some(*at));
            others.filter(|(_, c)| types.contains(&c.column_type)).map(|(_, c)| c.name.clone()).collect()
        };
        let numbers = of_type(&[ColumnType::Int, ColumnType::Long]);
        let name = table.name.clone();
        match self.rng.below(10) {
            0..5 if table.designated.is_some() => {
                let keys = of_type(&[ColumnType::Short, ColumnType::Int, ColumnType::Long, ColumnType::Varchar]);
                let keys = keys.into_iter().filter(|_| self.chance(50)).collect();
                Step::SetDedup { table: name, keys: (table.dedup.is_none() || self.chance(50)).then_some(keys) }
            }
            5..7 if table.partition_by != PartitionBy::None => {
                let hours = 24 * (1 + self.rng.below(60) as u32);
                Step::SetTtl { table: name, hours: (table.ttl_hours.is_none() || self.chance(40)).then_some(hours) }
            }
            _ if !numbers.is_empty() => Step::Convert { table: name, column: self.pick(&numbers).clone() },
            _ => Step::Flush,
        }
    }

    fn refused(&self, model: &Model, table: &ModelTable) -> Refused {
        let name = table.name.clone();
        match self.rng.below(8) {
            0 if table.designated.is_some() => Refused::NullTime(name),
            1 if table.designated.is_some() => Refused::NegativeTime(name),
            2 => Refused::ColumnTwice(name),
            3 if !model.is_free("default") => Refused::PrepareTwice,
            4 => Refused::NoSuchTable,
            6 => Refused::ViewAsTable(name),
            7 if !model.views.is_empty() => {
                Refused::TableAsView((*self.pick(&model.views.keys().collect::<Vec<_>>())).clone())
            }
            _ => Refused::TableTwice(name),
        }
    }

    /// Returns rows: most in order, some late, many at the same time.
    fn rows(&mut self, table: &ModelTable, count: usize) -> Vec<Row> {
        let wide = self.chance(4);
        let sparse = self.chance(20);
        (0..count)
            .map(|_| {
                self.now_us += self.rng.below(3) as i64 * 400_000_000;
                let ts_us = match self.rng.below(100) {
                    0..80 => self.now_us,
                    80..95 => self.now_us - self.rng.below(US_PER_DAY as u64) as i64,
                    95..98 => START_US - self.rng.below(40) as i64 * US_PER_HOUR,
                    _ => self.rng.below(2) as i64 * (US_PER_DAY - 1),
                };
                let value = |(i, column): (usize, &ModelColumn)| {
                    if table.designated == Some(i) {
                        Value::Long(ts_us)
                    } else if sparse && i % 2 == 0 || self.chance(10) {
                        Value::missing(column.column_type)
                    } else if wide && matches!(column.column_type, ColumnType::String | ColumnType::Varchar) {
                        Value::Text(Arc::from("wide ".repeat(1_000)))
                    } else {
                        self.value(column.column_type)
                    }
                };
                table.columns.iter().enumerate().map(value).collect()
            })
            .collect()
    }

    fn bytes(&self, len: usize) -> Arc<[u8]> {
        (0..len).map(|_| self.rng.next_u64() as u8 & 0x7f).collect()
    }

    /// Returns a value, now and then one at the border of its type.
    fn value(&self, column_type: ColumnType) -> Value {
        let border = self.chance(10);
        let bits = self.rng.next_u64();
        match column_type {
            ColumnType::Boolean => Value::Bool(bits.is_multiple_of(2)),
            ColumnType::Short => Value::Short(if border { *self.pick(&[i16::MIN, i16::MAX]) } else { bits as i16 }),
            // The lowest integers are the NULL of batches.
            ColumnType::Int => {
                Value::Int(if border { *self.pick(&[i32::MIN + 1, i32::MAX, 0]) } else { (bits as i32) >> 9 })
            }
            ColumnType::Byte => Value::Byte(bits as i8),
            // Zero is NULL.
            ColumnType::Char => Value::Char(bits as u16 | 1),
            ColumnType::Ipv4 => Value::Ipv4(if border { u32::MAX } else { bits as u32 | 1 }),
            ColumnType::Geohash(size) => Value::Long((bits & ((1 << size) - 1)) as i64),
            ColumnType::Float => Value::Float(if border { -0.0f32 } else { (bits % 1_000) as f32 / 7.0 }.to_bits()),
            ColumnType::Uuid => Value::Bytes(self.bytes(16)),
            ColumnType::Long256 => Value::Bytes(self.bytes(32)),
            ColumnType::Binary => Value::Bytes(self.bytes(if border { 0 } else { 1 + self.rng.below(20) as usize })),
            ColumnType::Decimal { precision, .. } => {
                let wide = precision > ColumnType::MAX_PRECISION_128;
                // A small number, now and then a negative one.
                let mut bytes = vec![if border { 0xff } else { 0 }; if wide { 32 } else { 16 }];
                let at = bytes.len() - 1;
                bytes[at] = bits as u8 % 100;
                Value::Bytes(Arc::from(bytes))
            }
            ColumnType::Array(dims) => {
                let shape: Vec<u32> =
                    (0..dims).map(|_| if border { 0 } else { 1 + self.rng.below(3) as u32 }).collect();
                let count = shape.iter().product::<u32>();
                Value::Array(Arc::from(shape), (0..count).map(|i| (f64::from(i) / 3.0).to_bits()).collect())
            }
            ColumnType::Long | ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampNs => {
                Value::Long(if border { *self.pick(&[i64::MIN + 1, i64::MAX, 0]) } else { (bits as i64) >> 20 })
            }
            ColumnType::Double => {
                let borders = [0.0, -0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324];
                let value = if border { *self.pick(&borders) } else { (bits % 100_000) as f64 / 7.0 };
                Value::Double(value.to_bits())
            }
            ColumnType::Symbol => Value::Text(Arc::from(format!("s{}", self.rng.below(if border { 500 } else { 9 })))),
            ColumnType::String | ColumnType::Varchar => {
                let borders = ["", "日本語", "a\0b", "'\"\\\n", "0123456789ab", "0123456789abc"];
                let text = if border { *self.pick(&borders) } else { &"text "[..self.rng.below(6) as usize] };
                Value::text(text)
            }
        }
    }
}
