//! What each window function makes of a partition and its frames.

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::Float64Type;
use datafusion::common::{Result, internal_err};

use super::frames::{Frames, Moments, Partition, frames};
use super::sliding::sliding;
use super::{Smoothing, WindowFrame, WindowFunction};

/// The value of a row that is one of the argument's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    Row(u32),
    Null,
    Default,
}

/// The values of all rows, in the order of the input.
pub enum Values {
    Long(Vec<Option<i64>>),
    Double(Vec<Option<f64>>),
    Picks(Vec<Pick>),
}

/// Returns the values of a call.
pub fn evaluate(
    function: &WindowFunction,
    args: &[ArrayRef],
    order: &[(ArrayRef, SortOptions)],
    partitions: &[Partition],
    frame: WindowFrame,
    rows: usize,
) -> Result<Values> {
    let mut values = match function {
        WindowFunction::RowNumber
        | WindowFunction::Rank
        | WindowFunction::DenseRank
        | WindowFunction::Ntile(_)
        | WindowFunction::Count => Values::Long(vec![None; rows]),
        WindowFunction::PercentRank
        | WindowFunction::CumeDist
        | WindowFunction::Sum
        | WindowFunction::Avg
        | WindowFunction::Ksum
        | WindowFunction::Smooth(_) => Values::Double(vec![None; rows]),
        _ => Values::Picks(vec![Pick::Null; rows]),
    };
    let time = order.first().map(|(column, _)| column);
    for partition in partitions {
        let frames = frames(partition, frame, time);
        match &mut values {
            Values::Long(all) => {
                let found = whole_numbers(function, args, partition, &frames);
                place(all, partition, found);
            }
            Values::Double(all) => {
                let found = numbers(function, args, time, partition, &frames)?;
                place(all, partition, found.into_iter().map(|v| v.filter(|v| v.is_finite())));
            }
            Values::Picks(all) => {
                let Some(arg) = args.first() else { return internal_err!("the function needs an argument") };
                place(all, partition, picks(function, arg, partition, &frames)?);
            }
        }
    }
    Ok(values)
}

fn place<T>(all: &mut [T], partition: &Partition, found: impl IntoIterator<Item = T>) {
    for (row, value) in partition.rows.iter().zip(found) {
        all[*row as usize] = value;
    }
}

fn whole_numbers(
    function: &WindowFunction,
    args: &[ArrayRef],
    partition: &Partition,
    frames: &Frames,
) -> Vec<Option<i64>> {
    let count = partition.rows.len();
    let number = |at: usize| at as i64 + 1;
    match function {
        WindowFunction::Rank => partition.first_peer.iter().map(|first| Some(number(*first as usize))).collect(),
        WindowFunction::DenseRank => {
            let mut dense = 0;
            let starts = partition.first_peer.iter().enumerate().map(|(at, first)| at == *first as usize);
            starts
                .map(|new| {
                    dense += i64::from(new);
                    Some(dense)
                })
                .collect()
        }
        WindowFunction::Ntile(buckets) => {
            let (buckets, count) = (*buckets, count as i64);
            let (size, larger) = (count / buckets, count % buckets);
            let bucket = |at: i64| match at < larger * (size + 1) {
                true => at / (size + 1) + 1,
                false => (at - larger * (size + 1)) / size + larger + 1,
            };
            (0..count).map(|at| Some(bucket(at))).collect()
        }
        WindowFunction::Count => {
            let valid = args.first().map(|arg| valid_before(arg, partition));
            let in_frame = |(start, end): (&usize, &usize)| match &valid {
                _ if start >= end => 0,
                Some(valid) => valid[*end] as i64 - valid[*start] as i64,
                None => (end - start) as i64,
            };
            frames.start.iter().zip(&frames.end).map(|frame| Some(in_frame(frame))).collect()
        }
        _ => (0..count).map(|at| Some(number(at))).collect(),
    }
}

