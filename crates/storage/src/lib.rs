//! A root directory: log, segments, bases, snapshots, restore. No SQL, no sockets, no DataFusion.
//!
//! Reading order, from the ground up:
//!
//! 1. the machine and the files: [`env`], [`layout`], [`root`], [`document`];
//! 2. the log, the only commit point: [`log`], [`record`] (what a frame says);
//! 3. rows: [`chunk`], [`segment`], [`symbols`], [`run`], [`merge`], `dedup`;
//! 4. the state in memory: [`memtable`], `ttl`, [`table`], [`catalog`];
//! 5. commits and views: [`database`], [`read_view`], [`load`]; changes of whole tables: `changes`, [`rewrite`], `convert`, `detach`;
//! 6. the background: [`flush`], `compaction`, [`base`], [`gc`]; [`check`] and [`counters`] look on;
//! 7. what was: [`timeline`], [`snapshot`], [`recovery`], [`moment`], [`restore`], `bring_back`, [`copy`];
//! 8. [`engine`], which runs the background.

pub mod arrow_type;
pub mod base;
mod bring_back;
pub mod catalog;
mod changes;
pub mod check;
pub mod chunk;
mod compaction;
mod convert;
pub mod copy;
pub mod counters;
pub mod database;
mod dedup;
mod detach;
pub mod document;
pub mod engine;
pub mod env;
mod error;
pub mod flush;
pub mod gc;
mod ipc;
pub mod layout;
pub mod load;
pub mod log;
pub mod memtable;
pub mod merge;
pub mod moment;
mod partition_format;
#[doc(hidden)]
pub mod planted;
pub mod read_view;
pub mod record;
pub mod recovery;
pub mod restore;
pub mod rewrite;
pub mod root;
pub mod run;
pub mod segment;
pub mod snapshot;
mod sql_view;
pub mod symbols;
pub mod table;
pub mod timeline;
mod ttl;
mod window;

pub use arrow_type::arrow_type;
pub use bring_back::whole::{Difference, TableChange};
pub use database::{
    ColumnChange, CommitMode, Database, DroppedTable, NewColumn, NewTable, Options, StartReport, StartStep, Target,
    Write,
};
pub use detach::DetachedPartition;
pub use engine::Engine;
pub use env::Env;
pub use error::{Error, Result};
pub use merge::TableScan;
pub use moment::{Gap, Moment, Stretch};
pub use partition_format::PartitionFormat;
pub use read_view::{PartitionInfo, ReadView, TableView};
pub use run::Run;
pub use snapshot::{SnapshotInfo, SnapshotState, Terms, check_name};
pub use sql_view::{Replace, SqlView};
pub use window::window;
