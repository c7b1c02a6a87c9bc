//! Bytes on the wire and what they mean, without sockets.
//!
//! PostgreSQL: [`pg_frontend`] (messages of a client), [`pg_parameter`] (values of a Bind), [`pg_text`] (text forms),
//! [`pg_oid`] (type numbers).

pub mod pg_frontend;
pub mod pg_oid;
pub mod pg_parameter;
pub mod pg_text;
