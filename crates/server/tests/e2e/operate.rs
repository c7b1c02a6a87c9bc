//! What an operator does: configuration, the commands of the binary.

mod commands;
mod configuration;
mod dropped;
mod health;
mod moments;
mod restore;
mod snapshot;
