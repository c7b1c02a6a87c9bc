//! What each window function keeps of a key, and the values that it gives for the rows of a block.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayData, ArrayRef, Float64Array, Int64Array, make_array};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, internal_err};

use super::Call;
use super::moving::{Combine, Moving, Recent};
use crate::exec::window::{FrameEnd, WindowFunction};

/// The argument's values of some rows: numbers and timestamps of 64 bits, by their bits.
pub struct Values {
    pub bits: ScalarBuffer<i64>,
    pub nulls: Option<NullBuffer>,
}

impl Values {
    /// Returns the values of an array; of other types than those of 64 bits only which are NULL.
    pub fn of(array: &ArrayRef) -> Values {
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let bits = match array.data_type() {
            DataType::Int64 | DataType::Float64 | DataType::Timestamp(..) => {
                let data = array.to_data();
                ScalarBuffer::new(data.buffers()[0].clone(), data.offset(), data.len())
            }
            _ => ScalarBuffer::from(vec![0; array.len()]),
        };
        Values { bits, nulls }
    }

    fn get(&self, row: usize) -> Option<i64> {
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)).then(|| self.bits[row])
    }
}

/// The rows of a block that count.
pub struct Rows<'a> {
    /// The key of each, numbered in the order of appearance.
    pub keys: &'a [u32],
    pub times: &'a [i64],
    pub values: Option<&'a Values>,
}

impl Rows<'_> {
    fn value(&self, row: usize) -> Option<i64> {
        self.values.and_then(|values| values.get(row))
    }
}

/// One call: what it keeps of each key.
pub trait State {
    /// Bytes that one more key needs.
    fn key_bytes(&self) -> usize;

    /// Bytes that are kept beside those.
    fn more_bytes(&self) -> usize {
        0
    }

    /// Makes room for keys below `count`.
    fn grow(&mut self, count: usize);

    /// Returns the values beside the rows.
    fn values(&mut self, rows: &Rows) -> Result<ArrayRef>;
}

/// Returns the state of a call before its first row; `per_us` is the units of time in a microsecond.
pub fn state(call: &Call, argument: Option<&DataType>, per_us: i64) -> Result<Box<dyn State>> {
    let data_type = call.output.data_type().clone();
    let is_float = argument == Some(&DataType::Float64);
    let pick = |kind| Box::new(Picks { kind, data_type: data_type.clone(), kept: Vec::new() });
    Ok(match &call.function {
        WindowFunction::RowNumber => Box::new(Counter { rows: Vec::new() }),
        WindowFunction::Rank => Box::new(Ranks { is_dense: false, keys: Vec::new() }),
        WindowFunction::DenseRank => Box::new(Ranks { is_dense: true, keys: Vec::new() }),
        WindowFunction::Count => framed(call, per_us, Tally),
        WindowFunction::Sum => framed(call, per_us, Sums { is_average: false }),
        WindowFunction::Avg => framed(call, per_us, Sums { is_average: true }),
        WindowFunction::Ksum => framed(call, per_us, Compensated),
        WindowFunction::Min if is_float => framed(call, per_us, Extremes::<true, true> { data_type }),
        WindowFunction::Min => framed(call, per_us, Extremes::<true, false> { data_type }),
        WindowFunction::Max if is_float => framed(call, per_us, Extremes::<false, true> { data_type }),
        WindowFunction::Max => framed(call, per_us, Extremes::<false, false> { data_type }),
        WindowFunction::First { ignore_nulls: false } => pick(Pick::First),
        WindowFunction::First { ignore_nulls: true } => pick(Pick::FirstValid),
        WindowFunction::Last { ignore_nulls: false } => pick(Pick::Itself),
        WindowFunction::Last { ignore_nulls: true } => pick(Pick::LastValid),
        WindowFunction::Neighbour { ahead: false, distance: 0, .. } => pick(Pick::Itself),
        WindowFunction::Neighbour { ahead: false, distance, default, ignore_nulls } => Box::new(Lag {
            distance: *distance,
            default: default.as_ref().map(bits_of).transpose()?.flatten(),
            ignore_nulls: *ignore_nulls,
            data_type,
            rows: Vec::new(),
            last: Vec::new(),
        }),
        other => return internal_err!("{other:?} is not computed row by row"),
    })
}

