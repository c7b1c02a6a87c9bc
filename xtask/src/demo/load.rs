//! The data of the demo and how it gets in: weather and flights as line protocol over HTTP, the small tables as INSERTs.

use std::io::Read;
use std::time::Instant;

use flate2::read::GzDecoder;

use crate::Result;
use crate::cargo::root;
use crate::server::Server;

const LINES_A_REQUEST: usize = 2000;

/// Rows of a CSV file with the names of its columns.
struct Csv {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Loads everything and checks the sums against the files.
pub fn all(server: &Server) -> Result<()> {
    let mut http = server.http()?;
    http.exec(
        "create table weather (ts timestamp, origin symbol, temp double, dewp double, humid double, wind_dir long, \
         wind_speed double, wind_gust double, precip double, pressure double, visib double) timestamp(ts) partition by month",
    )?;
    let weather = Csv::read("weather.csv.gz")?;
    send(server, "weather", &weather.lines(weather_line)?)?;

    // The table of flights is made by its first line: symbols, fields, the designated timestamp `timestamp`, days.
    let flights = Csv::read("flights-2013-02.csv.gz")?;
    send(server, "flights", &flights.lines(flight_line)?)?;

    small(server, "airlines", &[("carrier", "symbol"), ("name", "varchar")])?;
    let airports = [("faa", "symbol"), ("name", "varchar"), ("lat", "double"), ("lon", "double"), ("alt", "int")];
    small(server, "airports", &airports)?;

    let miles = flights.column("distance")?.map(|miles| miles.parse::<u64>().unwrap_or(0)).sum();
    for (sql, want) in [
        ("select count() from weather", weather.rows.len() as u64),
        ("select count() from flights", flights.rows.len() as u64),
        ("select sum(distance) from flights", miles),
    ] {
        let seen = http.number(sql)?;
        if seen != want {
            return Err(format!("{sql}: {seen}, but the file has {want}").into());
        }
        println!("    {sql}: {seen}, as in the file");
    }
    Ok(())
}

fn send(server: &Server, table: &str, lines: &[String]) -> Result<()> {
    let mut http = server.http()?;
    let started = Instant::now();
    for (at, batch) in lines.chunks(LINES_A_REQUEST).enumerate() {
        http.write(&batch.concat())?;
        let sent = (at * LINES_A_REQUEST + batch.len()) * 100 / lines.len();
        if sent / 25 != (at * LINES_A_REQUEST) * 100 / lines.len() / 25 {
            println!("    {table}: {sent:3} % of {} rows in {:.2} s", lines.len(), started.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

fn weather_line(row: &Row) -> Result<String> {
    let fields = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"];
    let fields: Vec<String> = fields
        .iter()
        .filter_map(|name| row.known(name).map(|value| (name, value)))
        .map(|(name, value)| format!("{name}={value}{}", if *name == "wind_dir" { "i" } else { "" }))
        .collect();
    Ok(format!(
        "weather,origin={} {} {}\n",
        row.need("origin")?,
        fields.join(","),
        nanoseconds(row.need("time_hour")?, 0)?
    ))
}

fn flight_line(row: &Row) -> Result<String> {
    let tail = row.known("tailnum").map_or(String::new(), |tail| format!(",tailnum={tail}"));
    let symbols =
        format!("carrier={},origin={},dest={}{tail}", row.need("carrier")?, row.need("origin")?, row.need("dest")?);
    let numbers: String = ["dep_delay", "arr_delay", "air_time"]
        .iter()
        .filter_map(|name| row.known(name).map(|value| format!(",{name}={value}i")))
        .collect();
    let cancelled = if row.known("dep_time").is_some() { "f" } else { "t" };
    let (flight, distance) = (row.need("flight")?, row.need("distance")?);
    let at = nanoseconds(row.need("time_hour")?, row.need("minute")?.parse()?)?;
    Ok(format!("flights,{symbols} flight={flight}i,distance={distance}i,cancelled={cancelled}{numbers} {at}\n"))
}

/// Makes a small table over PostgreSQL's protocol and fills it with one INSERT for each 500 rows.
fn small(server: &Server, table: &str, columns: &[(&str, &str)]) -> Result<()> {
    let csv = Csv::read(&format!("{table}.csv.gz"))?;
    let mut pg = server.pg()?;
    let definition: Vec<String> = columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    pg.query(&format!("create table {table} ({})", definition.join(", ")))?;
    let rows: Vec<String> = csv
        .rows()
        .map(|row| {
            let values = columns.iter().map(|(column, kind)| {
                let value = row.need(column)?;
                let quoted = ["symbol", "varchar"].contains(kind);
                Ok(if quoted { format!("'{}'", value.replace('\'', "''")) } else { value.to_owned() })
            });
            Ok(format!("({})", values.collect::<Result<Vec<_>>>()?.join(", ")))
        })
        .collect::<Result<_>>()?;
    for batch in rows.chunks(500) {
        pg.query(&format!("insert into {table} values {}", batch.join(", ")))?;
    }
    println!("    {table}: {} rows", rows.len());
    Ok(())
}

/// Returns nanoseconds since 1970 of a time such as `2013-01-01T06:00:00Z`, some minutes later.
fn nanoseconds(time: &str, minutes: i64) -> Result<i64> {
    let number = |range: std::ops::Range<usize>| -> Result<i64> {
        Ok(time.get(range).ok_or_else(|| format!("{time}: no time"))?.parse()?)
    };
    let (year, month, day, hour) = (number(0..4)?, number(5..7)?, number(8..10)?, number(11..13)?);
    // Days since 1970 by counting years from March (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Ok(((days * 24 + hour) * 60 + number(14..16)? + minutes) * 60_000_000_000)
}

/// One row with its names.
struct Row<'a> {
    columns: &'a [String],
    values: &'a [String],
}

impl Row<'_> {
    /// Returns a value that must be there.
    fn need(&self, name: &str) -> Result<&str> {
        let at = self.columns.iter().position(|column| column == name);
        at.and_then(|at| self.values.get(at)).map(String::as_str).ok_or_else(|| format!("no column {name}").into())
    }

    /// Returns a value unless it is missing in the data (`NA`).
    fn known(&self, name: &str) -> Option<&str> {
        self.need(name).ok().filter(|value| *value != "NA" && !value.is_empty())
    }
}

impl Csv {
    fn read(name: &str) -> Result<Csv> {
        let path = root().join("examples/nycflights13").join(name);
        let file = std::fs::File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text)?;
        if text.contains('"') {
            return Err(format!("{name}: quoted values are not known here").into());
        }
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let columns = lines.next().ok_or_else(|| format!("{name}: empty"))?;
        Ok(Csv { columns, rows: lines.collect() })
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|values| Row { columns: &self.columns, values })
    }

    fn lines(&self, line: impl Fn(&Row) -> Result<String>) -> Result<Vec<String>> {
        self.rows().map(|row| line(&row)).collect()
    }

    fn column(&self, name: &str) -> Result<impl Iterator<Item = &str>> {
        let at = self.columns.iter().position(|column| column == name).ok_or_else(|| format!("no column {name}"))?;
        Ok(self.rows.iter().map(move |row| row[at].as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(columns: &str, values: &str, line: impl Fn(&Row) -> Result<String>, want: &str) {
        let split = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let (columns, values) = (split(columns), split(values));
        assert_eq!(line(&Row { columns: &columns, values: &values }).expect("a line"), want);
    }

    #[test]
    fn a_row_of_weather_leaves_out_what_was_not_measured() {
        check(
            "origin,temp,wind_dir,wind_gust,time_hour",
            "EWR,39.02,270,NA,2013-01-01T06:00:00Z",
            weather_line,
            "weather,origin=EWR temp=39.02,wind_dir=270i 1357020000000000000\n",
        );
    }

    #[test]
    fn a_cancelled_flight_has_no_delay() {
        check(
            "carrier,origin,dest,tailnum,flight,distance,dep_time,dep_delay,minute,time_hour",
            "UA,EWR,IAH,NA,12,1400,NA,NA,25,2013-02-08T10:00:00Z",
            flight_line,
            "flights,carrier=UA,origin=EWR,dest=IAH flight=12i,distance=1400i,cancelled=t 1360319100000000000\n",
        );
    }
}
