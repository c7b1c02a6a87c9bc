//! The data of the bench: trades over seven days, always the same for the same number of rows, as lines and as CSV.
//!
//! A thousand symbols of which the n-th is n times as rare as the first, two sides, prices in cents, amounts of four
//! places, a million accounts. The files are written once for each size; every system reads the same ones.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::answers;
use crate::Result;
use crate::random::Random;

/// 2024-01-01T00:00:00Z in microseconds.
const START_US: u64 = 1_704_067_200_000_000;
const SPAN_US: u64 = 7 * 86_400_000_000;
const LATEST_US: u64 = 3_600_000_000;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    pub symbol: u32,
    pub sells: bool,
    pub price_cents: u64,
    /// In ten-thousandths.
    pub amount: u64,
    pub account: u64,
    pub at_us: u64,
}

/// What kind of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// In the order of time, 1,000 symbols.
    Plain,
    /// Every tenth row up to an hour earlier than its place says.
    Late,
    /// A million symbols, each as frequent as the other.
    ManySymbols,
}

/// The rows of a size, one after the other.
pub struct Trades {
    random: Random,
    shape: Shape,
    /// Of Zipf's distribution: the share of the symbols up to each.
    shares: Vec<f64>,
    rows: u64,
    next: u64,
}

impl Trades {
    /// Returns so many rows of a shape.
    pub fn new(rows: u64, shape: Shape) -> Trades {
        let total: f64 = (1..=1000).map(|rank| 1.0 / f64::from(rank)).sum();
        let mut sum = 0.0;
        let shares = (1..=1000).map(|rank| {
            sum += 1.0 / f64::from(rank) / total;
            sum
        });
        Trades { random: Random::new(7), shape, shares: shares.collect(), rows, next: 0 }
    }

    fn unit(&mut self) -> f64 {
        self.random.below(1 << 30) as f64 / (1u64 << 30) as f64
    }

    fn symbol(&mut self) -> u32 {
        if self.shape == Shape::ManySymbols {
            return self.random.below(1_000_000) as u32;
        }
        let share = self.unit();
        self.shares.partition_point(|up_to| *up_to < share).min(999) as u32
    }
}

impl Iterator for Trades {
    type Item = Trade;

    fn next(&mut self) -> Option<Trade> {
        if self.next == self.rows {
            return None;
        }
        let step = (SPAN_US / self.rows).max(1);
        let mut at_us = START_US + self.next * step + self.random.below(step);
        self.next += 1;
        if self.shape == Shape::Late && self.random.below(10) == 0 {
            at_us -= self.random.below(LATEST_US).min(at_us - START_US);
        }
        let symbol = self.symbol();
        let price_cents = 5_000 + 5 * u64::from(symbol % 1000) + self.random.below(1_000);
        let amount = (-(1.0 - self.unit()).ln() * 10_000.0).round() as u64 + 1;
        let (sells, account) = (self.random.below(2) == 1, self.random.below(1_000_000));
        Some(Trade { symbol, sells, price_cents, amount, account, at_us })
    }
}

/// A file of rows, and what their sums are.
pub struct Rows {
    pub shape: Shape,
    pub lines: PathBuf,
    pub csv: PathBuf,
    pub count: u64,
    accounts: u64,
    price: f64,
}

/// Writes rows as lines of the table `trades` and as CSV with a header, into files of a name.
pub fn trades(folder: &Path, name: &str, rows: u64, shape: Shape) -> Result<Rows> {
    piece(folder, name, &mut Trades::new(rows, shape), rows)
}

/// Does the same with the next rows, at most so many; none are left when it has none.
pub fn piece(folder: &Path, name: &str, trades: &mut Trades, rows: u64) -> Result<Rows> {
    let mut made = Rows::empty(folder, name, trades.shape);
    let (mut lines, mut csv) = (create(&made.lines)?, create(&made.csv)?);
    csv.write_all(b"symbol,side,price,amount,account,timestamp\n")?;
    let mut cents = 0;
    for trade in trades.take(usize::try_from(rows)?) {
        let symbol = symbol_text(trade.symbol);
        let side = if trade.sells { "sell" } else { "buy" };
        let (price, amount, account, at) =
            (decimal(trade.price_cents, 2), decimal(trade.amount, 4), trade.account, trade.at_us);
        writeln!(lines, "trades,symbol={symbol},side={side} price={price},amount={amount},account={account}i {at}000")?;
        writeln!(csv, "{symbol},{side},{price},{amount},{account},{}", iso(at))?;
        made.count += 1;
        made.accounts += account;
        cents += trade.price_cents;
    }
    made.price = cents as f64 / 100.0;
    lines.flush()?;
    csv.flush()?;
    Ok(made)
}

