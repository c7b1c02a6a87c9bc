//! A place for a stored table in a plan that is kept: [`AbsentTable`]. It holds columns and no rows, so that no file stays
//! open for the sake of a plan.

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;
use storage::TableView;

use super::StoredTable;

/// A table that is filled in before the plan is run.
#[derive(Debug)]
pub struct AbsentTable {
    schema: SchemaRef,
    /// Its place among the tables of the plan.
    place: usize,
}

impl AbsentTable {
    /// Returns the place of a table.
    pub fn new(stored: &StoredTable, place: usize) -> AbsentTable {
        AbsentTable { schema: stored.schema.clone(), place }
    }

    /// Returns the table that stands in this place.
    pub fn over(&self, tables: &[TableView]) -> StoredTable {
        StoredTable { view: tables[self.place].clone(), schema: self.schema.clone() }
    }
}

#[async_trait]
impl TableProvider for AbsentTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        internal_err!("a kept plan was run without its tables")
    }
}
