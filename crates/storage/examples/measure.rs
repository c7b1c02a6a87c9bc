//! Measures what docs/guide/capacity.md and docs/benchmarks.md say of storage: `cargo run --release -p storage --example
//! measure -- WHAT`, where WHAT is one of the arms of [`main`]. Times are printed, never asserted.

#[path = "measure/kept.rs"]
mod kept;
#[path = "measure/objects.rs"]
mod objects;
#[path = "measure/recovery.rs"]
mod recovery;
#[path = "measure/scan.rs"]
mod scan;

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    match what.as_str() {
        "scan" => scan::run(),
        "objects" => objects::run(),
        "kept" => kept::run(),
        "recovery" => recovery::run(),
        _ => eprintln!("usage: measure scan | recovery | objects | kept"),
    }
}
