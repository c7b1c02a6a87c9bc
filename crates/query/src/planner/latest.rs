//! LATEST ON: the last row of each key by time.

use super::plan_error;
use super::relation::{Column, Relation};
use crate::error::SqlError;
use crate::exec;
use crate::parser::ast::{Ident, Latest};

/// Returns the latest row of each key; rows ascend by the time.
pub fn latest(relation: Relation, latest: &Latest) -> Result<Relation, SqlError> {
    let time = match &latest.on {
        Some(name) => {
            if relation.is_table && relation.time.is_none() {
                return Err(SqlError::new(name.position, "latest by over a table requires designated TIMESTAMP"));
            }
            let place = place(&relation, name)?;
            if !relation.columns[place].kind.is_timestamp() {
                return Err(SqlError::new(name.position, "not a TIMESTAMP"));
            }
            place
        }
        None => {
            let position = latest.keys.first().map_or(0, |k| k.position);
            let message = "latest by over a table requires designated TIMESTAMP";
            relation.time.ok_or_else(|| SqlError::new(position, message))?
        }
    };
    let keys = latest.keys.iter().map(|key| place(&relation, key)).collect::<Result<Vec<_>, _>>()?;
    let field = |place: usize| plan_place(&relation, &relation.columns[place]);
    let keys = keys.into_iter().map(field).collect::<Result<Vec<_>, _>>()?;
    let plan = exec::latest_on(relation.plan.clone(), field(time)?, keys).map_err(plan_error)?;
    Ok(Relation { plan, time: Some(time), ascending: true, ..relation })
}

fn place(relation: &Relation, name: &Ident) -> Result<usize, SqlError> {
    let folded = name.name.to_lowercase();
    let found = relation.columns.iter().position(|c| c.visible && c.name.to_lowercase() == folded);
    found.ok_or_else(|| SqlError::new(name.position, format!("Invalid column: {}", name.name)))
}

/// Returns the place of a column's field in the plan's schema.
pub fn plan_place(relation: &Relation, column: &Column) -> Result<usize, SqlError> {
    let field = datafusion::common::Column::new_unqualified(&column.field);
    relation.plan.schema().index_of_column(&field).map_err(plan_error)
}
