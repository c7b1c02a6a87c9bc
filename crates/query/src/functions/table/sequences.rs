//! long_sequence and generate_series: rows made as they are asked for.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::ScalarValue;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use super::super::cast;
use super::super::moment_units::units::{Stride, Unit};
use super::super::typed::{Call, Typed};
use super::Tables;
use crate::error::SqlError;
use crate::kind::Kind;

/// Rows of one generated batch.
const BATCH_ROWS: u64 = 8_192;

/// A column of values by their number from 0.
trait Series: std::fmt::Debug + Send + Sync {
    fn values(&self, from: u64, count: u64) -> ArrayRef;
}

#[derive(Debug)]
struct Generated<S> {
    schema: SchemaRef,
    rows: u64,
    series: Arc<S>,
}

impl<S: Series + 'static> PartitionStream for Generated<S> {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, series, rows) = (self.schema.clone(), self.series.clone(), self.rows);
        let starts = (0..rows.div_ceil(BATCH_ROWS)).map(|batch| batch * BATCH_ROWS);
        let batches = starts.map(move |from| {
            let values = series.values(from, BATCH_ROWS.min(rows - from));
            Ok(RecordBatch::try_new(schema.clone(), vec![values])?)
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), futures::stream::iter(batches)))
    }
}

fn table<S: Series + 'static>(
    name: &str,
    kind: Kind,
    rows: u64,
    series: S,
) -> Result<Arc<dyn TableProvider>, SqlError> {
    let schema = Arc::new(Schema::new(vec![kind.field(name)]));
    let stream = Generated { schema: schema.clone(), rows, series: Arc::new(series) };
    let table = StreamingTable::try_new(schema, vec![Arc::new(stream)]).map_err(|e| SqlError::from_datafusion(&e))?;
    Ok(Arc::new(table))
}

#[derive(Debug)]
struct Longs {
    first: i64,
    step: i64,
}

impl Series for Longs {
    fn values(&self, from: u64, count: u64) -> ArrayRef {
        let value = |i: u64| self.first.wrapping_add((i as i64).wrapping_mul(self.step));
        Arc::new((from..from + count).map(value).collect::<Int64Array>())
    }
}

#[derive(Debug)]
struct Doubles {
    first: f64,
    step: f64,
}

impl Series for Doubles {
    fn values(&self, from: u64, count: u64) -> ArrayRef {
        Arc::new((from..from + count).map(|i| self.first + i as f64 * self.step).collect::<Float64Array>())
    }
}

#[derive(Debug)]
struct Moments {
    first: i64,
    step: i64,
}

impl Series for Moments {
    fn values(&self, from: u64, count: u64) -> ArrayRef {
        let value = |i: u64| self.first.wrapping_add((i as i64).wrapping_mul(self.step));
        Arc::new(TimestampMicrosecondArray::from_iter_values((from..from + count).map(value)))
    }
}

/// Values that were computed beforehand: months, which are not equally long.
#[derive(Debug)]
struct Listed(Vec<i64>);

impl Series for Listed {
    fn values(&self, from: u64, count: u64) -> ArrayRef {
        let values = &self.0[from as usize..(from + count) as usize];
        Arc::new(TimestampMicrosecondArray::from_iter_values(values.iter().copied()))
    }
}

/// Binds long_sequence(n [, seed, seed]): the LONGs 1 to n. The seeds make the statement's random values repeat.
pub fn long_sequence(call: &Call, tables: &Tables) -> Result<Arc<dyn TableProvider>, SqlError> {
    if !matches!(call.args.len(), 1 | 3) {
        return Err(SqlError::new(call.position, "invalid arguments"));
    }
    let number = |arg: &Typed| -> Result<Option<i64>, SqlError> {
        if matches!(arg.kind, Kind::Float | Kind::Double | Kind::Boolean) {
            return Err(SqlError::new(call.position, format!("argument type {} is not supported", arg.kind)));
        }
        if !arg.is_literal() {
            return Err(SqlError::new(arg.position, "constant expected"));
        }
        Ok(cast::implicit(arg.clone(), Kind::Long)?.as_integer())
    };
    let count = number(&call.args[0])?.unwrap_or(0).max(0) as u64;
    if let [_, first, second] = call.args.as_slice() {
        let seed = |arg: &Typed| Ok(number(arg)?.unwrap_or(0) as u64);
        tables.environment.ask().seeds.set(seed(first)?, seed(second)?);
    }
    table("x", Kind::Long, count, Longs { first: 1, step: 1 })
}

