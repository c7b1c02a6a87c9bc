//! Syntax trees of statements. Every node carries the 0-based position that the peer reports for it.
//!
//! Data only. Reading order: [`Statement`], [`Query`], [`Expr`].

/// A name with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Ident {
    pub name: String,
    pub position: usize,
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    Query(Query),
    Explain(Box<Statement>),
    CreateTable(CreateTable),
    Insert(Insert),
    Update(Update),
    DropTable {
        names: Vec<Ident>,
        if_exists: bool,
    },
    DropAll,
    Truncate {
        names: Vec<Ident>,
        if_exists: bool,
    },
    Rename {
        from: Ident,
        to: Ident,
    },
    Alter(Alter),
    SnapshotPrepare(Spelling),
    SnapshotComplete(Spelling),
    /// BEGIN, COMMIT, ROLLBACK.
    Transaction(Transaction),
    /// SET, RESET, DISCARD, DEALLOCATE, …: accepted without effect.
    Accepted,
    /// VACUUM, REINDEX: checked for the table, without effect.
    Maintain(Ident),
}

/// Which words were used for the snapshot named `default`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    Snapshot,
    Checkpoint,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    Begin,
    Commit,
    Rollback,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateTable {
    pub name: Ident,
    pub if_not_exists: bool,
    pub source: TableSource,
    pub timestamp: Option<Ident>,
    /// The unit as written, with its place.
    pub partition_by: Option<Ident>,
    pub wal: Option<bool>,
    pub indexed: Vec<Ident>,
}

#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a statement has one, and it is moved a few times")]
pub enum TableSource {
    Columns(Vec<ColumnDef>),
    Query { query: Query, casts: Vec<ColumnDef> },
}

#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDef {
    pub name: Ident,
    pub type_name: Ident,
    pub indexed: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    pub table: Ident,
    pub columns: Vec<Ident>,
    pub source: InsertSource,
}

#[derive(Debug, Clone, PartialEq)]
pub enum InsertSource {
    Values(Vec<Tuple>),
    Query(Box<Query>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tuple {
    pub values: Vec<Expr>,
    /// Position of the closing bracket.
    pub close: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    pub table: Ident,
    pub alias: Option<Ident>,
    pub set: Vec<(Ident, Expr)>,
    pub filter: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Alter {
    pub table: Ident,
    pub action: AlterAction,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AlterAction {
    AddColumns {
        columns: Vec<ColumnDef>,
        if_not_exists: bool,
    },
    DropColumns(Vec<Ident>),
    RenameColumns(Vec<(Ident, Ident)>),
    /// `position` is that of the word PARTITION.
    DropPartitionList {
        names: Vec<Ident>,
        position: usize,
    },
    DropPartitionWhere {
        filter: Expr,
        position: usize,
    },
    /// Tuning of a column (index, cache, capacity): checked for the column, without effect.
    TuneColumn(Ident),
    /// Tuning of the table (SET PARAM, SET TYPE, SQUASH, RESUME WAL): without effect.
    TuneTable,
}

/// A whole query: set operations, order, limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub with: Vec<(Ident, Query)>,
    pub body: Body,
    pub order_by: Vec<OrderItem>,
    pub limit: Option<Limit>,
    /// Position of the first token.
    pub position: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Select(Box<Select>),
    Nested(Box<Query>),
    Set { op: SetOp, all: bool, left: Box<Body>, right: Box<Body>, position: usize },
    Show(Show),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetOp {
    Union,
    Except,
    Intersect,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    pub distinct: bool,
    /// Empty: `*` (a bare table).
    pub items: Vec<Item>,
    pub from: Option<From>,
    pub filter: Option<Expr>,
    pub latest: Option<Latest>,
    pub sample: Option<Sample>,
    pub group_by: Option<Vec<Expr>>,
    pub position: usize,
    /// Position of GROUP BY or SAMPLE BY's first word.
    pub group_position: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Star { qualifier: Option<Ident>, position: usize },
    Expr { expr: Expr, alias: Option<Ident> },
}

#[derive(Debug, Clone, PartialEq)]
pub struct From {
    pub first: Source,
    pub joins: Vec<Join>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub relation: RelationRef,
    pub alias: Option<Ident>,
    /// `timestamp(col)`.
    pub timestamp: Option<Ident>,
    pub position: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum RelationRef {
    Table(Ident),
    Function(Expr),
    Query(Box<Query>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    pub kind: JoinKind,
    pub source: Source,
    pub on: Option<On>,
    /// A duration as written.
    pub tolerance: Option<Ident>,
    pub position: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
    Asof,
    Lt,
}

#[derive(Debug, Clone, PartialEq)]
pub enum On {
    Predicate(Expr),
    /// `ON (a, b)`: equal names on both sides.
    Columns(Vec<Ident>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Latest {
    /// Absent in the deprecated form LATEST BY.
    pub on: Option<Ident>,
    pub keys: Vec<Ident>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The period as written, e.g. `1h`.
    pub period: Ident,
    pub from: Option<Expr>,
    pub to: Option<Expr>,
    pub fill: Vec<Expr>,
    pub fill_position: usize,
    pub align: Align,
    /// Behind the period: where the peer reports a missing aggregate.
    pub position: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Align {
    Calendar { zone: Option<Expr>, offset: Option<Expr> },
    FirstObservation { position: usize },
}

#[derive(Debug, Clone, PartialEq)]
pub struct OrderItem {
    pub expr: Expr,
    pub descending: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    pub low: Option<Expr>,
    pub high: Option<Expr>,
    pub position: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Show {
    Tables,
    Columns(Ident),
    Partitions(Ident),
    CreateTable(Ident),
    Parameters,
    /// A fixed setting for PostgreSQL clients: column name and value.
    Setting(Setting),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    ServerVersion,
    ServerVersionNum,
    TransactionIsolation,
    MaxIdentifierLength,
    StandardConformingStrings,
    SearchPath,
    DateStyle,
    TimeZone,
    DefaultTransactionReadOnly,
}

/// An expression with its place: of its operator for binary operators, of its first token otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub position: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    Name {
        qualifier: Option<String>,
        name: String,
    },
    /// As written, with suffix.
    Number(String),
    Text(String),
    /// TRUE, FALSE, NULL, NaN as written.
    Word(String),
    Param(usize),
    /// `*` as the only argument of a call.
    Star,
    Unary {
        op: Unary,
        arg: Box<Expr>,
    },
    Binary {
        op: Binary,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Call {
        name: String,
        args: Vec<Expr>,
        distinct: bool,
    },
    Case {
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Cast {
        arg: Box<Expr>,
        type_name: String,
        type_position: usize,
        spelling: CastSpelling,
    },
    /// `value IN (a, b)`; `bare` when one operand stands without brackets.
    In {
        value: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
        bare: bool,
    },
    Between {
        value: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
    },
    /// `word` is NULL as written.
    IsNull {
        arg: Box<Expr>,
        negated: bool,
        word: String,
    },
    Query(Box<Query>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CastSpelling {
    /// `x::type`.
    Colons,
    /// `CAST(x AS type)`.
    Call,
    /// `type 'text'`.
    Prefix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    Neg,
    Not,
    BitNot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    BitAnd,
    BitOr,
    BitXor,
    Concat,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Like,
    NotLike,
    ILike,
    NotILike,
    Match,
    NotMatch,
}
