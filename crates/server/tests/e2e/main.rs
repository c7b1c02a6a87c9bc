//! The server over its ports, from outside.

mod http;
mod operate;
mod pg;
