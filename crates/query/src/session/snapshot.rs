//! SNAPSHOT and CHECKPOINT. The one without a name is `default`, and answers as the peer's.

use storage::Terms;

use super::Session;
use crate::error::SqlError;
use crate::outcome::Outcome;
use crate::parser::ast::{Ident, Snapshot, SnapshotStep, Spelling};

/// The name of the snapshot that SNAPSHOT PREPARE and CHECKPOINT CREATE open.
const DEFAULT: &str = "default";

impl Session {
    pub(super) async fn snapshot(&self, statement: Snapshot) -> Result<Outcome, SqlError> {
        let Snapshot { name, spelling, step } = statement;
        let target = name.as_ref().map_or(DEFAULT, |name| &name.name).to_owned();
        match step {
            SnapshotStep::Prepare { lease, keep, sync } => {
                let owner = self.user.to_string();
                let prepared = self.blocking(move |database| {
                    let usual = if keep { None } else { database.usual_lease_us() };
                    let lease_us = lease.map_or(usual, |lease| lease.us);
                    found(database.prepare_snapshot_with(
                        &target,
                        Terms { lease_us, keep, sync: sync || database.syncs_usually(), owner },
                    ))
                });
                prepared.await?.map_err(|why| match (&name, spelling) {
                    (Some(name), _) => SqlError::new(name.position, why),
                    (None, Spelling::Snapshot) => SqlError::new(0, "Waiting for SNAPSHOT COMPLETE to be called"),
                    (None, Spelling::Checkpoint) => SqlError::new(0, "Waiting for CHECKPOINT RELEASE to be called"),
                })?;
            }
            SnapshotStep::Complete => {
                let was_there = self.blocking(move |database| database.complete_snapshot(&target)).await?;
                if let Some(name) = name.filter(|_| !was_there) {
                    return Err(SqlError::new(name.position, format!("there is no snapshot named {}", name.name)));
                }
            }
            SnapshotStep::Keep(time) => {
                let for_us = time.and_then(|time| time.us);
                let kept = self.blocking(move |database| found(database.keep_snapshot(&target, for_us))).await?;
                kept.map_err(|why| at(&name, why))?;
            }
            SnapshotStep::Renew(lease) => {
                let renewed = self.blocking(move |database| found(database.renew_snapshot(&target, lease.us))).await?;
                renewed.map_err(|why| at(&name, why))?;
            }
        }
        Ok(Outcome::Ddl)
    }
}

/// Parts what the name is to blame for from other errors.
fn found<T>(outcome: storage::Result<T>) -> storage::Result<Result<T, String>> {
    match outcome {
        Err(storage::Error::NotFound(why) | storage::Error::Conflict(why)) => Ok(Err(why)),
        other => other.map(Ok),
    }
}

fn at(name: &Option<Ident>, why: String) -> SqlError {
    SqlError::new(name.as_ref().map_or(0, |name| name.position), why)
}
