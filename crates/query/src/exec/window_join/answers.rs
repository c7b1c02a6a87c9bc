//! Aggregates of windows: [`Answers`].
//!
//! Arguments of right columns alone are computed once, for all right rows; a window is then one stretch of them. Where an
//! argument looks at the left row too, or a right row must meet a condition with it, rows are looked at pair by pair (`pairs.rs`).

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::Schema;
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::count::Count;
use datafusion::logical_expr::Accumulator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_common::physical_expr::is_volatile;

use super::arranged::{Arranged, Window};
use super::pairs::{Compiled, Pairs};
use super::run::{Aggregate, Joined};
use crate::exec::direct::source::over;
use crate::exec::group::counts::Counts;
use crate::functions::aggregate::groups::{Groups, MakeGroups, groups_of};

/// Right rows as they are arranged, with what has been computed of them.
pub struct Right {
    pub arranged: Arranged,
    pub rows: RecordBatch,
    /// The arguments of each aggregate that needs no left row.
    pub arguments: Vec<Vec<ArrayRef>>,
}

impl Right {
    /// Returns the bytes of arguments that are no columns of the rows.
    pub fn computed_bytes(&self) -> usize {
        let is_column = |argument: &ArrayRef| self.rows.columns().iter().any(|column| Arc::ptr_eq(column, argument));
        let arguments = self.arguments.iter().flatten().filter(|argument| !is_column(argument));
        arguments.map(|argument| argument.get_array_memory_size()).sum()
    }
}

/// The aggregates of a join.
pub struct Answers {
    aggregates: Vec<Compute>,
    /// What a pair must meet.
    filter: Option<Compiled>,
    prevailing: bool,
    left_columns: usize,
}

struct Compute {
    states: Make,
    args: Args,
}

enum Make {
    Count {
        every_row: bool,
    },
    /// An aggregate of ours.
    Own(MakeGroups),
    Engine(Arc<AggregateFunctionExpr>),
}

impl Make {
    /// Returns whether rows are more than counted.
    fn takes_arguments(&self) -> bool {
        !matches!(self, Make::Count { every_row: true })
    }
}

enum Args {
    /// Over right columns.
    OfRight(Vec<Arc<dyn PhysicalExpr>>),
    OfPairs {
        args: Vec<Compiled>,
        filter: Option<Compiled>,
    },
}

impl Answers {
    /// Compiles the aggregates of a join of sides with these schemas.
    pub fn new(joined: &Joined, left: &Schema, right: &Schema) -> Result<Answers> {
        let left_columns = left.fields().len();
        let fields = left.fields().iter().chain(right.fields()).cloned().collect::<Vec<_>>();
        let both = Schema::new(fields);
        let filter = joined.filter.as_ref().map(|filter| Compiled::new(filter, &both)).transpose()?;
        let compute = |aggregate: &Aggregate| {
            let states = states_of(&aggregate.function);
            let args = if states.takes_arguments() { aggregate.function.expressions() } else { Vec::new() };
            let by_pairs = filter.is_some()
                || aggregate.filter.is_some()
                || args.iter().any(|arg| is_volatile(arg) || reads_left(arg, left_columns));
            let args = match by_pairs {
                true => Args::OfPairs {
                    args: args.iter().map(|arg| Compiled::new(arg, &both)).collect::<Result<_>>()?,
                    filter: aggregate.filter.as_ref().map(|filter| Compiled::new(filter, &both)).transpose()?,
                },
                false => Args::OfRight(args.iter().map(|arg| of_right(arg, left, right)).collect::<Result<_>>()?),
            };
            Ok(Compute { states, args })
        };
        let aggregates = joined.aggregates.iter().map(compute).collect::<Result<Vec<_>>>()?;
        Ok(Answers { aggregates, filter, prevailing: joined.prevailing, left_columns })
    }

    /// Returns the aggregates of a join in which no left row is looked at: their functions, and their arguments over right rows.
    pub fn of_right<'a>(
        aggregates: impl Iterator<Item = (&'a Arc<AggregateFunctionExpr>, Vec<Arc<dyn PhysicalExpr>>)>,
        prevailing: bool,
    ) -> Answers {
        let compute = |(function, args): (&Arc<AggregateFunctionExpr>, Vec<Arc<dyn PhysicalExpr>>)| {
            let states = states_of(function);
            Compute { args: Args::OfRight(if states.takes_arguments() { args } else { Vec::new() }), states }
        };
        Answers { aggregates: aggregates.map(compute).collect(), filter: None, prevailing, left_columns: 0 }
    }

    /// Returns whether windows are to be given with the row in force at their beginning.
    pub fn takes_prevailing(&self) -> bool {
        self.prevailing && self.filter.is_none()
    }

    /// Returns the arguments that need no left row, of all right rows.
    pub fn arguments(&self, right: &RecordBatch) -> Result<Vec<Vec<ArrayRef>>> {
        let of = |compute: &Compute| match &compute.args {
            Args::OfRight(args) => args.iter().map(|arg| arg.evaluate(right)?.into_array(right.num_rows())).collect(),
            Args::OfPairs { .. } => Ok(Vec::new()),
        };
        self.aggregates.iter().map(of).collect()
    }

