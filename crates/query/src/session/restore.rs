//! RESTORE TABLE: a table as it was comes back beside what there is now; RESTORE DATABASE: all of them, in its place.
//! UNDROP TABLE: a dropped one comes back, PURGE TABLE: it is gone for good.

use storage::Error;

use super::Session;
use super::create::table_name;
use crate::error::SqlError;
use crate::outcome::Outcome;
use crate::parser::ast::{Past, Purge, RestoreDatabase, RestoreTable, Undrop};
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
        let of_then = then.table(&name).map(|table| table.name().clone());
        let of_then = of_then.or_else(|| then.sql_view(&name).map(|view| view.name.clone()));
        let of_then = of_then.ok_or_else(|| missing_table(&table))?;
        let to = new_name.unwrap_or(of_then);
        let restored = self.blocking(move |database| match database.restore_table(&then, &name, &to) {
            Err(Error::Exists(why)) => Ok(Err(why)),
            other => other.map(|_| Ok(())),
        });
        restored.await?.map_err(|why| SqlError::new(position, why))?;
        Ok(Outcome::Ddl)
    }

    /// Without the confirmation an error tells what the statement would do.
    pub(super) async fn restore_database(&self, restore: RestoreDatabase) -> Result<Outcome, SqlError> {
        let RestoreDatabase { snapshot, confirmed, end } = restore;
        if let Some(other) = confirmed.as_ref().filter(|confirmed| confirmed.name != snapshot.name) {
            let why = format!("the name of the same snapshot expected: CONFIRM '{}'", snapshot.name);
            return Err(SqlError::new(other.position, why));
        }
        let (wanted, user) = (snapshot.name.clone(), self.user.to_string());
        let done = self.blocking(move |database| {
            let done = match confirmed {
                Some(_) => database.restore_database(&wanted, &user).map(Ok),
                None => database.difference_to(&wanted).map(Err),
            };
            match done {
                Err(Error::NotFound(why)) => Ok(Err(why)),
                other => other.map(Ok),
            }
        });
        match done.await?.map_err(|why| SqlError::new(snapshot.position, why))? {
            Ok(way_back) => Ok(Outcome::WentBack { way_back }),
            Err(difference) => {
                Err(SqlError::new(end, format!("{difference}. To do it add CONFIRM '{}'", snapshot.name)))
            }
        }
    }

    pub(super) async fn undrop(&self, undrop: Undrop) -> Result<Outcome, SqlError> {
        let Undrop { table, id, as_name } = undrop;
        let new_name = as_name.as_ref().map(table_name).transpose()?;
        let name = unqualified(&table.name).to_owned();
        let back = self.blocking(move |database| match database.undrop_table(&name, id, new_name.as_ref()) {
            Err(Error::NotFound(why)) => Ok(Err((false, why))),
            Err(Error::Exists(why)) => Ok(Err((true, why))),
            other => other.map(|_| Ok(())),
        });
        back.await?.map_err(|(taken, why)| {
            let blamed = as_name.as_ref().filter(|_| taken).unwrap_or(&table);
            SqlError::new(blamed.position, why)
        })?;
        Ok(Outcome::Ddl)
    }

    pub(super) async fn purge(&self, purge: Purge) -> Result<Outcome, SqlError> {
        let name = unqualified(&purge.table.name).to_owned();
        let gone = self.blocking(move |database| match database.purge_table(&name, purge.id) {
            Err(Error::NotFound(why)) => Ok(Err(why)),
            other => other.map(|_| Ok(())),
        });
        gone.await?.map_err(|why| SqlError::new(purge.table.position, why))?;
        Ok(Outcome::Ddl)
    }
}
