//! Names and expressions: from trees to bound expressions.
//!
//! Where a name may stand (WHERE, select list, GROUP BY) is decided by who makes the [`Scope`]; what an operator or
//! function means is decided by [`crate::functions`]. Times against texts are in `moments`.

use std::cell::RefCell;

use datafusion::logical_expr::Expr;

use super::conjuncts::Marks;
use super::group::Grouping;
use super::relation::Column;
use super::window::{self, Windows};
use super::{Ctes, Planner, catalogue, intervals, lists, moments, numbers};
use crate::error::SqlError;
use crate::functions::arithmetic::Arithmetic;
use crate::functions::array::Selector;
use crate::functions::comparison::Comparison;
use crate::functions::matching::Matching;
use crate::functions::operators::{BinaryOp, UnaryOp};
use crate::functions::place::Containment;
use crate::functions::{self, Call, Typed};
use crate::kind::Kind;
use crate::parser::ast::{Binary, CastSpelling, Expr as Tree, ExprKind, Unary};

/// Functions that may be called without brackets where no column has their name. The web console asks `select build`.
const BARE: [&str; 13] = [
    "build",
    "current_catalog",
    "current_database",
    "current_schema",
    "current_user",
    "now",
    "pg_is_in_recovery",
    "pi",
    "session_user",
    "sysdate",
    "systimestamp",
    "txid_current",
    "version",
];

/// What an expression can see.
#[derive(Clone, Copy)]
pub struct Scope<'s> {
    pub planner: &'s Planner<'s>,
    pub ctes: Ctes<'s>,
    pub columns: &'s [Column],
    /// The designated timestamp, as a place in `columns`.
    pub time: Option<usize>,
    /// Select items that later expressions may call by their alias.
    pub aliases: &'s [(String, Tree)],
    /// Where aggregates are collected; without it they are an error.
    pub grouping: Option<&'s RefCell<Grouping>>,
    /// Where window calls are collected; without it they are an error.
    pub windows: Option<&'s Windows<'s>>,
    /// What stands for IN (sub-query).
    pub marks: &'s Marks,
}

