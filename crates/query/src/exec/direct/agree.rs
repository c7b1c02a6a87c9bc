//! Both forms of a query answer alike: [`agree`] runs statements with the rule at work and without, on tables of every make.
//! With it at work, a plan also gets only the engine's rules that it needs, and what is kept of a statement is used.
//!
//! Each operator has a list of statements in a file of its own beneath.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use futures::StreamExt;
use storage::env::{Env, SimFs};
use storage::{Database, Options};

use crate::{Outcome, Session, Settings, cell_text, read_cell};

mod groups;
mod joins;
mod limits;
mod order;
mod promises;
mod rows;
mod window_joins;
mod windows;
mod worlds;

/// What EXPLAIN must say of a statement, in the first world (all others may differ).
#[derive(Debug, Clone, Copy)]
pub enum Plan<'a> {
    /// It names this operator.
    Uses(&'a str),
    /// It says that the shape falls back, and why.
    FallsBack(&'a str),
    Any,
}

/// Rows as texts, or the error's.
type Rows = Result<Vec<Vec<String>>, String>;

/// Rows as texts, and which column is their designated timestamp.
#[derive(Default)]
struct Answer {
    rows: Vec<Vec<String>>,
    timestamp_index: Option<usize>,
}

/// A database with tables `t` and `u`, read in both ways.
pub struct World {
    name: &'static str,
    database: Arc<Database>,
    direct: Arc<Settings>,
    plain: Arc<Settings>,
}

impl World {
    fn new(name: &'static str, statements: &[String]) -> World {
        let env = Env { fs: Arc::new(SimFs::new(1)), ..Env::os() };
        env.fs.create_dir(Path::new("/spill")).expect("an empty disk");
        let database = Arc::new(Database::open(env.clone(), Options::new("/root")).expect("an empty root opens"));
        let settings = |plain| {
            let mut settings = Settings::new(env.clone());
            settings.plain = plain;
            settings.shared()
        };
        let world = World { name, database, direct: settings(false), plain: settings(true) };
        for sql in statements {
            if sql == "flush" {
                let view = world.database.view();
                view.tables().iter().for_each(|t| world.database.flush_table(t.id()).expect("rows can be written"));
            } else if let Err(error) = world.run(&world.plain, sql) {
                panic!("{name}: {error}: {sql}");
            }
        }
        world
    }

    /// Returns the rows as texts, or the error's.
    fn run(&self, settings: &Arc<Settings>, sql: &str) -> Rows {
        self.answer(settings, sql).map(|answer| answer.rows)
    }

    fn answer(&self, settings: &Arc<Settings>, sql: &str) -> Result<Answer, String> {
        let (database, settings, sql) = (self.database.clone(), settings.clone(), sql.to_owned());
        let task = runtime().spawn(async move {
            let outcome = Session::new(database, settings).execute(&sql, &[]).await.map_err(|e| e.message)?;
            let Outcome::Rows(mut rows) = outcome else { return Ok(Answer::default()) };
            let mut list = Vec::new();
            while let Some(batch) = rows.stream.next().await {
                let batch = batch.map_err(|e| crate::SqlError::from_datafusion(&e).message)?;
                for row in 0..batch.num_rows() {
                    let cell = |(i, column): (usize, &crate::OutputColumn)| {
                        cell_text(&read_cell(batch.column(i), row), column.kind).unwrap_or_else(|| "null".to_owned())
                    };
                    list.push(rows.columns.iter().enumerate().map(cell).collect());
                }
            }
            Ok(Answer { rows: list, timestamp_index: rows.timestamp_index })
        });
        runtime().block_on(task).expect("no statement panics")
    }

    fn explained(&self, sql: &str) -> String {
        let lines = self.run(&self.direct, &format!("explain {sql}")).unwrap_or_else(|e| panic!("{e}: {sql}"));
        lines.concat().join("\n")
    }
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).thread_stack_size(8 << 20).enable_all().build().expect("a runtime")
    })
}

/// A statement is kept when it is said again, its plan is used from then on: so often it is said in the first world.
const TIMES: usize = 3;

/// Runs each statement both ways in every world. Rows of a statement with `order by`, `latest on` or `sample by` come in
/// order, others in any unless `in_order` says so.
///
/// # Panics
/// When answers differ, or EXPLAIN says something else than the case.
pub fn agree(cases: &[(&str, Plan<'_>)]) {
    check(cases, false);
}

/// As [`agree`], where all rows come in order.
pub fn agree_in_order(cases: &[(&str, Plan<'_>)]) {
    check(cases, true);
}

fn check(cases: &[(&str, Plan<'_>)], in_order: bool) {
    let worlds = worlds::all();
    let mut wrong = Vec::new();
    for (sql, plan) in cases {
        let explained = worlds[0].explained(sql);
        let says = match plan {
            Plan::Uses(operator) => explained.contains(operator),
            Plan::FallsBack(why) => explained.lines().any(|line| line.starts_with("plain:") && line.contains(why)),
            Plan::Any => true,
        };
        if !says {
            wrong.push(format!("{plan:?} is not said of {sql}\n{explained}"));
        }
        let in_order = in_order || ["order by", "latest on", "sample by"].iter().any(|word| sql.contains(word));
        for (world, times) in worlds.iter().zip(std::iter::once(TIMES).chain(std::iter::repeat(1))) {
            let plain = world.run(&world.plain, sql);
            let direct = || world.run(&world.direct, sql);
            let unlike = (1..=times).find_map(|time| Some((time, difference(direct(), plain.clone(), in_order)?)));
            if let Some((time, difference)) = unlike {
                wrong.push(format!("{}, said {time} times: {sql}\n    {difference}", world.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}

fn difference(direct: Rows, plain: Rows, in_order: bool) -> Option<String> {
    let (mut direct, mut plain) = match (direct, plain) {
        (Ok(direct), Ok(plain)) => (direct, plain),
        (direct, plain) => return (direct != plain).then(|| format!("{direct:?} instead of {plain:?}")),
    };
    if !in_order {
        [&mut direct, &mut plain].into_iter().for_each(|rows| rows.sort_by_cached_key(|row| rounded(row)));
    }
    if direct.len() != plain.len() {
        return Some(format!("{} rows instead of {}", direct.len(), plain.len()));
    }
    let unlike =
        |(d, p): &(&Vec<String>, &Vec<String>)| !(d.len() == p.len() && d.iter().zip(*p).all(|(d, p)| close(d, p)));
    let place = direct.iter().zip(&plain).position(|pair| unlike(&pair))?;
    Some(format!("row {place}: {:?} instead of {:?}", direct[place], plain[place]))
}

fn rounded(row: &[String]) -> Vec<String> {
    let cell = |cell: &String| match cell.parse::<f64>() {
        Ok(number) if cell.contains(['.', 'E', 'e']) => format!("{number:.5e}"),
        _ => cell.clone(),
    };
    row.iter().map(cell).collect()
}

fn close(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
        _ => false,
    }
}
