//! The real machine's files.
