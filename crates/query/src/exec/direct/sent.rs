//! Batches that one blocking thread makes and hands out as it goes: [`sent`]; few that are made at once: [`made`]; and what such a
//! stream promises: [`by_time`].

use std::future::Future;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalSortExpr};
use datafusion::physical_plan::PlanProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::BaselineMetrics;
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use futures::{TryStreamExt, stream};

use super::fold::fold_streamed;

/// Rows that are sooner read than another thread wakes.
pub const FEW_ROWS: usize = if cfg!(test) { 100 } else { 8 << 10 };
/// Batches that may wait for their reader.
const AHEAD_BATCHES: usize = 2;

/// Returns the batches that `send` makes on a thread where it may block, once `prepared` is there. `send` is given whether nobody
/// reads any more, to be asked where no batch comes for long, and where each batch goes, which says false then.
///
/// Nothing is begun before the first batch is asked for: only then are the values of scalar sub-queries known.
pub fn sent<T: Send + 'static>(
    schema: SchemaRef,
    metrics: BaselineMetrics,
    prepared: impl Future<Output = Result<T>> + Send + 'static,
    send: impl FnOnce(T, &dyn Fn() -> bool, &mut dyn FnMut(RecordBatch) -> bool) -> Result<()> + Send + 'static,
) -> SendableRecordBatchStream {
    let given = schema.clone();
    let begun = async move {
        let prepared = prepared.await?;
        let mut builder = RecordBatchReceiverStreamBuilder::new(given, AHEAD_BATCHES);
        let sender = builder.tx();
        builder.spawn_blocking(move || {
            send(prepared, &|| sender.is_closed(), &mut |batch| {
                metrics.record_output(batch.num_rows());
                sender.blocking_send(Ok(batch)).is_ok()
            })
        });
        Ok::<SendableRecordBatchStream, DataFusionError>(builder.build())
    };
    Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(begun).try_flatten()))
}

/// Returns the batches that `send` makes when the first is asked for, all by whoever asks. For at most about [`FEW_ROWS`], read
/// without a search.
pub fn made(
    schema: SchemaRef,
    metrics: BaselineMetrics,
    send: impl FnOnce(&dyn Fn() -> bool, &mut dyn FnMut(RecordBatch) -> bool) -> Result<()> + Send + 'static,
) -> SendableRecordBatchStream {
    let batches = async move {
        let mut batches = Vec::new();
        send(&|| false, &mut |batch| {
            metrics.record_output(batch.num_rows());
            batches.push(batch);
            true
        })?;
        Ok(batches)
    };
    fold_streamed(schema, batches)
}

/// Returns the properties of one stream of batches that rises by the timestamp at that place, if it has one.
pub fn by_time(schema: SchemaRef, time: Option<usize>) -> Arc<PlanProperties> {
    let mut equivalences = EquivalenceProperties::new(schema.clone());
    if let Some(place) = time {
        let column = Arc::new(Column::new(schema.field(place).name(), place));
        equivalences.add_ordering([PhysicalSortExpr::new_default(column)]);
    }
    let one = Partitioning::UnknownPartitioning(1);
    Arc::new(PlanProperties::new(equivalences, one, EmissionType::Incremental, Boundedness::Bounded))
}
