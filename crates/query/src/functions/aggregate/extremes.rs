//! min, max, arg_min, arg_max, isOrdered.

use std::any::{Any, TypeId};
use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringViewArray};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, UInt32Type,
};
use datafusion::common::ScalarValue;
use storage::segment::zones::Part;

use super::super::cast;
use super::super::typed::{Call, Typed};
use super::fold::{self, Fold, saved_flag};
use super::reduce;
use crate::error::SqlError;
use crate::exec::direct::block::BlockZones;
use crate::kind::Kind;

/// Binds min or max. BYTE and SHORT give INT, BOOLEAN gives DOUBLE, SYMBOL gives STRING.
pub fn bind(max: bool, call: &Call, arg: &Typed) -> Result<Typed, SqlError> {
    let kind = match arg.kind {
        Kind::Byte | Kind::Short => Kind::Int,
        Kind::Boolean => Kind::Double,
        Kind::Symbol | Kind::Null | Kind::Uuid => Kind::String,
        Kind::Geohash(_) | Kind::Long256 | Kind::Array(_) | Kind::Binary => return Err(call.no_match()),
        kind => kind,
    };
    let name = if max { "max" } else { "min" };
    let args = vec![cast::explicit(arg.clone(), kind, arg.position)?];
    let at = call.position;
    Ok(match kind {
        Kind::Int => fold::call(name, Extreme::<Int32Type>::new(max), args, kind, at),
        Kind::Long => fold::call(name, Extreme::<Int64Type>::new(max), args, kind, at),
        Kind::Float => fold::call(name, Extreme::<Float32Type>::new(max), args, kind, at),
        Kind::Double => fold::call(name, Extreme::<Float64Type>::new(max), args, kind, at),
        Kind::Date => fold::call(name, Extreme::<TimestampMillisecondType>::new(max), args, kind, at),
        Kind::Timestamp => fold::call(name, Extreme::<TimestampMicrosecondType>::new(max), args, kind, at),
        Kind::TimestampNs => fold::call(name, Extreme::<TimestampNanosecondType>::new(max), args, kind, at),
        Kind::Ipv4 => fold::call(name, Extreme::<UInt32Type>::new(max), args, kind, at),
        Kind::Decimal(..) => fold::call(name, ExtremeDecimal { max, kind }, args, kind, at),
        _ => fold::call(name, ExtremeText { max }, args, kind, at),
    })
}

/// The least or greatest number or moment.
struct Extreme<T> {
    max: bool,
    of: PhantomData<fn() -> T>,
}

impl<T> Extreme<T> {
    fn new(max: bool) -> Extreme<T> {
        Extreme { max, of: PhantomData }
    }

    fn keep<V: PartialOrd>(&self, state: &mut Option<V>, value: V) {
        let better = match state {
            None => true,
            Some(best) => (value > *best) == self.max && value != *best,
        };
        if better {
            *state = Some(value);
        }
    }
}

impl<T: ArrowPrimitiveType> Extreme<T> {
    /// Adds a zone, or rows; `N` is the column's own number.
    fn add_part<N: Copy + 'static>(&self, state: &mut Option<T::Native>, column: &PrimitiveArray<T>, part: Part<N>) {
        match part {
            Part::Zone(zone) if zone.valid == 0 => {}
            Part::Zone(zone) => {
                let best: &dyn Any = if self.max { &zone.max } else { &zone.min };
                if let Some(value) = best.downcast_ref::<T::Native>() {
                    self.keep(state, *value);
                }
            }
            Part::Rows(rows) => self.add_stretch(state, &column, rows),
        }
    }
}

/// Returns a saved primitive value.
fn saved_primitive<T: ArrowPrimitiveType>(value: &ScalarValue) -> Option<T::Native> {
    let array = value.to_array().expect("saved values have arrays");
    let array = array.as_primitive::<T>();
    array.is_valid(0).then(|| array.value(0))
}

