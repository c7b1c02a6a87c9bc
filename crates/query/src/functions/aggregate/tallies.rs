//! mode, string_agg, string_distinct_agg: what has to remember values.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use super::super::cast;
use super::super::typed::{Call, Typed};
use super::fold::{self, Fold};
use crate::error::SqlError;
use crate::kind::Kind;

/// Binds mode: the value that occurs most often, NULL apart. Whole numbers and moments give LONG, CHAR gives STRING.
pub fn mode(call: &Call, arg: &Typed) -> Result<Typed, SqlError> {
    let kind = match arg.kind {
        Kind::Byte | Kind::Short | Kind::Int | Kind::Date | Kind::Timestamp | Kind::TimestampNs => Kind::Long,
        Kind::Uuid
        | Kind::Ipv4
        | Kind::Long256
        | Kind::Binary
        | Kind::Geohash(_)
        | Kind::Array(_)
        | Kind::Decimal(..) => {
            return Err(call.no_match());
        }
        Kind::Float => Kind::Double,
        Kind::Char | Kind::Null => Kind::String,
        kind => kind,
    };
    let args = vec![cast::explicit(arg.clone(), kind, arg.position)?];
    Ok(fold::call("mode", Mode { kind }, args, kind, call.position))
}

struct Mode {
    kind: Kind,
}

/// How often each value occurred, and when it was first seen.
#[derive(Default)]
struct Tally {
    counts: HashMap<ScalarValue, (u64, usize)>,
    text_bytes: usize,
}

impl Tally {
    fn add(&mut self, value: ScalarValue, times: u64) {
        let order = self.counts.len();
        let text_bytes = match &value {
            ScalarValue::Utf8View(Some(text)) => text.len(),
            _ => 0,
        };
        let count = self.counts.entry(value).or_insert((0, order));
        if count.0 == 0 {
            self.text_bytes += text_bytes;
        }
        count.0 += times;
    }

    fn most_frequent(self) -> Option<ScalarValue> {
        let best = self.counts.into_iter().max_by_key(|(_, (count, order))| (*count, usize::MAX - order));
        best.map(|(value, _)| value)
    }
}

impl Fold for Mode {
    const ON_HEAP: bool = true;

    type State = Tally;
    type Columns<'a> = &'a ArrayRef;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a ArrayRef {
        &arrays[0]
    }

    fn add(&self, state: &mut Tally, column: &&ArrayRef, row: usize) {
        if column.is_valid(row) {
            state.add(ScalarValue::try_from_array(column, row).expect("the row is in the batch"), 1);
        }
    }

    fn merge(&self, state: &mut Tally, later: Tally) {
        let mut values: Vec<_> = later.counts.into_iter().collect();
        values.sort_by_key(|(_, (_, order))| *order);
        for (value, (count, _)) in values {
            state.add(value, count);
        }
    }

    fn answers(&self, states: Vec<Tally>) -> ArrayRef {
        let none = if self.kind == Kind::Boolean { ScalarValue::Boolean(Some(true)) } else { self.kind.null() };
        let answer = |s: Tally| s.most_frequent().unwrap_or_else(|| none.clone());
        super::ends::column(states.into_iter().map(answer), self.kind)
    }

    fn saved_types(&self) -> Vec<DataType> {
        let item = |data_type| DataType::List(Arc::new(arrow::datatypes::Field::new_list_field(data_type, true)));
        vec![item(self.kind.arrow()), item(DataType::UInt64)]
    }

    fn save(&self, state: &Tally) -> Vec<ScalarValue> {
        let mut values: Vec<_> = state.counts.iter().collect();
        values.sort_by_key(|(_, (_, order))| *order);
        let counts: Vec<_> = values.iter().map(|(_, (count, _))| ScalarValue::UInt64(Some(*count))).collect();
        let values: Vec<_> = values.into_iter().map(|(value, _)| value.clone()).collect();
        vec![
            ScalarValue::List(ScalarValue::new_list_nullable(&values, &self.kind.arrow())),
            ScalarValue::List(ScalarValue::new_list_nullable(&counts, &DataType::UInt64)),
        ]
    }

