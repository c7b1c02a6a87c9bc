//! SAMPLE BY's FILL: the buckets that have no rows.
//!
//! The logical node over an aggregate with one row a bucket and key. FILL never moves or renames a bucket: what comes out
//! is what came in plus the empty buckets between, each for every key. With FROM and TO exactly the buckets of
//! [FROM, TO) come out. Next files: `fill/run.rs` (the operator), `fill/filler.rs` (the rows).

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;

use super::column_place::{column_at, expect_time, place_of};
use crate::bucket::Grid;

mod filler;
mod run;

pub use run::FillExec;

/// The value of one aggregate in an empty bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub enum FillWith {
    Null,
    /// The value of the key's last bucket that has rows, NULL before the first.
    Prev,
    /// On the line between the neighbouring buckets of the key. Numbers only; whole numbers are cut towards zero.
    Linear,
    /// A value of the column's type.
    Constant(ScalarValue),
}

/// What to fill; places are those of the input's columns, each of which is the time, a key or filled.
#[derive(Debug, Clone, PartialEq)]
pub struct FillSpec {
    /// The start of the bucket.
    pub time: usize,
    pub keys: Vec<usize>,
    pub fills: Vec<(usize, FillWith)>,
    pub bucket: Grid,
    /// Whether the first bucket of the input is the grid's origin (ALIGN TO FIRST OBSERVATION).
    pub since_first: bool,
    /// The first bucket is the one that holds this moment. `None`: the first with rows.
    pub from_us: Option<i64>,
    /// The last bucket starts before this moment. `None`: the last with rows.
    pub to_us: Option<i64>,
}

/// Returns the plan that adds the empty buckets to `input`. The schema is the input's with every filled column nullable;
/// rows ascend by time, then by the first appearance of their key.
pub fn fill(input: LogicalPlan, spec: FillSpec) -> Result<LogicalPlan> {
    let schema = input.schema();
    let places = std::iter::once(spec.time).chain(spec.keys.iter().copied()).chain(spec.fills.iter().map(|f| f.0));
    let mut places: Vec<usize> = places.collect();
    places.sort_unstable();
    if !places.iter().copied().eq(0..schema.fields().len()) {
        return internal_err!("FILL: each of {} columns must be named once, found {places:?}", schema.fields().len());
    }
    expect_time(schema, spec.time, "FILL")?;
    for (place, with) in &spec.fills {
        check_value(schema, *place, with)?;
    }
    let fill = Fill::try_new(
        column_at(schema, spec.time)?,
        spec.keys.iter().map(|key| column_at(schema, *key)).collect::<Result<Vec<_>>>()?,
        spec.fills.iter().map(|(place, _)| column_at(schema, *place)).collect::<Result<Vec<_>>>()?,
        spec.fills.into_iter().map(|(_, with)| with).collect(),
        Span { grid: spec.bucket, since_first: spec.since_first, from_us: spec.from_us, to_us: spec.to_us },
        input,
    )?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(fill) }))
}

fn check_value(schema: &DFSchema, place: usize, with: &FillWith) -> Result<()> {
    let field = schema.field(place);
    match with {
        FillWith::Constant(value) if value.data_type() != *field.data_type() => {
            internal_err!("FILL: {value} is {}, column {} is {}", value.data_type(), field.name(), field.data_type())
        }
        FillWith::Linear if !field.data_type().is_numeric() => {
            datafusion::common::plan_err!("support for LINEAR fill is not yet implemented [function={}]", field.name())
        }
        _ => Ok(()),
    }
}

/// Which buckets come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub struct Span {
    pub grid: Grid,
    pub since_first: bool,
    pub from_us: Option<i64>,
    pub to_us: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fill {
    input: LogicalPlan,
    time: Expr,
    keys: Vec<Expr>,
    filled: Vec<Expr>,
    with: Vec<FillWith>,
    span: Span,
    schema: DFSchemaRef,
}

impl Fill {
    fn try_new(
        time: Expr,
        keys: Vec<Expr>,
        filled: Vec<Expr>,
        with: Vec<FillWith>,
        span: Span,
        input: LogicalPlan,
    ) -> Result<Fill> {
        let places = filled.iter().map(|expr| place_of(input.schema(), expr)).collect::<Result<Vec<_>>>()?;
        let field = |(place, (qualifier, field)): (usize, (Option<&_>, &Arc<arrow::datatypes::Field>))| {
            let nullable = field.is_nullable() || places.contains(&place);
            (qualifier.cloned(), Arc::new(field.as_ref().clone().with_nullable(nullable)))
        };
        let fields = input.schema().iter().enumerate().map(field).collect();
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Fill { input, time, keys, filled, with, span, schema })
    }

    /// Returns the operator over the planned input.
    pub(super) fn physical(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.input.schema();
        let places = |exprs: &[Expr]| exprs.iter().map(|expr| place_of(schema, expr)).collect::<Result<Vec<_>>>();
        let fills = places(&self.filled)?.into_iter().zip(self.with.iter().cloned()).collect();
        let (time, keys) = (place_of(schema, &self.time)?, places(&self.keys)?);
        Ok(Arc::new(FillExec::new(input, time, keys, fills, self.span)?))
    }
}

impl PartialOrd for Fill {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let parts =
            |node: &Self| (node.time.clone(), node.keys.clone(), node.filled.clone(), node.with.clone(), node.span);
        match self.input.partial_cmp(&other.input) {
            Some(Ordering::Equal) => parts(self).partial_cmp(&parts(other)),
            unequal => unequal,
        }
    }
}

impl UserDefinedLogicalNodeCore for Fill {
    fn name(&self) -> &str {
        "Fill"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    /// The time, the keys, the filled columns.
    fn expressions(&self) -> Vec<Expr> {
        std::iter::once(&self.time).chain(&self.keys).chain(&self.filled).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Fill: {}, every {}", self.time, self.span.grid)?;
        for (column, with) in self.filled.iter().zip(&self.with) {
            write!(f, ", {column}={with}")?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        if exprs.len() != 1 + self.keys.len() + self.filled.len() {
            return internal_err!("Fill needs a time, {} keys and {} values", self.keys.len(), self.filled.len());
        }
        let mut exprs = exprs.into_iter();
        let (Some(time), Some(input)) = (exprs.next(), inputs.into_iter().next()) else {
            return internal_err!("Fill needs a time and an input");
        };
        let keys = exprs.by_ref().take(self.keys.len()).collect();
        Fill::try_new(time, keys, exprs.collect(), self.with.clone(), self.span, input)
    }

    /// All of them: the filled rows exist whether or not their values are looked at.
    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.schema.fields().len()).collect()])
    }
}

impl fmt::Display for FillWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FillWith::Null => write!(f, "null"),
            FillWith::Prev => write!(f, "prev"),
            FillWith::Linear => write!(f, "linear"),
            FillWith::Constant(value) => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests;