    /// Returns the values of all aggregates beside left rows with these windows, and the bytes that it took to find them.
    pub fn of(&self, left: &RecordBatch, windows: &[Window], right: &Right) -> Result<(Vec<ArrayRef>, usize)> {
        let mut states: Vec<States> = Vec::with_capacity(self.aggregates.len());
        for compute in &self.aggregates {
            states.push(States::new(&compute.states, windows.len())?);
        }
        for ((compute, states), arguments) in self.aggregates.iter().zip(&mut states).zip(&right.arguments) {
            if let Args::OfRight(_) = compute.args {
                for (row, window) in windows.iter().enumerate().filter(|(_, window)| !window.rows.is_empty()) {
                    states.add_stretch(arguments, window.rows.clone(), row)?;
                }
            }
        }
        if self.aggregates.iter().any(|compute| matches!(compute.args, Args::OfPairs { .. })) {
            let pairs = Pairs { left, right, left_columns: self.left_columns, filter: self.filter.as_ref() };
            pairs.each(windows, self.prevailing, |lefts, rights| self.add_pairs(&pairs, &mut states, lefts, rights))?;
        }
        let bytes = states.iter().map(States::size).sum();
        let values = states.into_iter().map(|states| states.answers(windows.len())).collect::<Result<_>>()?;
        Ok((values, bytes))
    }

    fn add_pairs(&self, pairs: &Pairs, states: &mut [States], lefts: &[u32], rights: &[u32]) -> Result<()> {
        for (compute, states) in self.aggregates.iter().zip(states) {
            let Args::OfPairs { args, filter } = &compute.args else { continue };
            let passing = filter.as_ref().map(|filter| pairs.test(filter, lefts, rights)).transpose()?;
            let (lefts, rights) = match &passing {
                Some(passing) => (picked(lefts, passing), picked(rights, passing)),
                None => (lefts.to_vec(), rights.to_vec()),
            };
            let values = args.iter().map(|arg| pairs.value(arg, &lefts, &rights)).collect::<Result<Vec<ArrayRef>>>()?;
            states.add_each(&values, &lefts)?;
        }
        Ok(())
    }
}

/// Returns those of the rows whose flag is true.
pub fn picked(rows: &[u32], flags: &BooleanArray) -> Vec<u32> {
    rows.iter().zip(flags).filter(|(_, flag)| *flag == Some(true)).map(|(row, _)| *row).collect()
}

/// Returns how the states of an aggregate are kept.
fn states_of(function: &Arc<AggregateFunctionExpr>) -> Make {
    if function.is_distinct() {
        return Make::Engine(function.clone());
    }
    if function.fun().inner().is::<Count>() {
        let every_row =
            |arg: &Arc<dyn PhysicalExpr>| arg.downcast_ref::<Literal>().is_some_and(|l| !l.value().is_null());
        return Make::Count { every_row: function.expressions().iter().all(every_row) };
    }
    match groups_of(function.fun()) {
        Some((make, _)) => Make::Own(make),
        None => Make::Engine(function.clone()),
    }
}

/// Returns whether an expression over both sides looks at left columns.
pub fn reads_left(expr: &Arc<dyn PhysicalExpr>, left_columns: usize) -> bool {
    collect_columns(expr).iter().any(|column| column.index() < left_columns)
}

/// Returns an expression over both sides that looks at right columns alone as one over these.
fn of_right(expr: &Arc<dyn PhysicalExpr>, left: &Schema, right: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let column = |(place, field): (usize, &Arc<arrow::datatypes::Field>)| -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new(field.name(), place))
    };
    // the left ones are never met
    let places = left.fields().iter().enumerate().chain(right.fields().iter().enumerate());
    over(expr, &places.map(column).collect::<Vec<_>>())
}

/// The states of one aggregate, one a left row.
enum States {
    Own(Box<dyn Groups>),
    Engine(Vec<Box<dyn Accumulator>>),
}

impl States {
    fn new(make: &Make, rows: usize) -> Result<States> {
        Ok(match make {
            Make::Count { .. } => States::own(Box::new(Counts::default()), rows),
            Make::Own(make) => States::own(make(), rows),
            Make::Engine(function) => {
                States::Engine((0..rows).map(|_| function.create_accumulator()).collect::<Result<_>>()?)
            }
        })
    }

    fn own(mut groups: Box<dyn Groups>, rows: usize) -> States {
        groups.grow(rows);
        States::Own(groups)
    }

    fn add_stretch(&mut self, arguments: &[ArrayRef], rows: Range<usize>, row: usize) -> Result<()> {
        match self {
            States::Own(groups) => groups.add_stretch(arguments, rows, row),
            States::Engine(states) => {
                let values: Vec<ArrayRef> =
                    arguments.iter().map(|values| values.slice(rows.start, rows.len())).collect();
                states[row].update_batch(&values)
            }
        }
    }

    /// Adds rows of windows, those of each left row beside each other.
    fn add_each(&mut self, arguments: &[ArrayRef], rows: &[u32]) -> Result<()> {
        if let States::Own(groups) = self {
            return groups.add_each(arguments, rows);
        }
        let mut start = 0;
        for stretch in rows.chunk_by(|a, b| a == b) {
            self.add_stretch(arguments, start..start + stretch.len(), stretch[0] as usize)?;
            start += stretch.len();
        }
        Ok(())
    }

    fn answers(self, rows: usize) -> Result<ArrayRef> {
        match self {
            States::Own(mut groups) => groups.answers(&(0..rows as u32).collect::<Vec<_>>()),
            States::Engine(states) => {
                let values = states.into_iter().map(|mut state| state.evaluate()).collect::<Result<Vec<_>>>()?;
                ScalarValue::iter_to_array(values)
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            States::Own(groups) => groups.size(),
            States::Engine(states) => states.iter().map(|state| state.size()).sum(),
        }
    }
}
