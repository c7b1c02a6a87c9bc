//! Calendar buckets in microseconds: strides, grids and the function that SAMPLE BY groups by.
//!
//! All arithmetic is on `i64` microseconds UTC, so that every year is right (engines that count nanoseconds end in
//! 2262). Reading order: [`calendar`], [`stride`], [`grid`], [`function`].

pub mod calendar;
pub mod function;
pub mod grid;
pub mod stride;

pub use function::{bucket_expr, bucket_of, bucket_since_expr};
pub use grid::Grid;
pub use stride::{Length, Stride, Unit};