impl<T: ArrowPrimitiveType> Fold for Extreme<T> {
    const ORDERED: bool = false;
    const ZONED: bool = true;

    type State = Option<T::Native>;
    type Columns<'a> = &'a PrimitiveArray<T>;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a PrimitiveArray<T> {
        arrays[0].as_primitive()
    }

    fn add(&self, state: &mut Self::State, column: &Self::Columns<'_>, row: usize) {
        if column.is_valid(row) {
            self.keep(state, column.value(row));
        }
    }

    fn add_stretch(&self, state: &mut Self::State, column: &Self::Columns<'_>, rows: Range<usize>) {
        reduce::valid_stretches(column, rows, |values| {
            let Some(first) = values.first() else { return };
            let best = match self.max {
                true => reduce::extreme(*first, values, |value, best| value > best),
                false => reduce::extreme(*first, values, |value, best| value < best),
            };
            self.keep(state, best);
        });
    }

    fn add_zoned(&self, state: &mut Self::State, column: &Self::Columns<'_>, zones: &BlockZones, rows: Range<usize>) {
        if zones.are_of::<f64>() && TypeId::of::<T::Native>() == TypeId::of::<f64>() {
            zones.parts::<f64>(rows, |part| self.add_part(state, column, part));
        } else if zones.are_of::<i64>() && TypeId::of::<T::Native>() == TypeId::of::<i64>() {
            zones.parts::<i64>(rows, |part| self.add_part(state, column, part));
        } else {
            self.add_stretch(state, column, rows);
        }
    }

    fn add_each(&self, states: &mut [Self::State], column: &Self::Columns<'_>, groups: &[u32]) {
        if column.null_count() > 0 {
            return groups.iter().enumerate().for_each(|(row, g)| self.add(&mut states[*g as usize], column, row));
        }
        for (value, group) in column.values().iter().zip(groups) {
            self.keep(&mut states[*group as usize], *value);
        }
    }

    fn merge(&self, state: &mut Self::State, later: Self::State) {
        if let Some(value) = later {
            self.keep(state, value);
        }
    }

    fn answers(&self, states: Vec<Self::State>) -> ArrayRef {
        Arc::new(states.into_iter().collect::<PrimitiveArray<T>>())
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![T::DATA_TYPE]
    }

    fn save(&self, state: &Self::State) -> Vec<ScalarValue> {
        vec![ScalarValue::new_primitive::<T>(*state, &T::DATA_TYPE).expect("the type is T's own")]
    }

    fn load(&self, saved: &[ScalarValue]) -> Self::State {
        saved_primitive::<T>(&saved[0])
    }
}

/// The least or greatest decimal.
struct ExtremeDecimal {
    max: bool,
    kind: Kind,
}

impl ExtremeDecimal {
    fn keep(&self, state: &mut Option<ScalarValue>, value: ScalarValue) {
        let wanted = if self.max { Ordering::Greater } else { Ordering::Less };
        if state.as_ref().is_none_or(|best| value.partial_cmp(best) == Some(wanted)) {
            *state = Some(value);
        }
    }
}

impl Fold for ExtremeDecimal {
    const ORDERED: bool = false;

    type State = Option<ScalarValue>;
    type Columns<'a> = &'a ArrayRef;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a ArrayRef {
        &arrays[0]
    }

    fn add(&self, state: &mut Self::State, column: &&ArrayRef, row: usize) {
        if column.is_valid(row) {
            self.keep(state, ScalarValue::try_from_array(column, row).expect("the row is in the batch"));
        }
    }

    fn merge(&self, state: &mut Self::State, later: Self::State) {
        if let Some(value) = later {
            self.keep(state, value);
        }
    }

    fn answers(&self, states: Vec<Self::State>) -> ArrayRef {
        super::ends::column(states.into_iter().map(|s| s.unwrap_or_else(|| self.kind.null())), self.kind)
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![self.kind.arrow()]
    }