/// Returns how many values that are not NULL stand before each row, and at the end how many there are.
fn valid_before(arg: &ArrayRef, partition: &Partition) -> Vec<u32> {
    let mut counts = vec![0];
    let mut count = 0;
    for row in &partition.rows {
        count += u32::from(arg.is_valid(*row as usize));
        counts.push(count);
    }
    counts
}

fn numbers(
    function: &WindowFunction,
    args: &[ArrayRef],
    time: Option<&ArrayRef>,
    partition: &Partition,
    frames: &Frames,
) -> Result<Vec<Option<f64>>> {
    let count = partition.rows.len();
    match function {
        WindowFunction::PercentRank => {
            let share = |first: &u32| if count > 1 { f64::from(*first) / (count - 1) as f64 } else { 0.0 };
            return Ok(partition.first_peer.iter().map(|first| Some(share(first))).collect());
        }
        WindowFunction::CumeDist => {
            let mut last = vec![count; count];
            for at in (0..count.saturating_sub(1)).rev() {
                let peers = partition.first_peer[at] == partition.first_peer[at + 1];
                last[at] = if peers { last[at + 1] } else { at + 1 };
            }
            return Ok(last.into_iter().map(|last| Some(last as f64 / count as f64)).collect());
        }
        _ => {}
    }
    let Some(arg) = args.first() else { return internal_err!("the function needs an argument") };
    let column = arg.as_primitive::<Float64Type>();
    if let WindowFunction::Smooth(smoothing) = function {
        let weights = args.get(1).map(|arg| arg.as_primitive::<Float64Type>());
        return Ok(smoothed(*smoothing, column, weights, time, partition));
    }
    let leaf = |at: usize| {
        let row = partition.rows[at] as usize;
        column.is_valid(row).then(|| Sum { high: column.value(row), low: 0.0, count: 1 })
    };
    let compensated = *function == WindowFunction::Ksum;
    let sums = match frames.are_running() {
        true => running(frames, count, leaf, |a, b| a.plus(b, compensated)),
        false => sliding(frames, leaf, |a, b| a.plus(b, compensated)),
    };
    let finish = |sum: Sum| match function {
        WindowFunction::Avg => sum.high / sum.count as f64,
        _ => sum.high,
    };
    Ok(sums.into_iter().map(|sum| sum.map(finish)).collect())
}

/// A sum with what rounding took from it.
#[derive(Debug, Clone, Copy)]
struct Sum {
    high: f64,
    low: f64,
    count: u64,
}

impl Sum {
    fn plus(&self, other: &Sum, compensated: bool) -> Sum {
        let count = self.count + other.count;
        if !compensated {
            return Sum { high: self.high + other.high, low: 0.0, count };
        }
        // Kahan: what the last addition lost is taken from the next value.
        let value = other.high - other.low - self.low;
        let high = self.high + value;
        Sum { high, low: (high - self.high) - value, count }
    }
}

/// Returns the combinations of frames that all begin with the partition.
fn running<T: Clone>(
    frames: &Frames,
    count: usize,
    leaf: impl Fn(usize) -> Option<T>,
    combine: impl Fn(&T, &T) -> T,
) -> Vec<Option<T>> {
    let mut so_far: Vec<Option<T>> = Vec::with_capacity(count + 1);
    so_far.push(None);
    for at in 0..count {
        let next = match (&so_far[at], leaf(at)) {
            (Some(sum), Some(value)) => Some(combine(sum, &value)),
            (sum, value) => value.or_else(|| sum.clone()),
        };
        so_far.push(next);
    }
    frames.end.iter().map(|end| so_far[*end].clone()).collect()
}

