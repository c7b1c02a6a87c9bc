//! WINDOW JOIN: beside each left row aggregates of the right rows that lie around it in time.
//!
//! The logical node; its schema is the left input's with one more field an aggregate. Every left row comes out once, in the
//! left order. A left row's window are the right rows of its key from `low` to `high` around its time, both included, that meet
//! the condition; with PREVAILING also the last one before `low`, unless one lies at `low` itself. Keys are compared as values:
//! NULL meets NULL. Next file: `window_join/arranged.rs`.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::aggregate::LoweredAggregateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::PhysicalPlanner;

use super::column_place::place_of;

mod answers;
mod arranged;
pub mod direct;
mod pairs;
mod run;

use run::{Joined, WindowJoinExec};

/// What to join by, and what to compute. Times, keys and distances are plain columns of the inputs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WindowJoinSpec {
    /// Of the left side and of the right one, TIMESTAMP or TIMESTAMP_NS.
    pub times: (Expr, Expr),
    /// Pairs of equal columns (left, right) of one type.
    pub keys: Vec<(Expr, Expr)>,
    pub low: WindowEnd,
    pub high: WindowEnd,
    /// Whether the row in force at the beginning of the window counts too.
    pub prevailing: bool,
    /// What a right row must meet, over both sides.
    pub filter: Option<Expr>,
    /// Calls of aggregates over both sides, and the fields of their values.
    pub aggregates: Vec<(Expr, Arc<Field>)>,
}

/// Where a window begins or ends, seen from the left row's time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WindowEnd {
    /// So many nanoseconds later.
    Fixed { ns: i128 },
    /// As far as a LONG column of the left row says: that many times `unit_ns`. A negative number counts as 0; NULL: no right row counts.
    OfRow { count: Expr, unit_ns: i64 },
}

impl WindowEnd {
    fn column(&self) -> Option<&Expr> {
        match self {
            WindowEnd::Fixed { .. } => None,
            WindowEnd::OfRow { count, .. } => Some(count),
        }
    }

    fn with_column(&self, exprs: &mut impl Iterator<Item = Expr>) -> Option<WindowEnd> {
        Some(match self {
            WindowEnd::Fixed { ns } => WindowEnd::Fixed { ns: *ns },
            WindowEnd::OfRow { unit_ns, .. } => WindowEnd::OfRow { count: exprs.next()?, unit_ns: *unit_ns },
        })
    }
}

impl WindowJoinSpec {
    /// Returns every expression, in an order that [`WindowJoinSpec::with_exprs`] knows.
    fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let times = [&self.times.0, &self.times.1];
        let keys = self.keys.iter().flat_map(|(left, right)| [left, right]);
        let ends = [&self.low, &self.high].into_iter().filter_map(WindowEnd::column);
        let aggregates = self.aggregates.iter().map(|(call, _)| call);
        times.into_iter().chain(keys).chain(ends).chain(&self.filter).chain(aggregates)
    }

    /// Returns the same with its expressions replaced; None when they are not as many.
    fn with_exprs(&self, exprs: Vec<Expr>) -> Option<WindowJoinSpec> {
        let mut exprs = exprs.into_iter();
        let times = (exprs.next()?, exprs.next()?);
        let keys = self.keys.iter().map(|_| Some((exprs.next()?, exprs.next()?))).collect::<Option<Vec<_>>>()?;
        let (low, high) = (self.low.with_column(&mut exprs)?, self.high.with_column(&mut exprs)?);
        let filter = if self.filter.is_some() { Some(exprs.next()?) } else { None };
        let aggregates = self
            .aggregates
            .iter()
            .map(|(_, field)| Some((exprs.next()?, field.clone())))
            .collect::<Option<Vec<_>>>()?;
        exprs.next().is_none().then_some(WindowJoinSpec {
            times,
            keys,
            low,
            high,
            prevailing: self.prevailing,
            filter,
            aggregates,
        })
    }
}