    fn save(&self, state: &Self::State) -> Vec<ScalarValue> {
        vec![state.clone().unwrap_or_else(|| self.kind.null())]
    }

    fn load(&self, saved: &[ScalarValue]) -> Self::State {
        saved.first().filter(|value| !value.is_null()).cloned()
    }
}

/// The least or greatest text, by bytes.
struct ExtremeText {
    max: bool,
}

impl ExtremeText {
    fn keep(&self, state: &mut Option<String>, value: &str) {
        let wanted = if self.max { Ordering::Greater } else { Ordering::Less };
        if state.as_deref().is_none_or(|best| value.cmp(best) == wanted) {
            *state = Some(value.to_owned());
        }
    }
}

impl Fold for ExtremeText {
    const ON_HEAP: bool = true;
    const ORDERED: bool = false;

    type State = Option<String>;
    type Columns<'a> = &'a StringViewArray;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a StringViewArray {
        arrays[0].as_string_view()
    }

    fn add(&self, state: &mut Option<String>, column: &&StringViewArray, row: usize) {
        if column.is_valid(row) {
            self.keep(state, column.value(row));
        }
    }

    fn merge(&self, state: &mut Option<String>, later: Option<String>) {
        if let Some(value) = later {
            self.keep(state, &value);
        }
    }

    fn answers(&self, states: Vec<Option<String>>) -> ArrayRef {
        Arc::new(states.into_iter().collect::<StringViewArray>())
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Utf8View]
    }

    fn save(&self, state: &Option<String>) -> Vec<ScalarValue> {
        vec![ScalarValue::Utf8View(state.clone())]
    }

    fn load(&self, saved: &[ScalarValue]) -> Option<String> {
        match saved {
            [ScalarValue::Utf8View(text)] => text.clone(),
            _ => None,
        }
    }

    fn heap_bytes(&self, state: &Option<String>) -> usize {
        state.as_ref().map_or(0, String::capacity)
    }
}

/// Binds arg_min or arg_max: the value where the key is least or greatest; a NULL key does not count.
pub fn arg(max: bool, call: &Call) -> Result<Typed, SqlError> {
    let [value, key] = call.args.as_slice() else { return Err(call.no_match()) };
    let valued = value.kind.is_number() || value.kind.is_time() || value.kind == Kind::Char;
    if !(key.kind.is_number() || key.kind.is_time()) || !valued {
        return Err(call.no_match());
    }
    let kind = match value.kind {
        Kind::Byte | Kind::Short | Kind::Int => Kind::Long,
        Kind::Float => Kind::Double,
        kind => kind,
    };
    let key_kind = if key.kind == Kind::Float || key.kind == Kind::Double { Kind::Double } else { Kind::Long };
    let args = vec![
        cast::explicit(value.clone(), kind, value.position)?,
        cast::explicit(key.clone(), key_kind, key.position)?,
    ];
    let name = if max { "arg_max" } else { "arg_min" };
    let at = call.position;
    Ok(match key_kind {
        Kind::Double => fold::call(name, AtExtreme::<Float64Type>::new(max, kind), args, kind, at),
        _ => fold::call(name, AtExtreme::<Int64Type>::new(max, kind), args, kind, at),
    })
}

struct AtExtreme<K> {
    key: Extreme<K>,
    kind: Kind,
}

impl<K> AtExtreme<K> {
    fn new(max: bool, kind: Kind) -> AtExtreme<K> {
        AtExtreme { key: Extreme::new(max), kind }
    }
}

