//! Faults that the simulator plants to prove that it would find them. No product code sets one.

/// A fault to plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {}
