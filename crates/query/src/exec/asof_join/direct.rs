//! ASOF and LT joins directly over the runs of two tables: keys compared by codes, values of the right side taken late.
//!
//! [`recognise`] knows the plain operator where both sides are tables (under filters) in the order of their designated
//! timestamps and the keys are symbols. [`run`] reads both once: a left row's match is found by index (`meeting.rs`), the
//! numbers of keys come from `exec/direct/keys.rs`, right rows that may still match are in `kept.rs`. Left columns are handed on as they
//! lie. Rows before the first left one are read backwards only until every key has been seen.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::future;

use super::AsofSpec;
use super::run::AsofJoinExec;
use crate::exec::direct::sides::{self, Side, place_of};
use crate::exec::direct::wanted::{self, narrowed};
use crate::exec::direct::{Notes, by_time, sent};
use crate::exec::operator::reads_tables;

mod kept;
mod meeting;
mod run;

/// What is joined; places are those of each source's columns.
#[derive(Debug, Clone)]
struct Join {
    left: Side,
    right: Side,
    keys: Vec<(usize, usize)>,
    strict: bool,
    tolerance_us: Option<i64>,
    /// What is handed on of the left source's columns and, behind them, the right source's.
    outputs: Vec<usize>,
}

/// Returns the join over runs in the place of the plain one; a projection above tells which columns are wanted.
pub fn recognise(plan: &Arc<dyn ExecutionPlan>, notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    match wanted::of::<AsofJoinExec>(plan) {
        Some((join, wanted)) => direct(join, &wanted, notes),
        None => Ok(None),
    }
}

/// Returns the join over runs with the wanted values above it, or notes why it cannot be.
fn direct(plain: &AsofJoinExec, wanted: &[ProjectionExpr], notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let word = if plain.spec.strict { "lt join" } else { "asof join" };
    let sides = sides::both((&plain.left, plain.spec.left_time), (&plain.right, plain.spec.right_time));
    let (left, right) = match sides {
        Ok(sides) => sides,
        Err(why) => {
            notes.falls_back(|| format!("{word}: {why}"));
            return Ok(None);
        }
    };
    let keys = match sides::key_places(&left, &right, &plain.spec.keys, &plain.left.schema())? {
        Ok(keys) => keys,
        Err(why) => {
            notes.falls_back(|| format!("{word}: {why}"));
            return Ok(None);
        }
    };
    let ((left, left_columns), (right, right_columns)) = (left, right);
    let width = left.source.schema().fields().len();
    let mut columns = left_columns;
    for column in &right_columns {
        // computed of NULLs it need not be NULL, as it must be where nothing matches
        let Some(place) = place_of(column) else {
            notes.falls_back(|| format!("{word}: column {column} of the right side is computed"));
            return Ok(None);
        };
        columns.push(Arc::new(Column::new(right.source.schema().field(place).name(), width + place)));
    }
    let AsofSpec { strict, tolerance_us, .. } = plain.spec;
    let (outputs, exprs) = narrowed(wanted, &columns)?;
    let operator = DirectAsofJoinExec::new(Join { left, right, keys, strict, tolerance_us, outputs });
    Ok(Some(Arc::new(ProjectionExec::try_new(exprs, Arc::new(operator))?)))
}

/// The join of two tables.
#[derive(Debug)]
struct DirectAsofJoinExec {
    join: Arc<Join>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DirectAsofJoinExec {
    fn new(join: Join) -> DirectAsofJoinExec {
        let time = join.outputs.iter().position(|output| *output == join.left.time);
        let properties = by_time(join.schema(), time);
        let metrics = ExecutionPlanMetricsSet::new();
        DirectAsofJoinExec { join: Arc::new(join), properties, metrics }
    }
}

impl Join {
    fn left_width(&self) -> usize {
        self.left.source.schema().fields().len()
    }

    /// Returns the schema of the outputs; right columns may be NULL.
    fn schema(&self) -> SchemaRef {
        let (left, right) = (self.left.source.schema(), self.right.source.schema());
        let field = |output: &usize| -> FieldRef {
            match output.checked_sub(left.fields().len()) {
                None => left.fields()[*output].clone(),
                Some(place) => Arc::new(right.field(place).clone().with_nullable(true)),
            }
        };
        Arc::new(Schema::new(self.outputs.iter().map(field).collect::<Vec<_>>()))
    }
}

impl DisplayAs for DirectAsofJoinExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let Join { left, right, keys, tolerance_us, .. } = &*self.join;
        let (l, r) = (left.source.schema(), right.source.schema());
        let keys: Vec<String> =
            keys.iter().map(|k| format!("{} = {}", l.field(k.0).name(), r.field(k.1).name())).collect();
        write!(f, "{}: on=[{}]", self.name(), keys.join(", "))?;
        if let Some(us) = tolerance_us {
            write!(f, ", tolerance={us}us")?;
        }
        write!(f, ", left: {}, right: {}", left.source, right.source)
    }
}

impl ExecutionPlan for DirectAsofJoinExec {
    fn name(&self) -> &str {
        if self.join.strict { "DirectLtJoinExec" } else { "DirectAsofJoinExec" }
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_tables!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let consumer = MemoryConsumer::new(format!("{}[{partition}]", self.name())).with_can_spill(false);
        let reservation = consumer.register(context.memory_pool());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (join, schema) = (self.join.clone(), self.schema());
        Ok(sent(self.schema(), metrics, future::ok(()), move |(), is_closed, give| {
            run::run(&join, schema, reservation, is_closed, give)
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
