//! Operators in pools that are too small, and statements that nobody reads to their end: all memory comes back.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use storage::env::Env;
use types::memory::{Budget, Purpose};

use super::{runtime, worlds};
use crate::{Outcome, Session, Settings};

const STATEMENTS: &[(&str, &str)] = &[
    ("DirectWindowExec", "select ts, sum(d) over (partition by k order by ts rows 100 preceding) from t"),
    ("DirectWindowExec", "select ts, row_number() over (partition by s order by ts) from t"),
    ("DirectAsofJoinExec", "select t.ts, t.d, u.d from t asof join u on (k)"),
    ("DirectLtJoinExec", "select t.ts, t.d, u.d from t lt join u on (k)"),
    ("DirectHashJoinExec", "select t.ts, t.s, m.x from t join (select s, max(d) x from u) m on t.s = m.s"),
];

fn settings(bytes: usize) -> Arc<Settings> {
    let mut settings = Settings::new(Env::os());
    settings.memory = Budget::new(bytes);
    settings.shared()
}

/// Reads so many batches of a statement in the first world and lets go of the rest; returns an error's text.
fn read(settings: &Arc<Settings>, sql: &str, batches: usize) -> Result<usize, String> {
    let (database, settings, sql) = (worlds::all()[0].database.clone(), settings.clone(), sql.to_owned());
    let task = runtime().spawn(async move {
        let outcome = Session::new(database, settings).execute(&sql, &[]).await.map_err(|e| e.message)?;
        let Outcome::Rows(mut rows) = outcome else { return Ok(0) };
        let mut read = 0;
        while let (true, Some(batch)) = (read < batches, rows.stream.next().await) {
            batch.map_err(|e| crate::SqlError::from_datafusion(&e).message)?;
            read += 1;
        }
        Ok(read)
    });
    runtime().block_on(task).expect("no statement panics")
}

/// Threads of a statement that is over may be at work for a moment.
fn all_is_given_back(settings: &Settings) -> bool {
    runtime().block_on(async {
        for _ in 0..6_000 {
            if settings.memory.used_for(Purpose::Queries) == 0 {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    })
}

#[test]
fn a_pool_that_is_too_small_is_an_error_and_is_empty_then() {
    for (operator, sql) in STATEMENTS {
        assert!(worlds::all()[0].explained(sql).contains(operator), "{operator}: {sql}");
        let settings = settings(64);
        let error = read(&settings, sql, usize::MAX).expect_err(sql);
        assert!(error.contains("not enough memory"), "{sql}: {error}");
        assert!(all_is_given_back(&settings), "{sql}");
    }
}

#[test]
fn a_statement_that_nobody_reads_any_more_gives_all_memory_back() {
    for (_, sql) in STATEMENTS {
        let settings = settings(1 << 30);
        assert_eq!(read(&settings, sql, 1), Ok(1), "{sql}");
        assert!(all_is_given_back(&settings), "{sql}");
    }
}
