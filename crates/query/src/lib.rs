//! SQL over the read views of storage: the DataFusion room.
//!
//! Reading order: [`session`] (one statement from text to outcome), [`parser`] (QuestDB's grammar), [`planner`] (logical
//! plans and own nodes), [`kind`] (the types of expressions), [`interval`] and [`bucket`] (time as texts and calendar
//! buckets), [`exec`] (own operators), [`functions`], `postgres` (the catalogue in PostgreSQL's own SQL), [`provider`] (a table as DataFusion sees it), [`memory`]
//! and [`activity`] (limits and cancel), [`outcome`] and [`settings`] (what goes out and what comes in).

pub mod activity;
pub mod bucket;
pub mod error;
pub mod exec;
pub mod functions;
pub mod interval;
pub mod kind;
pub mod memory;
pub mod outcome;
pub mod parser;
pub mod planner;
mod postgres;
pub mod provider;
pub mod session;
pub mod settings;

pub use error::{SqlError, SqlErrorKind};
pub use functions::cast::cell_text;
pub use functions::cell::{Cell, read as read_cell};
pub use functions::moment_format::pattern::Pattern as MomentPattern;
pub use outcome::{Described, Outcome, OutputColumn, OutputType, Rows};
pub use parser::ast::Ident;
pub use planner::parameters::Param;
pub use session::{CopyTarget, Session, Validity};
pub use settings::{Copies, CopyErrors, CopyFrom, Parameter, Parameters, Reload, Settings};
