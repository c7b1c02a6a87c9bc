//! The first rows of an order, read from a table itself: [`by_time`], the newest rows without a sort; [`by_value`], the least or
//! greatest ones by any columns.

pub mod by_time;
pub mod by_value;
