//! What running statements may hold in memory and on disk: [`engine_runtime`].
//!
//! Every operator asks one pool, which draws on the server's [`Budget`] together with memtables and the protocols'
//! buffers. Operators that can spill get equal parts of what is left and write the rest to files ([`spill`]); all others
//! fail with an error that names limit, operator and remedy. Next: [`spill`].

mod spill;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use storage::env::Env;
use types::memory::{Budget, Purpose};

pub use spill::Spill;

/// The smallest part of the pool that an operator which can spill is offered: less could not hold one batch.
const LEAST_PART_BYTES: usize = 256 << 10;
/// Files that are merged at a time; more are merged in passes.
const MERGE_FILES: usize = 32;

/// Returns the surroundings in which all statements of a server run.
///
/// # Panics
/// Never: a runtime without object stores and caches of its own always builds.
pub fn engine_runtime(budget: Budget, spill: &Spill, env: &Env) -> Arc<RuntimeEnv> {
    let disk = DiskManager::builder()
        .with_temp_file_factory(Arc::new(spill::Files::new(spill.clone(), env.clone())))
        .with_max_spill_merge_fan_in(MERGE_FILES);
    let pool = Arc::new(StatementPool::new(budget));
    let builder = RuntimeEnvBuilder::new().with_memory_pool(pool).with_disk_manager_builder(disk);
    Arc::new(builder.build().expect("a runtime without object stores builds"))
}

/// The memory of all running statements.
struct StatementPool {
    budget: Budget,
    /// Operators that can spill, and what they hold together.
    spillers: AtomicUsize,
    spillable_bytes: AtomicUsize,
}

impl StatementPool {
    fn new(budget: Budget) -> StatementPool {
        StatementPool { budget, spillers: AtomicUsize::new(0), spillable_bytes: AtomicUsize::new(0) }
    }

    /// Returns the most that one operator which can spill may hold: its equal part of what all others leave.
    fn part_bytes(&self) -> usize {
        let spillable = self.spillable_bytes.load(Ordering::Relaxed);
        let others = self.budget.used_bytes().saturating_sub(spillable);
        let left = self.budget.limit_bytes().saturating_sub(others);
        let count = NonZeroUsize::new(self.spillers.load(Ordering::Relaxed)).unwrap_or(NonZeroUsize::MIN);
        (left / count).max(LEAST_PART_BYTES)
    }

    fn count(&self, reservation: &MemoryReservation, bytes: usize) {
        if reservation.consumer().can_spill() {
            self.spillable_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn refusal(&self, reservation: &MemoryReservation, asked_bytes: usize, left_bytes: usize) -> DataFusionError {
        let held = |purpose| shown(self.budget.used_for(purpose));
        DataFusionError::ResourcesExhausted(format!(
            "not enough memory: {} holds {} and asked for {} more, {} are left of memory.limit={} (queries hold {}, \
             memtables {}, buffers {}); read fewer rows or columns, run fewer statements at a time, or raise memory.limit",
            reservation.consumer().name(),
            shown(reservation.size()),
            shown(asked_bytes),
            shown(left_bytes),
            shown(self.budget.limit_bytes()),
            held(Purpose::Queries),
            held(Purpose::Memtables),
            held(Purpose::Buffers),
        ))
    }
}

impl MemoryPool for StatementPool {
    fn name(&self) -> &str {
        "statements"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.spillers.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.spillers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.budget.take(Purpose::Queries, additional);
        self.count(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.budget.give_back(Purpose::Queries, shrink);
        if reservation.consumer().can_spill() {
            self.spillable_bytes.fetch_sub(shrink, Ordering::Relaxed);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if reservation.consumer().can_spill() {
            let part = self.part_bytes();
            if reservation.size().saturating_add(additional) > part {
                return Err(self.refusal(reservation, additional, part.saturating_sub(reservation.size())));
            }
        }
        let taken = self.budget.try_take(Purpose::Queries, additional);
        taken.map_err(|full| self.refusal(reservation, additional, full.left_bytes))?;
        self.count(reservation, additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.budget.used_for(Purpose::Queries)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.budget.limit_bytes())
    }
}

impl fmt::Debug for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatementPool({:?})", self.budget)
    }
}

impl fmt::Display for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statements({} of {})", shown(self.reserved()), shown(self.budget.limit_bytes()))
    }
}

/// Returns a size as people read it: bytes, or KB, MB, GB of 1,024 with one decimal.
pub fn shown(bytes: usize) -> String {
    let units = [("GB", 1usize << 30), ("MB", 1 << 20), ("KB", 1 << 10)];
    match units.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", bytes as f64 / *size as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(limit_bytes: usize) -> (Budget, Arc<dyn MemoryPool>) {
        let budget = Budget::new(limit_bytes);
        (budget.clone(), Arc::new(StatementPool::new(budget)))
    }

    #[test]
    fn a_refusal_names_limit_operator_and_remedy() {
        let (budget, pool) = pool(1 << 20);
        budget.take(Purpose::Memtables, 512 << 10);
        let join = MemoryConsumer::new("HashJoinInput[0]").register(&pool);
        let error = join.try_grow(600 << 10).expect_err("512 KB are left").to_string();
        for part in
            ["HashJoinInput[0]", "memory.limit=1.0 MB", "600.0 KB more", "512.0 KB are left", "raise memory.limit"]
        {
            assert!(error.contains(part), "{part} in {error}");
        }
        join.try_grow(512 << 10).expect("fits exactly");
        drop(join);
        assert_eq!(budget.used_for(Purpose::Queries), 0);
    }

    #[test]
    fn operators_that_can_spill_share_what_others_leave() {
        let (_, pool) = pool(10 << 20);
        let sort = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let (one, other) = (sort("one"), sort("other"));
        one.try_grow(5 << 20).expect("half");
        one.try_grow(1).expect_err("more than half");
        let held = MemoryConsumer::new("held").register(&pool);
        held.try_grow(4 << 20).expect("4 of the other 5");
        other.try_grow(1 << 20).expect("1 is left");
        drop((one, held));
        other.try_grow(8 << 20).expect("alone it may have nearly all");
    }
}
