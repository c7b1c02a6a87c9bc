//! SQL over the read views of storage: the DataFusion room.
//!
//! Reading order: `session` (one statement from text to outcome), `parser` (QuestDB's grammar), `planner` (logical plans
//! and own nodes), `kind` (the types of expressions), `interval` and
//! `bucket` (time as texts and calendar buckets), `exec` (own operators), `functions`, `provider` (a table as DataFusion sees it).

pub mod bucket;
pub mod error;
pub mod exec;
pub mod functions;
pub mod interval;
pub mod kind;
pub mod parser;
pub mod planner;
