//! A stored table as DataFusion sees it.
//!
//! Time filters on the designated timestamp become ranges of the scan, exactly; all others stay with the engine. Rows
//! come in one partition, in ascending time, and that order is declared. Next: [`time_filter`], [`scan`].

mod absent;
mod scan;
mod time_filter;

use std::sync::Arc;

use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use storage::TableView;
use types::TimeRange;

use crate::interval::ranges;
use crate::kind::Kind;

pub use absent::AbsentTable;
pub use scan::{ScanSpec, StoredScan, shown, shown_ranges, shown_values};
pub use time_filter::{in_microseconds, ranges_of};

/// One table at one Seq.
#[derive(Clone)]
pub struct StoredTable {
    view: TableView,
    schema: SchemaRef,
}

impl std::fmt::Debug for StoredTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredTable({})", self.view.name())
    }
}

impl StoredTable {
    /// Returns the table of a view.
    pub fn new(view: TableView) -> StoredTable {
        let designated = view.schema().designated;
        let field = |column: &types::ColumnDef| {
            let never_null = !column.column_type.is_nullable() || designated == Some(column.id);
            Kind::from(column.column_type).field(&column.name).with_nullable(!never_null)
        };
        let schema = Arc::new(ArrowSchema::new(view.schema().columns.iter().map(field).collect::<Vec<_>>()));
        StoredTable { view, schema }
    }

    /// Returns the table at its Seq.
    pub fn view(&self) -> &TableView {
        &self.view
    }

    /// Returns the place of the designated timestamp.
    pub fn designated(&self) -> Option<usize> {
        self.view.schema().designated_index()
    }

    /// Returns how many units of the designated timestamp make a microsecond.
    fn units_per_us(&self) -> i64 {
        self.designated().map_or(1, |place| self.view.schema().columns[place].column_type.units_per_us())
    }

    fn time_name(&self) -> Option<&str> {
        self.designated().map(|place| self.schema.field(place).name().as_str())
    }
}

#[async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let in_ns = self.units_per_us() > 1;
        let exact = |filter: &&Expr| match self.time_name().and_then(|time| time_filter::ranges_of(filter, time)) {
            Some(_) if in_ns => TableProviderFilterPushDown::Inexact,
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(exact).collect())
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut wanted = vec![TimeRange::ALL];
        if let Some(time) = self.time_name() {
            for found in filters.iter().filter_map(|f| time_filter::ranges_of(f, time)) {
                wanted = ranges::intersect(&wanted, &found);
            }
        }
        let per_us = self.units_per_us();
        let limit = limit.filter(|_| per_us == 1 || filters.is_empty());
        let wanted = time_filter::in_microseconds(wanted, per_us);
        let all = (0..self.schema.fields().len()).collect();
        let columns = projection.cloned().unwrap_or(all);
        let spec = ScanSpec { view: self.view.clone(), columns, ranges: wanted, limit };
        Ok(Arc::new(StoredScan::new(spec, &self.schema)?))
    }
}
