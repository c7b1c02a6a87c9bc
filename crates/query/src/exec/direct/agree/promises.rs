//! What every result promises, over statements that are put together by chance: it is the same when it is asked for again, the
//! first and the last of its rows are those that LIMIT gives, and where it names a designated timestamp its rows are in the order
//! of that.

use storage::env::rng::SeededRng;

use super::{Answer, World, close, worlds};

/// Statements for each world.
const STATEMENTS: u64 = 12;

/// Puts statements together.
struct Chance(SeededRng);

impl Chance {
    fn of<'a>(&self, choices: &[&'a str]) -> &'a str {
        choices[self.0.below(choices.len() as u64) as usize]
    }

    fn one_in(&self, times: u64) -> bool {
        self.0.below(times) == 0
    }

    /// Returns rows with the columns of `t` and `u`.
    fn rows(&self) -> String {
        let table = self.of(&["t", "t", "u"]);
        let condition = self.condition("");
        let form = self.of(&[
            "TABLE",
            "TABLE",
            "TABLE",
            "(select * from TABLE where COND)",
            "(select * from TABLE where s in (select s from u where COND))",
            "(select * from TABLE where s not in (select s from u where i > 300))",
            "(TABLE latest on ts partition by k)",
            "(TABLE limit 40)",
            "(TABLE limit -40)",
            "(select * from TABLE order by ts desc)",
            "(select * from TABLE order by i, ts limit 60)",
            "(select * from t union all select * from u)",
            "(select distinct * from TABLE where i > 200)",
            "(select * from t union select * from u)",
            "(select * from t union all select * from u limit 40)",
            "(select * from t intersect select * from u)",
            "(select * from t except select * from u where COND)",
        ]);
        form.replace("TABLE", table).replace("COND", &condition)
    }

    fn condition(&self, of: &str) -> String {
        let form = self.of(&[
            "Xi > 100",
            "Xd < 40",
            "Xs = 's1'",
            "Xs in ('s2', 's4')",
            "Xs is null",
            "Xk <> 'k12'",
            "Xb",
            "Xts > '2024-03-31T02'",
            "Xl is not null and Xh < 50",
        ]);
        form.replace('X', of)
    }

    /// Returns a FROM with `a` and, in most cases, `b`.
    fn sources(&self) -> (String, bool) {
        let (left, right) = (self.rows(), self.rows());
        if self.one_in(3) {
            return (format!("{left} a"), false);
        }
        // few rows, where each meets many
        let some = format!("(select * from {right} where i > 480)");
        let join = self.of(&[
            "join RIGHT b on a.i = b.i",
            "join FEW b on a.s = b.s",
            "join FEW b on a.k = b.k and a.d < b.d",
            "left join RIGHT b on a.i = b.i",
            "left join FEW b on a.s = b.s",
            "cross join FEW b",
            "join FEW b on a.ts > b.ts",
            "asof join RIGHT b",
            "asof join RIGHT b on (s)",
            "lt join RIGHT b on (k)",
            "join (select s, max(i) i, max(l) l from u) b on a.s = b.s",
        ]);
        (format!("{left} a {}", join.replace("RIGHT", &right).replace("FEW", &some)), true)
    }

    fn statement(&self) -> String {
        let (from, joined) = self.sources();
        let mut condition = String::new();
        if self.one_in(3) {
            condition = format!(" where {}", self.condition("a."));
        }
        let second = if joined { "b.l" } else { "a.l" };
        let time = self.of(&["a.ts, ", "a.ts, ", ""]);
        let rows = format!("select {time}a.s, a.i, {second} x from {from}{condition}");
        let form = self.of(&[
            "ROWS",
            "ROWS",
            "ROWS",
            "select * from (ROWS) where i > 0",
            "select s, row_number() over () n from (ROWS)",
            "select i, count() over (partition by s) c from (ROWS)",
            "select i, first_value(x) over (rows between 1 preceding and current row) f from (ROWS)",
            "select first(i) f, last(i) l, count() c from (ROWS)",
            "select s, first(i) f, last(x) l, count() c from (ROWS) order by s",
            "ROWS order by s, i, x",
            "select s, count() c from (select * from (ROWS) limit 20) order by s",
            "ROWS order by i desc",
            "select i, row_number() over () n from (ROWS) order by i desc",
            "select s, sum(i) over (rows 2 preceding) n, i from (ROWS) order by s",
            "(ROWS) union all (ROWS)",
        ]);
        form.replace("ROWS", &rows)
    }
}

/// Returns what is wrong with the answer to a statement.
fn broken(world: &World, sql: &str) -> Option<String> {
    let asked = |sql: &str| world.answer(&world.direct, sql);
    let Answer { rows: all, timestamp_index } = match asked(sql) {
        Ok(answer) => answer,
        // a time-series join of rows that are not in the order of time
        Err(error) if error.contains("side of time series join") => return None,
        Err(error) => return Some(error),
    };
    if let Some(column) = timestamp_index {
        let rising = all.is_sorted_by(|a, b| a[column] <= b[column]);
        let falling = all.is_sorted_by(|a, b| a[column] >= b[column]);
        if !rising && !falling {
            return Some("its rows are not in the order of time".to_owned());
        }
    }
    let len = all.len();
    let first = |n: usize| all[..n.min(len)].to_vec();
    let again = (sql.to_owned(), all.clone());
    // of rows that are equal by the keys a LIMIT may take others
    if sql.contains(" order by i desc") || sql.contains("order by s") {
        return different(world, again);
    }
    let parts = [
        again,
        (format!("({sql}) limit 7"), first(7)),
        (format!("({sql}) limit -7"), all[len.saturating_sub(7)..].to_vec()),
        (format!("({sql}) limit 3,9"), all[3.min(len)..9.min(len)].to_vec()),
        (format!("select count() from (({sql}) limit 5)"), vec![vec![len.min(5).to_string()]]),
    ];
    parts.into_iter().find_map(|part| different(world, part))
}

/// Returns what a statement gives in place of the rows that it should.
fn different(world: &World, (sql, want): (String, Vec<Vec<String>>)) -> Option<String> {
    match world.answer(&world.direct, &sql) {
        Ok(got) if same(&got.rows, &want) => None,
        Ok(got) => Some(format!("{sql}\n        gives {:?}\n        not {want:?}", got.rows)),
        Err(error) => Some(format!("{sql}\n        gives {error}")),
    }
}

fn same(a: &[Vec<String>], b: &[Vec<String>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.iter().zip(b).all(|(a, b)| close(a, b)))
}

#[test]
fn a_result_is_in_order_and_its_parts_are_what_limit_gives() {
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"));
    let mut wrong = Vec::new();
    for (place, world) in worlds::all().iter().enumerate().filter(|(_, world)| world.name != "without time") {
        let chance = Chance(SeededRng::new(seed + 1000 * place as u64));
        for _ in 0..STATEMENTS {
            let sql = chance.statement();
            wrong.extend(broken(world, &sql).map(|what| format!("{}: {sql}\n    {what}", world.name)));
        }
    }
    assert!(wrong.is_empty(), "{} of SEED={seed}\n{}", wrong.len(), wrong.join("\n"));
}
