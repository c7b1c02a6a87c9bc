//! Bytes of the protocols to values and back, without sockets, files or clocks.
//!
//! InfluxDB line protocol in: [`ilp`]; delimited text in: [`import`]. Answers of `/exec` and `/exp`: [`exec_json`], [`csv`].
//! PostgreSQL: [`pg_frontend`] (messages of a client), [`pg_parameter`] (values of a Bind), [`pg_text`] (text forms),
//! [`pg_oid`] (type numbers), [`pg_copy`] and [`pg_copy_in`] (rows of COPY). Digits and calendars of both: [`number_text`], [`moment_text`].
//! Nothing here knows a table beyond the [`types::Schema`] that it is handed; the server binds both ends.

pub mod base64;
pub mod csv;
pub mod decimal;
pub mod exec_json;
pub mod exec_rows;
pub mod ilp;
pub mod import;
pub mod moment_text;
pub mod number_text;
pub mod pg_copy;
pub mod pg_copy_in;
pub mod pg_frontend;
pub mod pg_oid;
pub mod pg_parameter;
pub mod pg_text;
pub mod value_text;