    fn load(&self, saved: &[ScalarValue]) -> Tally {
        let mut tally = Tally::default();
        if let [ScalarValue::List(values), ScalarValue::List(counts)] = saved {
            let (values, counts) = (values.value(0), counts.value(0));
            let counts = counts.as_primitive::<arrow::datatypes::UInt64Type>();
            for row in 0..values.len() {
                let value = ScalarValue::try_from_array(&values, row).expect("the row is in the list");
                tally.add(value, counts.value(row));
            }
        }
        tally
    }

    fn heap_bytes(&self, state: &Tally) -> usize {
        state.counts.capacity() * size_of::<(ScalarValue, (u64, usize))>() + state.text_bytes
    }
}

/// Binds string_agg: texts joined in the order of rows, NULL left out; distinct ones by their first place.
pub fn string_agg(call: &Call, distinct: bool) -> Result<Typed, SqlError> {
    let [value, separator] = call.args.as_slice() else { return Err(call.no_match()) };
    let textual = value.kind.is_text() || matches!(value.kind, Kind::Char | Kind::Null);
    let is_empty = separator.as_text() == Some("");
    if !textual || separator.kind != Kind::Char && !is_empty {
        return Err(call.no_match());
    }
    let Some(text) = separator.as_text().map(str::to_owned) else {
        return Err(SqlError::new(separator.position, "constant expected"));
    };
    let kind = if value.kind == Kind::Varchar { Kind::Varchar } else { Kind::String };
    let name = format!("{} {text}", if distinct { "string_distinct_agg" } else { "string_agg" });
    let args = vec![cast::explicit(value.clone(), kind, value.position)?];
    let joined = Joined { separator: text, distinct, position: value.position };
    Ok(fold::call(&name, joined, args, kind, call.position))
}

/// The longest text that string_agg joins, in bytes, as in the peer; distinct texts end where the memory does.
const MAX_JOINED: usize = 1 << 20;

struct Joined {
    separator: String,
    distinct: bool,
    /// Where an error is shown.
    position: usize,
}

#[derive(Default)]
struct Texts {
    parts: Vec<String>,
    seen: HashSet<String>,
    bytes: usize,
}

impl Joined {
    fn push(&self, state: &mut Texts, text: &str) {
        if self.distinct && !state.seen.insert(text.to_owned()) {
            return;
        }
        let separator = if state.parts.is_empty() { 0 } else { self.separator.len() };
        state.bytes += separator + text.len();
        state.parts.push(text.to_owned());
    }
}

impl Fold for Joined {
    const ON_HEAP: bool = true;

    type State = Texts;
    type Columns<'a> = &'a StringViewArray;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a StringViewArray {
        arrays[0].as_string_view()
    }

    fn add(&self, state: &mut Texts, column: &&StringViewArray, row: usize) {
        if column.is_valid(row) {
            self.push(state, column.value(row));
        }
    }

    fn merge(&self, state: &mut Texts, later: Texts) {
        for text in &later.parts {
            self.push(state, text);
        }
    }

    fn answers(&self, states: Vec<Texts>) -> ArrayRef {
        let joined = |s: Texts| (!s.parts.is_empty()).then(|| s.parts.join(&self.separator));
        Arc::new(states.into_iter().map(joined).collect::<StringViewArray>())
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::List(Arc::new(arrow::datatypes::Field::new_list_field(DataType::Utf8View, true)))]
    }

    fn save(&self, state: &Texts) -> Vec<ScalarValue> {
        let texts: Vec<_> = state.parts.iter().map(|t| ScalarValue::Utf8View(Some(t.clone()))).collect();
        vec![ScalarValue::List(ScalarValue::new_list_nullable(&texts, &DataType::Utf8View))]
    }

    fn load(&self, saved: &[ScalarValue]) -> Texts {
        let mut texts = Texts::default();
        if let [ScalarValue::List(list)] = saved {
            let values = list.value(0);
            for text in values.as_string_view().iter().flatten() {
                self.push(&mut texts, text);
            }
        }
        texts
    }

    fn heap_bytes(&self, state: &Texts) -> usize {
        state.bytes * (1 + usize::from(self.distinct))
            + (state.parts.capacity() + state.seen.capacity()) * size_of::<String>()
    }

    fn check(&self, state: &Texts) -> Result<(), SqlError> {
        if self.distinct || state.bytes <= MAX_JOINED {
            return Ok(());
        }
        let message = format!("string_agg() result exceeds max size of {MAX_JOINED} bytes");
        Err(SqlError::new(self.position, message))
    }
}
