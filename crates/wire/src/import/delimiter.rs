//! Which byte separates fields: the one that stands equally often in all lines of a sample ([`detect`]).

use super::records::{Record, Scanner, Step};

/// The usual ones first: of two that fit equally well the first is taken.
const CANDIDATES: [u8; 8] = *b",\t;|: #^";

/// How even a sample must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evenness {
    /// `http.text.max.required.delimiter.stddev`.
    pub delimiters: f64,
    /// `http.text.max.required.line.length.stddev`.
    pub line_lengths: f64,
    /// `http.text.analysis.max.lines`.
    pub lines: usize,
}

impl Default for Evenness {
    fn default() -> Evenness {
        Evenness { delimiters: 0.1222, line_lengths: 0.8, lines: 1000 }
    }
}

/// Why there is no delimiter.
#[derive(Debug, Clone, PartialEq)]
pub enum Unclear {
    /// Fewer than two lines.
    TooShort,
    /// No byte stands equally often in all lines.
    Uneven { delimiters: f64, line_lengths: f64, lines: usize },
}

/// Returns the delimiter of a sample; a comma where each line is one field.
///
/// # Errors
/// Fewer than two lines, or lines that differ too much.
pub fn detect(sample: &[u8], last: bool, evenness: Evenness) -> Result<u8, Unclear> {
    let mut best: Option<(f64, f64, u8)> = None;
    let mut least = f64::INFINITY;
    let mut lines = 0;
    for delimiter in CANDIDATES {
        let counts = field_counts(sample, last, delimiter, evenness.lines);
        lines = lines.max(counts.len());
        let (mean, deviation) = spread(&counts);
        if mean <= 1.0 {
            continue;
        }
        least = least.min(deviation);
        if deviation <= evenness.delimiters
            && best.is_none_or(|(d, m, _)| deviation < d || (deviation == d && mean > m && m <= 1.0))
        {
            best = Some((deviation, mean, delimiter));
        }
    }
    if lines < 2 {
        return Err(Unclear::TooShort);
    }
    match best {
        Some((_, _, delimiter)) => Ok(delimiter),
        // not one of them stands anywhere
        None if least == f64::INFINITY => Ok(b','),
        None => {
            let (_, line_lengths) = spread(&line_lengths(sample, evenness.lines));
            if line_lengths <= evenness.line_lengths && lines > 2 && least > 1.0 {
                return Ok(b',');
            }
            Err(Unclear::Uneven { delimiters: least, line_lengths, lines })
        }
    }
}

/// Returns how many fields each record has with a delimiter.
fn field_counts(sample: &[u8], last: bool, delimiter: u8, most: usize) -> Vec<f64> {
    let scanner = Scanner { delimiter };
    let (mut counts, mut at, mut record) = (Vec::new(), 0, Record::default());
    while counts.len() < most {
        match scanner.next(&sample[at..], last, &mut record) {
            Step::Record(length) => {
                at += length;
                counts.push(record.len() as f64);
            }
            Step::Unclosed(_) | Step::More => break,
        }
    }
    counts
}

fn line_lengths(sample: &[u8], most: usize) -> Vec<f64> {
    sample.split(|&b| b == b'\n').filter(|line| !line.is_empty()).take(most).map(|line| line.len() as f64).collect()
}

/// Returns mean and standard deviation.
fn spread(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}
