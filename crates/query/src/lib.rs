//! SQL over the read views of storage: the DataFusion room.
//!
//! Reading order: `session` (one statement from text to outcome), `parser` (QuestDB's grammar), `planner` (logical plans
//! and own nodes), `exec` (own operators), `functions`, `provider` (a table as DataFusion sees it).

pub mod exec;
pub mod functions;
pub mod parser;
pub mod planner;
