//! Syntax trees of statements. Every node carries the 0-based position that the peer reports for it.
//!
//! Data only. Reading order: [`Statement`], [`Query`], [`Expr`].

use types::{SymbolOptions, TableId, Ttl};

use crate::error::SqlError;

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
    /// Checked for the table and its columns, without effect.
    CreateIndex(CreateIndex),
    Insert(Insert),
    Update(Update),
    Delete(Delete),
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
    View(ViewStatement),
    Snapshot(Snapshot),
    RestoreTable(RestoreTable),
    RestoreDatabase(RestoreDatabase),
    Undrop(Undrop),
    Purge(Purge),
    /// BEGIN, COMMIT, ROLLBACK.
    Transaction(Transaction),
    /// SET, RESET, DISCARD, DEALLOCATE, …: accepted without effect.
    Accepted,
    /// VACUUM, REINDEX: checked for the table, without effect.
    Maintain(Ident),
    /// CHECK TABLE: every file of the table is read and compared.
    Check(Ident),
    Copy(Copy),
    CancelQuery(QueryId),
}

/// The number of a running statement, with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryId {
    pub value: i64,
    pub position: usize,
}

/// COPY, both of its kinds.
#[derive(Debug, Clone, PartialEq)]
pub enum Copy {
    /// COPY table FROM 'file' WITH …
    From(crate::settings::CopyFrom),
    /// COPY 'id' CANCEL.
    Cancel(String),
}

impl Statement {
    /// Returns whether the statement changes nothing but its own session.
    pub fn only_reads(&self) -> bool {
        match self {
            Statement::Query(_) | Statement::Transaction(_) | Statement::Accepted | Statement::Check(_) => true,
            Statement::Explain(inner) => inner.only_reads(),
            _ => false,
        }
    }
}

/// SNAPSHOT … or CHECKPOINT ….
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// `None`: the one named `default`.
    pub name: Option<Ident>,
    pub spelling: Spelling,
    pub step: SnapshotStep,
}

/// What is done with a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotStep {
    Prepare { lease: Option<Lease>, keep: bool, sync: bool },
    Complete,
    Keep(Option<Lease>),
    Renew(Lease),
}

/// RESTORE TABLE table [AS other] FROM …, TO ….
#[derive(Debug, Clone, PartialEq)]
pub struct RestoreTable {
    pub table: Ident,
    /// `None`: under its own name.
    pub as_name: Option<Ident>,
    pub past: Past,
}

/// RESTORE DATABASE FROM SNAPSHOT 'name' [CONFIRM 'name'].
#[derive(Debug, Clone, PartialEq)]
pub struct RestoreDatabase {
    pub snapshot: Ident,
    /// The name again: the statement is carried out. `None`: it tells what it would do.
    pub confirmed: Option<Ident>,
    /// Where CONFIRM stands or would have to.
    pub end: usize,
}

/// UNDROP TABLE table [ID n] [AS other].
#[derive(Debug, Clone, PartialEq)]
pub struct Undrop {
    pub table: Ident,
    /// `None`: the latest that was dropped.
    pub id: Option<TableId>,
    pub as_name: Option<Ident>,
}

/// PURGE TABLE table [ID n]: a dropped table goes at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Purge {
    pub table: Ident,
    /// `None`: the latest that was dropped.
    pub id: Option<TableId>,
}

/// A moment of the database that is no longer.
#[derive(Debug, Clone, PartialEq)]
pub enum Past {
    /// The cut of the snapshot of that name.
    Snapshot(Ident),
    /// A moment of the restorable window, and where it stands in the text.
    Moment(storage::Moment, usize),
}

/// LEASE '2h', LEASE NONE, FOR '30d'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// `None`: without end.
    pub us: Option<i64>,
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
    pub indexed: Vec<IndexClause>,
    pub ttl: Option<TtlClause>,
    pub parameters: TableParameters,
    pub dedup: Option<Vec<Ident>>,
    /// Rules of PostgreSQL's DDL to which nothing keeps.
    pub unkept: Vec<Unkept>,
}

/// A rule of PostgreSQL's DDL to which nothing keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Unkept {
    /// By its name there.
    pub rule: &'static str,
    /// What a client hears that does not speak PostgreSQL's protocol.
    pub refusal: SqlError,
}

