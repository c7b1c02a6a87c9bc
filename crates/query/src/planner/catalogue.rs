//! What only PostgreSQL's tools write: casts to registry types, and queries of catalogue relations that never have rows.
//!
//! A query that joins such a relation has no rows whatever its expressions are, so psql's and the drivers' questions about
//! policies, publications and their like are answered without knowing every function in them.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::conditional_expressions::CaseBuilder;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, case};

use super::outputs::{self, Origin, Output};
use super::relation::{Relation, unqualified};
use super::scope::Scope;
use super::{Ctes, Planner, build, plan_error};
use crate::error::SqlError;
use crate::functions::{self, Call, Typed};
use crate::kind::Kind;
use crate::parser::ast::{
    Binary, Body, Expr as Tree, ExprKind, Ident, Item, JoinKind, Query, RelationRef, Select, SetOp, Source,
};

impl Planner<'_> {
    /// Returns whether a query is known to have no rows.
    pub(super) fn never_has_rows(&self, query: &Query, ctes: Ctes) -> bool {
        query.with.is_empty() && self.body_never_has_rows(&query.body, ctes)
    }

    fn body_never_has_rows(&self, body: &Body, ctes: Ctes) -> bool {
        match body {
            Body::Select(select) => self.select_never_has_rows(select, ctes),
            Body::Nested(query) => self.never_has_rows(query, ctes),
            Body::Set { op: SetOp::Union, left, right, .. } => {
                self.body_never_has_rows(left, ctes) && self.body_never_has_rows(right, ctes)
            }
            Body::Set { left, .. } => self.body_never_has_rows(left, ctes),
            Body::Show(_) => false,
        }
    }

    /// Returns whether a SELECT is known to have no rows.
    pub(super) fn select_never_has_rows(&self, select: &Select, ctes: Ctes) -> bool {
        let Some(from) = &select.from else { return false };
        // An aggregate without groups answers one row about no rows.
        let counts = select.items.iter().any(|item| matches!(item, Item::Expr { expr, .. } if has_aggregate(expr)));
        if counts && select.group_by.is_none() {
            return false;
        }
        // Arrays of stored tables have elements; those of the catalogue's relations are not there.
        let stored = |source: &Source| match &source.relation {
            RelationRef::Table(name) => self.has_relation(name),
            RelationRef::TableAt { .. } => true,
            _ => false,
        };
        if stored(&from.first) || from.joins.iter().any(|join| stored(&join.source)) {
            return false;
        }
        // PostgreSQL's own dialect knows the functions of types.
        let reads = |wanted: &str| {
            let is = |source: &Source| match &source.relation {
                RelationRef::Table(name) => functions::catalog::plain_name(&name.name).eq_ignore_ascii_case(wanted),
                _ => false,
            };
            is(&from.first) || from.joins.iter().any(|join| is(&join.source))
        };
        if reads("pg_proc") && reads("pg_type") {
            return false;
        }
        let mut nothing = self.source_never_has_rows(&from.first, ctes);
        for join in &from.joins {
            let right = self.source_never_has_rows(&join.source, ctes);
            nothing = match join.kind {
                JoinKind::Inner | JoinKind::Cross => nothing || right,
                JoinKind::Left | JoinKind::Asof | JoinKind::Lt | JoinKind::Window => nothing,
                JoinKind::Right => right,
                JoinKind::Full | JoinKind::Splice => nothing && right,
            };
        }
        nothing
    }

    /// Returns whether there is a table or a view of that name.
    fn has_relation(&self, name: &Ident) -> bool {
        let name = unqualified(&name.name);
        self.view().table(name).is_some() || self.view().sql_view(name).is_some()
    }

    fn source_never_has_rows(&self, source: &Source, ctes: Ctes) -> bool {
        match &source.relation {
            RelationRef::Table(name) => {
                let own = ctes.find(&name.name.to_lowercase()).is_some() || self.has_relation(name);
                !own && functions::catalog::is_empty(&name.name)
            }
            RelationRef::TableAt { .. } => false,
            RelationRef::Query(query) => self.never_has_rows(query, ctes),
            // There are no arrays in the catalogue, so nothing comes out of one.
            RelationRef::Function(call) => {
                let of_nothing = |args: &[Tree]| !args.iter().all(is_list);
                matches!(&call.kind, ExprKind::Call { name, args, .. } if name.eq_ignore_ascii_case("unnest") && of_nothing(args))
            }
        }
    }

    /// Returns the columns of a SELECT that has no rows, as texts; None where they cannot be told from the list.
    pub(super) fn without_rows(&self, select: &Select) -> Option<Result<Relation, SqlError>> {
        let output = |item: &Item| match item {
            Item::Expr { expr, alias } => Some(Output {
                value: Typed::null(expr.position).with_kind(Kind::String),
                origin: Origin::Item { tree: expr.clone(), alias: alias.as_ref().map(|a| a.name.clone()) },
                own_name: String::new(),
            }),
            Item::Star { .. } => None,
        };
        let outputs: Vec<Output> = select.items.iter().map(output).collect::<Option<_>>()?;
        if outputs.is_empty() {
            return None;
        }
        let named = outputs.iter().zip(outputs::names(&outputs));
        let columns: Vec<_> =
            named.map(|(o, name)| outputs::column(name.clone(), &o.value, self.field(&name))).collect();
        let null = || Expr::Literal(ScalarValue::Utf8View(None), None);
        let exprs: Vec<Expr> = columns.iter().map(|column| null().alias(&column.field)).collect();
        let plan = LogicalPlanBuilder::empty(false).build().map_err(plan_error);
        let plan = plan.and_then(|empty| build(|b| b.project(exprs), empty));
        Some(plan.map(|plan| Relation {
            plan,
            columns,
            time: None,
            ascending: false,
            is_sorted: false,
            is_table: false,
        }))
    }
}

