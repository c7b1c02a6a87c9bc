//! UNNEST in FROM: a row for each element of the arrays of the row to its left.
//!
//! One dimension is taken off. Shorter arrays are padded with NULL, a row without any element gives no row, NULL elements
//! are elements. Not in 9.3.4; the rules are those of later versions. A constant text in PostgreSQL's form of an array is
//! a list, too.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Builder, ListBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Column as PlanColumn, NullHandling, Result as DfResult, ScalarValue, UnnestOptions};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::relation::{Column, Relation};
use super::scope::Scope;
use super::{Ctes, Planner, build, lists, plan_error};
use crate::error::SqlError;
use crate::kind::Kind;
use crate::parser::ast::{Expr as Tree, ExprKind, RelationRef, Source};

/// Returns the arguments of UNNEST when the source is one.
pub fn arguments(source: &Source) -> Option<&[Tree]> {
    match &source.relation {
        RelationRef::Function(Tree { kind: ExprKind::Call { name, args, .. }, .. })
            if name.eq_ignore_ascii_case("unnest") =>
        {
            Some(args)
        }
        _ => None,
    }
}

/// Returns the rows of `left`, each beside the elements of its arrays.
pub fn unnest(
    planner: &Planner,
    left: Relation,
    source: &Source,
    args: &[Tree],
    ctes: Ctes,
) -> Result<Relation, SqlError> {
    let scope = Scope { columns: &left.columns, time: left.time, ctes, ..Scope::constants(planner) };
    let mut exprs: Vec<Expr> = left.columns.iter().map(Column::expr).collect();
    let mut arrays = Vec::new();
    let mut added = Vec::new();
    let alias = source.alias.as_ref().map_or("unnest", |alias| &alias.name);
    for (i, tree) in args.iter().enumerate() {
        let value = scope.bind(tree)?;
        let texts = value.as_text().and_then(lists::elements);
        let (list, kind) = match (value.kind, texts) {
            (Kind::Array(1), _) => (value.expr, Kind::Double),
            (Kind::Array(dims), _) => (value.expr, Kind::Array(dims - 1)),
            (_, Some(texts)) => (list_of(texts), Kind::String),
            (kind, None) => {
                return Err(SqlError::new(source.position, format!("unknown function name: UNNEST({kind})")));
            }
        };
        let own = if args.len() == 1 { "value".to_owned() } else { format!("value{}", i + 1) };
        let field = planner.new_field(&own);
        exprs.push(list.clone().alias(&field));
        arrays.push(list);
        added.push(Column { table: Some(alias.to_owned()), name: own, kind, field, visible: true });
    }
    if source.ordinality {
        let field = planner.new_field("ordinality");
        let positions = ScalarUDF::new_from_impl(Positions::of(arrays.len())).call(arrays);
        exprs.push(positions.alias(&field));
        let name = "ordinality".to_owned();
        added.push(Column { table: Some(alias.to_owned()), name, kind: Kind::Long, field, visible: true });
    }
    for (column, name) in added.iter_mut().zip(&source.columns) {
        column.name.clone_from(&name.name);
    }
    let lists = added.iter().map(|c| PlanColumn::new_unqualified(&c.field)).collect();
    let options = UnnestOptions { null_handling: NullHandling::Drop, ..UnnestOptions::default() };
    let plan = build(|b| b.project(exprs), left.plan.clone())?;
    let plan = LogicalPlanBuilder::from(plan)
        .unnest_columns_with_options(lists, options)
        .and_then(LogicalPlanBuilder::build)
        .map_err(plan_error)?;
    let (time, ascending) = (left.time, left.ascending);
    let columns = left.columns.into_iter().chain(added).collect();
    Ok(Relation { plan, columns, time, ascending, is_table: false, is_sorted: left.is_sorted })
}

/// Returns the constant list of some texts, as `'{a,b}'` stands for one.
fn list_of(texts: Vec<Option<String>>) -> Expr {
    let texts: Vec<ScalarValue> = texts.into_iter().map(ScalarValue::Utf8View).collect();
    Expr::Literal(ScalarValue::List(ScalarValue::new_list_nullable(&texts, &DataType::Utf8View)), None)
}

/// The numbers from 1 to the length of the longest of some arrays.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Positions {
    signature: Signature,
}

impl Positions {
    fn of(arrays: usize) -> Positions {
        Positions { signature: Signature::any(arrays, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Positions {
    fn name(&self) -> &str {
        "positions"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let arrays = args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<DfResult<Vec<ArrayRef>>>()?;
        let length = |array: &ArrayRef, row: usize| match array.is_valid(row) {
            true => array.as_list::<i32>().value_length(row),
            false => 0,
        };
        let mut lists = ListBuilder::new(Int64Builder::new());
        for row in 0..args.number_rows {
            let longest = arrays.iter().map(|array| length(array, row)).max().unwrap_or(0);
            (1..=i64::from(longest)).for_each(|n| lists.values().append_value(n));
            lists.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(lists.finish())))
    }
}
