//! A query's plan between two runs: [`KeptPlan`].

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{LogicalPlan, TableScan};
use storage::ReadView;
use types::{Schema, TableId};

use crate::outcome::OutputColumn;
use crate::provider::{AbsentTable, StoredTable};
use crate::session::rules::{Engine, Parts, asks};

/// A query, ready to become a physical plan.
pub struct Planned {
    pub columns: Vec<OutputColumn>,
    pub timestamp_index: Option<usize>,
    /// Optimized.
    pub plan: LogicalPlan,
    /// By which the engine chose its rules.
    pub parts: Parts,
}

/// A planned query without its tables.
pub struct KeptPlan {
    columns: Vec<OutputColumn>,
    timestamp_index: Option<usize>,
    /// In place of the tables are [`AbsentTable`]s.
    plan: LogicalPlan,
    parts: Parts,
    tables: Vec<Table>,
}

/// What a table must be for the plan to be right.
struct Table {
    name: String,
    id: TableId,
    schema: Arc<Schema>,
}

impl KeptPlan {
    /// Returns the plan to keep; None for one that reads anything but stored tables, has a query in an expression, or a
    /// function that answers the same arguments differently: that one's state is a statement's own.
    pub fn of(planned: &Planned) -> Option<KeptPlan> {
        let mut tables = Vec::new();
        let mut foreign = false;
        let emptied = planned.plan.clone().transform_down(|node| {
            foreign |= asks(&node)? || is_volatile(&node)?;
            let LogicalPlan::TableScan(scan) = node else { return Ok(Transformed::no(node)) };
            let provider = source_as_provider(&scan.source)?;
            let Some(stored) = provider.downcast_ref::<StoredTable>() else {
                foreign = true;
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            let absent = AbsentTable::new(stored, tables.len());
            let view = stored.view();
            tables.push(Table { name: view.name().to_string(), id: view.id(), schema: view.schema().clone() });
            let source = provider_as_source(Arc::new(absent));
            Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan })))
        });
        let plan = emptied.ok()?.data;
        let Planned { columns, timestamp_index, parts, .. } = planned;
        (!foreign).then(|| KeptPlan {
            columns: columns.clone(),
            timestamp_index: *timestamp_index,
            plan,
            parts: *parts,
            tables,
        })
    }

    /// Returns the plan over a read view; None when a table is not the one that the plan was made for.
    pub fn over(&self, view: &ReadView) -> Option<Planned> {
        let mut stored = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            let now = view.table(&table.name).filter(|now| now.id() == table.id)?;
            if !Arc::ptr_eq(now.schema(), &table.schema) && *now.schema() != table.schema {
                return None;
            }
            stored.push(now);
        }
        let plan = self.plan.clone().transform_down(|node| {
            let LogicalPlan::TableScan(scan) = node else { return Ok(Transformed::no(node)) };
            let provider = source_as_provider(&scan.source)?;
            let Some(absent) = provider.downcast_ref::<AbsentTable>() else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            let source = provider_as_source(Arc::new(absent.over(&stored)));
            Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan })))
        });
        let plan = plan.ok()?.data;
        Some(Planned { columns: self.columns.clone(), timestamp_index: self.timestamp_index, plan, parts: self.parts })
    }

    #[cfg(test)]
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// Returns the columns, if the plan is still right.
    pub fn columns_over(&self, view: &ReadView) -> Option<Vec<OutputColumn>> {
        self.over(view).map(|planned| planned.columns)
    }
}

impl Planned {
    /// Returns the optimized plan of a query.
    ///
    /// # Errors
    /// Constants that cannot be computed.
    pub fn new(
        engine: &Engine,
        plan: &LogicalPlan,
        columns: Vec<OutputColumn>,
        timestamp_index: Option<usize>,
    ) -> datafusion::error::Result<Planned> {
        let parts = Engine::parts_of(plan);
        let plan = engine.of_parts(parts).optimize(plan)?;
        Ok(Planned { columns, timestamp_index, plan, parts })
    }
}

fn is_volatile(node: &LogicalPlan) -> datafusion::error::Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found |= expr.is_volatile();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}