/// A statement about a view.
#[derive(Debug, Clone, PartialEq)]
pub enum ViewStatement {
    Create { name: Ident, if_not_exists: bool, or_replace: bool, text: ViewText },
    Alter { name: Ident, text: ViewText },
    Drop { name: Ident, if_exists: bool },
    Compile(Ident),
}

/// The query of a view as it was written, with the place of its first character.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewText {
    pub text: String,
    pub position: usize,
}

/// PostgreSQL's CREATE INDEX.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateIndex {
    pub table: Ident,
    pub columns: Vec<Ident>,
    pub unique: bool,
    /// As [`Unkept::refusal`].
    pub refusal: SqlError,
}

/// `, INDEX(column CAPACITY n)`.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexClause {
    pub column: Ident,
    pub capacity: Option<u32>,
}

/// `TTL n unit`: None for 0. The place is that of the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtlClause {
    pub ttl: Option<Ttl>,
    pub position: usize,
}

/// What WITH and SET PARAM say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableParameters {
    pub max_uncommitted_rows: Option<u32>,
    pub o3_max_lag_us: Option<i64>,
}

#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a statement has one, and it is moved a few times")]
pub enum TableSource {
    Columns(Vec<ColumnDef>),
    Query {
        query: Query,
        casts: Vec<ColumnDef>,
    },
    /// Columns and settings of another table.
    Like(Ident),
}

#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDef {
    pub name: Ident,
    pub type_name: Ident,
    pub indexed: bool,
    pub symbol: SymbolOptions,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    /// INSERT ATOMIC: one commit, however many rows there are.
    pub atomic: bool,
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
    /// Other tables that values and the condition may name.
    pub from: Option<From>,
    pub filter: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    pub table: Ident,
    pub alias: Option<Ident>,
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
    Partitions {
        action: PartitionAction,
        chosen: Partitions,
        /// Of the word PARTITION.
        position: usize,
    },
    ColumnType {
        column: Ident,
        definition: ColumnDef,
    },
    /// ADD INDEX or DROP INDEX.
    Index {
        column: Ident,
        on: bool,
        capacity: Option<u32>,
    },
    /// CACHE or NOCACHE.
    Cache {
        column: Ident,
        on: bool,
    },
    SymbolCapacity {
        column: Ident,
        capacity: u32,
    },
    /// DEDUP ENABLE UPSERT KEYS(…), or DISABLE without keys.
    Dedup(Option<Vec<Ident>>),
    Ttl(TtlClause),
    Parameter(TableParameters),
    /// SET TYPE WAL or BYPASS WAL.
    WalType(bool),
    /// SQUASH PARTITIONS, RESUME WAL: there is nothing to do.
    Upkeep,
    /// SUSPEND WAL, REBASE WAL: refused with this text.
    Refused {
        message: String,
        position: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionAction {
    Drop,
    Detach,
    Attach,
    ToParquet,
    ToNative,
}

/// Which partitions ALTER TABLE names.
#[derive(Debug, Clone, PartialEq)]
pub enum Partitions {
    List(Vec<Ident>),
    Where(Expr),
}

/// A whole query: set operations, order, limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What its DECLARE gave names to, for views that it names: in the query itself the values stand in their places.
    pub declared: Vec<Declared>,
    pub with: Vec<(Ident, Query)>,
    pub body: Body,
    pub order_by: Vec<OrderItem>,
    pub limit: Option<Limit>,
    /// Position of the first token.
    pub position: usize,
}

/// A variable of DECLARE.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// In lower case.
    pub name: String,
    pub value: Expr,
    /// Position of its `:=`.
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
    /// WINDOW w AS (…).
    pub windows: Vec<(Ident, WindowSpec)>,
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

impl From {
    /// Returns every source, joined ones included.
    pub fn sources_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        std::iter::once(&mut self.first).chain(self.joins.iter_mut().map(|j| &mut j.source))
    }
}

impl Source {
    /// Returns a source without an alias.
    pub fn plain(relation: RelationRef, position: usize) -> Source {
        Source { relation, alias: None, timestamp: None, columns: Vec::new(), ordinality: false, position }
    }