/// Writes the two tables of the joins: the first rows as `tq`, and a quote just before about every second of them.
pub fn joined(folder: &Path, of_rows: u64, rows: u64) -> Result<[Rows; 2]> {
    let mut tables = ["tq", "quotes"].map(|table| Rows::empty(folder, table, Shape::Plain));
    let mut files = Vec::new();
    for (table, column) in tables.iter().zip(["price", "bid"]) {
        let (lines, mut csv) = (create(&table.lines)?, create(&table.csv)?);
        writeln!(csv, "symbol,{column},timestamp")?;
        files.push((lines, csv));
    }
    let mut add = |which: usize, trade: &Trade, cents: u64, at: u64| -> Result<()> {
        let (lines, csv) = &mut files[which];
        let (table, column) = [("tq", "price"), ("quotes", "bid")][which];
        let (symbol, value) = (symbol_text(trade.symbol), decimal(cents, 2));
        writeln!(lines, "{table},symbol={symbol} {column}={value} {at}000")?;
        writeln!(csv, "{symbol},{value},{}", iso(at))?;
        tables[which].count += 1;
        Ok(())
    };
    for trade in Trades::new(of_rows, Shape::Plain).take(usize::try_from(rows)?) {
        add(0, &trade, trade.price_cents, trade.at_us)?;
        if trade.account % 2 == 0 {
            add(1, &trade, trade.price_cents - 1, trade.at_us - 500)?;
        }
    }
    for (lines, csv) in &mut files {
        lines.flush()?;
        csv.flush()?;
    }
    Ok(tables)
}

impl Rows {
    /// What a table's rows are checked by.
    pub const SUMS: &str = "select count(), sum(account), sum(price) from";

    fn empty(folder: &Path, table: &str, shape: Shape) -> Rows {
        let path = |end: &str| folder.join(format!("{table}.{end}"));
        Rows { shape, lines: path("lines"), csv: path("csv"), count: 0, accounts: 0, price: 0.0 }
    }

    /// Counts the rows of a later piece too; the files stay those of the first one.
    pub fn add(&mut self, piece: &Rows) {
        self.count += piece.count;
        self.accounts += piece.accounts;
        self.price += piece.price;
    }

    /// Compares the answer to [`Rows::SUMS`] with the data.
    pub fn check(&self, seen: &answers::Rows) -> Result<()> {
        let want = vec![vec![json!(self.count), json!(self.accounts), json!(self.price)]];
        match answers::difference(seen, &want) {
            None => Ok(()),
            Some(reason) => Err(format!("the table is not what was sent: {reason}").into()),
        }
    }

