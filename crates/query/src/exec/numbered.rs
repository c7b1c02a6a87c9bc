//! Rows with their numbers behind them: [`numbered_join`], [`numbered_sort`].
//!
//! The engine's hash join gives the rows of an outer side that have no partner behind those that have one, batch by batch, unless
//! that side says of itself in what order it comes. Few sides do when the time is not asked for. A number says it. The engine's sort
//! gives rows that are equal in any order, and with a LIMIT any of them: the number is the last thing to sort by, where that is cheap.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::joins::{HashJoinExec, HashJoinExecBuilder, PartitionMode};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::TryStreamExt;

use super::bounded::projected;
use super::column_place::ASCENDING;
use super::direct::is_dynamic;
use super::operator::computes;

/// Returns an outer join that keeps the order of its rows; None for one that does so already, or is another join.
pub fn numbered_join(join: &HashJoinExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let rows = join.right();
    let is_ordered = rows.output_ordering().is_some() || rows.output_partitioning().partition_count() != 1;
    if *join.join_type() != JoinType::Right || is_ordered || *join.partition_mode() != PartitionMode::CollectLeft {
        return Ok(None);
    }
    let columns = join.left().schema().fields().len() + rows.schema().fields().len();
    let wanted = join.projection.as_deref().map_or_else(|| (0..columns).collect(), <[usize]>::to_vec);
    let numbered: Arc<dyn ExecutionPlan> = Arc::new(NumberedExec::new(rows.clone()));
    let join = HashJoinExecBuilder::from(join)
        .with_projection(None)
        .recompute_properties()
        .with_new_children(vec![join.left().clone(), numbered])?
        .with_projection(Some(wanted));
    join.build_exec().map(Some)
}

/// Returns a sort that leaves rows that are equal in the order of its input; None for one with a LIMIT that tells a scan below, by its
/// keys alone, which rows are still of use: that saves more than such an order is worth.
pub fn numbered_sort(sort: &SortExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let input = sort.input();
    if sort.fetch().is_some() && input.exists(|plan| Ok(has_dynamic_filter(plan)))? {
        return Ok(None);
    }
    let columns = input.schema().fields().len();
    let numbered: Arc<dyn ExecutionPlan> = Arc::new(NumberedExec::new(input.clone()));
    let by_number = by_number(columns);
    let Some(order) = LexOrdering::new(sort.expr().iter().cloned().chain([by_number])) else {
        return internal_err!("a sort by nothing");
    };
    let sorted = SortExec::new(order, numbered).with_preserve_partitioning(sort.preserve_partitioning());
    let without: Vec<usize> = (0..columns).collect();
    projected(Arc::new(sorted.with_fetch(sort.fetch())), Some(&without)).map(Some)
}

fn has_dynamic_filter(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut found = false;
    let looked = plan.apply_expressions(&mut |expr| {
        found |= is_dynamic(expr);
        Ok(TreeNodeRecursion::Continue)
    });
    found || looked.is_err()
}

fn by_number(place: usize) -> PhysicalSortExpr {
    PhysicalSortExpr::new(Arc::new(Column::new("number", place)), ASCENDING)
}

/// The rows of an input, with a column behind the others that counts those of each partition.
#[derive(Debug)]
struct NumberedExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl NumberedExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> NumberedExec {
        let number = Arc::new(Field::new("number", DataType::UInt64, false));
        let fields = input.schema().fields().iter().cloned().chain([number]).collect::<Vec<_>>();
        let known = input.equivalence_properties().oeq_class().iter().cloned();
        let orderings: Vec<LexOrdering> = known.chain(LexOrdering::new([by_number(fields.len() - 1)])).collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, input.schema().metadata().clone()));
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, orderings),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        NumberedExec { input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for NumberedExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "NumberedExec")
    }
}

impl ExecutionPlan for NumberedExec {
    fn name(&self) -> &str {
        "NumberedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(NumberedExec::new(children.swap_remove(0))))
    }

    computes!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (rows, schema) = (self.input.execute(partition, context)?, self.schema());
        let (mut next, with_numbers) = (0u64, schema.clone());
        let numbered = rows.and_then(move |batch: RecordBatch| {
            let end = next + batch.num_rows() as u64;
            let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values(next..end));
            next = end;
            let columns = batch.columns().iter().cloned().chain([numbers]).collect();
            futures::future::ready(RecordBatch::try_new(with_numbers.clone(), columns).map_err(Into::into))
        });
        Ok(Box::pin(datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(schema, numbered)))
    }
}
