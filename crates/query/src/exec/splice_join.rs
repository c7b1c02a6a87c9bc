//! SPLICE JOIN: both timelines laid into one; beside each row the newest one of the other side.
//!
//! The logical node. Rows come out by time; columns of a side are NULL before its first row. Rows of equal times pair up one
//! by one. Keys are compared as values, each key being a timeline of its own. Next file: `splice_join/run.rs`.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;

use super::column_place::{column_at, expect_time, place_of};

mod run;

use run::{Side, SpliceJoinExec};

/// Returns the plan of the join; `times` and `keys` are places of the columns of each input, the left one first.
pub fn splice_join(
    left: LogicalPlan,
    right: LogicalPlan,
    times: (usize, usize),
    keys: &[(usize, usize)],
) -> Result<LogicalPlan> {
    expect_time(left.schema(), times.0, "SPLICE JOIN")?;
    expect_time(right.schema(), times.1, "SPLICE JOIN")?;
    let mut pairs = Vec::new();
    for (l, r) in std::iter::once(&times).chain(keys) {
        pairs.push((column_at(left.schema(), *l)?, column_at(right.schema(), *r)?));
    }
    let node = SpliceJoin::try_new(left, right, pairs)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpliceJoin {
    left: LogicalPlan,
    right: LogicalPlan,
    /// The times, then the keys.
    pairs: Vec<(Expr, Expr)>,
    schema: DFSchemaRef,
}

impl SpliceJoin {
    fn try_new(left: LogicalPlan, right: LogicalPlan, pairs: Vec<(Expr, Expr)>) -> Result<SpliceJoin> {
        let sides = left.schema().iter().chain(right.schema().iter());
        let fields = sides
            .map(|(qualifier, field)| (qualifier.cloned(), Arc::new(field.as_ref().clone().with_nullable(true))))
            .collect();
        let schema = Arc::new(DFSchema::new_with_metadata(fields, left.schema().metadata().clone())?);
        Ok(SpliceJoin { left, right, pairs, schema })
    }

    /// Returns the operator over the planned inputs.
    pub(super) fn physical(
        &self,
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut lefts = Vec::new();
        let mut rights = Vec::new();
        for (l, r) in &self.pairs {
            lefts.push(place_of(self.left.schema(), l)?);
            rights.push(place_of(self.right.schema(), r)?);
        }
        let (left_time, right_time) = (lefts.remove(0), rights.remove(0));
        let left = Side { input: left, time: left_time, keys: lefts };
        let right = Side { input: right, time: right_time, keys: rights };
        Ok(Arc::new(SpliceJoinExec::new(left, right)))
    }
}

impl PartialOrd for SpliceJoin {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.left, &self.right).partial_cmp(&(&other.left, &other.right))
    }
}

impl UserDefinedLogicalNodeCore for SpliceJoin {
    fn name(&self) -> &str {
        "SpliceJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    /// The left time, the right time, then the keys pair by pair.
    fn expressions(&self) -> Vec<Expr> {
        self.pairs.iter().flat_map(|(left, right)| [left.clone(), right.clone()]).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let pairs: Vec<String> = self.pairs.iter().map(|(l, r)| format!("{l}, {r}")).collect();
        write!(f, "SpliceJoin: {}", pairs.join("; "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Ok([left, right]) = <[LogicalPlan; 2]>::try_from(inputs) else {
            return internal_err!("SpliceJoin has two inputs");
        };
        let mut pairs = Vec::with_capacity(self.pairs.len());
        let mut exprs = exprs.into_iter();
        while let (Some(left), Some(right)) = (exprs.next(), exprs.next()) {
            pairs.push((left, right));
        }
        if pairs.len() != self.pairs.len() {
            return internal_err!("SpliceJoin needs {} pairs of columns", self.pairs.len());
        }
        SpliceJoin::try_new(left, right, pairs)
    }
}
