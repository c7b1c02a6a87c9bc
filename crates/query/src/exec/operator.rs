//! What operators say alike of themselves to DataFusion: `reads_tables!` where there is no input, `reads_inputs!` where there
//! are some, `inputs_stay_in_order!` where their order counts; and the way of their rows out: [`counted`].
//!
//! The macros stand in an `impl ExecutionPlan`, so that what is there beside them is the operator's own.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::metrics::BaselineMetrics;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use futures::{Stream, TryStreamExt};

/// An operator, as DataFusion holds it.
pub type Plan = Arc<dyn ExecutionPlan>;

/// An expression that is looked at, and whether others should be too.
pub type Visit<'a> =
    &'a mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<datafusion::common::tree_node::TreeNodeRecursion>;

/// Of an operator that reads tables itself. `reads_tables!(|exec| expressions)` where it computes some.
macro_rules! reads_tables {
    ($(|$exec:ident| $expressions:expr)?) => {
        fn children(&self) -> Vec<&$crate::exec::operator::Plan> {
            Vec::new()
        }

        fn with_new_children(
            self: ::std::sync::Arc<Self>,
            _children: Vec<$crate::exec::operator::Plan>,
        ) -> ::datafusion::common::Result<$crate::exec::operator::Plan> {
            Ok(self)
        }

        $crate::exec::operator::computes!($(|$exec| $expressions)?);
    };
}

/// Of an operator over inputs, each one stream: `reads_inputs!(|exec| input = exec.input => Exec::new(input, …))` names them
/// and makes the operator anew over others. `; expressions` behind it where it computes some.
macro_rules! reads_inputs {
    (|$exec:ident| $($input:ident = $from:expr),+ => $again:expr $(; $expressions:expr)?) => {
        fn children(&self) -> Vec<&$crate::exec::operator::Plan> {
            let $exec = self;
            vec![$(&$from),+]
        }

        fn input_distribution_requirements(&self) -> ::datafusion::physical_plan::InputDistributionRequirements {
            let one = ::datafusion::physical_plan::Distribution::SinglePartition;
            ::datafusion::physical_plan::InputDistributionRequirements::new(vec![one; self.children().len()])
        }

        fn with_new_children(
            self: ::std::sync::Arc<Self>,
            children: Vec<$crate::exec::operator::Plan>,
        ) -> ::datafusion::common::Result<$crate::exec::operator::Plan> {
            let $exec = &*self;
            // Some need nothing of themselves but their inputs.
            let _ = $exec;
            let Ok([$($input),+]) = <[_; _]>::try_from(children) else {
                return ::datafusion::common::internal_err!("{} has {} inputs", self.name(), self.children().len());
            };
            Ok(::std::sync::Arc::new($again))
        }

        $crate::exec::operator::computes!($(|$exec| $expressions)?);
    };
}

/// Shows DataFusion what an operator computes: it looks for scalar sub-queries there.
macro_rules! computes {
    () => {
        fn apply_expressions(
            &self,
            _visit: $crate::exec::operator::Visit<'_>,
        ) -> ::datafusion::common::Result<::datafusion::common::tree_node::TreeNodeRecursion> {
            Ok(::datafusion::common::tree_node::TreeNodeRecursion::Continue)
        }
    };
    (|$exec:ident| $expressions:expr) => {
        fn apply_expressions(
            &self,
            visit: $crate::exec::operator::Visit<'_>,
        ) -> ::datafusion::common::Result<::datafusion::common::tree_node::TreeNodeRecursion> {
            let $exec = self;
            ::datafusion::physical_plan::apply_expression_roots($expressions, visit)
        }
    };
}
/// Of an operator whose rows or values follow from the order of its inputs: each must come as it was planned. Else the engine moves a
/// sort from above the operator to below it, and takes one that stands below away.
macro_rules! inputs_stay_in_order {
    () => {
        fn required_input_ordering(&self) -> Vec<Option<::datafusion::physical_expr::OrderingRequirements>> {
            use ::datafusion::physical_plan::ExecutionPlanProperties;
            // several streams have an order each, and none together
            let planned = |input: &$crate::exec::operator::Plan| match input.output_partitioning().partition_count() {
                1 => Some(input.output_ordering()?.clone().into()),
                _ => None,
            };
            self.children().into_iter().map(planned).collect()
        }
    };
}
pub(crate) use {computes, inputs_stay_in_order, reads_inputs, reads_tables};

/// Returns an operator's batches on their way out, their rows counted.
pub fn counted(
    schema: SchemaRef,
    metrics: BaselineMetrics,
    batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
) -> SendableRecordBatchStream {
    let counted = batches.inspect_ok(move |batch: &RecordBatch| metrics.record_output(batch.num_rows()));
    Box::pin(RecordBatchStreamAdapter::new(schema, counted))
}
