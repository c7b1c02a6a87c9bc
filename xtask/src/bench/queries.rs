//! Asks every system the same question in turns: once to check the answer, then in rounds to time it.
//!
//! Short questions are asked several times in a round, each time with other literals. Answers of up to
//! [`CHECKED_ROWS`] rows are checked in every round too.

use std::collections::BTreeMap;
use std::time::Instant;

use super::answers::{Rows, difference};
use super::peers::{Peers, System, rows_of};
use super::questions::Question;
use super::table::{Cell, Row, Table};
use crate::Result;

const CHECKED_ROWS: usize = 5_000;
/// A round of one question shall last that long, where so many repetitions suffice.
const ROUND_MS: f64 = 20.0;
const MOST_REPETITIONS: u64 = 20;

/// What one asking gave; rows come where they were wanted, bodies where they are still to be read.
pub(super) struct Asked {
    pub ms: f64,
    pub answer: Answer,
}

pub(super) enum Answer {
    Body(String),
    Rows(Rows),
}

impl Answer {
    pub(super) fn rows(self) -> Result<Rows> {
        match self {
            Answer::Rows(rows) => Ok(rows),
            Answer::Body(body) => rows_of(serde_json::from_str(&body)?),
        }
    }
}

/// The question of each part that Stillpoint is asked twice, to show the noise.
const NOISE: [&str; 2] = ["group by symbol", "asof join by symbol"];

/// Asks all questions, and one of them once more with Stillpoint in two rows.
pub fn run(questions: &[Question], peers: &mut Peers, rounds: u64, table: &mut Table) -> Result<()> {
    for question in questions {
        let row = compare(question, peers, rounds)?;
        table.push(row);
    }
    if let Some(question) = questions.iter().find(|question| NOISE.contains(&question.name)) {
        table.push(noise(question, peers, rounds)?);
    }
    Ok(())
}

fn compare(question: &Question, peers: &mut Peers, rounds: u64) -> Result<Row> {
    let mut row = Row::new(question.name);
    let mut answers = BTreeMap::new();
    let mut shortest = f64::INFINITY;
    for system in peers.systems() {
        // Once to warm up and check, once more to see how long it takes.
        match ask(peers, system, question, 0, true).and_then(|told| told.map(|asked| asked.answer.rows()).transpose()) {
            Ok(Some(rows)) => {
                if let Some(again) = ask(peers, system, question, 1, false)? {
                    shortest = shortest.min(again.ms);
                }
                answers.insert(system, rows);
            }
            Ok(None) => {}
            Err(error) => drop(row.cells.insert(system, Cell::Refused(error.to_string()))),
        }
    }
    for (system, reason) in odd_ones(&answers) {
        answers.remove(&system);
        row.cells.insert(system, Cell::Wrong(reason));
    }
    let mut systems: Vec<System> = answers.keys().copied().collect();
    let checked = answers.values().all(|rows| rows.len() <= CHECKED_ROWS);
    drop(answers);
    let repetitions = ((ROUND_MS / shortest) as u64).clamp(1, MOST_REPETITIONS);
    let mut times: BTreeMap<System, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for round in 0..rounds {
        let mut said: BTreeMap<System, Vec<Answer>> = BTreeMap::new();
        let first = 2 + round * repetitions;
        systems.retain(|system| match time(peers, *system, question, first..first + repetitions, checked) {
            Ok((ms, cpu, answers)) => {
                let (walls, cpus) = times.entry(*system).or_default();
                walls.push(ms);
                cpus.push(cpu);
                said.insert(*system, answers);
                true
            }
            Err(error) => {
                row.cells.insert(*system, Cell::Refused(format!("round {round}: {error}")));
                false
            }
        });
        if checked {
            for (system, reason) in odd_rounds(said)? {
                row.cells.insert(system, Cell::Wrong(format!("round {round}: {reason}")));
            }
        }
    }
    for (system, (walls, cpus)) in times {
        if !row.cells.contains_key(&system) {
            row.measured(system, walls, cpus);
        }
    }
    Ok(row)
}

