//! A query's plan between two runs: [`KeptPlan`].

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_plan::ExecutionPlan;
use storage::{ReadView, TableView};
use types::{Schema, TableId};

use crate::exec::direct::{Again, Source};
use crate::outcome::OutputColumn;
use crate::planner::view::NamedView;
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
    /// Whether the same text makes the same plan again.
    pub is_repeatable: bool,
    /// Whether all tables of the query are in the plan. A condition that no row can meet takes its table out, and nothing
    /// would tell that the table is another one later.
    names_all_tables: bool,
    /// Names that were looked up among the views.
    pub views: Vec<NamedView>,
    /// What is kept of it.
    pub kept: Option<Arc<KeptPlan>>,
}

/// A query, ready to be run.
pub struct Ready {
    pub columns: Vec<OutputColumn>,
    pub timestamp_index: Option<usize>,
    pub physical: Arc<dyn ExecutionPlan>,
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
    views: Vec<NamedView>,
    /// Set when the plan was run; None in it: it is planned each time.
    again: OnceLock<Option<Again>>,
}

/// What a table must be for the plan to be right.
struct Table {
    name: String,
    id: TableId,
    schema: Arc<Schema>,
}

impl KeptPlan {
    /// Returns the plan to keep; None for one that reads anything but stored tables or no longer names them all, has a query in
    /// an expression, or a function that answers the same arguments differently: that one's state is a statement's own.
    pub fn of(planned: &Planned) -> Option<KeptPlan> {
        if !planned.names_all_tables {
            return None;
        }
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
            views: planned.views.clone(),
            again: OnceLock::new(),
        })
    }

    /// Keeps a physical plan that was made of this one, if it can be run again.
    pub fn keep_physical(&self, physical: &Arc<dyn ExecutionPlan>) {
        self.again.get_or_init(|| Again::of(physical, self.tables.len()));
    }

    /// Returns the physical plan over a read view; None when there is none, or a table is not the one that it was made for.
    pub fn ready(&self, view: &ReadView) -> Option<Ready> {
        let again = self.again.get()?.as_ref()?;
        let physical = again.over_view(self.tables_of(view)?.pop())?;
        Some(self.with(physical))
    }

    /// Returns what the kept physical plan reads, without rows.
    pub fn source(&self) -> Option<&Source> {
        self.again.get()?.as_ref()?.source()
    }

    /// Returns the kept physical plan over a source of the same columns.
    pub fn over_source(&self, source: Source) -> Option<Ready> {
        let physical = self.again.get()?.as_ref()?.over(source)?;
        Some(self.with(physical))
    }

    /// Returns the kept physical plan, without rows.
    pub fn physical(&self) -> Option<&Arc<dyn ExecutionPlan>> {
        Some(self.again.get()?.as_ref()?.plan())
    }

    /// Returns whether results are of the same types as the plan's.
    pub fn has_kinds_of(&self, columns: &[OutputColumn]) -> bool {
        self.columns.iter().map(|column| column.kind).eq(columns.iter().map(|column| column.kind))
    }

    /// Returns by what the engine chose its rules.
    pub fn parts(&self) -> Parts {
        self.parts
    }

    fn with(&self, physical: Arc<dyn ExecutionPlan>) -> Ready {
        let (columns, timestamp_index, parts) = (self.columns.clone(), self.timestamp_index, self.parts);
        Ready { columns, timestamp_index, physical, parts }
    }

    /// Returns the plan's tables in a read view; None when one, or a view that stood on it, is not the one that the plan was
    /// made for.
    pub fn tables_of(&self, view: &ReadView) -> Option<Vec<TableView>> {
        let is_same = |named: &NamedView| view.sql_view(&named.name).map(|view| (view.id, view.seq)) == named.view;
        if !self.views.iter().all(is_same) {
            return None;
        }
        let mut stored = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            let now = view.table(&table.name).filter(|now| now.id() == table.id)?;
            if !Arc::ptr_eq(now.schema(), &table.schema) && *now.schema() != table.schema {
                return None;
            }
            stored.push(now);
        }
        Some(stored)
    }

    /// Returns the plan over a read view; None when a table is not the one that the plan was made for.
    pub fn over(self: &Arc<Self>, view: &ReadView) -> Option<Planned> {
        let stored = self.tables_of(view)?;
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
        let (columns, timestamp_index, parts) = (self.columns.clone(), self.timestamp_index, self.parts);
        let (views, kept) = (self.views.clone(), Some(self.clone()));
        Some(Planned {
            columns,
            timestamp_index,
            plan,
            parts,
            is_repeatable: true,
            names_all_tables: true,
            views,
            kept,
        })
    }

    #[cfg(test)]
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// Returns the columns, if the plan is still right.
    pub fn columns_over(&self, view: &ReadView) -> Option<Vec<OutputColumn>> {
        self.tables_of(view).map(|_| self.columns.clone())
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
        let named = tables_read(plan)?;
        let plan = engine.of_parts(parts).optimize(plan)?;
        let names_all_tables = tables_read(&plan)? == named;
        let (is_repeatable, views, kept) = Default::default();
        Ok(Planned { columns, timestamp_index, plan, parts, is_repeatable, names_all_tables, views, kept })
    }
}

/// Returns the tables that a plan reads, also in queries in its expressions.
fn tables_read(plan: &LogicalPlan) -> datafusion::error::Result<BTreeSet<TableId>> {
    let mut tables = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(stored) = source_as_provider(&scan.source)?.downcast_ref::<StoredTable>()
        {
            tables.insert(stored.view().id());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(tables)
}

fn is_volatile(node: &LogicalPlan) -> datafusion::error::Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found |= expr.is_volatile();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}
