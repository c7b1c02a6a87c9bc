//! One shape for all aggregates: a state for each group, a row at a time in one tight loop over a batch.

use std::hash::{Hash, Hasher};
use std::mem::size_of;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::stats::Precision;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, StatisticsArgs, Volatility,
};
use datafusion::physical_expr::expressions::Column;

use super::super::typed::Typed;
use super::dense::Dense;
use super::groups::{Folded, MakeGroups};
use crate::error::SqlError;
use crate::exec::direct::block::BlockZones;
use crate::kind::Kind;

/// What an aggregate keeps for a group and how rows change it.
///
/// `save` and `load` carry states to disk when a statement needs more memory than it has.
pub trait Fold: Send + Sync + 'static {
    type State: Default + Send;
    type Columns<'a>;
    /// Whether a state holds memory beside itself.
    const ON_HEAP: bool = false;
    /// Whether the answer depends on the order of rows, beyond the rounding of sums.
    const ORDERED: bool = true;
    /// Whether [`Fold::add_zoned`] makes use of zones; no such state is on the heap.
    const ZONED: bool = false;
    /// Whether [`Fold::add_dense`] is more than one row after the other.
    const DENSE: bool = false;

    /// Returns readers of the arguments of a batch.
    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> Self::Columns<'a>;
    /// Adds a row.
    fn add(&self, state: &mut Self::State, columns: &Self::Columns<'_>, row: usize);
    /// Adds rows to one state.
    fn add_stretch(&self, state: &mut Self::State, columns: &Self::Columns<'_>, rows: Range<usize>) {
        for row in rows {
            self.add(state, columns, row);
        }
    }
    /// Adds rows to one state, by what is known of zones of the only argument where that is enough.
    fn add_zoned(&self, state: &mut Self::State, columns: &Self::Columns<'_>, _zones: &BlockZones, rows: Range<usize>) {
        self.add_stretch(state, columns, rows);
    }
    /// Adds every row to the state that is named for it.
    fn add_each(&self, states: &mut [Self::State], columns: &Self::Columns<'_>, groups: &[u32]) {
        for (row, group) in groups.iter().enumerate() {
            self.add(&mut states[*group as usize], columns, row);
        }
    }
    /// Adds rows of few groups; `columns` are those of all rows.
    fn add_dense(
        &self,
        states: &mut [Self::State],
        columns: &Self::Columns<'_>,
        rows: Range<usize>,
        dense: &Dense<'_>,
    ) {
        rows.zip(dense.of_rows()).for_each(|(row, group)| self.add(&mut states[group], columns, row));
    }
    /// Adds the state of later rows.
    fn merge(&self, state: &mut Self::State, later: Self::State);
    /// Returns the answers, one a state.
    fn answers(&self, states: Vec<Self::State>) -> ArrayRef;
    /// Returns the types of what `save` gives.
    fn saved_types(&self) -> Vec<DataType>;
    /// Returns a state as values.
    fn save(&self, state: &Self::State) -> Vec<ScalarValue>;
    /// Returns the state of saved values.
    fn load(&self, saved: &[ScalarValue]) -> Self::State;
    /// Returns the bytes that a state holds on the heap.
    fn heap_bytes(&self, _state: &Self::State) -> usize {
        0
    }
    /// An error when a state on the heap has become larger than it may be.
    fn check(&self, _state: &Self::State) -> Result<(), SqlError> {
        Ok(())
    }
}

/// Returns the call of an aggregate as a typed expression.
pub fn call<F: Fold>(name: &str, fold: F, args: Vec<Typed>, kind: Kind, position: usize) -> Typed {
    let fold = Arc::new(fold);
    let same = fold.clone();
    let types = args.iter().map(|a| a.kind.name()).collect::<Vec<_>>().join(" ");
    let udf = Aggregate {
        name: name.to_owned(),
        key: format!("{name} {types} {kind}"),
        returns: kind.arrow(),
        saved: fold.saved_types(),
        signature: Signature::any(args.len(), Volatility::Immutable),
        make: Arc::new(move || Box::new(Grouped { fold: fold.clone(), states: Vec::new(), heap_bytes: 0 })),
        make_groups: Arc::new(move || Box::new(Folded::new(same.clone()))),
        ordered: F::ORDERED,
    };
    let args = args.into_iter().map(|a| a.expr).collect();
    let udf = Arc::new(AggregateUDF::new_from_impl(udf));
    let call = AggregateFunction::new_udf(udf, args, false, None, vec![], None);
    Typed::new(Expr::AggregateFunction(call), kind, position)
}