    /// Lets the source see common table expressions that stand before its statement.
    pub fn see(&mut self, with: &[(Ident, Query)]) {
        match &mut self.relation {
            RelationRef::Table(name) if with.iter().any(|(n, _)| n.name.to_lowercase() == name.name.to_lowercase()) => {
                self.alias.get_or_insert_with(|| name.clone());
                let (name, position) = (name.clone(), name.position);
                let inner = Source::plain(RelationRef::Table(name), position);
                let select = Select { from: Some(From { first: inner, joins: Vec::new() }), ..Select::all(position) };
                let body = Body::Select(Box::new(select));
                let query = Query { with: with.to_vec(), ..Query::plain(body, position) };
                self.relation = RelationRef::Query(Box::new(query));
            }
            RelationRef::Query(query) => {
                query.with.splice(0..0, with.iter().cloned());
            }
            _ => {}
        }
    }
}

impl Query {
    /// Returns a query that is no more than its body.
    pub fn plain(body: Body, position: usize) -> Query {
        Query { declared: Vec::new(), with: Vec::new(), body, order_by: Vec::new(), limit: None, position }
    }
}

impl Select {
    /// Returns `SELECT *` without a source.
    pub fn all(position: usize) -> Select {
        Select {
            distinct: false,
            items: Vec::new(),
            from: None,
            filter: None,
            latest: None,
            sample: None,
            group_by: None,
            windows: Vec::new(),
            position,
            group_position: position,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub relation: RelationRef,
    pub alias: Option<Ident>,
    /// `timestamp(col)`.
    pub timestamp: Option<Ident>,
    /// Names that UNNEST gives its columns: `u(a, b)`.
    pub columns: Vec<Ident>,
    /// UNNEST … WITH ORDINALITY.
    pub ordinality: bool,
    pub position: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum RelationRef {
    Table(Ident),
    /// A table at the cut of a snapshot.
    TableAt {
        table: Ident,
        snapshot: Ident,
    },
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
    /// The right rows that a WINDOW JOIN takes.
    pub range: Option<Box<JoinRange>>,
    pub position: usize,
}

/// RANGE BETWEEN … AND … [INCLUDE | EXCLUDE PREVAILING].
#[derive(Debug, Clone, PartialEq)]
pub struct JoinRange {
    pub low: RangeEnd,
    pub high: RangeEnd,
    /// Whether the row in force at the beginning counts too.
    pub prevailing: bool,
}

/// One end of a WINDOW JOIN's range.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeEnd {
    /// How far away; absent: CURRENT ROW.
    pub distance: Option<Expr>,
    /// Nanoseconds of one; absent: the unit of the left timestamp.
    pub unit_ns: Option<i64>,
    pub following: bool,
    /// Of the first word.
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
    Splice,
    Window,
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
    /// The tables at the cut of a snapshot.
    TablesAt(Ident),
    Columns(Ident),
    Partitions(Ident),
    CreateTable(Ident),
    CreateView(Ident),
    Parameters,
    /// The moments that can be restored.
    RestoreWindow,
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
    TransactionReadOnly,
    ClientEncoding,
    ServerEncoding,
    IntegerDatetimes,
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
    /// `value IN (a, b)`, or one operand without brackets.
    In {
        value: Box<Expr>,
        list: Vec<Expr>,
        bracketed: bool,
        negated: bool,
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
    /// An aggregate over the rows that pass a test; PIVOT makes it.
    Filtered {
        call: Box<Expr>,
        test: Box<Expr>,
    },
    /// `call OVER (…)`; `call` is a [`ExprKind::Call`].
    Window {
        call: Box<Expr>,
        ignore_nulls: bool,
        spec: Box<WindowSpec>,
    },
}

/// What stands in OVER (…) or behind WINDOW w AS.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WindowSpec {
    /// A named window that this one refines.
    pub base: Option<Ident>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<OrderItem>,
    pub frame: Option<Frame>,
}

/// ROWS or RANGE BETWEEN start AND end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub unit: FrameUnit,
    pub start: Bound,
    pub end: Bound,
    pub exclude_current: bool,
    pub position: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameUnit {
    Rows,
    Range,
    Groups,
}

/// An end of a frame. What precedes is rows, or microseconds of the designated timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    UnboundedPreceding,
    Preceding(i64),
    CurrentRow,
    UnboundedFollowing,
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
    /// `<<`, `<<=`, `>>`, `>>=`: addresses within a net.
    Inside,
    InsideOrEqual,
    Holds,
    HoldsOrEqual,
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