fn bits_of(value: &ScalarValue) -> Result<Option<i64>> {
    Ok(Values::of(&value.to_array_of_size(1)?).get(0))
}

/// Returns bits as values of a type of 64 bits.
fn array_of(bits: Vec<Option<i64>>, data_type: &DataType) -> Result<ArrayRef> {
    let whole: Int64Array = bits.into_iter().collect();
    let (_, values, nulls) = whole.into_parts();
    let data =
        ArrayData::builder(data_type.clone()).len(values.len()).nulls(nulls).add_buffer(values.into_inner()).build()?;
    Ok(make_array(data))
}

/// row_number.
struct Counter {
    rows: Vec<i64>,
}

impl State for Counter {
    fn key_bytes(&self) -> usize {
        size_of::<i64>()
    }

    fn grow(&mut self, count: usize) {
        self.rows.resize(count, 0);
    }

    fn values(&mut self, rows: &Rows) -> Result<ArrayRef> {
        let next = |key: &u32| {
            let row = &mut self.rows[*key as usize];
            *row += 1;
            *row
        };
        let values: Vec<i64> = rows.keys.iter().map(next).collect();
        Ok(Arc::new(Int64Array::from(values)))
    }
}

/// rank and dense_rank by time.
struct Ranks {
    is_dense: bool,
    keys: Vec<Ranked>,
}

#[derive(Clone, Default)]
struct Ranked {
    rows: i64,
    rank: i64,
    time: i64,
}

impl State for Ranks {
    fn key_bytes(&self) -> usize {
        size_of::<Ranked>()
    }

    fn grow(&mut self, count: usize) {
        self.keys.resize(count, Ranked::default());
    }

    fn values(&mut self, rows: &Rows) -> Result<ArrayRef> {
        let rank = |(key, time): (&u32, &i64)| {
            let key = &mut self.keys[*key as usize];
            if key.rows == 0 || key.time != *time {
                key.rank = if self.is_dense { key.rank + 1 } else { key.rows + 1 };
                key.time = *time;
            }
            key.rows += 1;
            key.rank
        };
        let values: Vec<i64> = rows.keys.iter().zip(rows.times).map(rank).collect();
        Ok(Arc::new(Int64Array::from(values)))
    }
}

/// A function of the rows in a frame.
trait Function: 'static {
    type Row: Combine;

    /// Returns a row alone.
    fn row(&self, rows: &Rows, row: usize) -> Self::Row;

    /// Returns the values of frames.
    fn values(&self, frames: Vec<Self::Row>) -> Result<ArrayRef>;
}

fn framed<F: Function>(call: &Call, per_us: i64, function: F) -> Box<dyn State> {
    let frames = match call.frame.start {
        FrameEnd::Preceding(us) if call.frame.by_time => Frames::Recent(us.saturating_mul(per_us), Vec::new()),
        FrameEnd::Preceding(rows) => Frames::Moving(Moving::new(rows.max(0) as usize + 1)),
        FrameEnd::Current => Frames::Moving(Moving::new(1)),
        FrameEnd::Unbounded => Frames::Running(Vec::new()),
    };
    Box::new(Framed { function, frames })
}

struct Framed<F: Function> {
    function: F,
    frames: Frames<F::Row>,
}

enum Frames<T> {
    Running(Vec<T>),
    Moving(Moving<T>),
    /// The span of time, and the rows by key.
    Recent(i64, Vec<Recent<T>>),
}

impl<F: Function> State for Framed<F> {
    fn key_bytes(&self) -> usize {
        match &self.frames {
            Frames::Running(_) => size_of::<F::Row>(),
            Frames::Moving(moving) => moving.key_bytes(),
            Frames::Recent(..) => size_of::<Recent<F::Row>>(),
        }
    }

