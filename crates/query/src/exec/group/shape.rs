//! Which aggregations the operator knows: [`Shape`], read from a plan.

use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, internal_err};
use datafusion::functions_aggregate::count::Count;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::sorts::sort::SortExec;

use super::columns::MOST_SLOTS;
use super::counts::{Counts, Distinct};
use super::stretches::Cut;
use super::whole::bits_of;
use crate::bucket::bucket_of;
use crate::exec::direct::source::over;
use crate::exec::direct::{Order, Source};
use crate::functions::aggregate::groups::{Groups, MakeGroups, groups_of};

/// An aggregation over a source.
#[derive(Clone)]
pub struct Shape {
    pub source: Source,
    /// In the order of the output's first columns; at most one is of buckets.
    pub keys: Vec<Key>,
    pub aggregates: Vec<Aggregate>,
    /// What the aggregates are computed from, each once, over the source's columns.
    pub arguments: Vec<Argument>,
    pub order: Order,
    pub sorted: Option<Sorted>,
    /// What the aggregation's input is made of, over the source's columns, and its names.
    pub inputs: Vec<ProjectionExpr>,
}

/// The order of the groups of one bucket.
#[derive(Clone)]
pub struct Sorted {
    /// Places among the keys, all of them symbols.
    pub by: Vec<(usize, SortOptions)>,
    shown: String,
}

/// Symbols with more texts are sorted by the plain form, which compares only those of groups.
const MOST_TEXTS: u32 = 1 << 16;

/// One part of the key of groups.
#[derive(Clone)]
pub enum Key {
    /// A bucket of the designated timestamp, which is the column of that place.
    Bucket { place: usize, cut: Cut, data_type: DataType },
    /// What an expression makes of the texts of a symbol column; None is the symbol itself.
    Symbol { place: usize, expr: Option<Arc<dyn PhysicalExpr>> },
    /// A whole number, moment, address or truth value.
    Whole { expr: Arc<dyn PhysicalExpr>, data_type: DataType },
}

/// One aggregate: how its states are made, and from which arguments they are fed.
#[derive(Clone)]
pub struct Aggregate {
    pub make: MakeGroups,
    pub arguments: Vec<usize>,
    pub shown: String,
}

/// One argument of aggregates.
#[derive(Clone, PartialEq, Eq)]
pub enum Argument {
    /// A column as it is stored: of a symbol the codes.
    Stored(usize),
    Expr(Arc<dyn PhysicalExpr>),
}

impl Shape {
    /// Returns what is computed of rows: of keys, of arguments, of conditions.
    pub fn expressions(&self) -> impl Iterator<Item = &Arc<dyn PhysicalExpr>> {
        let keys = self.keys.iter().filter_map(|key| match key {
            Key::Bucket { .. } => None,
            Key::Symbol { expr, .. } => expr.as_ref(),
            Key::Whole { expr, .. } => Some(expr),
        });
        let arguments = self.arguments.iter().filter_map(|argument| match argument {
            Argument::Stored(_) => None,
            Argument::Expr(expr) => Some(expr),
        });
        keys.chain(arguments).chain(self.source.conjuncts())
    }

    /// Reads an aggregation; the error says why its shape is not known, and is empty where it is not even near.
    pub fn of(plan: &AggregateExec) -> Result<Shape, String> {
        let groups = plan.group_expr();
        if *plan.mode() != AggregateMode::Single || !(groups.is_single() || groups.expr().is_empty()) {
            return Err(String::new());
        }
        let (source, outputs) = Source::beneath(plan.input()).ok_or_else(String::new)?;
        if plan.filter_expr().iter().any(Option::is_some) {
            return Err("an aggregate has a FILTER".to_owned());
        }
        let schema = plan.schema();
        let mut keys = Vec::new();
        for (place, (expr, _)) in groups.expr().iter().enumerate() {
            let expr = over(expr, &outputs).map_err(|e| e.to_string())?;
            let bucketed = keys.iter().any(|key| matches!(key, Key::Bucket { .. }));
            keys.push(key(&source, &expr, schema.field(place).data_type(), bucketed)?);
        }
        let fields = plan.input().schema();
        let named = outputs.iter().zip(fields.fields());
        let inputs = named.map(|(expr, field)| ProjectionExpr::new(expr.clone(), field.name().clone())).collect();
        let (aggregates, arguments) = (Vec::new(), Vec::new());
        let mut shape = Shape { source, keys, aggregates, arguments, order: Order::Any, sorted: None, inputs };
        for function in plan.aggr_expr() {
            shape.add(function, &outputs)?;
        }
        shape.check_order(plan)?;
        Ok(shape)
    }

