//! Every planted fault is found, each by the test of its name, and by what is found of it alone: the same seed finds nothing
//! when no fault is planted.
//!
//! Of the list in the goals these are not planted: an edit before the log's sync (the log is one sequence, so an edit that
//! survived proves that the rows before it did), the snapshot file's sync (the frame decides, a start writes the file
//! anew), a flush that mixes generations (a kept snapshot holds its log and settles from its own cut: it would only write
//! more), a connection before `_restore` is durably gone (the server listens when the start has returned).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use sim::planted::Plant;
use sim::planted::Plant::{AckBeforeSync, HalfFrame, NoSync, Storage};
use storage::planted::Planted::*;

/// Seeds that each fault is looked for with; of 3, 7 and 11 the commits are acknowledged from the page cache.
const SEEDS: [u64; 16] = [0, 3, 1, 7, 2, 11, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15];

fn is_found(plant: Plant) {
    if let Err(found) = plant.find_by_threads() {
        // What runs there has a test of its own, without a fault.
        return println!("{plant}: {}", brief(&found));
    }
    for seed in SEEDS {
        // A fault may show itself as a panic of storage, which is found as well.
        let found = match std::panic::catch_unwind(|| plant.find_with(seed)) {
            Ok(Ok(())) => continue,
            Ok(Err(found)) => brief(&found),
            Err(_) => "a panic".to_owned(),
        };
        let without = if plant.own_history().is_some() { Ok(()) } else { without_fault(seed) };
        assert_eq!(without, Ok(()), "{plant} is not what was found: {found}");
        return println!("{plant}: {found}");
    }
    panic!("not found: {plant}");
}

/// What was found with a seed, looked for once.
type Found = Arc<OnceLock<Result<(), String>>>;

/// Returns what the campaigns find with a seed when no fault is planted, looked for once.
fn without_fault(seed: u64) -> Result<(), String> {
    static LOOKED: Mutex<BTreeMap<u64, Found>> = Mutex::new(BTreeMap::new());
    let looked = LOOKED.lock().expect("no holder of this lock panics").entry(seed).or_default().clone();
    looked.get_or_init(|| Plant::Nothing.find_with(seed)).clone()
}

fn brief(found: &str) -> String {
    found.chars().take(200).collect()
}

macro_rules! found {
    ($($name:ident: $plant:expr,)*) => {
        $(#[test]
        fn $name() {
            is_found($plant);
        })*
    };
}

found! {
    a_log_that_is_never_synced_is_found: NoSync("_live/*.wal"),
    sealed_names_that_are_never_synced_are_found: NoSync("_log/"),
    segments_that_are_never_synced_are_found: NoSync("table/partition/*.arrow"),
    delete_vectors_that_are_never_synced_are_found: NoSync("table/partition/*.dead"),
    symbols_that_are_never_synced_are_found: NoSync("table/_symbols/*.arrow"),
    names_of_segments_that_are_never_synced_are_found: NoSync("table/partition/"),
    names_of_partitions_that_are_never_synced_are_found: NoSync("table/"),
    names_of_linked_segments_that_are_never_synced_are_found: NoSync("table/_linked/"),
    lists_of_segments_that_are_never_synced_are_found: NoSync("table/_base/*.json"),
    bases_that_are_never_synced_are_found: NoSync("_base/*.json"),
    timelines_that_are_never_synced_are_found: NoSync("_timeline/*.json"),
    an_ack_before_the_sync_is_found: AckBeforeSync,
    half_a_frame_that_is_acknowledged_is_found: HalfFrame,
    a_base_ahead_of_the_log_is_found: Storage(BaseAheadOfLog),
    files_removed_before_the_frame_that_frees_them_are_found: Storage(UnlinkBeforeFrame),
    a_gc_of_a_table_that_may_come_back_is_found: Storage(GcIgnoresDropped),
    a_gc_beside_an_open_snapshot_is_found: Storage(GcIgnoresSnapshot),
    a_gc_of_what_a_kept_snapshot_names_is_found: Storage(GcIgnoresPins),
    a_gc_of_what_the_window_of_moments_needs_is_found: Storage(GcIgnoresWindow),
    a_gc_of_what_a_reader_holds_is_found: Storage(GcIgnoresReader),
    a_gc_of_what_a_change_is_writing_is_found: Storage(GcIgnoresWriting),
    an_edit_that_is_applied_twice_is_found: Storage(ReplayTwice),
    a_flush_that_says_too_little_is_found: Storage(FlushedThroughLess),
    a_flush_that_says_too_much_is_found: Storage(FlushedThroughMore),
    a_truncate_that_is_lost_to_a_flush_is_found: Storage(TruncateLostToFlush),
    dead_rows_of_another_segment_are_found: Storage(DeadOfOtherSegment),
    a_start_that_drops_the_last_frame_is_found: Storage(CarryDropsLast),
    damage_that_is_taken_for_the_tail_is_found: Storage(DamageIsTail),
    a_tail_that_is_taken_for_damage_is_found: Storage(TailIsDamage),
    a_salt_that_is_ignored_is_found: Storage(SaltIgnored),
    a_cut_outside_the_lock_is_found: Storage(CutOutsideLock),
    a_snapshot_released_before_the_trigger_is_found: Storage(ReleaseBeforeTrigger),
    a_restore_published_before_it_is_proven_is_found: Storage(PublishBeforeValidation),
    ids_that_are_given_out_again_are_found: Storage(IdsReused),
    symbols_with_new_codes_are_found: Storage(SymbolsAnew),
    a_merge_of_segments_that_are_no_neighbours_is_found: Storage(CompactNotAdjacent),
    a_lease_by_the_wall_clock_is_found: Storage(LeaseByWallClock),
    a_snapshot_that_settles_and_lets_go_too_early_is_found: Storage(SettleLetsGoEarly),
    a_standing_that_is_not_durable_is_found: Storage(StandingNotDurable),
    a_table_named_before_its_links_are_durable_is_found: Storage(AdoptBeforeLinks),
    an_open_snapshot_released_by_a_full_disk_is_found: Storage(GuardReleasesOpen),
    a_restored_database_that_is_not_durable_is_found: Storage(WholeBackNotDurable),
    an_undo_that_forgets_kept_snapshots_is_found: Storage(UndoForgetsKept),
    a_gc_of_what_an_undo_needs_is_found: Storage(GcIgnoresGrace),
    a_gc_of_files_that_the_state_took_over_is_found: Storage(GcTakesNamedOfLeft),
}
