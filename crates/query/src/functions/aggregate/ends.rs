//! first, last, first_not_null, last_not_null: by the order in which rows arrive.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, StringViewArray};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType,
};
use datafusion::common::ScalarValue;

use super::super::cast;
use super::super::typed::{Call, Typed};
use super::fold::{self, Fold, saved_flag};
use crate::error::SqlError;
use crate::kind::Kind;

/// Which row of a group is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Which {
    last: bool,
    skip_null: bool,
}

/// Binds one of the four; first_not_null and last_not_null give INT for BYTE and SHORT and take no BOOLEAN.
pub fn bind(name: &str, call: &Call, arg: &Typed) -> Result<Typed, SqlError> {
    let which = Which { last: name.starts_with("last"), skip_null: name.ends_with("_not_null") };
    let kind = match arg.kind {
        Kind::Boolean if which.skip_null => return Err(call.no_match()),
        Kind::Byte | Kind::Short if which.skip_null => Kind::Int,
        Kind::Null => Kind::String,
        kind => kind,
    };
    let args = vec![cast::explicit(arg.clone(), kind, arg.position)?];
    let at = call.position;
    Ok(match kind {
        Kind::Boolean => fold::call(name, EndFlag(which), args, kind, at),
        Kind::Byte => fold::call(name, End::<Int8Type>::new(which, kind), args, kind, at),
        Kind::Short => fold::call(name, End::<Int16Type>::new(which, kind), args, kind, at),
        Kind::Int => fold::call(name, End::<Int32Type>::new(which, kind), args, kind, at),
        Kind::Long => fold::call(name, End::<Int64Type>::new(which, kind), args, kind, at),
        Kind::Float => fold::call(name, End::<Float32Type>::new(which, kind), args, kind, at),
        Kind::Double => fold::call(name, End::<Float64Type>::new(which, kind), args, kind, at),
        Kind::Date => fold::call(name, End::<TimestampMillisecondType>::new(which, kind), args, kind, at),
        Kind::Timestamp => fold::call(name, End::<TimestampMicrosecondType>::new(which, kind), args, kind, at),
        Kind::Null | Kind::Char | Kind::String | Kind::Symbol | Kind::Varchar => {
            fold::call(name, EndText(which), args, kind, at)
        }
        _ => fold::call(name, EndValue(which, kind), args, kind, at),
    })
}

/// The value of the kept row; None while there is none.
type Kept<V> = Option<Option<V>>;

impl Which {
    /// Returns whether a row with or without a value takes the place of what is kept.
    fn takes(self, kept: bool, is_null: bool) -> bool {
        !(self.skip_null && is_null) && (self.last || !kept)
    }

    fn merge<V>(self, state: &mut Kept<V>, later: Kept<V>) {
        if let Some(value) = later
            && self.takes(state.is_some(), value.is_none())
        {
            *state = Some(value);
        }
    }
}

/// Returns a column of scalars of one kind.
pub fn column(values: impl ExactSizeIterator<Item = ScalarValue>, kind: Kind) -> ArrayRef {
    if values.len() == 0 {
        return arrow::array::new_empty_array(&kind.arrow());
    }
    ScalarValue::iter_to_array(values).expect("all values are of the kind")
}

struct End<T> {
    which: Which,
    kind: Kind,
    of: PhantomData<fn() -> T>,
}

impl<T> End<T> {
    fn new(which: Which, kind: Kind) -> End<T> {
        End { which, kind, of: PhantomData }
    }
}

impl<T: ArrowPrimitiveType> Fold for End<T> {
    type State = Kept<T::Native>;
    type Columns<'a> = &'a PrimitiveArray<T>;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a PrimitiveArray<T> {
        arrays[0].as_primitive()
    }

    fn add(&self, state: &mut Self::State, column: &Self::Columns<'_>, row: usize) {
        let is_null = column.is_null(row);
        if self.which.takes(state.is_some(), is_null) {
            *state = Some((!is_null).then(|| column.value(row)));
        }
    }

    fn add_stretch(&self, state: &mut Self::State, column: &Self::Columns<'_>, rows: Range<usize>) {
        if state.is_some() && !self.which.last {
            return;
        }
        let fits = |row: &usize| self.which.takes(state.is_some(), column.is_null(*row));
        let found = if self.which.last { rows.rev().find(fits) } else { rows.into_iter().find(fits) };
        if let Some(row) = found {
            self.add(state, column, row);
        }
    }

    fn merge(&self, state: &mut Self::State, later: Self::State) {
        self.which.merge(state, later);
    }

