//! Queries of PostgreSQL's catalogue that only PostgreSQL's own SQL can say, see [`crate::postgres`].

#[cfg(test)]
mod tests;

use super::{Moment, Session, run};
use crate::activity;
use crate::functions::table::Tables;
use crate::kind::Kind;
use crate::outcome::{Described, Rows};
use crate::planner::parameters::{Param, Parameters};
use crate::postgres::{self, Bound, Planned};

impl Session {
    /// Returns the rows of a query of the catalogue; None for everything else.
    pub(super) async fn catalogue_query(&self, sql: &str, params: &[Param]) -> Option<Rows> {
        let Planned { plan, columns, .. } = self.catalogue_plan(sql, Bound::Values(params))?;
        let stream = run::stream_by(self.engine().unchecked(), &plan, None).await;
        let failed = |error: &crate::SqlError| tracing::debug!(%error, "a query of the catalogue cannot be run");
        let stream = stream.inspect_err(failed).ok()?;
        let running = self.begun(sql, self.settings.env.clock.now_us());
        let stream = activity::listed(stream, running, self.stopper.clone());
        Some(Rows { columns, timestamp_index: None, stream, is_prompt: false })
    }

    /// Returns the parameters and columns of a query of the catalogue; None for everything else.
    pub(super) fn describe_catalogue_query(&self, sql: &str, hints: &[Option<Kind>]) -> Option<Described> {
        let Planned { columns, params, .. } = self.catalogue_plan(sql, Bound::Hints(hints))?;
        Some(Described { params, columns: Some(columns), ..Described::default() })
    }

    fn catalogue_plan(&self, sql: &str, bound: Bound) -> Option<Planned> {
        let moment = self.moment();
        let planner = self.planner(&moment, Parameters::bound(&[]));
        let Moment { view, environment } = &moment;
        let tables = Tables { planner: &planner, database: &self.database, view, environment };
        postgres::plan(sql, bound, &tables, self.engine())
    }
}