type MakeAccumulator = dyn Fn() -> Box<dyn GroupsAccumulator> + Send + Sync;

/// An aggregate of ours as DataFusion sees it; equal when name and types are.
pub struct Aggregate {
    name: String,
    key: String,
    returns: DataType,
    saved: Vec<DataType>,
    signature: Signature,
    make: Arc<MakeAccumulator>,
    pub(super) make_groups: MakeGroups,
    pub(super) ordered: bool,
}

impl std::fmt::Debug for Aggregate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.key)
    }
}

impl PartialEq for Aggregate {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Aggregate {}

impl Hash for Aggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl AggregateUDFImpl for Aggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> DfResult<DataType> {
        Ok(self.returns.clone())
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> DfResult<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup { groups: Mutex::new((self.make)()), of_rows: Vec::new() }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DfResult<Vec<FieldRef>> {
        let field = |(i, t): (usize, &DataType)| Arc::new(Field::new(format!("{}[{i}]", args.name), t.clone(), true));
        Ok(self.saved.iter().enumerate().map(field).collect())
    }

    /// The bounds of a whole table's time are known: they need no scan.
    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        let [argument] = args.exprs else { return None };
        let column = argument.downcast_ref::<Column>()?;
        let known = args.statistics.column_statistics.get(column.index())?;
        let bound = match self.name.as_str() {
            "min" => &known.min_value,
            "max" => &known.max_value,
            _ => return None,
        };
        match bound {
            Precision::Exact(value) if value.data_type() == self.returns => Some(value.clone()),
            _ => None,
        }
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _args: AccumulatorArgs) -> DfResult<Box<dyn GroupsAccumulator>> {
        Ok((self.make)())
    }
}

/// The states of all groups.
struct Grouped<F: Fold> {
    fold: Arc<F>,
    states: Vec<F::State>,
    heap_bytes: usize,
}

impl<F: Fold> Grouped<F> {
    fn take(&mut self, emit_to: EmitTo) -> Vec<F::State> {
        let states = emit_to.take_needed(&mut self.states);
        if F::ON_HEAP {
            self.heap_bytes = self.states.iter().map(|s| self.fold.heap_bytes(s)).sum();
        }
        states
    }

    /// Returns states as columns.
    fn saved(&self, states: &[F::State]) -> DfResult<Vec<ArrayRef>> {
        let rows: Vec<Vec<ScalarValue>> = states.iter().map(|s| self.fold.save(s)).collect();
        let column = |(i, t): (usize, &DataType)| match rows.is_empty() {
            true => Ok(arrow::array::new_empty_array(t)),
            false => ScalarValue::iter_to_array(rows.iter().map(|row| row[i].clone())),
        };
        self.fold.saved_types().iter().enumerate().map(column).collect()
    }

    /// Changes the state of a group and keeps count of the memory that it holds.
    fn change(&mut self, group: usize, change: impl FnOnce(&F, &mut F::State)) -> DfResult<()> {
        let state = &mut self.states[group];
        if !F::ON_HEAP {
            change(&self.fold, state);
            return Ok(());
        }
        let before = self.fold.heap_bytes(state);
        change(&self.fold, state);
        self.heap_bytes = self.heap_bytes + self.fold.heap_bytes(state) - before;
        self.fold.check(state).map_err(SqlError::into_datafusion)
    }
}

