//! ALTER TABLE … DROP, DETACH, ATTACH, CONVERT PARTITION: which partitions a statement means, and the call for each.

use arrow::array::{AsArray, RecordBatch, TimestampMicrosecondArray};
use datafusion::common::DFSchema;
use storage::{PartitionFormat, TableView};
use types::{PartitionBy, PartitionKey, TimestampUs};

use super::Session;
use crate::error::{SqlError, SqlErrorKind};
use crate::kind::Kind;
use crate::parser::ast::{Expr as Tree, Ident, PartitionAction, Partitions};
use crate::planner::parameters::Parameters;
use crate::planner::relation::Column;
use crate::planner::scope::Scope;

impl Session {
    pub(super) async fn alter_partitions(
        &self,
        table: &TableView,
        action: PartitionAction,
        chosen: &Partitions,
        position: usize,
    ) -> Result<(), SqlError> {
        let unit = partitioned(table, position)?;
        let (mut keys, place) = match chosen {
            Partitions::List(names) if action == PartitionAction::Drop => (listed(table, unit, names)?, position),
            Partitions::List(names) => (named(unit, names)?, names.first().map_or(position, |name| name.position)),
            Partitions::Where(filter) => (self.matching(table, unit, filter)?, filter.position),
        };
        let (id, wal) = (table.id(), table.schema().wal);
        if action == PartitionAction::ToParquet && !wal {
            // As the peer does it: the newest partition of such a table is still being written.
            let newest = partitions(table)?.into_iter().max();
            keys.retain(|key| Some(*key) != newest);
        }
        if keys.is_empty() {
            return Ok(());
        }
        let done = self.blocking(move |database| match action {
            PartitionAction::Drop => database.drop_partitions(id, &keys),
            PartitionAction::Detach => database.detach_partitions(id, &keys),
            PartitionAction::ToParquet => database.convert_partitions(id, &keys, PartitionFormat::Parquet),
            PartitionAction::ToNative => database.convert_partitions(id, &keys, PartitionFormat::Native),
            PartitionAction::Attach => keys.iter().try_for_each(|key| match database.attach_partition(id, *key) {
                // Nothing there, or rows again: a WAL table of the peer's answers OK and does nothing.
                Err(storage::Error::NotFound(_) | storage::Error::Exists(_)) if wal => Ok(()),
                attached => attached,
            }),
        });
        done.await.map_err(|error| match error.kind {
            SqlErrorKind::Statement | SqlErrorKind::Overtaken if action != PartitionAction::Drop => {
                SqlError { position: place, ..error }
            }
            _ => error,
        })
    }

    /// Returns the partitions that a filter on the designated timestamp lets through.
    fn matching(&self, table: &TableView, unit: PartitionBy, filter: &Tree) -> Result<Vec<PartitionKey>, SqlError> {
        let place = table.schema().designated_index().expect("a partitioned table has a designated timestamp");
        let present = partitions(table)?;
        let starts: Vec<i64> = present.iter().map(|key| unit.range(*key).start_us).collect();
        let chosen = self.chosen(&table.schema().columns[place].name, filter, starts)?;
        let keys: Vec<PartitionKey> = present.into_iter().zip(chosen).filter(|(_, c)| *c).map(|(key, _)| key).collect();
        if keys.is_empty() && !table.schema().wal {
            return Err(SqlError::new(filter.position, "no partitions matched WHERE clause"));
        }
        Ok(keys)
    }

    /// Returns for each partition start whether the filter on the designated timestamp lets it through.
    fn chosen(&self, time: &str, filter: &Tree, starts: Vec<i64>) -> Result<Vec<bool>, SqlError> {
        let moment = self.moment();
        let planner = self.planner(&moment, Parameters::bound(&[]));
        let field = Kind::Timestamp.field("time").with_nullable(false);
        let columns = [Column {
            table: None,
            name: time.to_owned(),
            kind: Kind::Timestamp,
            field: "time".to_owned(),
            visible: true,
        }];
        let scope = Scope { columns: &columns, time: Some(0), ..Scope::constants(&planner) };
        let test = scope.condition(filter)?;
        let evaluate = || {
            let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(vec![field]));
            let array = std::sync::Arc::new(TimestampMicrosecondArray::from(starts));
            let batch = RecordBatch::try_new(schema.clone(), vec![array])?;
            let physical = self.state.create_physical_expr(test, &DFSchema::try_from(schema)?)?;
            physical.evaluate(&batch)?.into_array(batch.num_rows())
        };
        let found = evaluate().map_err(|e| SqlError::from_datafusion(&e))?;
        Ok(found.as_boolean().iter().map(|b| b == Some(true)).collect())
    }
}

/// Returns the partitions that the names say, there or not.
fn named(unit: PartitionBy, names: &[Ident]) -> Result<Vec<PartitionKey>, SqlError> {
    names.iter().map(|name| key_of(unit, name)).collect()
}

fn key_of(unit: PartitionBy, name: &Ident) -> Result<PartitionKey, SqlError> {
    unit.parse_partition_name(&name.name).map_err(|_| {
        let message = format!("'{}' expected, found [ts={}]", name_format(unit), name.name);
        SqlError::new(name.position, message)
    })
}

/// Returns the partitions of these names; one that is not there is passed over by a WAL table.
fn listed(table: &TableView, unit: PartitionBy, names: &[Ident]) -> Result<Vec<PartitionKey>, SqlError> {
    let present = partitions(table)?;
    let mut keys = Vec::new();
    for name in names {
        let key = key_of(unit, name)?;
        if present.contains(&key) {
            keys.push(key);
        } else if !table.schema().wal {
            let start = TimestampUs(unit.range(key).start_us);
            let message = format!(
                "could not remove partition [table={}, partitionTimestamp={start}, partitionBy={}]",
                table.name(),
                unit.name()
            );
            return Err(SqlError::new(name.position, message));
        }
    }
    Ok(keys)
}

fn partitioned(table: &TableView, position: usize) -> Result<PartitionBy, SqlError> {
    match table.schema().partition_by {
        PartitionBy::None => Err(SqlError::new(position, "table is not partitioned")),
        unit => Ok(unit),
    }
}

fn partitions(table: &TableView) -> Result<Vec<PartitionKey>, SqlError> {
    let list = table.partitions().map_err(|e| SqlError::from_storage(&e))?;
    Ok(list.into_iter().map(|p| p.key).collect())
}

fn name_format(unit: PartitionBy) -> &'static str {
    match unit {
        PartitionBy::Hour => "yyyy-MM-ddTHH",
        PartitionBy::Week => "YYYY-Www",
        PartitionBy::Month => "yyyy-MM",
        PartitionBy::Year => "yyyy",
        _ => "yyyy-MM-dd",
    }
}
