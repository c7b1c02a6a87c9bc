//! The PostgreSQL protocol over loopback: what a client sees, message by message.

mod copying;
mod cursors;
mod limits;
mod protocol;
mod psql;
mod raw;
mod server;
mod tools;
mod transactions;
mod types;