    /// Removes the files.
    pub fn remove(&self) -> Result<()> {
        for path in [&self.lines, &self.csv] {
            std::fs::remove_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}

fn symbol_text(symbol: u32) -> String {
    format!("S{symbol:04}")
}

/// Returns a number of so many places behind the point, as people write it: no zeros at the end but one.
fn decimal(value: u64, places: u32) -> String {
    let unit = 10u64.pow(places);
    let mut text = format!("{}.{:0width$}", value / unit, value % unit, width = places as usize);
    while text.ends_with('0') && !text.ends_with(".0") {
        text.pop();
    }
    text
}

/// Returns a moment as `2024-01-01T00:00:00.000000Z`; the bench's days all lie in one month.
fn iso(at_us: u64) -> String {
    let us = at_us - START_US + 86_400_000_000;
    let seconds = us / 1_000_000;
    let (day, hour, minute) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    format!("2024-01-{day:02}T{hour:02}:{minute:02}:{:02}.{:06}Z", seconds % 60, us % 1_000_000)
}

/// A file of lines in batches that end with a line.
pub struct Batches {
    file: File,
    size: usize,
    rest: Vec<u8>,
}

impl Batches {
    /// Opens a file; a batch has about `size` bytes.
    pub fn open(path: &Path, size: usize) -> Result<Batches> {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Batches { file, size, rest: Vec::new() })
    }

    /// Returns the next batch, none at the end.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut batch = std::mem::take(&mut self.rest);
        let wanted = (self.size as u64).saturating_sub(batch.len() as u64).max(1);
        (&mut self.file).take(wanted).read_to_end(&mut batch)?;
        if batch.is_empty() {
            return Ok(None);
        }
        match batch.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => self.rest = batch.split_off(end + 1),
            None => return Err(format!("a line of more than {} bytes, or one without an end", self.size).into()),
        }
        Ok(Some(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_same_size_gives_the_same_rows_over_seven_days_in_order() {
        let rows: Vec<Trade> = Trades::new(1_000, Shape::Plain).collect();
        assert_eq!(rows, Trades::new(1_000, Shape::Plain).collect::<Vec<_>>());
        assert!(rows.windows(2).all(|pair| pair[0].at_us < pair[1].at_us));
        assert!(
            rows[0].at_us >= START_US
                && rows[999].at_us < START_US + SPAN_US
                && rows[999].at_us > START_US + SPAN_US / 2
        );
    }

    #[test]
    fn a_tenth_of_late_rows_is_late() {
        let rows: Vec<Trade> = Trades::new(10_000, Shape::Late).collect();
        let late = rows.windows(2).filter(|pair| pair[1].at_us < pair[0].at_us).count();
        assert!((800..1_200).contains(&late), "{late}");
    }

    #[test]
    fn the_first_symbol_is_ten_times_as_frequent_as_the_tenth() {
        let rows: Vec<Trade> = Trades::new(100_000, Shape::Plain).collect();
        let count = |symbol| rows.iter().filter(|row| row.symbol == symbol).count() as f64;
        assert!((8.0..12.0).contains(&(count(0) / count(9))), "{}", count(0) / count(9));
        assert!(Trades::new(100_000, Shape::ManySymbols).any(|row| row.symbol > 900_000));
    }

    #[test]
    fn numbers_and_times_are_written_as_people_write_them() {
        assert_eq!([decimal(5_010, 2), decimal(5_000, 2), decimal(1, 4)], ["50.1", "50.0", "0.0001"]);
        assert_eq!(iso(START_US + 1), "2024-01-01T00:00:00.000001Z");
        assert_eq!(iso(START_US + SPAN_US - 1), "2024-01-07T23:59:59.999999Z");
    }

    #[test]
    fn pieces_are_the_rows_of_the_whole() {
        let scratch = Scratch::new("bench-pieces").expect("a folder");
        let whole = trades(&scratch.path(""), "whole", 1_000, Shape::Plain).expect("files");
        let (mut rows, mut lines) = (Trades::new(1_000, Shape::Plain), Vec::new());
        let mut sum: Option<Rows> = None;
        loop {
            let next = piece(&scratch.path(""), "piece", &mut rows, 400).expect("files");
            if next.count == 0 {
                break;
            }
            lines.extend(std::fs::read(&next.lines).expect("lines"));
            match &mut sum {
                Some(sum) => sum.add(&next),
                None => sum = Some(next),
            }
        }
        let sum = sum.expect("three pieces");
        assert_eq!(lines, std::fs::read(&whole.lines).expect("lines"));
        assert_eq!((sum.count, sum.accounts), (whole.count, whole.accounts));
        assert!((sum.price - whole.price).abs() < 1e-6);
    }

    #[test]
    fn batches_end_with_a_line_and_lose_none() {
        let scratch = Scratch::new("bench-data").expect("a folder");
        let made = trades(&scratch.path(""), "trades", 1_000, Shape::Plain).expect("files");
        let whole = std::fs::read(&made.lines).expect("lines");
        let (mut batches, mut seen) = (Batches::open(&made.lines, 4096).expect("lines"), Vec::new());
        while let Some(batch) = batches.next().expect("a batch") {
            assert!(batch.ends_with(b"\n") && batch.len() <= 4096);
            seen.extend(batch);
        }
        assert_eq!(seen, whole);
        assert_eq!(std::fs::read_to_string(&made.csv).expect("csv").lines().count(), 1_001);
    }
}
