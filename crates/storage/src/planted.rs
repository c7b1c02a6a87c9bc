//! Faults that the simulator plants to prove that it would find them. No product code sets one.
//!
//! What can be planted from outside is not here: `SimFs` answers a sync without doing it, or a write that it did by half.

/// A fault to plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// Files are unlinked before the frame that frees them is durable.
    UnlinkBeforeFrame,
    /// A base is written at a Seq that the log may lose.
    BaseAheadOfLog,
    /// Files are unlinked while a snapshot is open.
    GcIgnoresSnapshot,
    /// Files are unlinked that a kept snapshot names.
    GcIgnoresPins,
    /// Files are unlinked that a moment of the restorable window needs.
    GcIgnoresWindow,
    /// Files are unlinked while a reader holds them.
    GcIgnoresReader,
    /// A start applies an edit twice.
    ReplayTwice,
    /// A flush says that it reached one Seq less than it did.
    FlushedThroughLess,
    /// A flush says that it reached one Seq more than it did.
    FlushedThroughMore,
    /// A start forgets the last of the frames that it has to write again.
    CarryDropsLast,
    /// Damage in the log is taken for its unsynced tail.
    DamageIsTail,
    /// The unsynced tail is taken for damage.
    TailIsDamage,
    /// A restore releases the served snapshot before its trigger is durably gone.
    ReleaseBeforeTrigger,
    /// A restore publishes before it has validated.
    PublishBeforeValidation,
    /// A restore hands out table ids anew.
    IdsReused,
    /// Compaction merges segments that are not next to each other in Seq.
    CompactNotAdjacent,
    /// Leases end by the wall clock.
    LeaseByWallClock,
    /// A start gives symbols new codes.
    SymbolsAnew,
}