impl<'s> Scope<'s> {
    /// Returns a scope without columns.
    pub fn constants(planner: &'s Planner<'s>) -> Scope<'s> {
        Scope {
            planner,
            ctes: Ctes::NONE,
            columns: &[],
            time: None,
            aliases: &[],
            grouping: None,
            windows: None,
            marks: &[],
        }
    }

    /// Returns the bound expression.
    pub fn bind(&self, tree: &Tree) -> Result<Typed, SqlError> {
        if let Some(grouping) = self.grouping
            && let Some(found) = super::group::grouped(self, grouping, tree)?
        {
            return Ok(found);
        }
        self.bind_node(tree)
    }

    /// Binds an expression for a place that asks for a kind, which tells the type of a parameter there.
    pub fn bind_wanted(&self, tree: &Tree, wanted: Kind) -> Result<Typed, SqlError> {
        match &tree.kind {
            ExprKind::Param(number) => self.planner.parameters.bind(*number, Some(wanted), tree.position),
            ExprKind::Unary { op: Unary::Neg, arg } if is_param(arg) => {
                let arg = self.bind_wanted(arg, wanted)?;
                functions::operators::unary(UnaryOp::Minus, arg, tree.position)
            }
            _ => self.bind(tree),
        }
    }

    /// Binds the arguments of the function `name`, in lower case, which tells the types of parameters among them.
    pub fn arguments<'t>(&self, name: &str, args: impl Iterator<Item = &'t Tree>) -> Result<Vec<Typed>, SqlError> {
        let args: Vec<&Tree> = args.collect();
        let open = |tree: &Tree| is_param(tree) || matches!(&tree.kind, ExprKind::Unary { arg, .. } if is_param(arg));
        if !args.iter().any(|tree| open(tree)) {
            return args.into_iter().map(|tree| self.bind(tree)).collect();
        }
        let known = args.iter().map(|tree| if open(tree) { Ok(None) } else { self.bind(tree).map(Some) });
        let known = known.collect::<Result<Vec<_>, _>>()?;
        let kinds: Vec<Option<Kind>> = known.iter().map(|typed| typed.as_ref().map(|typed| typed.kind)).collect();
        let bind = |(place, typed): (usize, Option<Typed>)| match (typed, functions::wanted::at(name, &kinds, place)) {
            (Some(typed), _) => Ok(typed),
            (None, Some(wanted)) => {
                let typed = self.bind_wanted(args[place], wanted.kind)?;
                let described = self.planner.parameters.is_described() && typed.kind.is_text();
                Ok(match wanted.sample.filter(|_| described && typed.is_null_literal()) {
                    Some(sample) => Typed::text(sample, typed.position).with_kind(typed.kind),
                    None => typed,
                })
            }
            (None, None) => self.bind(args[place]),
        };
        known.into_iter().enumerate().map(bind).collect()
    }

    /// Binds two operands of which one may tell the type of the other.
    fn bind_pair(&self, left: &Tree, right: &Tree) -> Result<(Typed, Typed), SqlError> {
        if matches!(left.kind, ExprKind::Param(_)) {
            let right = self.bind(right)?;
            return Ok((self.bind_wanted(left, right.kind)?, right));
        }
        let left = self.bind(left)?;
        let right = self.bind_wanted(right, left.kind)?;
        Ok((left, right))
    }

    fn bind_node(&self, tree: &Tree) -> Result<Typed, SqlError> {
        let position = tree.position;
        match &tree.kind {
            ExprKind::Name { qualifier, name } => self.name(qualifier.as_deref(), name, position),
            ExprKind::Number(text) => numbers::literal(text, position),
            // The peer takes a lone quote for a STRING, not for a CHAR.
            ExprKind::Text(text) if text == "'" => Ok(Typed::text(text, position).with_kind(Kind::String)),
            ExprKind::Text(text) => Ok(Typed::text(text, position)),
            ExprKind::Word(word) => Ok(word_literal(word, position)),
            ExprKind::Param(number) => self.planner.parameters.bind(*number, None, position),
            ExprKind::Star => Err(SqlError::new(position, "unexpected token [*]")),
            ExprKind::Unary { op, arg } => functions::operators::unary(unary_op(*op), self.bind(arg)?, position),
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right, position),
            ExprKind::Call { name, args, distinct } => self.call(name, args, *distinct, position),
            ExprKind::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref(), position)
            }
            ExprKind::Cast { arg, type_name, type_position, spelling } => {
                if let Some(bound) = catalogue::cast(self, arg, type_name, position)? {
                    return Ok(bound);
                }
                let kind = cast_kind(type_name, *spelling, *type_position)?;
                let arg = self.bind_wanted(arg, kind)?;
                functions::cast::explicit(arg, kind, position)
            }
            ExprKind::In { value, list, bracketed, negated } => {
                self.in_list(value, (list, *bracketed), *negated, position)
            }
            ExprKind::Between { value, low, high, negated } => {
                let value = self.bind(value)?;
                let low = self.bind_wanted(low, value.kind)?;
                let high = self.bind_wanted(high, value.kind)?;
                moments::between(self, value, low, high, *negated, position)
            }
            ExprKind::IsNull { arg, negated, .. } => {
                let arg = self.bind(arg)?;
                let op = if *negated { Comparison::Ne } else { Comparison::Eq };
                functions::operators::binary(BinaryOp::Comparison(op), arg, Typed::null(position), position)
            }
            ExprKind::Filtered { call, test } => match &call.kind {
                ExprKind::Call { name, args, distinct } => {
                    let inner = Scope { grouping: None, ..*self };
                    let test = inner.condition(test)?;
                    super::group::aggregate(self, name, args, *distinct, Some(test), position)
                }
                _ => self.bind(call),
            },
            ExprKind::Window { call, ignore_nulls, spec } => window::bind(self, call, *ignore_nulls, spec, position),
            ExprKind::Query(query) => catalogue::scalar(self, query, position)
                .ok_or_else(|| SqlError::new(position, "query is not expected, did you mean column?")),
        }
    }

    /// Returns the column or alias of that name.
    fn name(&self, qualifier: Option<&str>, name: &str, position: usize) -> Result<Typed, SqlError> {
        if let Some(place) = self.place(qualifier, name, position)? {
            return Ok(self.columns[place].typed(position));
        }
        if qualifier.is_none() {
            if let Some(tree) = self.alias(name) {
                let outer = Scope { aliases: &[], ..*self };
                return outer.bind(tree).map(|t| t.at(position));
            }
            if BARE.iter().any(|bare| name.eq_ignore_ascii_case(bare)) {
                return self.call(name, &[], false, position);
            }
            if name.eq_ignore_ascii_case("count") && self.grouping.is_some() {
                return self.call(name, &[], false, position);
            }
        }
        let shown = qualifier.map_or(name.to_owned(), |q| format!("{q}.{name}"));
        Err(SqlError::new(position, format!("Invalid column: {shown}")))
    }

    /// Returns the select item of that alias.
    pub fn alias(&self, name: &str) -> Option<&'s Tree> {
        let folded = name.to_lowercase();
        self.aliases.iter().find(|(alias, _)| *alias == folded).map(|(_, tree)| tree)
    }

    /// Returns the place of a column by its name.
    ///
    /// # Errors
    /// An unknown qualifier; a bare name that several tables have.
    pub fn place(&self, qualifier: Option<&str>, name: &str, position: usize) -> Result<Option<usize>, SqlError> {
        let folded = name.to_lowercase();
        let table = qualifier.map(|q| super::relation::unqualified(q).to_lowercase());
        let of_table = |c: &Column| match &table {
            Some(table) => c.table.as_ref().is_some_and(|t| t.to_lowercase() == *table),
            None => true,
        };
        let candidates = self.columns.iter().enumerate().filter(|(_, c)| c.visible && of_table(c));
        let found: Vec<usize> = candidates.filter(|(_, c)| c.name.to_lowercase() == folded).map(|(i, _)| i).collect();
        match (&found[..], &table) {
            ([place], _) => Ok(Some(*place)),
            ([], Some(_)) if !self.columns.iter().any(|c| c.visible && of_table(c)) => {
                Err(SqlError::new(position, "Invalid table name or alias"))
            }
            ([], _) => Ok(None),
            ([first, rest @ ..], _) if rest.iter().all(|r| self.columns[*r].table == self.columns[*first].table) => {
                let exact = found.iter().find(|i| self.columns[**i].name == name);
                Ok(Some(*exact.unwrap_or(first)))
            }
            _ => Err(SqlError::new(position, format!("Ambiguous column [name={name}]"))),
        }
    }

    /// Returns whether the tree names the designated timestamp.
    pub fn is_time(&self, tree: &Tree) -> bool {
        match &tree.kind {
            ExprKind::Name { qualifier, name } => {
                let place = self.place(qualifier.as_deref(), name, 0).ok().flatten();
                place.is_some() && place == self.time
            }
            _ => false,
        }
    }

    fn binary(&self, op: Binary, left: &Tree, right: &Tree, position: usize) -> Result<Typed, SqlError> {
        if let Some(found) = moments::against_query(self, op, left, right, position)? {
            return Ok(found);
        }
        if let Some(found) = lists::against_list(self, op, left, right, position)? {
            return Ok(found);
        }
        if let Some(found) = catalogue::against_no_function(self, op, left, right, position)? {
            return Ok(found);
        }
        let (left_value, right_value) = self.bind_pair(left, right)?;
        if (self.is_time(left) || self.is_time(right))
            && let Some(found) = moments::against_text(op, &left_value, &right_value)?
        {
            return Ok(found);
        }
        let negated = matches!(op, Binary::NotLike | Binary::NotILike);
        let bound = functions::operators::binary(binary_op(op), left_value, right_value, position)?;
        if negated { functions::operators::unary(UnaryOp::Not, bound, position) } else { Ok(bound) }
    }

    fn call(&self, name: &str, args: &[Tree], distinct: bool, position: usize) -> Result<Typed, SqlError> {
        let lower = name.to_ascii_lowercase();
        let plain = lower.strip_prefix("pg_catalog.").unwrap_or(&lower);
        if functions::aggregate::is_aggregate(plain) {
            return super::group::aggregate(self, name, args, distinct, None, position);
        }
        if matches!(
            plain,
            "row_number"
                | "rank"
                | "dense_rank"
                | "percent_rank"
                | "cume_dist"
                | "ntile"
                | "lag"
                | "lead"
                | "first_value"
                | "last_value"
                | "nth_value"
        ) {
            return Err(SqlError::new(position, window::NO_WINDOW));
        }
        if let Some(bound) = catalogue::array(self, name, args, position) {
            return Ok(bound);
        }
        if let ("touch", [Tree { kind: ExprKind::Query(query), .. }]) = (plain, args) {
            // Segments are mapped when they are read: there is nothing to bring in beforehand.
            self.planner.query(query, self.ctes)?;
            let nothing = r#"{"data_pages": 0, "index_key_pages":0, "index_values_pages": 0}"#;
            return Ok(Typed::text(nothing, position));
        }
        if plain == "unnest" {
            return Err(SqlError::new(position, "UNNEST cannot be used as an expression; use it in the FROM clause"));
        }
        if let Some(found) = intervals::call(self, plain, args, position)? {
            return Ok(found);
        }
        if name == "[]"
            && let Some((array, selectors)) = args.split_first()
        {
            return self.subscript(array, selectors, position);
        }
        if args.iter().any(|a| matches!(a.kind, ExprKind::Query(_))) {
            return Err(SqlError::new(position, format!("unknown function name: {name}(CURSOR)")));
        }
        let args = self.arguments(plain, args.iter())?;
        let name = match plain {
            "pg_table_size" | "pg_total_relation_size" | "pg_relation_size" => {
                return catalogue::relation_size(self, &Call::new(name, position, args));
            }
            "to_regclass" => return catalogue::to_regclass(self, &args, position),
            "to_regtype" => return Ok(lists::to_regtype(&args, position)),
            "pg_size_pretty" => "size_pretty",
            _ => name,
        };
        functions::scalar(&Call::new(name, position, args), self.planner.environment)
    }

    /// Binds `array[i, low:high, …]`.
    fn subscript(&self, array: &Tree, selectors: &[Tree], position: usize) -> Result<Typed, SqlError> {
        let selector = |tree: &Tree| match &tree.kind {
            ExprKind::Call { name, args, .. } if name == ":" => match &args[..] {
                [low, high] => Ok(Selector::Range(self.bind(low)?, Some(self.bind(high)?))),
                [low] => Ok(Selector::Range(self.bind(low)?, None)),
                _ => Err(SqlError::new(tree.position, "array slice bounds expected")),
            },
            _ => self.bind(tree).map(Selector::At),
        };
        let selectors = selectors.iter().map(selector).collect::<Result<Vec<_>, _>>()?;
        let array = self.bind(array)?;
        if let [Selector::At(at)] = &selectors[..]
            && let Some(found) = lists::element(&array, at, position)
        {
            return Ok(found);
        }
        functions::array::index(array, selectors, position)
    }

    fn case(
        &self,
        operand: Option<&Tree>,
        branches: &[(Tree, Tree)],
        otherwise: Option<&Tree>,
        position: usize,
    ) -> Result<Typed, SqlError> {
        let operand = operand.map(|o| self.bind(o)).transpose()?;
        let mut bound = Vec::new();
        for (condition, result) in branches {
            bound.push((self.bind(condition)?, self.bind(result)?));
        }
        let otherwise = otherwise.map(|o| self.bind(o)).transpose()?;
        functions::conditional::case(operand, bound, otherwise, position)
    }

    pub(super) fn in_list(
        &self,
        value: &Tree,
        (list, bracketed): (&[Tree], bool),
        negated: bool,
        position: usize,
    ) -> Result<Typed, SqlError> {
        let is_time = self.is_time(value);
        let value = self.bind(value)?;
        if let [Tree { kind: ExprKind::Query(query), .. }] = list {
            let mark = self.marks.iter().find(|(at, _)| *at == query.position);
            let (_, mark) = mark.ok_or_else(|| in_query_error(&value, query.position))?;
            let met = if negated { Expr::Not(Box::new(mark.clone())) } else { mark.clone() };
            return Ok(Typed::new(met, Kind::Boolean, position));
        }
        // A parameter whose type the client leaves open may hold an interval where a text may: `ts IN $1`.
        let wanted = if value.kind.is_time() { Kind::Varchar } else { value.kind };
        if let Some(found) = intervals::in_list(self, &value, list, negated, position)? {
            return Ok(found);
        }
        let list = list.iter().map(|e| self.bind_wanted(e, wanted)).collect::<Result<Vec<_>, _>>()?;
        if value.kind.is_time() {
            return moments::in_list(self, value, (list, bracketed), negated, is_time, position);
        }
        functions::comparison::in_list(value, list, negated, position)
    }

    /// Binds a condition as WHERE and ON have it.
    ///
    /// # Errors
    /// `boolean expression expected`.
    pub fn condition(&self, tree: &Tree) -> Result<Expr, SqlError> {
        let bound = self.bind(tree)?;
        if bound.kind != Kind::Boolean {
            return Err(SqlError::new(tree.position, "boolean expression expected"));
        }
        Ok(functions::comparison::in_filter(bound.expr))
    }
}