    fn more_bytes(&self) -> usize {
        match &self.frames {
            Frames::Recent(_, keys) => keys.iter().map(Recent::bytes).sum(),
            _ => 0,
        }
    }

    fn grow(&mut self, count: usize) {
        match &mut self.frames {
            Frames::Running(keys) => keys.resize(count, F::Row::NOTHING),
            Frames::Moving(moving) => moving.grow(count),
            Frames::Recent(_, keys) => keys.resize_with(count, Recent::new),
        }
    }

    fn values(&mut self, rows: &Rows) -> Result<ArrayRef> {
        let function = &self.function;
        let each = rows.keys.iter().enumerate().map(|(row, key)| (row, *key as usize, function.row(rows, row)));
        let frames = match &mut self.frames {
            Frames::Running(keys) => each
                .map(|(_, key, row)| {
                    keys[key] = keys[key].with(row);
                    keys[key]
                })
                .collect(),
            Frames::Moving(moving) => each.map(|(_, key, row)| moving.push(key, row)).collect(),
            Frames::Recent(span, keys) => each
                .map(|(at, key, row)| {
                    let time = rows.times[at];
                    keys[key].push(time, time.saturating_sub(*span), row)
                })
                .collect(),
        };
        self.function.values(frames)
    }
}

/// count.
struct Tally;

#[derive(Clone, Copy)]
struct Number(i64);

impl Combine for Number {
    const NOTHING: Number = Number(0);

    fn with(self, later: Number) -> Number {
        Number(self.0 + later.0)
    }
}

impl Function for Tally {
    type Row = Number;

    fn row(&self, rows: &Rows, row: usize) -> Number {
        Number(i64::from(rows.values.is_none() || rows.value(row).is_some()))
    }

    fn values(&self, frames: Vec<Number>) -> Result<ArrayRef> {
        Ok(Arc::new(frames.into_iter().map(|number| Some(number.0)).collect::<Int64Array>()))
    }
}

/// sum and avg of DOUBLE; what is not finite is NULL.
struct Sums {
    is_average: bool,
}

#[derive(Clone, Copy)]
struct Sum {
    sum: f64,
    count: i64,
}

impl Combine for Sum {
    // -0.0 is the number that changes none
    const NOTHING: Sum = Sum { sum: -0.0, count: 0 };

    fn with(self, later: Sum) -> Sum {
        Sum { sum: self.sum + later.sum, count: self.count + later.count }
    }
}

impl Function for Sums {
    type Row = Sum;

    fn row(&self, rows: &Rows, row: usize) -> Sum {
        rows.value(row).map_or(Sum::NOTHING, |bits| Sum { sum: f64::from_bits(bits as u64), count: 1 })
    }

    fn values(&self, frames: Vec<Sum>) -> Result<ArrayRef> {
        let value = |frame: Sum| {
            let value = if self.is_average { frame.sum / frame.count as f64 } else { frame.sum };
            (frame.count > 0 && value.is_finite()).then_some(value)
        };
        Ok(Arc::new(frames.into_iter().map(value).collect::<Float64Array>()))
    }
}

/// ksum: a compensated sum.
struct Compensated;

#[derive(Clone, Copy)]
struct Kahan {
    high: f64,
    low: f64,
    is_any: bool,
}

impl Combine for Kahan {
    const NOTHING: Kahan = Kahan { high: 0.0, low: 0.0, is_any: false };

    fn with(self, later: Kahan) -> Kahan {
        match (self.is_any, later.is_any) {
            (true, true) => {
                // what the last addition lost is taken from the next value
                let value = later.high - later.low - self.low;
                let high = self.high + value;
                Kahan { high, low: (high - self.high) - value, is_any: true }
            }
            (true, false) => self,
            _ => later,
        }
    }
}

impl Function for Compensated {
    type Row = Kahan;

    fn row(&self, rows: &Rows, row: usize) -> Kahan {
        let of = |bits: i64| Kahan { high: f64::from_bits(bits as u64), low: 0.0, is_any: true };
        rows.value(row).map_or(Kahan::NOTHING, of)
    }

