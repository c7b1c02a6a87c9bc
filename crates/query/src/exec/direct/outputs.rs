//! What a plan gives for chosen rows of a source: [`Outputs`], late materialisation.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_empty_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;

use super::block::Block;
use super::source::Source;
use super::values::{Change, changed_expr};

/// The output columns of a plan, computed from those columns of a source alone that they need.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// Places of the needed columns in the source.
    places: Vec<usize>,
    needed: SchemaRef,
    /// Over the needed columns.
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
}

impl Outputs {
    /// Returns the outputs `exprs` over the source's columns, as columns of `schema`.
    pub fn new(source: &Source, exprs: &[Arc<dyn PhysicalExpr>], schema: SchemaRef) -> Result<Outputs> {
        let mut places: Vec<usize> = exprs.iter().flat_map(collect_columns).map(|column| column.index()).collect();
        places.sort_unstable();
        places.dedup();
        let moved = |expr: &Arc<dyn PhysicalExpr>| {
            let moved = expr.clone().transform(|expr| {
                let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
                let place = places.partition_point(|place| *place < column.index());
                Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as Arc<dyn PhysicalExpr>))
            });
            moved.map(|moved| moved.data)
        };
        let exprs = exprs.iter().map(moved).collect::<Result<_>>()?;
        let fields: Vec<_> = places.iter().map(|place| source.schema().fields()[*place].clone()).collect();
        Ok(Outputs { places, needed: Arc::new(Schema::new(fields)), exprs, schema })
    }

    /// Returns the schema of the output.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns the outputs, over what is gathered for them.
    pub fn exprs(&self) -> &[Arc<dyn PhysicalExpr>] {
        &self.exprs
    }

    /// Returns the outputs after a change of their literals.
    pub fn changed(&self, change: &mut Change) -> Option<Outputs> {
        let exprs = self.exprs.iter().map(|expr| changed_expr(expr, change)).collect::<Option<_>>()?;
        Some(Outputs { exprs, ..self.clone() })
    }

    /// Returns the source's columns that the outputs need, for these rows of a block in this order.
    pub fn gathered(&self, block: &Block, rows: &[u32]) -> Result<RecordBatch> {
        let indices = UInt32Array::from(rows.to_vec());
        let columns = self.places.iter().map(|place| block.picked(*place, &indices)).collect::<Result<_>>()?;
        batch(&self.needed, columns, rows.len())
    }

    /// Returns gathered rows as one batch.
    pub fn joined<'a>(&self, parts: impl IntoIterator<Item = &'a RecordBatch>) -> Result<RecordBatch> {
        let parts: Vec<&RecordBatch> = parts.into_iter().collect();
        if self.places.is_empty() {
            return batch(&self.needed, Vec::new(), parts.iter().map(|part| part.num_rows()).sum());
        }
        match parts[..] {
            [] => {
                let columns = self.needed.fields().iter().map(|field| new_empty_array(field.data_type())).collect();
                batch(&self.needed, columns, 0)
            }
            [part] => Ok(part.clone()),
            _ => Ok(concat_batches(&self.needed, parts)?),
        }
    }

    /// Returns the outputs of gathered rows.
    pub fn computed(&self, gathered: &RecordBatch) -> Result<RecordBatch> {
        let rows = gathered.num_rows();
        let columns = self.exprs.iter().map(|expr| expr.evaluate(gathered)?.into_array(rows)).collect::<Result<_>>()?;
        batch(&self.schema, columns, rows)
    }
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