    /// Reads an aggregation and the sort on top of it; None where the sort is not by the bucket and by symbols after it.
    pub fn sorted(sort: &SortExec, plan: &AggregateExec) -> Option<Shape> {
        let mut shape = Shape::of(plan).ok()?;
        let by = sort.expr().iter().map(|by| Some((by.expr.downcast_ref::<Column>()?.index(), by.options)));
        let mut by = by.collect::<Option<Vec<_>>>()?;
        if let Some(bucket) = shape.bucket() {
            let (first, options) = by.remove(0);
            if first != bucket || options.descending {
                return None;
            }
        }
        // what is not among the keys is an answer
        let known = |(place, _): &(usize, SortOptions)| matches!(shape.keys.get(*place), Some(Key::Symbol { .. }));
        if by.is_empty() || !by.iter().all(known) {
            return None;
        }
        shape.sorted = Some(Sorted { by, shown: sort.expr().to_string() });
        shape.sorts_few_texts().then_some(shape)
    }

    /// Returns whether the texts of the symbols are few enough for the order of groups, if there is one.
    pub fn sorts_few_texts(&self) -> bool {
        if self.sorted.is_none() {
            return true;
        }
        let keys = self.keys.iter().filter(|key| !matches!(key, Key::Bucket { .. }));
        let mut sizes = keys.map(|key| match key {
            Key::Symbol { place, expr: None } => self.source.view().symbol_count(self.source.column(*place).id),
            _ => None,
        });
        let slots = sizes.try_fold(1usize, |slots, size| match size {
            Some(size) if size <= MOST_TEXTS => slots.checked_mul(size as usize + 1),
            _ => None,
        });
        slots.is_some_and(|slots| slots <= MOST_SLOTS)
    }

