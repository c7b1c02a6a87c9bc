//! EXPLAIN: the physical plan as text, one row a line.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringViewArray};
use arrow::datatypes::Schema;
use datafusion::physical_plan::displayable;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use super::Session;
use crate::error::SqlError;
use crate::exec::direct::{Notes, Switch};
use crate::kind::Kind;
use crate::outcome::{Outcome, OutputColumn, Rows};
use crate::parser::ast::{InsertSource, Query, Statement, TableSource};
use crate::planner::Ctes;
use crate::planner::parameters::{Param, Parameters};

/// Returns the only column of EXPLAIN.
pub fn column() -> OutputColumn {
    OutputColumn { name: "QUERY PLAN".to_owned(), kind: Kind::String }
}

impl Session {
    pub(super) async fn explain(&self, statement: &Statement, params: &[Param]) -> Result<Outcome, SqlError> {
        let (head, query) = explained(statement);
        let mut lines: Vec<String> = head.into_iter().map(str::to_owned).collect();
        if let Some(query) = query {
            let indent = if lines.is_empty() { "" } else { "    " };
            lines.extend(self.plan_lines(query, params).await?.iter().map(|line| format!("{indent}{line}")));
        }
        let field = Kind::String.field("QUERY PLAN");
        let schema = Arc::new(Schema::new(vec![field]));
        let lines = Arc::new(StringViewArray::from_iter_values(&lines));
        let batch = RecordBatch::try_new(schema.clone(), vec![lines]).map_err(|e| SqlError::internal(e.to_string()))?;
        let stream = Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(batch)])));
        Ok(Outcome::Rows(Rows { columns: vec![column()], timestamp_index: None, stream, is_prompt: false }))
    }

    /// Returns the physical plan of a query.
    #[cfg(test)]
    pub(crate) async fn physical_plan(
        &self,
        sql: &str,
    ) -> Result<Arc<dyn datafusion::physical_plan::ExecutionPlan>, SqlError> {
        let Statement::Query(query) = crate::parser::parse(sql)? else { return Err(SqlError::new(0, "no query")) };
        let moment = self.moment();
        let relation = self.planner(&moment, Parameters::bound(&[])).query(&query, Ctes::NONE)?;
        let plan = super::run::ordered(relation)?.plan;
        self.state.of_plan(&plan).create_physical_plan(&plan).await.map_err(|e| SqlError::from_datafusion(&e))
    }

    async fn plan_lines(&self, query: &Query, params: &[Param]) -> Result<Vec<String>, SqlError> {
        let moment = self.moment();
        let relation = self.planner(&moment, Parameters::bound(params)).query(query, Ctes::NONE)?;
        let relation = super::run::ordered(relation)?;
        let (mut state, notes) = (self.state.of_plan(&relation.plan).clone(), Notes::kept());
        if let Some(switch) = state.config_mut().options_mut().extensions.get_mut::<Switch>() {
            switch.notes = notes.clone();
        }
        let plan = state.create_physical_plan(&relation.plan).await;
        let plan = plan.map_err(|e| SqlError::from_datafusion(&e))?;
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        let lines = shown.lines().map(str::to_owned);
        Ok(lines.chain(notes.list().into_iter().map(|why| format!("plain: {why}"))).collect())
    }
}

fn explained(statement: &Statement) -> (Option<&'static str>, Option<&Query>) {
    match statement {
        Statement::Query(query) => (None, Some(query)),
        Statement::Insert(insert) => match &insert.source {
            InsertSource::Query(query) => (Some("Insert into table"), Some(query)),
            InsertSource::Values(_) => (Some("Insert into table"), None),
        },
        Statement::CreateTable(create) => match &create.source {
            TableSource::Query { query, .. } => (Some("Create table"), Some(query)),
            TableSource::Columns(_) | TableSource::Like(_) => (Some("Create table"), None),
        },
        Statement::Update(_) => (Some("Update table"), None),
        Statement::Delete(_) => (Some("Delete from table"), None),
        _ => (Some("Statement"), None),
    }
}
