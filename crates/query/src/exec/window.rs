//! Window functions: values beside each row, from the rows of its partition.
//!
//! The logical node; its schema is the input's with one more field a call. Own operator, since the peer's frames are not
//! the standard's: rows keep the order of the input whatever the windows are ordered by, equal times do not share a
//! frame's end, EXCLUDE CURRENT ROW exists. The whole input is held in memory, charged to the pool. Next file:
//! `window/run.rs`.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{DFSchema, DFSchemaRef, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;

use super::column_place::place_of;

pub mod direct;
mod frames;
mod run;
mod sliding;
mod values;

use run::{PlacedCall, WindowExec};

/// What a window function computes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WindowFunction {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile(i64),
    /// The value some rows before (or behind) in the window's order.
    Neighbour {
        ahead: bool,
        distance: usize,
        default: Option<ScalarValue>,
        ignore_nulls: bool,
    },
    First {
        ignore_nulls: bool,
    },
    Last {
        ignore_nulls: bool,
    },
    /// The n-th value of the frame, from 1.
    Nth(usize),
    /// Over DOUBLE.
    Sum,
    /// Over DOUBLE.
    Avg,
    /// A compensated sum over DOUBLE.
    Ksum,
    Min,
    Max,
    /// Without an argument: rows; with one: values that are not NULL.
    Count,
    /// An exponential average of a DOUBLE, weighted by a second one if there is one.
    Smooth(Smoothing),
}

/// How much a new value counts in an exponential average.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Smoothing {
    /// The bits of a share between 0 and 1.
    Share(u64),
    /// By the time since the last value: the bits of the microseconds in which an old value fades to 1/e.
    Time(u64),
}

/// The rows of the partition that a value is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WindowFrame {
    pub start: FrameEnd,
    pub end: FrameEnd,
    /// Distances are microseconds of the one ORDER BY column instead of rows.
    pub by_time: bool,
    pub exclude_current: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameEnd {
    Unbounded,
    Preceding(i64),
    Current,
}

/// One call of a window function. Every expression is a column of the input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WindowCall {
    pub function: WindowFunction,
    pub args: Vec<Expr>,
    pub partition: Vec<Expr>,
    pub order: Vec<(Expr, SortOptions)>,
    pub frame: WindowFrame,
    pub output: FieldRef,
}

impl WindowCall {
    /// Returns every expression of the call.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.args.iter().chain(&self.partition).chain(self.order.iter().map(|(expr, _)| expr))
    }

    /// Returns the call with its expressions replaced, in the order of [`WindowCall::exprs`].
    pub fn with_exprs(&self, exprs: &mut impl Iterator<Item = Expr>) -> Option<WindowCall> {
        let mut take = |n: usize| (0..n).map(|_| exprs.next()).collect::<Option<Vec<Expr>>>();
        let args = take(self.args.len())?;
        let partition = take(self.partition.len())?;
        let order = take(self.order.len())?.into_iter().zip(&self.order).map(|(expr, (_, how))| (expr, *how)).collect();
        Some(WindowCall { args, partition, order, ..self.clone() })
    }
}

/// Returns the plan that adds the values of `calls` to the rows of `input`.
pub fn window(input: LogicalPlan, calls: Vec<WindowCall>) -> Result<LogicalPlan> {
    let node = Window::try_new(input, calls)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Window {
    input: LogicalPlan,
    calls: Vec<WindowCall>,
    schema: DFSchemaRef,
}

impl Window {
    fn try_new(input: LogicalPlan, calls: Vec<WindowCall>) -> Result<Window> {
        let added: Vec<FieldRef> = calls.iter().map(|call| call.output.clone()).collect();
        let added = DFSchema::try_from(Schema::new(added))?;
        let schema = Arc::new(input.schema().join(&added)?);
        Ok(Window { input, calls, schema })
    }

    /// Returns the operator over the planned input.
    pub(super) fn physical(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.input.schema();
        let places = |exprs: &[Expr]| exprs.iter().map(|expr| place_of(schema, expr)).collect::<Result<Vec<_>>>();
        let placed = |call: &WindowCall| {
            let order = call.order.iter().map(|(expr, how)| Ok((place_of(schema, expr)?, *how)));
            Ok(PlacedCall {
                function: call.function.clone(),
                args: places(&call.args)?,
                partition: places(&call.partition)?,
                order: order.collect::<Result<Vec<_>>>()?,
                frame: call.frame,
                output: call.output.clone(),
            })
        };
        let calls = self.calls.iter().map(placed).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(WindowExec::new(input, calls)))
    }
}

impl PartialOrd for Window {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input)
    }
}

impl UserDefinedLogicalNodeCore for Window {
    fn name(&self) -> &str {
        "Window"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.calls.iter().flat_map(WindowCall::exprs).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let functions: Vec<String> = self.calls.iter().map(|call| format!("{:?}", call.function)).collect();
        write!(f, "Window: {}", functions.join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut exprs = exprs.into_iter();
        let calls = self.calls.iter().map(|call| call.with_exprs(&mut exprs)).collect::<Option<Vec<_>>>();
        match (calls, inputs.into_iter().next()) {
            (Some(calls), Some(input)) => Window::try_new(input, calls),
            _ => internal_err!("Window needs its columns and an input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let input = self.input.schema();
        let width = input.fields().len();
        let mut needed: Vec<usize> = output_columns.iter().copied().filter(|place| *place < width).collect();
        for expr in self.calls.iter().flat_map(WindowCall::exprs) {
            needed.push(place_of(input, expr).ok()?);
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}