    /// Returns the engine's own operators for the shape, given those for it over any source.
    ///
    /// # Errors
    /// A plan that is not one of such an aggregation.
    pub fn plain(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let input: Arc<dyn ExecutionPlan> = match plan.downcast_ref::<AggregateExec>() {
            Some(_) => Arc::new(ProjectionExec::try_new(self.inputs.clone(), self.source.plain()?)?),
            None => match plan.children()[..] {
                [child] => self.plain(child)?,
                _ => return internal_err!("{} is no part of an aggregation", plan.name()),
            },
        };
        plan.clone().replace_children(vec![input], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn add(&mut self, function: &AggregateFunctionExpr, outputs: &[Arc<dyn PhysicalExpr>]) -> Result<(), String> {
        let name = function.human_display().unwrap_or(function.name());
        let args = function.expressions().iter().map(|arg| over(arg, outputs)).collect::<Result<Vec<_>, _>>();
        let args = args.map_err(|e| e.to_string())?;
        if !function.order_bys().is_empty() || function.ignore_nulls() || args.iter().any(is_volatile) {
            return Err(format!("aggregate {name} has an order or a volatile argument"));
        }
        let shown = function.name().to_owned();
        if function.fun().inner().is::<Count>() {
            let [arg] = &args[..] else { return Err(format!("aggregate {name} has {} arguments", args.len())) };
            let (make, arguments) = self.count(arg, function.is_distinct())?;
            self.aggregates.push(Aggregate { make, arguments, shown });
            return Ok(());
        }
        let Some((make, ordered)) = groups_of(function.fun()).filter(|_| !function.is_distinct()) else {
            return Err(format!("aggregate {name} is not known"));
        };
        if ordered {
            self.order = Order::Time;
        }
        let arguments = args.into_iter().map(|arg| self.argument(Argument::Expr(arg))).collect();
        self.aggregates.push(Aggregate { make, arguments, shown });
        Ok(())
    }

    fn count(&mut self, arg: &Arc<dyn PhysicalExpr>, distinct: bool) -> Result<(MakeGroups, Vec<usize>), String> {
        let column = arg.downcast_ref::<Column>().map(Column::index);
        let symbol = column.filter(|place| self.source.is_symbol(*place));
        if !distinct {
            let counts: MakeGroups = Arc::new(|| Box::new(Counts::default()) as Box<dyn Groups>);
            let every_row = arg.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null());
            return Ok(match (every_row, column) {
                (true, _) => (counts, Vec::new()),
                (false, Some(place)) => (counts, vec![self.argument(Argument::Stored(place))]),
                (false, None) => (counts, vec![self.argument(Argument::Expr(arg.clone()))]),
            });
        }
        let distincts: MakeGroups = Arc::new(|| Box::new(Distinct::new()) as Box<dyn Groups>);
        if let Some(place) = symbol {
            return Ok((distincts, vec![self.argument(Argument::Stored(place))]));
        }
        let data_type = arg.data_type(self.source.schema()).map_err(|e| e.to_string())?;
        match bits_of(&data_type) {
            Some(_) => Ok((distincts, vec![self.argument(Argument::Expr(arg.clone()))])),
            None => Err(format!("count_distinct of {data_type}")),
        }
    }

    /// Returns the number of an argument; equal ones are computed once.
    fn argument(&mut self, argument: Argument) -> usize {
        match self.arguments.iter().position(|known| *known == argument) {
            Some(number) => number,
            None => {
                self.arguments.push(argument);
                self.arguments.len() - 1
            }
        }
    }

    /// Returns the place of the bucket among the keys.
    pub fn bucket(&self) -> Option<usize> {
        self.keys.iter().position(|key| matches!(key, Key::Bucket { .. }))
    }

    /// An error if the plan promises an order of its rows that the operator does not keep: it keeps that of buckets.
    fn check_order(&self, plan: &AggregateExec) -> Result<(), String> {
        let kept = |ordering: &LexOrdering| {
            let mut columns =
                ordering.iter().map(|sort| (sort.expr.downcast_ref::<Column>().map(Column::index), sort.options));
            let first = columns
                .next()
                .is_some_and(|(place, options)| place == self.bucket() && place.is_some() && !options.descending);
            first && columns.next().is_none()
        };
        match plan.properties().equivalence_properties().oeq_class().iter().find(|ordering| !kept(ordering)) {
            Some(ordering) => Err(format!("rows are promised in the order of {ordering}")),
            None => Ok(()),
        }
    }
}

fn key(source: &Source, expr: &Arc<dyn PhysicalExpr>, data_type: &DataType, bucketed: bool) -> Result<Key, String> {
    if is_volatile(expr) {
        return Err(format!("key {expr} is volatile"));
    }
    let column = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().map(Column::index);
    let is_time = |place: &usize| !bucketed && source.time() == Some(*place);
    if let Some(place) = column(expr).filter(is_time) {
        return Ok(Key::Bucket { place, cut: Cut::Moment, data_type: data_type.clone() });
    }
    if let Some((grid, argument)) = bucket_of(expr)
        && let Some(place) = column(argument).filter(is_time)
    {
        return Ok(Key::Bucket { place, cut: Cut::Grid(grid), data_type: data_type.clone() });
    }
    let mut places: Vec<usize> = collect_columns(expr).iter().map(Column::index).collect();
    places.dedup();
    match places[..] {
        [place] if source.is_symbol(place) => {
            let itself = column(expr).is_some();
            Ok(Key::Symbol { place, expr: (!itself).then(|| expr.clone()) })
        }
        _ if bits_of(data_type).is_some() => Ok(Key::Whole { expr: expr.clone(), data_type: data_type.clone() }),
        _ => Err(format!("key {expr} is {data_type}")),
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Bucket { cut: Cut::Grid(grid), .. } => write!(f, "bucket {grid}"),
            Key::Bucket { cut: Cut::Moment, .. } => write!(f, "moment"),
            Key::Symbol { place, expr: None } => write!(f, "codes of @{place}"),
            Key::Symbol { place, expr: Some(expr) } => write!(f, "codes of @{place} by {expr}"),
            Key::Whole { expr, .. } => write!(f, "number {expr}"),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.keys.iter().map(Key::to_string).collect();
        let aggregates: Vec<&str> = self.aggregates.iter().map(|a| a.shown.as_str()).collect();
        write!(f, "keys=[{}], values=[{}], ", keys.join(", "), aggregates.join(", "))?;
        if let Some(sorted) = &self.sorted {
            write!(f, "in the order of [{}], ", sorted.shown)?;
        }
        write!(f, "on: {}", self.source)
    }
}