    fn values(&self, frames: Vec<Kahan>) -> Result<ArrayRef> {
        let value = |frame: Kahan| (frame.is_any && frame.high.is_finite()).then_some(frame.high);
        Ok(Arc::new(frames.into_iter().map(value).collect::<Float64Array>()))
    }
}

/// min and max.
struct Extremes<const LEAST: bool, const FLOAT: bool> {
    data_type: DataType,
}

#[derive(Clone, Copy)]
struct Extreme<const LEAST: bool, const FLOAT: bool>(Option<i64>);

impl<const LEAST: bool, const FLOAT: bool> Combine for Extreme<LEAST, FLOAT> {
    const NOTHING: Self = Extreme(None);

    fn with(self, later: Self) -> Self {
        let (Some(a), Some(b)) = (self.0, later.0) else { return Extreme(self.0.or(later.0)) };
        let order = match FLOAT {
            true => f64::from_bits(b as u64).total_cmp(&f64::from_bits(a as u64)),
            false => b.cmp(&a),
        };
        let wanted = if LEAST { Ordering::Less } else { Ordering::Greater };
        if order == wanted { later } else { self }
    }
}

impl<const LEAST: bool, const FLOAT: bool> Function for Extremes<LEAST, FLOAT> {
    type Row = Extreme<LEAST, FLOAT>;

    fn row(&self, rows: &Rows, row: usize) -> Extreme<LEAST, FLOAT> {
        Extreme(rows.value(row))
    }

    fn values(&self, frames: Vec<Extreme<LEAST, FLOAT>>) -> Result<ArrayRef> {
        array_of(frames.into_iter().map(|extreme| extreme.0).collect(), &self.data_type)
    }
}

/// first_value and last_value of frames that begin with the partition.
struct Picks {
    kind: Pick,
    data_type: DataType,
    /// By key; None before its first row that counts.
    kept: Vec<Option<Option<i64>>>,
}

#[derive(Clone, Copy)]
enum Pick {
    Itself,
    First,
    FirstValid,
    LastValid,
}

impl State for Picks {
    fn key_bytes(&self) -> usize {
        size_of::<Option<Option<i64>>>()
    }

    fn grow(&mut self, count: usize) {
        self.kept.resize(count, None);
    }

    fn values(&mut self, rows: &Rows) -> Result<ArrayRef> {
        let pick = |(row, key): (usize, &u32)| {
            let (value, kept) = (rows.value(row), &mut self.kept[*key as usize]);
            match self.kind {
                Pick::Itself => return value,
                Pick::First => *kept = kept.or(Some(value)),
                Pick::FirstValid => *kept = kept.or(value.map(Some)),
                Pick::LastValid => *kept = value.map(Some).or(*kept),
            }
            kept.flatten()
        };
        array_of(rows.keys.iter().enumerate().map(pick).collect(), &self.data_type)
    }
}

/// lag.
struct Lag {
    distance: usize,
    default: Option<i64>,
    ignore_nulls: bool,
    data_type: DataType,
    /// By key: how many rows there were that count.
    rows: Vec<u64>,
    /// `distance` a key: the last of them.
    last: Vec<Option<i64>>,
}

impl State for Lag {
    fn key_bytes(&self) -> usize {
        size_of::<u64>() + self.distance * size_of::<Option<i64>>()
    }

    fn grow(&mut self, count: usize) {
        self.rows.resize(count, 0);
        self.last.resize(count * self.distance, None);
    }

    fn values(&mut self, rows: &Rows) -> Result<ArrayRef> {
        let distance = self.distance;
        let lag = |(row, key): (usize, &u32)| {
            let (value, seen) = (rows.value(row), &mut self.rows[*key as usize]);
            let slot = &mut self.last[*key as usize * distance + (*seen % distance as u64) as usize];
            let found = if *seen < distance as u64 { self.default } else { *slot };
            if value.is_some() || !self.ignore_nulls {
                *slot = value;
                *seen += 1;
            }
            found
        };
        array_of(rows.keys.iter().enumerate().map(lag).collect(), &self.data_type)
    }
}
