//! LATEST ON: the newest row of each key combination.
//!
//! The logical node. NULL is a key. The row with the greatest time wins, the last in the input's order among equals;
//! a NULL time is older than any other. Rows come out ascending by time, ties in the input's order, whatever the order
//! of the input. Next files: `latest_on/run.rs`; `latest_on/direct.rs`, the form that reads a table itself.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;

use super::column_place::{column_at, expect_time, place_of};

pub mod direct;
mod run;

pub use run::LatestOnExec;

/// Returns the plan of `input LATEST ON time PARTITION BY keys`; places are those of the input's columns. The schema is
/// the input's.
pub fn latest_on(input: LogicalPlan, time: usize, keys: Vec<usize>) -> Result<LogicalPlan> {
    let schema = input.schema();
    let time_column = column_at(schema, time)?;
    expect_time(schema, time, "LATEST ON")?;
    let keys = keys.into_iter().map(|key| column_at(schema, key)).collect::<Result<Vec<_>>>()?;
    let node = LatestOn { input, time: time_column, keys };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LatestOn {
    input: LogicalPlan,
    time: Expr,
    keys: Vec<Expr>,
}

impl LatestOn {
    /// Returns the operator over the planned input.
    pub(super) fn physical(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.input.schema();
        let time = place_of(schema, &self.time)?;
        let keys = self.keys.iter().map(|key| place_of(schema, key)).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(LatestOnExec::new(input, time, keys)?))
    }
}

impl PartialOrd for LatestOn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.input, &self.time, &self.keys).partial_cmp(&(&other.input, &other.time, &other.keys))
    }
}

impl UserDefinedLogicalNodeCore for LatestOn {
    fn name(&self) -> &str {
        "LatestOn"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        std::iter::once(&self.time).chain(&self.keys).cloned().collect()
    }

    /// A filter on keys alone drops or keeps all rows of a key: it may run below. Any other picks another row.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        let fields = self.schema().fields();
        let is_key = |name: &str| self.keys.iter().filter_map(|key| key.try_as_col()).any(|key| key.name == *name);
        // Only names are compared here: one that two tables share must stay above.
        let is_shared = |name: &str| fields.iter().filter(|field| field.name() == name).count() > 1;
        let names = fields.iter().map(|field| field.name());
        names.filter(|name| !is_key(name) || is_shared(name)).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "LatestOn: {} partition by [{}]", self.time, show(&self.keys))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut exprs = exprs.into_iter();
        match (exprs.next(), inputs.into_iter().next()) {
            (Some(time), Some(input)) => Ok(LatestOn { input, time, keys: exprs.collect() }),
            _ => internal_err!("LatestOn needs a time and an input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

fn show(exprs: &[Expr]) -> String {
    exprs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
