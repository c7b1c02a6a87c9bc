//! Seeded histories over a simulated file system, and the model database they are compared with.
