//! Aggregates for an operator that numbers the groups itself: the states of all groups, changed by whole stretches of
//! rows. What a row does to a state is the [`Fold`]'s own code here too, so both forms answer alike.

use std::any::Any;
use std::mem::{size_of, take};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::AggregateUDF;

use super::dense::Dense;
use super::fold::{Aggregate, Fold};
use crate::error::SqlError;
use crate::exec::direct::block::BlockZones;

/// The states of all groups of one aggregate.
pub trait Groups: Any + Send {
    /// Makes room for so many groups; new ones have seen no row.
    fn grow(&mut self, groups: usize);
    /// Adds rows that are all of one group.
    fn add_stretch(&mut self, arguments: &[ArrayRef], rows: Range<usize>, group: usize) -> Result<()>;
    /// Returns whether what is known of zones of the only argument can stand for their rows.
    fn is_zoned(&self) -> bool {
        false
    }
    /// As [`Groups::add_stretch`], by what is known of zones where that is enough.
    fn add_zoned(
        &mut self,
        arguments: &[ArrayRef],
        _zones: &BlockZones,
        rows: Range<usize>,
        group: usize,
    ) -> Result<()> {
        self.add_stretch(arguments, rows, group)
    }
    /// Adds every row to the group that is named for it.
    fn add_each(&mut self, arguments: &[ArrayRef], groups: &[u32]) -> Result<()>;
    /// Returns whether [`Groups::add_dense`] is to be used where groups are few.
    fn is_dense(&self) -> bool {
        false
    }
    /// Adds a stretch of the rows, of few groups.
    fn add_dense(&mut self, _arguments: &[ArrayRef], _rows: Range<usize>, _dense: &Dense<'_>) -> Result<()> {
        internal_err!("an aggregate has no way of its own for few groups")
    }
    /// Moves states of `later`, which is of the same aggregate and saw later rows, into states of these: pairs of its group
    /// and ours.
    fn merge(&mut self, later: &mut dyn Groups, pairs: &[(u32, u32)]) -> Result<()>;
    /// Returns the answers of some groups, each named once, whose states are gone then.
    fn answers(&mut self, groups: &[u32]) -> Result<ArrayRef>;
    /// Returns the bytes that are held.
    fn size(&self) -> usize;
}

/// Makes the states of an aggregate.
pub type MakeGroups = Arc<dyn Fn() -> Box<dyn Groups> + Send + Sync>;

/// Returns how the states of an aggregate of ours are made, and whether its answer depends on the order of rows; None for
/// any other aggregate.
pub fn groups_of(function: &AggregateUDF) -> Option<(MakeGroups, bool)> {
    let aggregate = function.inner().downcast_ref::<Aggregate>()?;
    Some((aggregate.make_groups.clone(), aggregate.ordered))
}

/// The states of a fold.
pub struct Folded<F: Fold> {
    fold: Arc<F>,
    states: Vec<F::State>,
    heap_bytes: usize,
}

impl<F: Fold> Folded<F> {
    /// Returns no states yet.
    pub fn new(fold: Arc<F>) -> Folded<F> {
        Folded { fold, states: Vec::new(), heap_bytes: 0 }
    }

    /// Changes a state that may hold memory beside itself.
    fn change(&mut self, group: usize, change: impl FnOnce(&F, &mut F::State)) -> Result<()> {
        let state = &mut self.states[group];
        let before = self.fold.heap_bytes(state);
        change(&self.fold, state);
        self.heap_bytes = self.heap_bytes + self.fold.heap_bytes(state) - before;
        self.fold.check(state).map_err(SqlError::into_datafusion)
    }
}

impl<F: Fold> Groups for Folded<F> {
    fn grow(&mut self, groups: usize) {
        self.states.resize_with(groups, F::State::default);
    }

    fn add_stretch(&mut self, arguments: &[ArrayRef], rows: Range<usize>, group: usize) -> Result<()> {
        let fold = self.fold.clone();
        let columns = fold.columns(arguments);
        if !F::ON_HEAP {
            fold.add_stretch(&mut self.states[group], &columns, rows);
            return Ok(());
        }
        for row in rows {
            self.change(group, |fold, state| fold.add(state, &columns, row))?;
        }
        Ok(())
    }

    fn is_zoned(&self) -> bool {
        F::ZONED
    }

    fn add_zoned(
        &mut self,
        arguments: &[ArrayRef],
        zones: &BlockZones,
        rows: Range<usize>,
        group: usize,
    ) -> Result<()> {
        self.fold.add_zoned(&mut self.states[group], &self.fold.columns(arguments), zones, rows);
        Ok(())
    }

    fn add_each(&mut self, arguments: &[ArrayRef], groups: &[u32]) -> Result<()> {
        let fold = self.fold.clone();
        let columns = fold.columns(arguments);
        if !F::ON_HEAP {
            fold.add_each(&mut self.states, &columns, groups);
            return Ok(());
        }
        for (row, group) in groups.iter().enumerate() {
            self.change(*group as usize, |fold, state| fold.add(state, &columns, row))?;
        }
        Ok(())
    }

    fn is_dense(&self) -> bool {
        F::DENSE && !F::ON_HEAP
    }

    fn add_dense(&mut self, arguments: &[ArrayRef], rows: Range<usize>, dense: &Dense<'_>) -> Result<()> {
        self.fold.add_dense(&mut self.states, &self.fold.columns(arguments), rows, dense);
        Ok(())
    }

    fn merge(&mut self, later: &mut dyn Groups, pairs: &[(u32, u32)]) -> Result<()> {
        let Some(later) = (later as &mut dyn Any).downcast_mut::<Folded<F>>() else {
            return internal_err!("states of two aggregates cannot be merged");
        };
        for (from, to) in pairs {
            let state = take(&mut later.states[*from as usize]);
            match F::ON_HEAP {
                true => self.change(*to as usize, |fold, earlier| fold.merge(earlier, state))?,
                false => self.fold.merge(&mut self.states[*to as usize], state),
            }
        }
        Ok(())
    }

    fn answers(&mut self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(self.fold.answers(groups.iter().map(|group| take(&mut self.states[*group as usize])).collect()))
    }

    fn size(&self) -> usize {
        self.states.capacity() * size_of::<F::State>() + self.heap_bytes
    }
}