/// Binds generate_series(from, to [, step]): whole numbers, doubles or moments, both ends included.
pub fn generate_series(call: &Call, _: &Tables) -> Result<Arc<dyn TableProvider>, SqlError> {
    if !matches!(call.args.len(), 2 | 3) {
        return Err(SqlError::new(call.position, "invalid arguments"));
    }
    if let Some(dynamic) = call.args.iter().find(|a| !a.is_literal()) {
        return Err(SqlError::new(dynamic.position, "constant expected"));
    }
    let (from, to) = (&call.args[0], &call.args[1]);
    let moment = |arg: &Typed| arg.kind.is_time() || arg.kind.is_text();
    let real = |arg: &Typed| matches!(arg.kind, Kind::Float | Kind::Double);
    match call.args.get(2) {
        Some(step) if moment(from) || moment(to) => moments(call, step),
        _ if call.args.iter().any(real) => doubles(call),
        _ => longs(call),
    }
}

fn zero_step(call: &Call) -> SqlError {
    SqlError::new(call.args[2].position, "step cannot be zero")
}

/// Returns constants as one kind; a NULL is an error, since it bounds nothing.
fn bound(arg: &Typed, kind: Kind) -> Result<ScalarValue, SqlError> {
    match cast::implicit(arg.clone(), kind)?.as_literal() {
        Some(value) if !value.is_null() => Ok(value.clone()),
        _ => Err(SqlError::new(arg.position, "argument must not be null")),
    }
}

fn long(arg: &Typed, kind: Kind) -> Result<i64, SqlError> {
    match bound(arg, kind)? {
        ScalarValue::Int64(Some(v)) | ScalarValue::TimestampMicrosecond(Some(v), _) => Ok(v),
        other => Err(SqlError::new(arg.position, format!("{other} is no whole number"))),
    }
}

/// Puts the bounds in the order that the step's sign asks for.
fn ordered<T: PartialOrd>(from: T, to: T, ascending: bool) -> (T, T) {
    if (from <= to) == ascending { (from, to) } else { (to, from) }
}

/// Returns how many values lie from `first` to `last`, both included.
fn count(first: i64, last: i64, step: i64) -> u64 {
    (i128::from(last) - i128::from(first)).unsigned_abs() as u64 / step.unsigned_abs() + 1
}

fn longs(call: &Call) -> Result<Arc<dyn TableProvider>, SqlError> {
    let step = call.args.get(2).map_or(Ok(1), |step| long(step, Kind::Long))?;
    if step == 0 {
        return Err(zero_step(call));
    }
    let (first, last) = ordered(long(&call.args[0], Kind::Long)?, long(&call.args[1], Kind::Long)?, step > 0);
    table("generate_series", Kind::Long, count(first, last, step), Longs { first, step })
}

fn doubles(call: &Call) -> Result<Arc<dyn TableProvider>, SqlError> {
    let value = |arg: &Typed| match bound(arg, Kind::Double)? {
        ScalarValue::Float64(Some(v)) => Ok(v),
        other => Err(SqlError::new(arg.position, format!("{other} is no number"))),
    };
    let step = call.args.get(2).map_or(Ok(1.0), value)?;
    if step == 0.0 {
        return Err(zero_step(call));
    }
    let (first, last) = ordered(value(&call.args[0])?, value(&call.args[1])?, step > 0.0);
    let rows = ((last - first) / step + 1e-9).floor() as u64 + 1;
    table("generate_series", Kind::Double, rows, Doubles { first, step })
}

fn moments(call: &Call, step: &Typed) -> Result<Arc<dyn TableProvider>, SqlError> {
    let bounds = (long(&call.args[0], Kind::Timestamp)?, long(&call.args[1], Kind::Timestamp)?);
    let text = match step.as_text() {
        Some(text) => text,
        None => {
            let step = long(step, Kind::Long)?;
            return if step == 0 { Err(zero_step(call)) } else { even_moments(bounds, step) };
        }
    };
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let Some(stride) = Stride::parse(digits) else {
        let zero = digits.trim_end_matches(|c: char| c.is_ascii_alphabetic()).bytes().all(|b| b == b'0');
        let message = if zero && digits.starts_with('0') {
            "step cannot be zero".to_owned()
        } else {
            format!("invalid period [period={text}]")
        };
        return Err(SqlError::new(step.position, message));
    };
    let count = if negative { -stride.count } else { stride.count };
    match stride.unit {
        Unit::Fixed(size) => even_moments(bounds, size.saturating_mul(count)),
        Unit::Nanos => even_moments(bounds, (count / 1_000).max(1)),
        unit => {
            let (mut at, last) = ordered(bounds.0, bounds.1, count > 0);
            let mut moments = Vec::new();
            while (at <= last) == (count > 0) || at == last {
                moments.push(at);
                at = unit.add(at, count);
            }
            table("generate_series", Kind::Timestamp, moments.len() as u64, Listed(moments))
        }
    }
}

fn even_moments(bounds: (i64, i64), step: i64) -> Result<Arc<dyn TableProvider>, SqlError> {
    let (first, last) = ordered(bounds.0, bounds.1, step > 0);
    table("generate_series", Kind::Timestamp, count(first, last, step), Moments { first, step })
}
