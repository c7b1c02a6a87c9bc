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
    /// All log files have one salt, so that what another run left behind the end of one is read.
    SaltIgnored,
    /// The state at a cut is taken before the lock under which the cut is numbered.
    CutOutsideLock,
    /// Rows that a flush replaces are noted as dead in another segment of their partition.
    DeadOfOtherSegment,
    /// A flush goes on although its table was truncated meanwhile.
    TruncateLostToFlush,
    /// A sweep takes files that a change is about to name.
    GcIgnoresWriting,
    /// A kept snapshot lets its log go before the frame that settles it is durable.
    SettleLetsGoEarly,
    /// A table that comes back is named before the second names of its files are durable.
    AdoptBeforeLinks,
    /// What becomes of a snapshot is not durable when the statement answers.
    StandingNotDurable,
    /// On a full disk an open snapshot is released whose lease still runs.
    GuardReleasesOpen,
    /// The undo of a restore forgets the snapshots that were kept there.
    UndoForgetsKept,
    /// gc takes what the undo of a restore needs.
    GcIgnoresGrace,
    /// gc takes files of a timeline that was left although the state names them.
    GcTakesNamedOfLeft,
    /// A sweep takes files of a table that was dropped and may come back.
    GcIgnoresDropped,
    /// The database goes back to a snapshot, and a power cut takes that back.
    WholeBackNotDurable,
}