fn has_aggregate(tree: &Tree) -> bool {
    match &tree.kind {
        ExprKind::Call { name, args, .. } => {
            functions::aggregate::is_aggregate(&name.to_ascii_lowercase()) || args.iter().any(has_aggregate)
        }
        ExprKind::Unary { arg, .. } | ExprKind::Cast { arg, .. } | ExprKind::IsNull { arg, .. } => has_aggregate(arg),
        ExprKind::Binary { left, right, .. } => has_aggregate(left) || has_aggregate(right),
        ExprKind::Case { operand, branches, otherwise } => {
            let branch = |(condition, result): &(Tree, Tree)| has_aggregate(condition) || has_aggregate(result);
            operand.as_deref().is_some_and(has_aggregate)
                || branches.iter().any(branch)
                || otherwise.as_deref().is_some_and(has_aggregate)
        }
        ExprKind::In { value, list, .. } => has_aggregate(value) || list.iter().any(has_aggregate),
        ExprKind::Between { value, low, high, .. } => [value, low, high].into_iter().any(|t| has_aggregate(t)),
        _ => false,
    }
}

/// Binds a sub-query that stands for a value; None if it may have rows.
pub fn scalar(scope: &Scope, query: &Query, position: usize) -> Option<Typed> {
    let nothing = scope.planner.never_has_rows(query, scope.ctes);
    nothing.then(|| Typed::literal(Kind::String.null(), Kind::String, position))
}

/// Returns whether an expression is a list of texts by itself: a constant one or `current_schemas(true)`.
fn is_list(tree: &Tree) -> bool {
    match &tree.kind {
        ExprKind::Text(_) => true,
        ExprKind::Cast { arg, .. } => is_list(arg),
        ExprKind::Call { name, .. } => functions::catalog::plain_name(name).eq_ignore_ascii_case("current_schemas"),
        _ => false,
    }
}

/// Binds `ARRAY(SELECT …)`; None if it is none or may have rows.
pub fn array(scope: &Scope, name: &str, args: &[Tree], position: usize) -> Option<Typed> {
    match args {
        [Tree { kind: ExprKind::Query(query), .. }] if name.eq_ignore_ascii_case("array") => {
            let nothing = scope.planner.never_has_rows(query, scope.ctes);
            nothing.then(|| Typed::text("{}", position))
        }
        _ => None,
    }
}

