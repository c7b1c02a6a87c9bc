//! HTTP from outside: queries, ILP, bad input of every kind, start and stop.

pub mod client;
mod copies;
mod imports;
mod limits;
mod lines;
mod lines_tcp;
mod migration;
mod parquet;
mod queries;
mod start_and_stop;