/// Returns the plan that adds the values of the spec's aggregates to the rows of `left`.
pub fn window_join(left: LogicalPlan, right: LogicalPlan, spec: WindowJoinSpec) -> Result<LogicalPlan> {
    let node = WindowJoin::try_new(left, right, spec)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WindowJoin {
    left: LogicalPlan,
    right: LogicalPlan,
    spec: WindowJoinSpec,
    schema: DFSchemaRef,
}

impl WindowJoin {
    fn try_new(left: LogicalPlan, right: LogicalPlan, spec: WindowJoinSpec) -> Result<WindowJoin> {
        let added: Vec<Arc<Field>> = spec.aggregates.iter().map(|(_, field)| field.clone()).collect();
        let added = DFSchema::try_from(Schema::new(added))?;
        let schema = Arc::new(left.schema().join(&added)?);
        Ok(WindowJoin { left, right, spec, schema })
    }

    /// Returns the operator over the planned inputs.
    pub(super) fn physical(
        &self,
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
        planner: &dyn PhysicalPlanner,
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (left_schema, right_schema) = (self.left.schema(), self.right.schema());
        let both = left_schema.join(right_schema)?;
        let fields: Vec<Arc<Field>> = left.schema().fields().iter().chain(right.schema().fields()).cloned().collect();
        let physical = Schema::new(fields);
        let end = |end: &WindowEnd| -> Result<run::End> {
            Ok(match end {
                WindowEnd::Fixed { ns } => run::End::Fixed { ns: *ns },
                WindowEnd::OfRow { count, unit_ns } => {
                    run::End::OfRow { count: place_of(left_schema, count)?, unit_ns: *unit_ns }
                }
            })
        };
        let key = |(l, r): &(Expr, Expr)| Ok((place_of(left_schema, l)?, place_of(right_schema, r)?));
        let lowered = |(call, field): &(Expr, Arc<Field>)| {
            let builder = LoweredAggregateBuilder::new(call, &both, &physical, session.execution_props(), context);
            let lowered =
                builder.with_name(field.name()).with_human_display(call.human_display().to_string()).build()?;
            Ok(run::Aggregate { function: lowered.aggregate, filter: lowered.filter, field: field.clone() })
        };
        let filter = self.spec.filter.as_ref();
        let joined = Joined {
            left_time: place_of(left_schema, &self.spec.times.0)?,
            right_time: place_of(right_schema, &self.spec.times.1)?,
            keys: self.spec.keys.iter().map(key).collect::<Result<Vec<_>>>()?,
            low: end(&self.spec.low)?,
            high: end(&self.spec.high)?,
            prevailing: self.spec.prevailing,
            filter: filter.map(|f| planner.create_physical_expr(f, &both, session, context)).transpose()?,
            aggregates: self.spec.aggregates.iter().map(lowered).collect::<Result<Vec<_>>>()?,
        };
        Ok(Arc::new(WindowJoinExec::new(left, right, joined)))
    }
}

impl PartialOrd for WindowJoin {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.left, &self.right).partial_cmp(&(&other.left, &other.right))
    }
}

impl UserDefinedLogicalNodeCore for WindowJoin {
    fn name(&self) -> &str {
        "WindowJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.spec.exprs().cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let keys: Vec<String> = self.spec.keys.iter().map(|(l, r)| format!("{l} = {r}")).collect();
        write!(f, "WindowJoin: {}, {} on [{}]", self.spec.times.0, self.spec.times.1, keys.join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (self.spec.with_exprs(exprs), <[LogicalPlan; 2]>::try_from(inputs)) {
            (Some(spec), Ok([left, right])) => WindowJoin::try_new(left, right, spec),
            _ => internal_err!("WindowJoin needs its expressions and two inputs"),
        }
    }

    /// The columns of the expressions are added by the optimizer.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let left_columns = self.left.schema().fields().len();
        let left = output_columns.iter().copied().filter(|place| *place < left_columns).collect();
        Some(vec![left, Vec::new()])
    }
}

#[cfg(test)]
mod tests;