fn is_param(tree: &Tree) -> bool {
    matches!(tree.kind, ExprKind::Param(_))
}

fn in_query_error(value: &Typed, position: usize) -> SqlError {
    let message = match value.kind {
        Kind::Symbol => "IN (sub-query) is supported only in a condition of WHERE, without UPDATE … FROM".to_owned(),
        Kind::String | Kind::Varchar => "constant expected".to_owned(),
        kind => format!("cannot compare {kind} with type CURSOR"),
    };
    SqlError::new(position, message)
}

/// Returns the constant that a literal word is.
pub fn word_literal(word: &str, position: usize) -> Typed {
    match word.to_ascii_lowercase().as_str() {
        "true" => Typed::boolean(true, position),
        "false" => Typed::boolean(false, position),
        _ => Typed::null(position),
    }
}

/// Returns the kind that a type name means in a cast.
fn cast_kind(name: &str, spelling: CastSpelling, position: usize) -> Result<Kind, SqlError> {
    let kind = match spelling {
        CastSpelling::Colons => Kind::from_colon_name(name),
        CastSpelling::Call | CastSpelling::Prefix => Kind::from_cast_name(name),
    };
    kind.ok_or_else(|| match spelling {
        CastSpelling::Colons => SqlError::new(position, format!("invalid constant: {name}")),
        _ => SqlError::new(position, "unsupported cast"),
    })
}