impl<K: ArrowPrimitiveType> Fold for AtExtreme<K> {
    type State = Option<(K::Native, ScalarValue)>;
    type Columns<'a> = (&'a ArrayRef, &'a PrimitiveArray<K>);

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> Self::Columns<'a> {
        (&arrays[0], arrays[1].as_primitive())
    }

    fn add(&self, state: &mut Self::State, (values, keys): &Self::Columns<'_>, row: usize) {
        if keys.is_null(row) {
            return;
        }
        let mut best = state.as_ref().map(|s| s.0);
        self.key.keep(&mut best, keys.value(row));
        if best != state.as_ref().map(|s| s.0) {
            let value = ScalarValue::try_from_array(values, row).expect("the row is in the batch");
            *state = best.map(|key| (key, value));
        }
    }

    fn merge(&self, state: &mut Self::State, later: Self::State) {
        let Some((key, value)) = later else { return };
        let mut best = state.as_ref().map(|s| s.0);
        self.key.keep(&mut best, key);
        if best != state.as_ref().map(|s| s.0) {
            *state = Some((key, value));
        }
    }

    fn answers(&self, states: Vec<Self::State>) -> ArrayRef {
        let null = self.kind.null();
        super::ends::column(states.into_iter().map(|s| s.map_or_else(|| null.clone(), |s| s.1)), self.kind)
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![K::DATA_TYPE, self.kind.arrow()]
    }

    fn save(&self, state: &Self::State) -> Vec<ScalarValue> {
        let key = state.as_ref().map(|s| s.0);
        let key = ScalarValue::new_primitive::<K>(key, &K::DATA_TYPE).expect("the type is K's own");
        vec![key, state.as_ref().map_or_else(|| self.kind.null(), |s| s.1.clone())]
    }

    fn load(&self, saved: &[ScalarValue]) -> Self::State {
        saved_primitive::<K>(&saved[0]).map(|key| (key, saved[1].clone()))
    }
}

/// Binds isOrdered: whether no value is less than the one before it; NULL is the least.
pub fn is_ordered(call: &Call, arg: &Typed) -> Result<Typed, SqlError> {
    if !arg.kind.is_integer() && !arg.kind.is_time() {
        return Err(call.no_match());
    }
    let args = vec![cast::implicit(arg.clone(), Kind::Long)?];
    Ok(fold::call("isOrdered", Ordered, args, Kind::Boolean, call.position))
}

struct Ordered;

#[derive(Default)]
struct Seen {
    broken: bool,
    first: Option<Option<i64>>,
    last: Option<i64>,
}

impl Fold for Ordered {
    type State = Seen;
    type Columns<'a> = &'a PrimitiveArray<Int64Type>;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> Self::Columns<'a> {
        arrays[0].as_primitive()
    }

    fn add(&self, state: &mut Seen, column: &Self::Columns<'_>, row: usize) {
        let value = column.is_valid(row).then(|| column.value(row));
        state.broken |= state.first.is_some() && value < state.last;
        state.first = state.first.or(Some(value));
        state.last = value;
    }

    fn merge(&self, state: &mut Seen, later: Seen) {
        let Some(first) = later.first else { return };
        state.broken |= later.broken || state.first.is_some() && first < state.last;
        state.first = state.first.or(Some(first));
        state.last = later.last;
    }

    fn answers(&self, states: Vec<Seen>) -> ArrayRef {
        Arc::new(states.into_iter().map(|s| Some(!s.broken)).collect::<BooleanArray>())
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Boolean, DataType::Boolean, DataType::Int64, DataType::Int64]
    }

    fn save(&self, s: &Seen) -> Vec<ScalarValue> {
        vec![
            ScalarValue::Boolean(Some(s.broken)),
            ScalarValue::Boolean(Some(s.first.is_some())),
            ScalarValue::Int64(s.first.flatten()),
            ScalarValue::Int64(s.last),
        ]
    }

    fn load(&self, saved: &[ScalarValue]) -> Seen {
        let long = |value: &ScalarValue| if let ScalarValue::Int64(v) = value { *v } else { None };
        Seen {
            broken: saved_flag(&saved[0]),
            first: saved_flag(&saved[1]).then(|| long(&saved[2])),
            last: long(&saved[3]),
        }
    }
}
