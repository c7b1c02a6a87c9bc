//! A dozen questions to the weather and the flights, over both protocols, with their answers as tables.

use crate::Result;
use crate::http::Http;
use crate::pg::Pg;
use crate::server::Server;
use crate::table::{aligned, text};

const OVER_HTTP: [(&str, &str); 7] = [
    (
        "How many flights, how late, how many cancelled, by airport?",
        "select origin, count() flights, avg(dep_delay) delay, sum(case when cancelled then 1 else 0 end) cancelled \
         from flights order by flights desc",
    ),
    (
        "The day of the snow storm, every two hours",
        "select timestamp, count() flights, avg(dep_delay) delay, max(dep_delay) worst, \
         sum(case when cancelled then 1 else 0 end) cancelled from flights where timestamp in '2013-02-08' sample by 2h",
    ),
    (
        "Flights to the ski resorts, each day of a fortnight",
        "select timestamp, count() flights, count_distinct(dest) resorts from flights \
         where dest in ('EGE', 'JAC', 'HDN', 'MTJ') and timestamp in '2013-02-01T00:00:00Z;14d' sample by 1d fill(0, 0)",
    ),
    (
        "The weather at departure of the latest flights of the month (ASOF JOIN)",
        "select f.timestamp, f.origin, f.carrier, f.flight, f.dep_delay, w.temp, w.wind_speed, w.visib \
         from flights f asof join weather w on (origin) where f.dep_delay > 300 order by f.dep_delay desc limit 8",
    ),
    (
        "Does fog delay flights? By visibility at departure (ASOF JOIN)",
        "select case when w.visib < 1 then 'below 1 mile' when w.visib < 5 then 'below 5 miles' else 'clear' end visibility, \
         count() flights, avg(f.dep_delay) delay from flights f asof join weather w on (origin) order by delay desc",
    ),
    (
        "The newest weather of each airport (LATEST ON)",
        "select origin, ts, temp, wind_speed, pressure, visib from weather latest on ts partition by origin",
    ),
    (
        "The newest flight of each of some airlines (LATEST ON)",
        "select carrier, timestamp, origin, dest, flight, dep_delay from flights \
         where carrier in ('AA', 'B6', 'DL', 'UA') and cancelled = false latest on timestamp partition by carrier order by carrier",
    ),
];

const OVER_PG: [(&str, &str); 5] = [
    (
        "The airlines that come in latest",
        "select a.name, count() flights, avg(f.arr_delay) delay from flights f join airlines a on f.carrier = a.carrier \
         order by delay desc limit 6",
    ),
    (
        "The farthest places",
        "select a.name, max(f.distance) miles, count() flights from flights f join airports a on f.dest = a.faa \
         order by miles desc limit 5",
    ),
    (
        "The wettest days at Kennedy",
        "with days as (select ts, sum(precip) inches, min(temp) coldest from weather where origin = 'JFK' sample by 1d) \
         select * from days where inches > 1 order by inches desc limit 5",
    ),
    (
        "The year at La Guardia, month by month",
        "select ts, first(temp), min(temp), avg(temp), max(temp), last(temp) from weather where origin = 'LGA' sample by 1M",
    ),
    (
        "The same aircraft, most flights",
        "select tailnum, count() flights, sum(distance) miles, count_distinct(dest) places from flights \
         where tailnum is not null order by flights desc, tailnum limit 5",
    ),
];

/// Asks everything and prints the answers; an empty answer is an error, since the data has one for each.
pub fn ask_all(server: &Server) -> Result<()> {
    let (mut http, mut pg) = (server.http()?, server.pg()?);
    for (title, sql) in OVER_HTTP {
        let (columns, rows) = over_http(&mut http, sql)?;
        show(title, "HTTP", sql, &columns, &rows)?;
    }
    for (title, sql) in OVER_PG {
        let (columns, rows) = over_pg(&mut pg, sql)?;
        show(title, "PostgreSQL's protocol", sql, &columns, &rows)?;
    }
    Ok(())
}

type Answer = (Vec<String>, Vec<Vec<String>>);

fn over_http(http: &mut Http, sql: &str) -> Result<Answer> {
    let answer = http.rows(sql)?;
    let rows = answer.rows.iter().map(|row| row.iter().map(|value| short(&text(value))).collect()).collect();
    Ok((answer.columns, rows))
}

fn over_pg(pg: &mut Pg, sql: &str) -> Result<Answer> {
    let answer = pg.query(sql)?.pop().ok_or_else(|| format!("{sql}: no answer"))?;
    let rows =
        answer.rows.iter().map(|row| row.iter().map(|value| short(value.as_deref().unwrap_or_default())).collect());
    Ok((answer.columns, rows.collect()))
}

fn show(title: &str, way: &str, sql: &str, columns: &[String], rows: &[Vec<String>]) -> Result<()> {
    println!("\n  {title}  (over {way})\n  {sql}");
    print!("{}", aligned(columns, rows));
    if rows.is_empty() { Err(format!("{sql}: no rows").into()) } else { Ok(()) }
}

/// Returns a value as a table shows it: times to the minute, doubles to two places.
fn short(value: &str) -> String {
    let time = value.strip_suffix('Z').unwrap_or(value).replacen('T', " ", 1);
    if let Some(minute) = time.strip_suffix(":00.000000").filter(|minute| minute.len() == 16) {
        return minute.to_owned();
    }
    match value.parse::<f64>() {
        Ok(number) if value.contains('.') => format!("{number:.2}"),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shortened_for_the_eye() {
        assert_eq!(short("2013-02-08T12:05:00.000000Z"), "2013-02-08 12:05");
        assert_eq!(short("2013-02-08 12:00:00.000000"), "2013-02-08 12:00");
        assert_eq!(short("12.34567"), "12.35");
        assert_eq!(short("UA"), "UA");
        assert_eq!(short("1545"), "1545");
    }
}
