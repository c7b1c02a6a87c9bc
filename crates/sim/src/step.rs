//! One statement or piece of background work: [`Step`].
//!
//! Never decides which step comes (`generate` does) nor what may be lost (`crash` does). What a step does to the model is in
//! [`to_model`], what it does to a database in [`to_database`].

use types::PartitionKey;

use crate::model::{ModelColumn, ModelTable};
use crate::value::{Row, Value};

mod to_database;
mod to_model;

pub use to_database::{StepError, id};

/// A thing to do.
#[derive(Debug, Clone)]
pub enum Step {
    /// Rows of the table are stored by the same commit.
    Create(ModelTable),
    Drop(String),
    /// The latest dropped table of that name comes back.
    Undrop {
        table: String,
        to: String,
    },
    /// The table that was dropped first is gone.
    Purge,
    Rename {
        table: String,
        to: String,
    },
    /// A view of SQL is made, or has another text.
    SetView {
        view: String,
        text: String,
    },
    DropView(String),
    Truncate(String),
    AddColumn {
        table: String,
        column: ModelColumn,
    },
    DropColumn {
        table: String,
        column: String,
    },
    RenameColumn {
        table: String,
        column: String,
        to: String,
    },
    /// Rows of several tables in one commit.
    Append(Vec<(String, Vec<Row>)>),
    /// Sets a column in every n-th row of a partition.
    Update {
        table: String,
        partition: PartitionKey,
        column: String,
        value: Value,
        every: usize,
    },
    /// An update during which, between its reading and its commit, another step of the same table is done.
    UpdateAfter {
        update: Box<Step>,
        meanwhile: Box<Step>,
    },
    DropPartitions {
        table: String,
        keys: Vec<PartitionKey>,
    },
    /// Rows replace each other by these columns and the time from now on; None: they do not.
    SetDedup {
        table: String,
        keys: Option<Vec<String>>,
    },
    SetTtl {
        table: String,
        hours: Option<u32>,
    },
    /// A column of numbers becomes text.
    Convert {
        table: String,
        column: String,
    },
    Prepare(String),
    /// A snapshot that is kept from the start.
    PrepareKept(String),
    /// A snapshot whose lease has run out when leases are looked at.
    PrepareLeased(String),
    /// A lease without end.
    Renew(String),
    /// What time does to leases.
    Leases,
    /// What the guard does once on a disk that is nearly full; a snapshot is open.
    FullDisk,
    Keep(String),
    Complete(String),
    /// The background's settling of a kept snapshot.
    Settle,
    /// A table as it was at a snapshot comes back under another name.
    RestoreTable {
        snapshot: String,
        table: String,
        to: String,
    },
    /// All tables become what they were at a snapshot.
    RestoreDatabase(String),
    /// The background flush.
    Flush,
    /// The flush of one table, however little it holds.
    FlushTable(String),
    /// The background base.
    Base,
    /// A base, whether it is due or not.
    WriteBase,
    Gc,
    /// One merge of segments, if there is one to do.
    Compact,
    /// What a quiet second does.
    Idle,
    /// A statement that must be refused and change nothing.
    Refused(Refused),
}

/// A statement that must be refused.
#[derive(Debug, Clone)]
pub enum Refused {
    NullTime(String),
    NegativeTime(String),
    TableTwice(String),
    /// A table of a view's name.
    TableAsView(String),
    /// A view of a table's name.
    ViewAsTable(String),
    ColumnTwice(String),
    NoSuchTable,
    PrepareTwice,
}

impl Step {
    /// Returns what the step is called in call sites.
    pub fn label(&self) -> &'static str {
        match self {
            Step::Create(_) => "create",
            Step::Drop(_) => "drop",
            Step::Undrop { .. } => "undrop",
            Step::Purge => "purge",
            Step::Rename { .. } => "rename",
            Step::SetView { .. } => "set view",
            Step::DropView(_) => "drop view",
            Step::Truncate(_) => "truncate",
            Step::AddColumn { .. } => "add column",
            Step::DropColumn { .. } => "drop column",
            Step::RenameColumn { .. } => "rename column",
            Step::Append(_) => "append",
            Step::Update { .. } | Step::UpdateAfter { .. } => "update",
            Step::DropPartitions { .. } => "drop partition",
            Step::SetDedup { .. } => "set dedup",
            Step::SetTtl { .. } => "set ttl",
            Step::Convert { .. } => "convert",
            Step::Prepare(_) | Step::PrepareKept(_) | Step::PrepareLeased(_) => "prepare",
            Step::Renew(_) => "renew",
            Step::Leases => "leases",
            Step::FullDisk => "full disk",
            Step::Keep(_) => "keep",
            Step::Complete(_) => "complete",
            Step::Settle => "settle",
            Step::RestoreTable { .. } => "restore table",
            Step::RestoreDatabase(_) => "restore database",
            Step::Flush | Step::FlushTable(_) => "flush",
            Step::Base | Step::WriteBase => "base",
            Step::Gc => "gc",
            Step::Compact => "compact",
            Step::Idle => "idle",
            Step::Refused(_) => "refused",
        }
    }

    /// Returns whether the step is durable when it is done, in every commit mode; all before it is, then.
    pub fn is_durable(&self) -> bool {
        use Step::*;
        matches!(
            self,
            Prepare(_)
                | PrepareKept(_)
                | PrepareLeased(_)
                | Keep(_)
                | Renew(_)
                | Complete(_)
                | FullDisk
                | RestoreTable { .. }
                | RestoreDatabase(_)
        )
    }
}

/// Returns a step in one line.
pub fn describe(step: &Step) -> String {
    let mut text = format!("{step:?}");
    if text.len() > 160 {
        let end = (0..=160).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