/// Returns wall and processor time of one asking, means over the repetitions, and the answers.
fn time(
    peers: &mut Peers,
    system: System,
    question: &Question,
    asks: std::ops::Range<u64>,
    rows: bool,
) -> Result<(f64, f64, Vec<Answer>)> {
    let count = (asks.end - asks.start) as f64;
    let before = peers.processor(system)?;
    let (mut ms, mut answers) = (0.0, Vec::new());
    for k in asks {
        let asked = ask(peers, system, question, k, rows)?.ok_or("a question that was asked before")?;
        ms += asked.ms;
        answers.push(asked.answer);
    }
    let cpu = peers.processor(system)?.since(&before).as_secs_f64() * 1e3;
    Ok((ms / count, cpu / count, answers))
}

/// Asks one system; none where it has no words for the question.
pub(super) fn ask(peers: &mut Peers, system: System, question: &Question, k: u64, rows: bool) -> Result<Option<Asked>> {
    if system == System::DuckDb {
        let (Some(sql), Some(duck)) = (question.duck(k), peers.duck.as_mut()) else { return Ok(None) };
        let told = if rows { duck.ask(&sql)? } else { duck.run(&sql)? };
        return Ok(Some(Asked { ms: told.ms, answer: Answer::Rows(told.rows) }));
    }
    let server = peers.server(system)?;
    let sql = question.sql(k);
    let started = Instant::now();
    let body = server.raw(&sql)?;
    Ok(Some(Asked { ms: started.elapsed().as_secs_f64() * 1e3, answer: Answer::Body(body) }))
}

/// Returns the systems whose answer differs from the one that most gave (QuestDB's, where each gave its own).
pub(super) fn odd_ones(answers: &BTreeMap<System, Rows>) -> Vec<(System, String)> {
    let agreeing = |rows: &Rows| answers.values().filter(|other| difference(rows, other).is_none()).count();
    let Some((_, most)) = answers.iter().max_by_key(|(system, rows)| (agreeing(rows), **system == System::QuestDb))
    else {
        return Vec::new();
    };
    let odd = |(system, rows): (&System, &Rows)| difference(rows, most).map(|reason| (*system, reason));
    answers.iter().filter_map(odd).collect()
}

/// Does the same for each asking of a round.
fn odd_rounds(said: BTreeMap<System, Vec<Answer>>) -> Result<Vec<(System, String)>> {
    let mut asks: Vec<BTreeMap<System, Rows>> = Vec::new();
    for (system, answers) in said {
        for (at, answer) in answers.into_iter().enumerate() {
            if asks.len() <= at {
                asks.push(BTreeMap::new());
            }
            asks[at].insert(system, answer.rows()?);
        }
    }
    Ok(asks.iter().flat_map(odd_ones).collect())
}

/// Returns a row of Stillpoint beside itself: what its ratio is away from 1 is the noise of this run.
fn noise(question: &Question, peers: &mut Peers, rounds: u64) -> Result<Row> {
    let (mut walls, mut cpus) = ([Vec::new(), Vec::new()], Vec::new());
    for round in 0..rounds {
        for (which, series) in walls.iter_mut().enumerate() {
            let k = 100 + round * 2 + which as u64;
            let (ms, cpu, _) = time(peers, System::Stillpoint, question, k..k + 1, false)?;
            series.push(ms);
            cpus.push(cpu);
        }
    }
    let [first, second] = walls;
    super::table::noise_row(&format!("A/A: {}, Stillpoint beside itself", question.name), first, second, cpus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn odd(answers: &[(System, i64)]) -> Vec<System> {
        let answers = answers.iter().map(|(system, number)| (*system, vec![vec![json!(number)]])).collect();
        odd_ones(&answers).into_iter().map(|(system, _)| system).collect()
    }

    #[test]
    fn the_answer_that_most_gave_counts() {
        use System::{DuckDb, QuestDb, Stillpoint};
        assert!(odd(&[(Stillpoint, 1), (QuestDb, 1), (DuckDb, 1)]).is_empty());
        assert_eq!(odd(&[(Stillpoint, 1), (QuestDb, 2), (DuckDb, 1)]), [QuestDb]);
        assert_eq!(odd(&[(Stillpoint, 1), (QuestDb, 2), (DuckDb, 2)]), [Stillpoint]);
        assert_eq!(odd(&[(Stillpoint, 1), (QuestDb, 2)]), [Stillpoint]);
        assert_eq!(odd(&[(Stillpoint, 1), (DuckDb, 2)]).len(), 1);
        assert!(odd(&[]).is_empty());
    }
}
