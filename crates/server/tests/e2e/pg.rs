//! The PostgreSQL protocol over loopback: what a client sees, message by message.

mod limits;
mod protocol;
mod psql;
mod raw;
mod server;
mod transactions;
mod types;
