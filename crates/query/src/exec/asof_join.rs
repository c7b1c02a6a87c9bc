//! ASOF JOIN and LT JOIN: beside each left row the newest right row that is not later.
//!
//! The logical node. Every left row comes out once, in the left order; right columns are NULL where nothing matches.
//! Both inputs must ascend by time (the operator asks for it, so a sort is put below where the order is unknown).
//! Keys are compared as values: NULL meets NULL, '' meets ''. Next file: `asof_join/run.rs`.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err, plan_err};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;

use super::column_place::{column_at, expect_time, place_of};

pub mod direct;
mod run;

pub use run::AsofJoinExec;

/// What to join by; places are those of the columns of each input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsofSpec {
    pub left_time: usize,
    pub right_time: usize,
    /// Pairs of equal columns (left, right) of one type; none: the join looks at time only.
    pub keys: Vec<(usize, usize)>,
    /// LT: strictly earlier. ASOF: also at the same time, then the last of them.
    pub strict: bool,
    /// How far back a match may lie; exactly this far counts. `None`: any distance.
    pub tolerance_us: Option<i64>,
}

/// Returns the plan of the join: the left columns, then the right ones, which may be NULL; qualifiers stay.
pub fn asof_join(left: LogicalPlan, right: LogicalPlan, spec: AsofSpec) -> Result<LogicalPlan> {
    let operator = if spec.strict { "LT JOIN" } else { "ASOF JOIN" };
    let times = (column_at(left.schema(), spec.left_time)?, column_at(right.schema(), spec.right_time)?);
    expect_time(left.schema(), spec.left_time, operator)?;
    expect_time(right.schema(), spec.right_time, operator)?;
    let mut keys = Vec::with_capacity(spec.keys.len());
    for (l, r) in spec.keys {
        keys.push((column_at(left.schema(), l)?, column_at(right.schema(), r)?));
        let (l, r) = (left.schema().field(l), right.schema().field(r));
        if l.data_type() != r.data_type() {
            let (left, right) = ((l.name(), l.data_type()), (r.name(), r.data_type()));
            return plan_err!("{operator}: key {} is {}, {} is {}", left.0, left.1, right.0, right.1);
        }
    }
    let node = AsofJoin::try_new(left, right, times, keys, spec.strict, spec.tolerance_us)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// Returns the plan with a condition below the join where the condition looks at left columns only: every left row comes out,
/// whatever it meets. None when the plan is no such join or the condition has to stay above it.
pub fn filtered_left(plan: &LogicalPlan, condition: &Expr) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Extension(extension) = plan else { return Ok(None) };
    let Some(join) = extension.node.as_any().downcast_ref::<AsofJoin>() else { return Ok(None) };
    let (columns, left) = (condition.column_refs(), join.left.schema());
    if columns.is_empty() || condition.is_volatile() || !columns.iter().all(|column| left.has_column(column)) {
        return Ok(None);
    }
    let left = match filtered_left(&join.left, condition)? {
        Some(left) => left,
        None => LogicalPlanBuilder::from(join.left.clone()).filter(condition.clone())?.build()?,
    };
    let node = AsofJoin::try_new(
        left,
        join.right.clone(),
        join.times.clone(),
        join.keys.clone(),
        join.strict,
        join.tolerance_us,
    )?;
    Ok(Some(LogicalPlan::Extension(Extension { node: Arc::new(node) })))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AsofJoin {
    left: LogicalPlan,
    right: LogicalPlan,
    times: (Expr, Expr),
    keys: Vec<(Expr, Expr)>,
    strict: bool,
    tolerance_us: Option<i64>,
    schema: DFSchemaRef,
}

impl AsofJoin {
    fn try_new(
        left: LogicalPlan,
        right: LogicalPlan,
        times: (Expr, Expr),
        keys: Vec<(Expr, Expr)>,
        strict: bool,
        tolerance_us: Option<i64>,
    ) -> Result<AsofJoin> {
        let left_fields = left.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
        let right_fields = right.schema().iter().map(|(qualifier, field)| {
            let field = field.as_ref().clone().with_nullable(true);
            (qualifier.cloned(), Arc::new(field))
        });
        let fields = left_fields.chain(right_fields).collect();
        let schema = Arc::new(DFSchema::new_with_metadata(fields, left.schema().metadata().clone())?);
        Ok(AsofJoin { left, right, times, keys, strict, tolerance_us, schema })
    }

    /// Returns the operator over the planned inputs.
    pub(super) fn physical(
        &self,
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (left_schema, right_schema) = (self.left.schema(), self.right.schema());
        let key = |(l, r): &(Expr, Expr)| Ok((place_of(left_schema, l)?, place_of(right_schema, r)?));
        let spec = AsofSpec {
            left_time: place_of(left_schema, &self.times.0)?,
            right_time: place_of(right_schema, &self.times.1)?,
            keys: self.keys.iter().map(key).collect::<Result<Vec<_>>>()?,
            strict: self.strict,
            tolerance_us: self.tolerance_us,
        };
        Ok(Arc::new(AsofJoinExec::new(left, right, spec)?))
    }
}

impl PartialOrd for AsofJoin {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let parts = |node: &Self| (node.times.clone(), node.keys.clone(), node.strict, node.tolerance_us);
        match (&self.left, &self.right).partial_cmp(&(&other.left, &other.right)) {
            Some(Ordering::Equal) => parts(self).partial_cmp(&parts(other)),
            unequal => unequal,
        }
    }
}

impl UserDefinedLogicalNodeCore for AsofJoin {
    fn name(&self) -> &str {
        "AsofJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    /// The left time, the right time, then the keys pair by pair.
    fn expressions(&self) -> Vec<Expr> {
        let pairs = std::iter::once(&self.times).chain(&self.keys);
        pairs.flat_map(|(left, right)| [left.clone(), right.clone()]).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kind = if self.strict { "LtJoin" } else { "AsofJoin" };
        let keys: Vec<String> = self.keys.iter().map(|(l, r)| format!("{l} = {r}")).collect();
        write!(f, "{kind}: {}, {} on [{}]", self.times.0, self.times.1, keys.join(", "))?;
        match self.tolerance_us {
            Some(us) => write!(f, " tolerance {us}us"),
            None => Ok(()),
        }
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Ok([left, right]) = <[LogicalPlan; 2]>::try_from(inputs) else {
            return internal_err!("AsofJoin has two inputs");
        };
        let mut pairs = Vec::with_capacity(exprs.len() / 2);
        let mut exprs = exprs.into_iter();
        while let (Some(left), Some(right)) = (exprs.next(), exprs.next()) {
            pairs.push((left, right));
        }
        if pairs.len() != self.keys.len() + 1 {
            return internal_err!("AsofJoin needs two times and {} pairs of keys", self.keys.len());
        }
        let keys = pairs.split_off(1);
        let times = pairs.remove(0);
        AsofJoin::try_new(left, right, times, keys, self.strict, self.tolerance_us)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let left_columns = self.left.schema().fields().len();
        let (left, right): (Vec<usize>, Vec<usize>) = output_columns.iter().partition(|place| **place < left_columns);
        Some(vec![left, right.into_iter().map(|place| place - left_columns).collect()])
    }
}

#[cfg(test)]
mod tests;
