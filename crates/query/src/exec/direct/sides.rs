//! The two sides of a join by time over runs: tables in the order of their designated timestamps, joined by symbols.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Schema, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;

use super::block::Block;
use super::keys;
use super::source::Source;

/// One side of a join.
#[derive(Debug, Clone)]
pub struct Side {
    pub source: Source,
    /// The place of the designated timestamp among the source's columns.
    pub time: usize,
}

/// A side, and the columns of the plan that it stands for, over the source's.
pub type Placed = (Side, Vec<Arc<dyn PhysicalExpr>>);

/// Returns both sides of a join; each is a plan with the place of its time. Says which one is no table, or in another order.
pub fn both(
    left: (&Arc<dyn ExecutionPlan>, usize),
    right: (&Arc<dyn ExecutionPlan>, usize),
) -> std::result::Result<(Placed, Placed), String> {
    let why = |side: &str| format!("the {side} side is no table in the order of its designated timestamp");
    let left = placed(left.0, left.1).ok_or_else(|| why("left"))?;
    Ok((left, placed(right.0, right.1).ok_or_else(|| why("right"))?))
}

fn placed(plan: &Arc<dyn ExecutionPlan>, time: usize) -> Option<Placed> {
    let (source, columns) = Source::beneath(plan)?;
    let time = place_of(columns.get(time)?)?;
    (source.time() == Some(time)).then_some((Side { source, time }, columns))
}

/// Returns where the keys of a join, pairs of its inputs' columns, stand in both sources, or says why they cannot be codes;
/// `named` is the left input's schema.
pub fn key_places(
    left: &Placed,
    right: &Placed,
    joined: &[(usize, usize)],
    named: &Schema,
) -> Result<std::result::Result<Vec<(usize, usize)>, String>> {
    let symbol = |(side, columns): &Placed, place: usize| {
        place_of(&columns[place]).filter(|place| side.source.is_symbol(*place))
    };
    let mut places = Vec::new();
    for (l, r) in joined {
        match (symbol(left, *l), symbol(right, *r)) {
            (Some(l), Some(r)) => places.push((l, r)),
            _ => return Ok(Err(format!("key {} is no SYMBOL on both sides", named.field(*l).name()))),
        }
    }
    let codes = places.iter().map(|(_, r)| Ok(right.0.source.dictionary(*r)?.map_or(0, |texts| texts.len())));
    if !keys::are_countable(&codes.collect::<Result<Vec<_>>>()?) {
        return Ok(Err("the keys' symbols have too many combinations".to_owned()));
    }
    Ok(Ok(places))
}

/// Returns which of a source's columns an expression is; None for a computed one.
pub fn place_of(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    expr.downcast_ref::<Column>().map(Column::index)
}

impl Side {
    /// Returns the times of a block's rows that count, in the column's unit or in nanoseconds.
    pub fn times(&self, block: &Block, in_ns: bool) -> Result<ScalarBuffer<i64>> {
        let column = block.column(self.time);
        let times = match column.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let times = column.as_primitive::<TimestampMicrosecondType>().values().clone();
                if in_ns { times.iter().map(|us| us.saturating_mul(1_000)).collect() } else { times }
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                column.as_primitive::<TimestampNanosecondType>().values().clone()
            }
            other => return internal_err!("a designated timestamp is {other}"),
        };
        Ok(block.selection().picked(times))
    }
}
