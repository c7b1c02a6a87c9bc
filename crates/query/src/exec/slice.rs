//! LIMIT with bounds counted from the end: `LIMIT -5`, `LIMIT -10,-3`, `LIMIT 2,-3`.
//!
//! The logical node. Bounds from the front alone become DataFusion's own limit, which it pushes into scans. Rows keep
//! the input's order. Next file: `slice/run.rs`.

use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchemaRef, Result, internal_err, plan_err};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;

mod run;

pub use run::SliceExec;

/// Returns the plan of `LIMIT lo, hi`; with one bound `lo` is `None`.
///
/// `n` is the first n rows, `-n` the last n. `m,n` is rows (m, n], bounds swapped when they are not ascending; `-m,-n` the
/// last m without the last n, swapped likewise; `m,-n` everything without the first m and the last n. A zero bound is
/// as good as none.
pub fn slice(input: LogicalPlan, lo: Option<i64>, hi: Option<i64>) -> Result<LogicalPlan> {
    let front = |input: LogicalPlan, skip: i64, fetch: Option<i64>| {
        let rows = |n: i64| usize::try_from(n).unwrap_or(0);
        LogicalPlanBuilder::from(input).limit(rows(skip), fetch.map(rows))?.build()
    };
    let back = |input: LogicalPlan, skip: i64, keep: Option<i64>, drop: i64| {
        let node = Slice { input, window: Window::new(skip, keep, drop) };
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    };
    let (lo, hi) = match (lo, hi) {
        (None, None) => return Ok(input),
        (Some(0), Some(0)) => (0, 0),
        (None | Some(0), Some(n)) | (Some(n), None | Some(0)) => match n {
            0.. => return front(input, 0, Some(n)),
            _ => return back(input, 0, Some(n.saturating_neg()), 0),
        },
        (Some(lo), Some(hi)) => (lo, hi),
    };
    match (lo < 0, hi < 0) {
        (false, false) => {
            let (lo, hi) = (lo.min(hi), lo.max(hi));
            front(input, lo, Some(hi - lo))
        }
        (true, true) => {
            let (lo, hi) = (lo.min(hi).saturating_neg(), lo.max(hi).saturating_neg());
            back(input, 0, Some(lo - hi), hi)
        }
        (false, true) => back(input, lo, None, hi.saturating_neg()),
        (true, false) => plan_err!("LIMIT <negative>, <positive> is not allowed"),
    }
}

/// Returns all rows of an input in the order that it has, which nothing that is planned above changes: the engine takes away a sort
/// below an operator that does not ask for one, and merges the arms of a union by what both are sorted by.
pub fn in_order(input: LogicalPlan) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(Slice { input, window: Window::new(0, None, 0) }) })
}

/// Which rows stay: without the first `skip`, without the last `drop`, of the rest the last `keep`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub struct Window {
    skip: usize,
    keep: Option<usize>,
    drop: usize,
}

impl Window {
    fn new(skip: i64, keep: Option<i64>, drop: i64) -> Window {
        let rows = |n: i64| usize::try_from(n).unwrap_or(0);
        Window { skip: rows(skip), keep: keep.map(rows), drop: rows(drop) }
    }

    /// Returns how many rows stay and how many last ones go; None where the first rows or all count.
    pub fn from_the_end(&self) -> Option<(usize, usize)> {
        self.keep.filter(|_| self.skip == 0).map(|keep| (keep, self.drop))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skip={}, drop last={}", self.skip, self.drop)?;
        match self.keep {
            Some(keep) => write!(f, ", keep last={keep}"),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub struct Slice {
    input: LogicalPlan,
    window: Window,
}

impl Slice {
    /// Returns the operator over the planned input.
    pub(super) fn physical(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(SliceExec::new(input, self.window)))
    }
}

impl UserDefinedLogicalNodeCore for Slice {
    fn name(&self) -> &str {
        "Slice"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Slice: {}", self.window)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.into_iter().next() {
            Some(input) => Ok(Slice { input, window: self.window }),
            None => internal_err!("Slice needs an input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

#[cfg(test)]
mod tests;
