//! HTTP from outside: queries, ILP, bad input of every kind, start and stop.

pub mod client;
mod lines;
mod lines_tcp;
mod queries;
mod start_and_stop;