    fn answers(&self, states: Vec<Self::State>) -> ArrayRef {
        let none = if self.kind.is_nullable() { None } else { Some(T::Native::default()) };
        Arc::new(states.into_iter().map(|s| s.unwrap_or(none)).collect::<PrimitiveArray<T>>())
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Boolean, T::DATA_TYPE]
    }

    fn save(&self, state: &Self::State) -> Vec<ScalarValue> {
        let value = ScalarValue::new_primitive::<T>(state.flatten(), &T::DATA_TYPE).expect("the type is T's own");
        vec![ScalarValue::Boolean(Some(state.is_some())), value]
    }

    fn load(&self, saved: &[ScalarValue]) -> Self::State {
        let array = saved[1].to_array().expect("saved values have arrays");
        let array = array.as_primitive::<T>();
        saved_flag(&saved[0]).then(|| array.is_valid(0).then(|| array.value(0)))
    }
}

/// Of any other kind.
struct EndValue(Which, Kind);

impl Fold for EndValue {
    const ON_HEAP: bool = true;

    type State = Kept<ScalarValue>;
    type Columns<'a> = &'a ArrayRef;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a ArrayRef {
        &arrays[0]
    }

    fn add(&self, state: &mut Self::State, column: &&ArrayRef, row: usize) {
        let is_null = column.is_null(row);
        if self.0.takes(state.is_some(), is_null) {
            *state =
                Some((!is_null).then(|| ScalarValue::try_from_array(column, row).expect("the row is in the batch")));
        }
    }

    fn merge(&self, state: &mut Self::State, later: Self::State) {
        self.0.merge(state, later);
    }

    fn answers(&self, states: Vec<Self::State>) -> ArrayRef {
        column(states.into_iter().map(|s| s.flatten().unwrap_or_else(|| self.1.null())), self.1)
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Boolean, self.1.arrow()]
    }

    fn save(&self, state: &Self::State) -> Vec<ScalarValue> {
        let value = state.clone().flatten().unwrap_or_else(|| self.1.null());
        vec![ScalarValue::Boolean(Some(state.is_some())), value]
    }

    fn load(&self, saved: &[ScalarValue]) -> Self::State {
        saved_flag(&saved[0]).then(|| (!saved[1].is_null()).then(|| saved[1].clone()))
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        state.as_ref().and_then(|s| s.as_ref()).map_or(0, ScalarValue::size)
    }
}

struct EndText(Which);

impl Fold for EndText {
    const ON_HEAP: bool = true;

    type State = Kept<String>;
    type Columns<'a> = &'a StringViewArray;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a StringViewArray {
        arrays[0].as_string_view()
    }

    fn add(&self, state: &mut Self::State, column: &&StringViewArray, row: usize) {
        let is_null = column.is_null(row);
        if self.0.takes(state.is_some(), is_null) {
            *state = Some((!is_null).then(|| column.value(row).to_owned()));
        }
    }

    fn merge(&self, state: &mut Self::State, later: Self::State) {
        self.0.merge(state, later);
    }

    fn answers(&self, states: Vec<Self::State>) -> ArrayRef {
        Arc::new(states.into_iter().map(Option::flatten).collect::<StringViewArray>())
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Boolean, DataType::Utf8View]
    }

    fn save(&self, state: &Self::State) -> Vec<ScalarValue> {
        vec![ScalarValue::Boolean(Some(state.is_some())), ScalarValue::Utf8View(state.clone().flatten())]
    }

    fn load(&self, saved: &[ScalarValue]) -> Self::State {
        let ScalarValue::Utf8View(text) = &saved[1] else { return None };
        saved_flag(&saved[0]).then(|| text.clone())
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        state.as_ref().and_then(|s| s.as_ref()).map_or(0, String::capacity)
    }
}

struct EndFlag(Which);

impl Fold for EndFlag {
    type State = Kept<bool>;
    type Columns<'a> = &'a arrow::array::BooleanArray;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> Self::Columns<'a> {
        arrays[0].as_boolean()
    }

    fn add(&self, state: &mut Self::State, column: &Self::Columns<'_>, row: usize) {
        if self.0.takes(state.is_some(), false) {
            *state = Some(Some(column.is_valid(row) && column.value(row)));
        }
    }

    fn merge(&self, state: &mut Self::State, later: Self::State) {
        self.0.merge(state, later);
    }

    fn answers(&self, states: Vec<Self::State>) -> ArrayRef {
        let flags = states.into_iter().map(|s| Some(s.flatten().unwrap_or(false)));
        Arc::new(flags.collect::<arrow::array::BooleanArray>())
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Boolean, DataType::Boolean]
    }

    fn save(&self, state: &Self::State) -> Vec<ScalarValue> {
        vec![ScalarValue::Boolean(Some(state.is_some())), ScalarValue::Boolean(state.flatten())]
    }

    fn load(&self, saved: &[ScalarValue]) -> Self::State {
        saved_flag(&saved[0]).then(|| Some(saved_flag(&saved[1])))
    }
}
