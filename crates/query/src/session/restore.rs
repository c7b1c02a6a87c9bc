//! RESTORE TABLE: a table as it was comes back beside what there is now.

use storage::Error;

use super::Session;
use super::create::table_name;
use crate::error::SqlError;
use crate::outcome::Outcome;
use crate::parser::ast::{Past, RestoreTable};
use crate::planner::relation::{missing_table, unqualified};

impl Session {
    pub(super) async fn restore_table(&self, restore: RestoreTable) -> Result<Outcome, SqlError> {
        let RestoreTable { table, as_name, past } = restore;
        let new_name = as_name.as_ref().map(table_name).transpose()?;
        let position = as_name.as_ref().unwrap_or(&table).position;
        let name = unqualified(&table.name).to_owned();
        let then = match past {
            Past::Snapshot(snapshot) => {
                let wanted = snapshot.name.clone();
                let read = self.blocking(move |database| match database.view_at(&wanted) {
                    Err(Error::NotFound(why)) => Ok(Err(why)),
                    other => other.map(Ok),
                });
                read.await?.map_err(|why| SqlError::new(snapshot.position, why))?
            }
            Past::Moment(moment, position) => {
                let read = self.blocking(move |database| match database.view_at_moment(moment) {
                    Err(Error::Invalid(why)) => Ok(Err(why)),
                    other => other.map(Ok),
                });
                read.await?.map_err(|why| SqlError::new(position, why))?
            }
        };
        let of_then = then.table(&name).ok_or_else(|| missing_table(&table))?;
        let to = new_name.unwrap_or_else(|| of_then.name().clone());
        let restored = self.blocking(move |database| match database.restore_table(&then, &name, &to) {
            Err(Error::Exists(why)) => Ok(Err(why)),
            other => other.map(|_| Ok(())),
        });
        restored.await?.map_err(|why| SqlError::new(position, why))?;
        Ok(Outcome::Ddl)
    }
}
