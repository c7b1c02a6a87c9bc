//! What a text was found to mean, and its values beside it: [`Told`].

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::exec::latest_on::LatestOn;

/// A bound plan without the values that may differ.
pub struct Told {
    nodes: Vec<Node>,
    /// Those of the list of results and of LIMIT, as they were met.
    pub values: Vec<ScalarValue>,
}

/// One node of a plan with one input at most.
#[derive(PartialEq)]
struct Node {
    name: String,
    exprs: Vec<Expr>,
}

impl Told {
    /// Returns what a plan, fresh from the planner, says; None for one of which more is to be known than is looked at here.
    pub fn of(plan: &LogicalPlan) -> Option<Told> {
        let mut told = Told { nodes: Vec::new(), values: Vec::new() };
        // what is above all groups decides over no group, no order and no row but by LIMIT
        let (mut on_top, mut next) = (true, Some(plan));
        while let Some(node) = next {
            on_top &= matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_));
            told.add(node, on_top)?;
            let inputs = node.inputs();
            next = inputs.first().copied();
            if inputs.len() > 1 {
                return None;
            }
        }
        Some(told)
    }

    /// Returns whether both are the same plan but for their values, which are of the same types.
    pub fn is_like(&self, other: &Told) -> bool {
        self.nodes == other.nodes && self.values.len() == other.values.len()
    }

    fn add(&mut self, node: &LogicalPlan, on_top: bool) -> Option<()> {
        let name = match node {
            LogicalPlan::Projection(_) => "projection".to_owned(),
            LogicalPlan::Limit(_) => "limit".to_owned(),
            LogicalPlan::Sort(sort) => {
                let orders: Vec<_> = sort.expr.iter().map(|by| (by.asc, by.nulls_first)).collect();
                format!("sort {orders:?} {:?}", sort.fetch)
            }
            LogicalPlan::Aggregate(aggregate) => format!("aggregate {}", aggregate.group_expr.len()),
            LogicalPlan::SubqueryAlias(_) => "alias".to_owned(),
            LogicalPlan::EmptyRelation(empty) => format!("empty {}", empty.produce_one_row),
            LogicalPlan::TableScan(scan) => format!("{} {:?} {:?}", scan.table_name, scan.projection, scan.fetch),
            // its literals are bound anew by those who ask
            LogicalPlan::Filter(_) => {
                self.nodes.push(Node { name: "filter".to_owned(), exprs: Vec::new() });
                return Some(());
            }
            LogicalPlan::Extension(own) if own.node.as_any().is::<LatestOn>() => "latest".to_owned(),
            _ => return None,
        };
        let takes_values = on_top && matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Limit(_));
        let exprs = node.expressions().into_iter().map(|expr| self.without_names(expr, takes_values));
        let exprs = exprs.collect::<Result<_>>().ok()?;
        self.nodes.push(Node { name, exprs });
        Some(())
    }

    /// Returns an expression with the numbers of fields in the place of their names, and without its values if it is to give them.
    fn without_names(&mut self, expr: Expr, takes_values: bool) -> Result<Expr> {
        let mut values = Vec::new();
        let done = expr.transform_down(|expr| {
            Ok(match expr {
                Expr::Column(Column { relation: None, name, spans }) => {
                    Transformed::yes(Expr::Column(Column { relation: None, name: number_of(name), spans }))
                }
                Expr::Alias(Alias { expr, relation, name, metadata }) => {
                    Transformed::yes(Expr::Alias(Alias { expr, relation, name: number_of(name), metadata }))
                }
                Expr::Literal(value, metadata) if takes_values => {
                    let kind = ScalarValue::try_from(&value.data_type())?;
                    values.push(value);
                    Transformed::yes(Expr::Literal(kind, metadata))
                }
                // the engine computes it once, whatever it does with the result: no place may have its value by chance
                expr if is_constant(&expr)? => Transformed::new(expr, false, TreeNodeRecursion::Jump),
                expr => Transformed::no(expr),
            })
        })?;
        self.values.append(&mut values);
        Ok(done.data)
    }
}

/// Returns the number at the end of a field's name, by which it differs from all others of its statement; before that is what
/// the statement calls it.
fn number_of(name: String) -> String {
    let is_number = |end: &str| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit());
    match name.rsplit_once(':').filter(|(_, end)| is_number(end)) {
        Some((_, end)) => format!(":{end}"),
        None => name,
    }
}

fn is_constant(expr: &Expr) -> Result<bool> {
    let varies = |part: &Expr| {
        Ok(matches!(part, Expr::Column(_) | Expr::AggregateFunction(_) | Expr::WindowFunction(_))
            || part.is_volatile_node())
    };
    Ok(!expr.exists(varies)?)
}