fn smoothed(
    smoothing: Smoothing,
    values: &Float64Array,
    weights: Option<&Float64Array>,
    time: Option<&ArrayRef>,
    partition: &Partition,
) -> Vec<Option<f64>> {
    let times = time.and_then(Moments::of);
    let mut state: Option<(f64, f64)> = None;
    let per_us = times.as_ref().map_or(1, |t| t.per_us) as f64;
    let mut last_time = None;
    let mut results = Vec::with_capacity(partition.rows.len());
    for row in partition.rows.iter().map(|row| *row as usize) {
        let weight = weights.map_or(Some(1.0), |w| w.is_valid(row).then(|| w.value(row)));
        // Time passes with every row, also with one that has no value. Of equal times the last value counts whole.
        let now = times.as_ref().and_then(|t| t.at(row as u32)).unwrap_or(0);
        let passed = last_time.replace(now).map_or(0, |last| now - last);
        if let (true, Some(weight)) = (values.is_valid(row), weight) {
            let share = match smoothing {
                Smoothing::Share(bits) => f64::from_bits(bits),
                Smoothing::Time(_) if passed <= 0 => 1.0,
                Smoothing::Time(bits) => 1.0 - (-(passed as f64) / per_us / f64::from_bits(bits)).exp(),
            };
            let value = values.value(row);
            state = Some(match state {
                None => (value * weight, weight),
                Some((sum, weights)) => {
                    (share * value * weight + (1.0 - share) * sum, share * weight + (1.0 - share) * weights)
                }
            });
        }
        results.push(state.map(|(sum, weight)| sum / weight));
    }
    results
}

fn picks(function: &WindowFunction, arg: &ArrayRef, partition: &Partition, frames: &Frames) -> Result<Vec<Pick>> {
    let rows = &partition.rows;
    let pick = |at: Option<usize>| at.map_or(Pick::Null, |at| Pick::Row(rows[at]));
    let each = |choose: &dyn Fn(usize, usize) -> Option<usize>| -> Vec<Pick> {
        let frames = frames.start.iter().zip(&frames.end);
        frames.map(|(start, end)| pick(if start < end { choose(*start, *end) } else { None })).collect()
    };
    let valid = || {
        let before = valid_before(arg, partition);
        let places: Vec<usize> = (0..rows.len()).filter(|at| arg.is_valid(rows[*at] as usize)).collect();
        (before, places)
    };
    Ok(match function {
        WindowFunction::Neighbour { ahead, distance, ignore_nulls, .. } => {
            let (before, places) = if *ignore_nulls { valid() } else { (Vec::new(), Vec::new()) };
            let place = |at: usize| match (ahead, ignore_nulls) {
                _ if *distance == 0 => Some(at),
                (false, false) => at.checked_sub(*distance),
                (true, false) => at.checked_add(*distance).filter(|at| *at < rows.len()),
                (false, true) => (before[at] as usize).checked_sub(*distance).map(|n| places[n]),
                (true, true) => places.get(before[at + 1] as usize + distance - 1).copied(),
            };
            (0..rows.len()).map(|at| place(at).map_or(Pick::Default, |at| Pick::Row(rows[at]))).collect()
        }
        WindowFunction::First { ignore_nulls: false } => each(&|start, _| Some(start)),
        WindowFunction::Last { ignore_nulls: false } => each(&|_, end| Some(end - 1)),
        WindowFunction::First { ignore_nulls: true } => {
            let (before, places) = valid();
            each(&|start, end| places.get(before[start] as usize).copied().filter(|at| *at < end))
        }
        WindowFunction::Last { ignore_nulls: true } => {
            let (before, places) = valid();
            let last = |end: usize| (before[end] as usize).checked_sub(1).map(|n| places[n]);
            each(&|start, end| last(end).filter(|at| *at >= start))
        }
        WindowFunction::Nth(n) => each(&|start, end| Some(start + n - 1).filter(|at| *at < end)),
        _ => {
            let compare = make_comparator(arg, arg, SortOptions::default())?;
            let wants_less = *function == WindowFunction::Min;
            let leaf = |at: usize| arg.is_valid(rows[at] as usize).then_some(rows[at]);
            let better = |a: &u32, b: &u32| {
                let order = compare(*b as usize, *a as usize);
                if order.is_lt() == wants_less && order.is_ne() { *b } else { *a }
            };
            let best = match frames.are_running() {
                true => running(frames, rows.len(), leaf, better),
                false => sliding(frames, leaf, better),
            };
            best.into_iter().map(|row| row.map_or(Pick::Null, Pick::Row)).collect()
        }
    })
}