impl<F: Fold> GroupsAccumulator for Grouped<F> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> DfResult<()> {
        self.states.resize_with(total_num_groups, F::State::default);
        let fold = self.fold.clone();
        let columns = fold.columns(values);
        if let ([only], None, false) = (&mut self.states[..], opt_filter, F::ON_HEAP) {
            fold.add_stretch(only, &columns, 0..group_indices.len());
            return Ok(());
        }
        for (row, group) in group_indices.iter().enumerate() {
            if opt_filter.is_none_or(|f| f.is_valid(row) && f.value(row)) {
                self.change(*group, |fold, state| fold.add(state, &columns, row))?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> DfResult<ArrayRef> {
        let states = self.take(emit_to);
        Ok(self.fold.answers(states))
    }

    fn state(&mut self, emit_to: EmitTo) -> DfResult<Vec<ArrayRef>> {
        let states = self.take(emit_to);
        self.saved(&states)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> DfResult<Vec<ArrayRef>> {
        let columns = self.fold.columns(values);
        let state = |row: usize| {
            let mut state = F::State::default();
            if opt_filter.is_none_or(|f| f.is_valid(row) && f.value(row)) {
                self.fold.add(&mut state, &columns, row);
            }
            state
        };
        let rows = values.first().map_or(0, |a| a.len());
        self.saved(&(0..rows).map(state).collect::<Vec<_>>())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> DfResult<()> {
        self.states.resize_with(total_num_groups, F::State::default);
        for (row, group) in group_indices.iter().enumerate() {
            let saved = values.iter().map(|a| ScalarValue::try_from_array(a, row)).collect::<DfResult<Vec<_>>>()?;
            let later = self.fold.load(&saved);
            self.change(*group, |fold, state| fold.merge(state, later))?;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.states.capacity() * size_of::<F::State>() + self.heap_bytes
    }
}

/// An aggregate without keys: all rows are one group. The lock is never waited for: it only lets references be shared.
struct OneGroup {
    groups: Mutex<Box<dyn GroupsAccumulator>>,
    /// The group of each row of the largest batch: the first.
    of_rows: Vec<usize>,
}

impl OneGroup {
    /// Returns the accumulator, which knows the group even before its first row.
    fn groups(&mut self) -> DfResult<&mut Box<dyn GroupsAccumulator>> {
        let groups = self.groups.get_mut().unwrap_or_else(PoisonError::into_inner);
        groups.merge_batch(&[], &[], 1)?;
        Ok(groups)
    }
}

impl std::fmt::Debug for OneGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("one group")
    }
}

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let rows = values.first().map_or(0, |a| a.len());
        let mut of_rows = std::mem::take(&mut self.of_rows);
        if of_rows.len() < rows {
            of_rows.resize(rows, 0);
        }
        let added = self.groups()?.update_batch(values, &of_rows[..rows], None, 1);
        self.of_rows = of_rows;
        added
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        ScalarValue::try_from_array(&self.groups()?.evaluate(EmitTo::All)?, 0)
    }

    fn size(&self) -> usize {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner).size();
        groups + self.of_rows.capacity() * size_of::<usize>()
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        self.groups()?.state(EmitTo::All)?.iter().map(|a| ScalarValue::try_from_array(a, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let rows = states.first().map_or(0, |a| a.len());
        self.groups()?.merge_batch(states, &vec![0; rows], 1)
    }
}

/// Returns the DOUBLE column of an argument.
pub fn doubles(array: &ArrayRef) -> &arrow::array::Float64Array {
    array.as_primitive()
}

/// Returns the DOUBLE at a row; None is NULL.
pub fn double_at(array: &arrow::array::Float64Array, row: usize) -> Option<f64> {
    array.is_valid(row).then(|| array.value(row))
}

/// Returns a saved DOUBLE.
pub fn saved_double(value: &ScalarValue) -> f64 {
    match value {
        ScalarValue::Float64(Some(v)) => *v,
        _ => 0.0,
    }
}

/// Returns a saved LONG.
pub fn saved_long(value: &ScalarValue) -> i64 {
    match value {
        ScalarValue::Int64(Some(v)) => *v,
        _ => 0,
    }
}

/// Returns a saved BOOLEAN.
pub fn saved_flag(value: &ScalarValue) -> bool {
    matches!(value, ScalarValue::Boolean(Some(true)))
}
