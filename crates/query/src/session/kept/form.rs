//! A query said again with other literals anywhere, or other names for its results: [`Form`].
//!
//! Such a text is bound as every other one: what it means, what its columns are called and what is wrong with it is found out
//! anew. Only if that comes to the very plan that was made before, but for values in the list of results and in LIMIT, the
//! engine's rules are not asked again: the values go into the places that they have in the physical plan. Where those are is
//! learned from two texts of one form ([`Sample`]): a value that differs must be found there, and nothing else may differ.

#[cfg(test)]
mod tests;
mod told;

use datafusion::common::ScalarValue;
use datafusion::execution::session_state::SessionState;
use storage::{ReadView, TableView};

use super::plan::{KeptPlan, Ready};
use super::shape::binding::{Binding, conditions_of, keeps_order};
use crate::exec::direct::values;
use crate::parser::ast::Query;
use crate::planner::Planner;
use crate::planner::relation::Relation;
use crate::session::columns_of;
use crate::session::rules::Parts;
use told::Told;

/// What is kept under the form of a text.
pub enum Forming {
    /// One plan: where its literals are is not known.
    Once(Sample),
    Known(Form),
}

/// A query that was planned as a whole.
pub struct Sample {
    plan: KeptPlan,
    /// None: without conditions.
    binding: Option<Binding>,
    told: Told,
    /// Those of the physical plan.
    values: Vec<ScalarValue>,
    outline: String,
}

/// A query with places for literals.
pub struct Form {
    sample: Sample,
    /// Which of the bound values each one of the physical plan is; None: it is always the same.
    places: Vec<Option<usize>>,
    /// Which of the bound values may differ.
    free: Vec<bool>,
}

impl Sample {
    /// Returns what there is to learn from a query whose plan over a view was made just now; `table` is what it reads. None when
    /// another text of that form would have to be planned anyhow.
    pub fn of(
        planner: &Planner,
        state: &SessionState,
        query: &Query,
        relation: &Relation,
        plan: KeptPlan,
        table: Option<TableView>,
    ) -> Option<Sample> {
        let told = Told::of(&relation.plan)?;
        let (values, outline) = values::read(plan.physical()?)?;
        let binding = match (conditions_of(query), plan.source(), table) {
            (Some(_), Some(source), Some(table)) => Some(Binding::of(planner, state, query, source, table)?),
            (None, ..) => None,
            _ => return None,
        };
        Some(Sample { plan, binding, told, values, outline })
    }
}

impl Sample {
    fn is_like(&self, other: &Sample) -> bool {
        self.told.is_like(&other.told)
            && self.outline == other.outline
            && self.values.len() == other.values.len()
            && self.binding.is_some() == other.binding.is_some()
    }

    fn bound_beside<'s>(&'s self, other: &'s Sample) -> impl Iterator<Item = (&'s ScalarValue, &'s ScalarValue)> {
        self.told.values.iter().zip(&other.told.values)
    }

    /// Returns which bound value each one of the physical plans is that differs; None where that is not known.
    fn places_of_difference(&self, other: &Sample) -> Option<Vec<Option<usize>>> {
        let place = |(a, b): (&ScalarValue, &ScalarValue)| {
            if a == b {
                return Some(None);
            }
            let stands_for =
                |bound: &ScalarValue, value: &ScalarValue| values::like(bound, value).as_ref() == Some(value);
            let is_it = |(bound_a, bound_b): (&ScalarValue, &ScalarValue)| {
                bound_a != bound_b && stands_for(bound_a, a) && stands_for(bound_b, b)
            };
            let mut found = self.bound_beside(other).enumerate().filter(|(_, pair)| is_it(*pair)).map(|(at, _)| at);
            let first = found.next()?;
            found.next().is_none().then_some(Some(first))
        };
        self.values.iter().zip(&other.values).map(place).collect()
    }
}

impl Form {
    /// Returns what two texts of one form have in common.
    ///
    /// # Errors
    /// The second of them, when they do not tell where the values are that differ.
    pub fn learned(one: &Sample, other: Sample) -> Result<Form, Box<Sample>> {
        let found = one.is_like(&other).then(|| one.places_of_difference(&other)).flatten();
        let Some(places) = found else { return Err(Box::new(other)) };
        let free: Vec<bool> = one.bound_beside(&other).map(|(one, other)| one != other).collect();
        let are_all_found = free.iter().enumerate().all(|(at, free)| !free || places.contains(&Some(at)));
        if are_all_found { Ok(Form { sample: other, places, free }) } else { Err(Box::new(other)) }
    }

    /// Returns the plan that the form was learned from.
    pub fn sample(&self) -> &Sample {
        &self.sample
    }

    /// Returns how many values may differ.
    pub fn freedom(&self) -> usize {
        self.free.iter().filter(|free| **free).count()
    }

    /// Returns by what the engine chose its rules.
    pub fn parts(&self) -> Parts {
        self.sample.plan.parts()
    }

    /// Returns a query of that form, bound over a view; None when it must be planned as a whole.
    pub fn ready(
        &self,
        planner: &Planner,
        state: &SessionState,
        query: &Query,
        relation: &Relation,
        view: &ReadView,
    ) -> Option<Ready> {
        let Sample { plan, binding, told: known, .. } = &self.sample;
        let table = plan.tables_of(view)?.pop();
        let told = Told::of(&relation.plan).filter(|told| planner.is_repeatable() && told.is_like(known))?;
        let mut compared = self.free.iter().zip(told.values.iter().zip(&known.values));
        let columns = columns_of(relation);
        if !compared.all(|(free, (now, was))| *free || now == was) || !plan.has_kinds_of(&columns) {
            return None;
        }
        let ready = match (binding, conditions_of(query), plan.source(), table) {
            (Some(binding), Some(conditions), Some(source), Some(table)) if keeps_order(query, &table) => {
                plan.over_source(binding.over(planner, state, &conditions, source, table)?)?
            }
            (None, None, Some(source), Some(table)) => plan.over_source(source.of_view(table))?,
            (None, None, None, None) => plan.ready(view)?,
            _ => return None,
        };
        let places = self.places.iter().map(|place| place.and_then(|at| told.values.get(at)));
        let physical = values::put(&ready.physical, places)?;
        Some(Ready { columns, timestamp_index: relation.time, physical, ..ready })
    }
}