fn unary_op(op: Unary) -> UnaryOp {
    match op {
        Unary::Neg => UnaryOp::Minus,
        Unary::Not => UnaryOp::Not,
        Unary::BitNot => UnaryOp::BitNot,
    }
}

/// Returns the operator as the functions know it; a negated match is its plain one.
pub fn binary_op(op: Binary) -> BinaryOp {
    match op {
        Binary::Add => BinaryOp::Arithmetic(Arithmetic::Add),
        Binary::Sub => BinaryOp::Arithmetic(Arithmetic::Sub),
        Binary::Mul => BinaryOp::Arithmetic(Arithmetic::Mul),
        Binary::Div => BinaryOp::Arithmetic(Arithmetic::Div),
        Binary::Mod => BinaryOp::Arithmetic(Arithmetic::Mod),
        Binary::BitAnd => BinaryOp::Arithmetic(Arithmetic::BitAnd),
        Binary::BitOr => BinaryOp::Arithmetic(Arithmetic::BitOr),
        Binary::BitXor => BinaryOp::Arithmetic(Arithmetic::BitXor),
        Binary::Concat => BinaryOp::Concat,
        Binary::Inside => BinaryOp::Containment(Containment { net_first: false, or_equal: false }),
        Binary::InsideOrEqual => BinaryOp::Containment(Containment { net_first: false, or_equal: true }),
        Binary::Holds => BinaryOp::Containment(Containment { net_first: true, or_equal: false }),
        Binary::HoldsOrEqual => BinaryOp::Containment(Containment { net_first: true, or_equal: true }),
        Binary::Eq => BinaryOp::Comparison(Comparison::Eq),
        Binary::Ne => BinaryOp::Comparison(Comparison::Ne),
        Binary::Lt => BinaryOp::Comparison(Comparison::Lt),
        Binary::Le => BinaryOp::Comparison(Comparison::Le),
        Binary::Gt => BinaryOp::Comparison(Comparison::Gt),
        Binary::Ge => BinaryOp::Comparison(Comparison::Ge),
        Binary::And => BinaryOp::And,
        Binary::Or => BinaryOp::Or,
        Binary::Like | Binary::NotLike => BinaryOp::Matching(Matching::Like),
        Binary::ILike | Binary::NotILike => BinaryOp::Matching(Matching::ILike),
        Binary::Match => BinaryOp::Matching(Matching::Regex),
        Binary::NotMatch => BinaryOp::Matching(Matching::NotRegex),
    }
}
