//! HTTP from outside: queries, ILP, bad input of every kind, start and stop.

mod client;
mod lines;
mod queries;
mod start_and_stop;
