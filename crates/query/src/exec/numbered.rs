//! Rows with their numbers behind them: [`numbered_join`].
//!
//! The engine's hash join gives the rows of an outer side that have no partner behind those that have one, batch by batch, unless
//! that side says of itself in what order it comes. Few sides do when the time is not asked for. A number says it.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{JoinType, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalSortExpr};
use datafusion::physical_plan::joins::{HashJoinExec, HashJoinExecBuilder, PartitionMode};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::TryStreamExt;

use super::column_place::ASCENDING;
use super::operator::reads_inputs;

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

/// The rows of an input, with a column behind the others that counts them.
#[derive(Debug)]
struct NumberedExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl NumberedExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> NumberedExec {
        let number = Arc::new(Field::new("number", DataType::UInt64, false));
        let fields = input.schema().fields().iter().cloned().chain([number]).collect::<Vec<_>>();
        let place = fields.len() - 1;
        let by_number = PhysicalSortExpr::new(Arc::new(Column::new("number", place)), ASCENDING);
        let schema = Arc::new(Schema::new_with_metadata(fields, input.schema().metadata().clone()));
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, [[by_number]]),
            Partitioning::UnknownPartitioning(1),
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

    reads_inputs!(|exec| input = exec.input => NumberedExec::new(input));

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