/// Binds `typreceive <> 0`, as ADBC asks: a type's function is its name here, and the number 0 is no function, shown as `-`.
pub fn against_no_function(
    scope: &Scope,
    op: Binary,
    left: &Tree,
    right: &Tree,
    position: usize,
) -> Result<Option<Typed>, SqlError> {
    let (ExprKind::Name { name, .. }, ExprKind::Number(number)) = (&left.kind, &right.kind) else { return Ok(None) };
    if !functions::catalog::names_function(name) || number != "0" || !matches!(op, Binary::Eq | Binary::Ne) {
        return Ok(None);
    }
    let function = scope.bind(left)?;
    if !function.kind.is_text() {
        return Ok(None);
    }
    let none = Typed::text("-", right.position).with_kind(Kind::String);
    functions::operators::binary(super::scope::binary_op(op), function, none, position).map(Some)
}

/// Binds a cast to a type that only PostgreSQL's catalogue has; None for every other type.
pub fn cast(scope: &Scope, arg: &Tree, type_name: &str, position: usize) -> Result<Option<Typed>, SqlError> {
    let to = match type_name.to_ascii_lowercase().as_str() {
        "regclass" => {
            if let ExprKind::Text(name) = &arg.kind {
                return relation_number(scope, name, arg.position).map(Some);
            }
            Kind::String
        }
        "regtype" => {
            let args = vec![scope.bind(arg)?, Typed::int(-1, position)];
            let call = Call::new("format_type", position, args);
            return functions::scalar(&call, scope.planner.environment).map(Some);
        }
        // No function and no other schema has a number here.
        "regproc" | "regprocedure" | "regnamespace" if matches!(arg.kind, ExprKind::Text(_)) => {
            return Ok(Some(Typed::literal(Kind::Int.null(), Kind::Int, position)));
        }
        "regproc" | "regprocedure" | "regnamespace" | "name" => Kind::String,
        "oid" => Kind::Int,
        // There are no lists of texts: one stands for itself, see `lists`.
        "text[]" | "varchar[]" | "name[]" | "char[]" => Kind::String,
        _ => return Ok(None),
    };
    functions::cast::explicit(scope.bind(arg)?, to, position).map(Some)
}

/// Binds pg_table_size(oid) and its kin: the bytes of a table's segments, NULL for what is no table.
pub fn relation_size(scope: &Scope, call: &Call) -> Result<Typed, SqlError> {
    let [relation] = call.args.as_slice() else { return Err(call.no_match()) };
    let relation = functions::cast::implicit(relation.clone(), Kind::Int)?;
    let null = || Expr::Literal(Kind::Long.null(), None);
    let mut sizes = None;
    for table in scope.planner.view().tables() {
        let bytes: u64 = table.partitions().map_err(|e| SqlError::from_storage(&e))?.iter().map(|p| p.size_bytes).sum();
        let (number, bytes) = (Typed::int(table.id().0 as i32, 0).expr, Typed::long(bytes as i64, 0).expr);
        let cases: &mut CaseBuilder = sizes.get_or_insert_with(|| case(relation.expr.clone()));
        cases.when(number, bytes);
    }
    let sizes = sizes.map_or_else(|| Ok(null()), |mut cases| cases.otherwise(null()));
    Ok(Typed::new(sizes.map_err(plan_error)?, Kind::Long, call.position))
}

/// Binds to_regclass(name): the number that pg_class has for a relation, NULL for one that is not there.
pub fn to_regclass(scope: &Scope, args: &[Typed], position: usize) -> Result<Typed, SqlError> {
    let number = args.first().and_then(Typed::as_text).map(|name| relation_number(scope, name, position));
    Ok(number.and_then(Result::ok).unwrap_or_else(|| Typed::literal(Kind::Int.null(), Kind::Int, position)))
}

/// Returns the number that pg_class has for a relation.
fn relation_number(scope: &Scope, name: &str, position: usize) -> Result<Typed, SqlError> {
    let number = functions::catalog::relation_number(name, scope.planner.view());
    let number = number.ok_or_else(|| SqlError::new(position, format!("table does not exist [table={name}]")))?;
    Ok(Typed::int(number, position))
}
